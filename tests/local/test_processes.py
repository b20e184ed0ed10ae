"""Which processes are a lab's, and how they end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from balbook.local import processes
from balbook.local.processes import Process

LAB = Path("/srv/labs/blue")
SLEEP = "import time; print('ready', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"


@contextmanager
def child(code: str, marker: Path | None = None, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, **({processes.MARKER: str(marker)} if marker else {})}
    with subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def seen(pid: int, title: str, marker: str = "", parent: int = 1) -> Process:
    return Process(pid, parent, f"boot:{pid}", title, marker)


def pids(*all_seen: Process, roots: tuple[tuple[int, str], ...] = ()) -> list[int]:
    return [p.pid for p in processes.of_lab(LAB, all_seen, roots=roots)]


def test_a_process_with_the_labs_marker_belongs_to_it_and_its_children_do() -> None:
    assert pids(seen(900010, "java", str(LAB)), seen(900011, "child", parent=900010), seen(900012, "stranger")) == [900010, 900011]


def test_a_lab_whose_name_begins_like_this_ones_is_another() -> None:
    other = "sshd: /usr/sbin/sshd -f /srv/labs/blue2/hosts/a/sshd_config [listener]"
    assert pids(seen(900010, "java", f"{LAB}2"), seen(900011, other)) == []


@pytest.mark.parametrize(
    "title",
    [
        "sshd: /usr/sbin/sshd -f /srv/labs/blue/hosts/app1/sshd_config -E x [listener] 0 of 500-500 startups",
        "nginx: master process nginx -p /srv/labs/blue/hosts/lb1/home/balbook -c x.conf",
    ],
)
def test_a_server_that_hides_its_environment_is_known_by_its_title(title: str) -> None:
    assert pids(seen(900010, title), seen(900011, "nginx: worker process", parent=900010)) == [900010, 900011]


def test_a_reader_of_the_labs_files_does_not_belong_to_it() -> None:
    assert pids(seen(900010, "less /srv/labs/blue/lab.json"), seen(900011, "tail -f /srv/labs/blue/hosts/app1/sshd.log")) == []


def test_a_known_root_counts_only_with_its_identity() -> None:
    session = seen(900010, "sshd: ops@notty")
    assert pids(session, roots=((900010, "boot:900010"),)) == [900010]
    assert pids(session, roots=((900010, "boot:1"),)) == []


def test_this_process_and_its_ancestors_are_left_out() -> None:
    me, ancestor = seen(os.getpid(), "python", str(LAB), parent=900013), seen(900013, "sh", str(LAB))
    assert pids(me, ancestor) == []


def test_a_marked_process_is_found_on_this_machine(tmp_path: Path) -> None:
    with child(SLEEP, tmp_path) as process:
        assert [p.pid for p in processes.of_lab(tmp_path)] == [process.pid]


def test_all_are_ended_even_the_stubborn_and_the_stopped(tmp_path: Path) -> None:
    with child(STUBBORN, tmp_path) as stubborn, child(SLEEP, tmp_path) as stopped:
        os.kill(stopped.pid, signal.SIGSTOP)
        assert processes.end(lambda: processes.of_lab(tmp_path), grace_s=0.3) == []
        assert stubborn.wait(10) == -signal.SIGKILL
        assert stopped.wait(10) == -signal.SIGTERM


def test_a_process_that_is_not_the_same_any_more_gets_no_signal() -> None:
    with child(SLEEP) as process:
        impostor = Process(process.pid, 1, "boot:1", "java")
        assert not processes.send(impostor, signal.SIGKILL)
        assert process.poll() is None


def test_an_identity_lasts_as_long_as_its_process() -> None:
    with child(SLEEP) as process:
        born = processes.identity(process.pid)
        assert born
        assert processes.identity(process.pid) == born
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert processes.identity(process.pid) == ""  # a zombie
        assert process.pid not in {p.pid for p in processes.all_processes()}
    assert processes.identity(process.pid) == ""


def test_the_listener_of_a_port_is_found_among_the_labs_processes() -> None:
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        ours.listen()
        port = ours.getsockname()[1]
        me = Process(os.getpid(), 1, "", "")
        assert processes.listener(port, [me]) == me
        assert processes.listener(port, [Process(1 << 30, 1, "", "")]) is None
    assert processes.listener(port, [me]) is None


@pytest.mark.skipif(not psutil.LINUX, reason="elsewhere the time of day is all that there is")
def test_an_identity_outlasts_a_step_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    before, told = processes.identity(os.getpid()), psutil.Process().create_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: 3600.0)
    assert psutil.Process().create_time() != told
    assert processes.identity(os.getpid()) == before
