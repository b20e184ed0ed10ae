"""The run's process is killed right after an event of its journal: who uses the application does not notice, and it goes on.

`make crash` does so after every single event, the other tests after one of each kind.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from balbook.engine import process
from balbook.errors import BadInput
from balbook.procedures.parts.balancing import front
from balbook.procedures.parts.look import look
from balbook.run import without_notebook as direct
from tests.integration.rollout_lab import Clients, RolloutLab, events

pytestmark = [pytest.mark.integration]
extent = pytest.mark.parametrize("is_whole", [pytest.param(False, id="kinds"), pytest.param(True, marks=pytest.mark.crash, id="every")])
WORKER = """
import os, signal, sys
from balbook.record.journal import Journal

append, left = Journal.append, int(sys.argv[2])

def append_and_die(self, event, **fields):
    global left
    written = append(self, event, **fields)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return written

Journal.append = append_and_die
from balbook.engine.worker import main
sys.exit(main([sys.argv[1]]))
"""
STRATEGIES = {
    "active_active": ("nginx", "active_active"),
    "active_active_checked": ("haproxy", "active_active_checked"),
    "active_passive": ("nginx", "active_passive"),
}
SETTINGS: dict[str, Any] = {
    "graceful_stop_s": 0.3,
    "health": {"path": "/health", "within_s": 4, "passes": 1},
    "probe": {"rate": 40, "baseline_s": 0.5, "requests": [{"method": "GET", "path": "/rooms"}]},
}


@contextmanager
def dying_after(number: int) -> Iterator[None]:
    """Runs that begin meanwhile die by SIGKILL after their process's event of this number."""
    start = process.start

    def start_dying(run_dir: Path, secrets: object) -> subprocess.Popen[bytes]:
        with (run_dir / process.LOG_FILE).open("ab") as log:
            argv = [sys.executable, "-c", WORKER, str(run_dir), str(number)]
            return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)

    process.start = start_dying
    try:
        yield
    finally:
        process.start = start


def kinds(record: Path) -> list[tuple[str, int]]:
    """`event` or `event step`, and its number among those of the run's process, from a run that went to its end."""
    found = events(record)
    names = [event["event"] for event in found]
    begin, end = names.index("apply_started"), names.index("apply_finished")
    return [
        (f"{e['event']} {e.get('step', '').split(' ')[0]} {e.get('outcome', '')}".strip(), number)
        for number, e in enumerate(found[begin : end + 1], 1)
        if e["event"] != "progress"
    ]


def chosen(record: Path, is_whole: bool) -> list[tuple[str, int]]:
    """Every event, or one of each kind of event."""
    found = kinds(record)
    if is_whole:
        return found
    told = dict(reversed(found))
    wanted = {"apply_started", "probe_started", "step_started start", "step_finished drain changed", "measured", "apply_finished"}
    return [(kind, number) for kind, number in told.items() if kind in wanted]


def assert_serving(lab: RolloutLab, when: str) -> None:
    """The balancer takes its own configuration, and as many instances serve as the floor says."""
    site = lab.site()
    try:
        seen, balancer = look(site), front(site)
        assert balancer is not None
        if lab.kind == "haproxy":
            argv = ["haproxy", "-c", "-f", balancer.place.main]
        else:
            argv = ["nginx", "-t", "-c", balancer.place.main, "-p", balancer.place.prefix, "-e", balancer.place.error_log]
        checked = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, f"{when}: {checked.stderr}"
        serving = [i.name for i in site.application.instances if seen.is_serving(i)]
        assert len(serving) >= site.application.floor, f"{when}: only {serving} serve"
    finally:
        site.transport.close()


def die(lab: RolloutLab, number: int, version: str) -> Path:
    with dying_after(number):
        _, record = lab.apply("hot_deploy", release=version)
    return record


def resume(record: Path, kind: str) -> None:
    """Goes on; where the end of the run stands in its journal already, there is nothing to go on with."""
    if events(record, "apply_finished"):
        with pytest.raises(BadInput, match="has ended"):
            direct.resume(record, lambda line: None)
        return
    stated = direct.resume(record, lambda line: None)
    assert stated.verdict in ("succeeded", "inconclusive"), (kind, stated)


@pytest.fixture(params=["active_active", *(pytest.param(name, marks=pytest.mark.crash) for name in STRATEGIES if name != "active_active")])
def lab(request: pytest.FixtureRequest) -> Iterator[RolloutLab]:
    kind, strategy = STRATEGIES[request.param]
    made = RolloutLab(kind=kind, strategy=strategy, application=SETTINGS)
    try:
        yield made.up()
    finally:
        made.down()


@extent
def test_after_any_event_all_is_served_and_the_run_goes_on_or_is_undone(lab: RolloutLab, is_whole: bool) -> None:
    lab.publish("3.0.0-sick", health_status=503)
    lab.deploy("1.0.0")
    plan_of = chosen(lab.deploy("2.0.0"), is_whole)
    assert len(plan_of) >= 6
    with Clients(f"{lab.url}/rooms", rate=25) as clients:
        for count, (kind, number) in enumerate(plan_of):
            running = next(iter(lab.releases().values()))
            other = "1.0.0" if running == "2.0.0" else "2.0.0"
            record = die(lab, number, other)
            assert_serving(lab, f"killed after {kind}")
            if count % 2:
                resume(record, kind)
                assert not lab.checks(other), f"resumed after {kind}"
            else:
                roll_back(lab, running, kind)
            assert not clients.failed, f"killed after {kind}: {clients.failed[:3]}"
        fail_and_die(lab, clients, is_whole)
    assert clients.sent > 100


def fail_and_die(lab: RolloutLab, clients: Clients, is_whole: bool) -> None:
    """The same for the events of a release that fails and is taken back."""
    running = next(iter(lab.releases().values()))
    stated, record = lab.apply("hot_deploy", release="3.0.0-sick")
    assert stated.verdict == "failed"
    found = [(kind, number) for kind, number in kinds(record) if kind.startswith(("undo_started", "step_finished start failed"))]
    assert len(found) >= 2
    for kind, number in found if is_whole else found[1:2]:
        die(lab, number, "3.0.0-sick")
        assert_serving(lab, f"killed after {kind}")
        roll_back(lab, running, kind)
        assert not clients.failed, f"killed after {kind}: {clients.failed[:3]}"


def roll_back(lab: RolloutLab, release: str, kind: str) -> None:
    stated, _ = lab.apply("rollback", release=release)
    assert stated.verdict in ("succeeded", "inconclusive"), (kind, stated)
    assert not lab.checks(release), f"rolled back after {kind}"
