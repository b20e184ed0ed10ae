"""The probe's process against a server whose every answer and fault is known."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from balbook.errors import BadInput, Failed
from balbook.probe.client import ProbeProcess, read_findings
from balbook.probe.config import ProbeConfig, Stream, schedule
from balbook.probe.judge import Findings
from balbook.probe.samples import read_samples

pytestmark = pytest.mark.integration
Wait = Callable[[Callable[[], bool]], None]
OK = Stream(path="/ok")


def test_every_kind_of_answer_is_counted_exactly(server: Any, probe_all: Callable[..., Findings]) -> None:
    faults = {
        "/503": "status_5xx",
        "/404": "status_other",
        "/garbage": "bad_response",
        "/cut": "bad_response",
        "/reset": "reset",
        "/empty": "reset",
        "/hang": "timeout",
    }
    findings = probe_all(OK, *(Stream(path=path) for path in faults), Stream(path="/chunked", is_keepalive=True), count=160)
    expected: Counter[str] = Counter()
    for path, kind in faults.items():
        expected[kind] += server.did[path]
    assert findings.sent == 160 == len(server.ids)
    assert findings.failed_by_kind == dict(expected)
    assert findings.acknowledged == server.did["/ok"] + server.did["/chunked"]
    assert findings.failed + findings.acknowledged == 160
    assert findings.closed_by_reload == findings.dropped == 0
    assert all(server.did[path] for path in faults)


def test_a_timeout_is_a_sample_with_the_full_time(tmp_path: Path, probe_all: Callable[..., Findings]) -> None:
    findings = probe_all(OK, Stream(path="/hang"))
    late = [s for s in read_samples(tmp_path / "out") if s.kind == "timeout"]
    assert len(late) == findings.failed > 0
    assert min(s.latency_ms for s in late) >= 600


def test_a_reused_connection_closed_before_any_byte_is_counted_apart(server: Any, probe_all: Callable[..., Findings]) -> None:
    findings = probe_all(Stream(path="/closes-second", is_keepalive=True))
    assert findings.closed_by_reload == server.did["closed"] > 10
    assert findings.failed == 0
    assert findings.acknowledged == 60 - server.did["closed"]


def test_a_reused_connection_closed_long_after_the_request_is_a_failure(server: Any, probe_all: Callable[..., Findings]) -> None:
    findings = probe_all(Stream(path="/closes-second-late", is_keepalive=True), count=20, rate=20)
    assert findings.failed_by_kind == {"reset": server.did["closed"]}
    assert server.did["closed"] > 0
    assert findings.closed_by_reload == 0


def test_an_idle_connection_that_was_closed_is_opened_again_without_a_failure(probe_all: Callable[..., Findings]) -> None:
    findings = probe_all(Stream(path="/closes-idle", is_keepalive=True), count=20, rate=20)
    assert (findings.acknowledged, findings.failed, findings.closed_by_reload) == (20, 0, 0)
    assert findings.process.reconnects in (19, 20)  # the last close may come after the end


def test_the_last_server_tried_is_named_and_the_release_read(server: Any, tmp_path: Path, probe_all: Callable[..., Findings]) -> None:
    server.release = "2.1"
    findings = probe_all(OK, instances={"10.0.0.2:2": "app2:9090"})
    assert findings.served == {"GET /ok fresh": {"app2:9090": 60}}
    assert findings.releases == {"2.1": 60}
    assert findings.retried == 60
    assert {s.tries for s in read_samples(tmp_path / "out")} == {2}


def test_a_host_that_the_inventory_names_is_known_by_the_address_that_the_balancer_says(probe_all: Callable[..., Findings]) -> None:
    findings = probe_all(OK, instances={"10.2:2": "app2:9090"})  # the short form of 10.0.0.2 is looked up like a name
    assert findings.served == {"GET /ok fresh": {"app2:9090": 60}}
    assert not [why for why in findings.trust if "never reached" in why]


def test_ids_are_unique_stand_in_the_body_and_follow_the_schedule(server: Any, tmp_path: Path, probe_all: Callable[..., Findings]) -> None:
    post = Stream("POST", "/orders", '{"order": "{id}"}', has_logged_id=True)
    findings = probe_all(OK, post, seed=7, run_id="run7")
    samples = sorted(read_samples(tmp_path / "out"))
    assert findings.acknowledged == 60
    assert sorted(server.ids) == sorted(f"run7-{i}" for i in range(60))
    assert {body for body in server.bodies if body} == {f'{{"order": "{s.id}"}}' for s in samples if s.stream == post.name}
    config = ProbeConfig("h", 1, "", (OK, post), seed=7)
    assert [s.stream for s in samples] == [config.streams[i].name for i, _ in zip(schedule(config), range(60), strict=False)]
    assert [s.intended_s for s in samples] == pytest.approx([i / 100 for i in range(60)], abs=1e-5)


def test_phases_are_marked_and_stop_waits_for_what_is_in_flight(server: Any, tmp_path: Path, wait_for: Wait) -> None:
    config = ProbeConfig("127.0.0.1", server.port, str(tmp_path / "out"), (OK, Stream(path="/hang")), rate=200, timeout_s=0.5)
    with ProbeProcess(config) as probe:
        probe.phase("during")
        reached = probe.progress()["sent"] + 100
        wait_for(lambda: probe.progress()["sent"] > reached)
        findings = probe.stop()
    assert findings.process.ended_by == "stop"
    assert findings.latency["during"].samples > 50
    assert findings.sent == len(server.ids) == findings.acknowledged + findings.failed
    assert findings == read_findings(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"phases.json", "histogram.hlog", "histogram.hgrm", "summary.json"}


def test_a_start_against_a_closed_port_fails_and_says_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    probe = ProbeProcess(ProbeConfig("127.0.0.1", port, str(tmp_path / "out"), (OK,), rate=50))
    with pytest.raises(Failed, match=rf"127.0.0.1:{port} acknowledged no request of the probe within 0.5 s: \d+ refused"):
        probe.start(within_s=0.5)
    findings = read_findings(tmp_path / "out")
    assert findings.failed_by_kind == {"refused": findings.sent}


def test_a_full_accept_queue_is_a_connect_timeout(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        blockers = [socket.socket() for _ in range(4)]
        for blocker in blockers:
            blocker.setblocking(False)
            blocker.connect_ex(full.getsockname())
        probe = ProbeProcess(ProbeConfig("127.0.0.1", full.getsockname()[1], str(tmp_path / "out"), (OK,), rate=20, timeout_s=0.3))
        with pytest.raises(Failed, match="connect_timeout"):
            probe.start(within_s=1.5)
        for blocker in blockers:
            blocker.close()
    assert set(read_findings(tmp_path / "out").failed_by_kind) == {"connect_timeout"}


def test_a_directory_is_used_once(server: Any, tmp_path: Path, probe_all: Callable[..., Findings]) -> None:
    probe_all(OK)
    with pytest.raises(BadInput, match="already holds"):
        ProbeProcess(ProbeConfig("127.0.0.1", server.port, str(tmp_path / "out"), (OK,))).start()


def test_a_killed_probe_leaves_samples_that_are_not_trusted(server: Any, tmp_path: Path, wait_for: Wait) -> None:
    with ProbeProcess(ProbeConfig("127.0.0.1", server.port, str(tmp_path / "out"), (OK,), rate=200)) as probe:
        wait_for(lambda: probe.progress()["acknowledged"] > 50)
        assert probe.pid
        os.kill(probe.pid, signal.SIGKILL)
        findings = probe.stop()
    assert findings.acknowledged > 50
    assert "the probe's process did not end properly" in findings.trust
    assert findings.verdict() == "inconclusive"


def test_the_probe_ends_when_its_starter_is_killed(server: Any, tmp_path: Path, wait_for: Wait) -> None:
    code = (
        "import sys, time; from balbook.probe.client import *; from balbook.probe.config import *\n"
        f"p = ProbeProcess(ProbeConfig('127.0.0.1', {server.port}, {str(tmp_path / 'out')!r}, (Stream(path='/ok'),), rate=50)).start()\n"
        "print(p.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert starter.stdout
    probe_pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    starter.stdout.close()
    wait_for(lambda: not _is_alive(probe_pid))
    assert read_findings(tmp_path / "out").process.ended_by in ("end of standard input", "death of the starter")
    seen = len(server.ids)
    time.sleep(0.2)
    assert len(server.ids) == seen


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
