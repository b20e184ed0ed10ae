"""The demonstration as a process: it succeeds, and whatever ends it early, nothing is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from balbook.lab import needs
from balbook.lab.demo import NAME
from balbook.local import processes
from balbook.local.lab_place import VARIABLE, lab_folder

pytestmark = pytest.mark.skipif(bool(needs.missing()), reason="programs of the lab are missing")


@pytest.fixture
def environ() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="balbook-demo-") as home:
        yield {**os.environ, VARIABLE: home, "PYTHONUNBUFFERED": "1"}


def start(environ: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "balbook.lab.demo"]
    return subprocess.Popen(
        argv,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # ignored where the tests run under nohup
    )


def read_until(demo: subprocess.Popen[str], pattern: str) -> str:
    assert demo.stdout
    read = ""
    for line in demo.stdout:
        read += line
        if re.search(pattern, line):
            return read
    raise AssertionError(f"it never said {pattern!r}, but:\n{read}")


def until_ended(demo: subprocess.Popen[str], within_s: float = 60.0) -> str:
    said, _ = demo.communicate(timeout=within_s)
    return said


@pytest.mark.integration
@pytest.mark.parametrize(
    ("number", "at"),
    [
        (signal.SIGINT, "^Starting lab"),
        (signal.SIGTERM, "^== 1 of"),
        (signal.SIGINT, "applying"),
        (signal.SIGHUP, "bal test …"),
    ],
)
def test_interrupted_it_takes_the_lab_down_and_leaves_no_process(
    number: signal.Signals, at: str, environ: dict[str, str], tmp_path: Path
) -> None:
    demo = start(environ, tmp_path)
    read_until(demo, at)
    demo.send_signal(number)
    said = until_ended(demo)
    folder = lab_folder(NAME, environ)
    assert demo.returncode == 1, said
    assert not folder.exists()
    assert processes.of_lab(folder) == []
    assert until_none_mentions(str(tmp_path)) == []


@pytest.mark.integration
def test_a_terminal_that_is_gone_does_not_keep_it_from_cleaning_up(environ: dict[str, str], tmp_path: Path) -> None:
    demo = start(environ, tmp_path)
    read_until(demo, "^== 1 of")
    assert demo.stdout
    demo.stdout.close()
    demo.send_signal(signal.SIGHUP)
    assert demo.wait(60) == 1
    assert not lab_folder(NAME, environ).exists()
    assert until_none_mentions(str(tmp_path)) == []


@pytest.mark.integration
def test_a_second_one_beside_it_is_refused(environ: dict[str, str], tmp_path: Path) -> None:
    first = start(environ, tmp_path)
    try:
        read_until(first, "^Starting lab")
        second = start(environ, tmp_path)
        assert "another demo is running" in until_ended(second)
        assert second.returncode == 2
    finally:
        first.send_signal(signal.SIGTERM)
        until_ended(first)


@pytest.mark.load
def test_it_replaces_an_application_without_a_failed_request_and_twice_works_twice(environ: dict[str, str], tmp_path: Path) -> None:
    for _ in range(2):
        demo = start(environ, tmp_path)
        said = until_ended(demo, within_s=600)
        assert demo.returncode == 0, said
        assert re.search(r"^failed +0$", said, re.MULTILINE)
        assert "All as it should be." in said
        paths = re.findall(r"^  (records/demo/\S+)$", said, re.MULTILINE)
        notebooks = [Path(path).stem for path in paths if path.endswith(".ipynb")]
        assert notebooks == ["provision", "install", "pack_push", "consolidate", "build", "hot_deploy"] * 2
        assert "latency.png" in {Path(path).name for path in paths}
        assert all((tmp_path / path).stat().st_size > 1000 for path in paths)
        assert not lab_folder(NAME, environ).exists()
    assert until_none_mentions(str(tmp_path)) == []


def until_none_mentions(folder: str, within_s: float = 20.0) -> list[str]:
    """Processes (kernels, the runs' processes, probes) that work in this folder, once they had time to end."""
    deadline = time.monotonic() + within_s
    while found := [p.title for p in processes.all_processes() if (folder in p.title or folder in working_folder(p.pid))]:
        if time.monotonic() > deadline:
            return found
        time.sleep(0.1)
    return []


def working_folder(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return ""
