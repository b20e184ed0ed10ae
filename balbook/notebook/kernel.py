"""The kernel of a headless run: this very interpreter, over sockets in a private folder instead of TCP ports.

A `python3` kernel that stands in the user's own folder may belong to another environment, and TCP shows a notebook's
parameters and outputs to every account of the machine.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

LONGEST_PLACE = 60
"""Bytes of the folder for temporary files: a socket's path has at most 103 where it is shortest, on macOS."""


class LocalKernel(AsyncKernelManager):
    """Starts the kernel of this interpreter."""

    started: ClassVar[list[LocalKernel]] = []
    variables: ClassVar[Mapping[str, str]] = {}
    inherited: ClassVar[tuple[int, ...]] = ()

    def __init__(self, **options: Any) -> None:
        # Without a connection file the sockets would lie in the current folder, and kernels that start at once there take the same ones.
        place = tempfile.gettempdir()
        folder = tempfile.mkdtemp(prefix="balbook-kernel-", dir=place if len(os.fsencode(place)) <= LONGEST_PLACE else "/tmp")
        super().__init__(**{**options, "transport": "ipc", "connection_file": f"{folder}/kernel.json"})
        self._folder = folder

    async def _async_pre_start_kernel(self, **options: Any) -> Any:
        """Discards standard output, which is for the command's own result: a cell's prints come as messages."""
        handed = {"env": {**os.environ, **self.variables}, "pass_fds": self.inherited}
        return await super()._async_pre_start_kernel(**{"stdout": subprocess.DEVNULL, **handed, **options})

    async def _async_post_start_kernel(self, **options: Any) -> None:
        """Remembers the kernel, for `interrupt_started`."""
        await super()._async_post_start_kernel(**options)
        LocalKernel.started.append(self)

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        """Forgets the kernel."""
        await super()._async_cleanup_resources(restart)
        if not restart:
            shutil.rmtree(self._folder, ignore_errors=True)
        with suppress(ValueError):
            LocalKernel.started.remove(self)

    cleanup_resources = _async_cleanup_resources
    """The name by which executors call it."""

    @classmethod
    def interrupt_started(cls) -> None:
        """Interrupts the cells that run now; from any thread, unlike `interrupt_kernel`."""
        for kernel in list(cls.started):
            with suppress(ProcessLookupError):
                if pid := getattr(kernel.provisioner, "pid", None):
                    os.kill(pid, signal.SIGINT)

    @property
    def kernel_spec(self) -> KernelSpec:
        """The interpreter that runs balbook, whatever kernel specifications the machine has."""
        return KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], language="python")


def given(variables: Mapping[str, str], *fds: int) -> type[LocalKernel]:
    """A class of kernels with these variables beside ours, and these open files: an executor makes a kernel from the class alone."""
    return type("GivenKernel", (LocalKernel,), {"variables": variables, "inherited": fds})
