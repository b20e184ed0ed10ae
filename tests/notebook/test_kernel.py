"""Kernels of headless runs: several at once, in one folder, do not hear one another and leave nothing."""

from __future__ import annotations

import asyncio
import stat
import tempfile
from pathlib import Path

import pytest

from balbook.notebook.kernel import LocalKernel


def test_its_sockets_lie_in_a_private_folder_that_no_other_kernel_has() -> None:
    kernels = [LocalKernel(kernel_name="python3") for _ in range(2)]
    try:
        folders = {Path(kernel.ip).parent for kernel in kernels}
        assert len(folders) == 2
        assert all(stat.S_IMODE(folder.stat().st_mode) == 0o700 for folder in folders)
    finally:
        for kernel in kernels:
            asyncio.run(kernel.cleanup_resources())
    assert not any(folder.exists() for folder in folders)


def test_a_long_way_to_temporary_files_does_not_make_a_sockets_path_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    kernel = LocalKernel(kernel_name="python3")
    try:
        assert len(f"{kernel.ip}-10") <= 103
    finally:
        asyncio.run(kernel.cleanup_resources())


def test_kernels_that_start_at_once_in_one_folder_answer_each_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = asyncio.run(_all_of(4))
    assert said == ["kernel 0", "kernel 1", "kernel 2", "kernel 3"]
    assert list(tmp_path.iterdir()) == [], "nothing of theirs lies in the current folder"
    assert LocalKernel.started == []


async def _all_of(count: int) -> list[str]:
    return list(await asyncio.gather(*(_said(f"kernel {number}") for number in range(count))))


async def _said(text: str) -> str:
    """What a new kernel prints."""
    kernel = LocalKernel(kernel_name="python3")
    await kernel.start_kernel()
    client = kernel.client()
    client.start_channels()
    heard: list[str] = []
    try:
        await client.wait_for_ready(timeout=120)
        await client.execute_interactive(f"print({text!r})", output_hook=lambda message: heard.append(message["content"].get("text", "")))
    finally:
        client.stop_channels()
        await kernel.shutdown_kernel(now=True)
    return "".join(heard).strip()
