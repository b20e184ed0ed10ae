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
from contextlib import suppress
from typing import Any, ClassVar

from jupyter_client.manager import AsyncKernelManager

LONGEST_PLACE = 60
"""Bytes of the folder for temporary files: a socket's path has at most 103 where it is shortest, on macOS."""


class LocalKernel(AsyncKernelManager):
    """Starts the kernel of this interpreter."""

    started: ClassVar[list[LocalKernel]] = []

    def __init__(self, **options: Any) -> None:
        # Without a connection file the sockets would lie in the current folder, and kernels that start at once there take the same ones.
        place = tempfile.gettempdir()
        folder = tempfile.mkdtemp(prefix="balbook-kernel-", dir=place if len(os.fsencode(place)) <= LONGEST_PLACE else "/tmp")
        super().__init__(**{**options, "transport": "ipc", "connection_file": f"{folder}/kernel.json"})
        self._folder = folder

    async def _async_pre_start_kernel(self, **options: Any) -> Any:
        """What a cell prints comes as messages; standard output is the command's own, for its result."""
        return await super()._async_pre_start_kernel(**{"stdout": subprocess.DEVNULL, **options})

    async def _async_post_start_kernel(self, **options: Any) -> None:
        """Remembers it, for `interrupt_started`."""
        await super()._async_post_start_kernel(**options)
        LocalKernel.started.append(self)

    async def _async_cleanup_resources(self, restart: bool = False) -> None:
        """Forgets it."""
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

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """The interpreter that runs balbook, whatever kernel specifications the machine has."""
        words = super().format_kernel_cmd(extra_arguments)
        return [sys.executable, *words[1:]] if "ipykernel_launcher" in words else words
