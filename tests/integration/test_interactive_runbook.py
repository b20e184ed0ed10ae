"""A runbook at a real kernel, used by the messages that a browser sends: the same journal as `balbook apply`; stops; a kernel's death."""

from __future__ import annotations

import html
import json
import os
import re
import shlex
import signal
from pathlib import Path

import pytest

from balbook.engine import process
from balbook.record.seal import read_record
from tests.integration.desk import Desk, desk, outputs_of
from tests.integration.hotel import Hotel, events, until, wait_for
from tests.journals import Line

pytestmark = pytest.mark.integration
WATCHED_S = 20
"""What each instance adds to a rollout that somebody else comes to watch: another kernel takes its time to start."""
OF_EACH_RUN = (
    *("seq", "at", "prev", "pid", "run_id", "who", "number", "source_sha256", "git", "hosts", "seconds", "tail", "outcome", "status"),
    *("changes", "sent", "latency", "lag_max_ms", "lag_p99_ms", "acknowledged", "acknowledged_posts", "served", "releases"),
    *("longest_gap_s", "mixed_window_s", "closed_by_reload", "reconnects", "process", "retried"),
)
"""Who, when, and what was found and measured: fields in which two runs of the same thing differ."""


def filled(at: Desk, release: str, **texts: str) -> None:
    """The parameters and setup cell have run, and a person has filled the form in."""
    assert at.cell("hot_deploy", "parameters") == "ok"
    assert at.cell("hot_deploy", "setup") == "ok"
    at.choose("bb-field-release", f"{release} ")
    at.choose("bb-field-mode", "apply")
    for name, text in texts.items():
        at.write(at.below(f"bb-field-{name}"), value=text)


def up_to_the_button(at: Desk, hotel: Hotel, release: str, **texts: str) -> Path:
    """The form is filled in, the plan is shown, the button waits; the run's folder."""
    before = hotel.records()
    filled(at, release, **texts)
    for role in ("preflight", "plan", "apply"):
        assert at.cell("hot_deploy", role) == "ok", at.shown
    return hotel.new_record(before)


def told(record: Path) -> list[str]:
    """The journal less who, when and what was measured or found, with one word for every release: that is all that may differ."""
    kept = [{k: v for k, v in event.items() if k not in OF_EACH_RUN} for event in events(record) if not _is_of_the_executor(event)]
    texts = [json.dumps(event, sort_keys=True) for event in kept]
    return sorted(re.sub(r"[0-9a-f]{64}|[0-9,]+ bytes, sha256 [0-9a-f]{12}|\d\.0\.0(-[0-9a-f]{12})?", "RELEASE", text) for text in texts)


def _is_of_the_executor(event: Line) -> bool:
    """Papermill's own cell, uploads that were slow enough to be told of, and the start of what was found to be done already."""
    return event["event"] in ("progress", "step_started") or event.get("role") == "unknown"


def test_what_the_form_sends_gives_the_same_journal_as_balbook_apply(hotel: Hotel, tmp_path: Path) -> None:
    old = next(iter(hotel.running().values()))
    wanted = hotel.other()
    with desk(hotel.environ, tmp_path) as at:
        record = up_to_the_button(at, hotel, wanted, reason="it's $(time)", ticket="OPS-7")
        assert "apply_started" not in [e["event"] for e in events(record)]
        shown = next(line for line in at.html().splitlines() if "bb-command" in line)
        command = shlex.split(html.unescape(shown.partition("<code>")[2].partition("</code>")[0]))
        assert "reason=it's $(time)" in command
        at.click("bb-apply-button")
        samples = [0]

        def is_over() -> bool:
            page = at.html()
            samples.append(int(page.partition("data-samples='")[2].partition("'")[0] or 0))
            return "bb-next" in page

        at.listen(is_over, "the end of applying")
        assert len({s for s in samples if s}) > 3, "the chart's data grew between looks"
        for role in ("verify", "evidence", "conclude"):
            assert at.cell("hot_deploy", role) == "ok", at.shown
        assert "✔ succeeded" in at.shown
        until(lambda: (record / "statement.json").exists(), what="the seal")
    assert set(hotel.running().values()) == {wanted}

    assert command[:3] == ["balbook", "apply", "hot_deploy"]
    back = hotel.balbook(*[f"release={old}" if word.startswith("release=") else word for word in command[1:]], "--json")
    assert back.returncode == 0, back.stderr
    other = Path(json.loads(back.stdout)["record"])
    assert events(other)[0]["parameters"] == {**events(record)[0]["parameters"], "release": old}
    assert told(record) == told(other)
    checked = hotel.balbook("records", "verify", str(record))
    assert checked.returncode in (0, 3), checked.stdout + checked.stderr  # 3: the lab anchors nothing
    kept = outputs_of(record / "hot_deploy.ipynb")
    assert "widget-view" not in json.dumps(kept)
    assert "Applied: succeeded" in kept["apply"]
    assert "image/png" in kept["evidence"]
    assert (record / "hot_deploy.ipynb").stat().st_size < 1_000_000


def test_an_interrupt_while_no_cell_runs_stops_the_run_safely(hotel: Hotel, tmp_path: Path) -> None:
    before = hotel.running()
    with desk(hotel.environ, tmp_path) as at:
        record = up_to_the_button(at, hotel, hotel.other())
        at.click("bb-apply-button")
        wait_for(record, "step_started")
        at.manager.interrupt_kernel()
        wait_for(record, "stop_requested", by="on request (Interrupt)")
        at.listen(lambda: "bb-record" in at.html(), "the end")
        assert "bb-panel-error" in at.html()
        assert at.cell("hot_deploy", "verify") == "error"
        assert "has ended" in at.shown
    assert read_record(record).verdict == "failed"
    assert set(hotel.running()) == set(before)


def test_a_run_whose_kernel_died_is_watched_from_another_one(hotel: Hotel, tmp_path: Path) -> None:
    unhurried = tmp_path / "inventory.yaml"
    hotel.edited(unhurried, lambda data: data["applications"]["hotel"].update(rollout={"min_healthy_s": WATCHED_S}))
    environ = {**hotel.environ, "BALBOOK_INVENTORY": str(unhurried)}
    with desk(environ, tmp_path) as at:
        record = up_to_the_button(at, hotel, hotel.other())
        at.click("bb-apply-button")
        wait_for(record, "probe_started")
        pid = at.manager.provisioner.pid
        (tmp_path / "other").mkdir()
        with desk(environ, tmp_path / "other") as other:
            other.cell("hot_deploy", "parameters")
            assert other.cell("hot_deploy", "setup") == "ok"
            assert "bb-ongoing" in other.html(), "the run goes on, and the form says so"
            other.click("bb-watch")
            other.listen(lambda: "data-state='running'" in other.html(), "the view of the other's run")
            os.kill(pid, signal.SIGKILL)
            wait_for(record, "apply_finished")
            other.listen(lambda: "Applied: failed" in other.html(), "the end of the other's run")
            other.listen(lambda: "bb-record" in other.html(), "the seal")
            assert "kernel that started this run is gone" in other.html()
    sealed = read_record(record)
    assert (sealed.verdict, sealed.predicate["why"].partition(":")[0]) == ("failed", "kernel_death")
    assert "Applied: failed" in outputs_of(record / "hot_deploy.ipynb")["apply"]
    until(lambda: process.find(record) is None, what="the end of its process")
