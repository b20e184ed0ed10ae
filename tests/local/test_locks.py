"""One process at a time; here two open files of one process stand for two processes."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from balbook.local.locks import holding, is_held, take


def test_a_lock_is_held_until_its_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path)
    with holding(path):
        assert is_held(path)
        with pytest.raises(BlockingIOError):
            take(path, within_s=0)
        with pytest.raises(TimeoutError, match="somebody has it"), holding(path, within_s=0, taken=TimeoutError("somebody has it")):
            pytest.fail("two hold it")
    assert not is_held(path)
    os.close(take(path, within_s=0))


def test_who_comes_second_waits_and_says_it_once(tmp_path: Path) -> None:
    path, said = tmp_path / "lock", list[str]()
    held = take(path)
    threading.Timer(0.1, os.close, [held]).start()
    held = take(path, on_wait=lambda: said.append("waiting"))
    threading.Timer(0.1, os.close, [held]).start()
    os.close(take(path, within_s=10, on_wait=lambda: said.append("waiting again")))
    os.close(take(path, on_wait=lambda: said.append("not waiting")))
    assert said == ["waiting", "waiting again"]


def test_a_file_that_is_there_keeps_its_content_and_a_new_one_is_private(tmp_path: Path) -> None:
    (tmp_path / "run.pid").write_text("{}")
    with holding(tmp_path / "run.pid") as fd, holding(tmp_path / "new") as other:
        assert (os.read(fd, 10), os.fstat(other).st_mode & 0o777) == (b"{}", 0o600)
