"""The kernel of a headless run: this very interpreter, over sockets in a private folder instead of TCP ports.

A `python3` kernel that stands in the user's own folder may belong to another environment, and TCP shows a notebook's
parameters and outputs to every account of the machine.
"""

from __future__ import annotations

import sys
from typing import Any

from jupyter_client.manager import AsyncKernelManager


class LocalKernel(AsyncKernelManager):
    """Starts the kernel of this interpreter."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "transport": "ipc"})

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """The interpreter that runs balbook, whatever kernel specifications the machine has."""
        words = super().format_kernel_cmd(extra_arguments)
        return [sys.executable, *words[1:]] if "ipykernel_launcher" in words else words
