"""The plan as a page: steps by host, folded diffs, what earlier runs took."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from balbook.jupyter.forms.durations import UNKNOWN, expected, spoken
from balbook.jupyter.forms.plan_page import MOST_ROWS, plan_page
from balbook.jupyter.forms.style import CSS
from balbook.plan.model import Plan, Step
from balbook.record.journal import Journal
from balbook.testing import FakeFleet
from tests.journals import made
from tests.small_fleet import fleet_with, make_plan, publish

BEGIN = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)


@pytest.fixture
def fleet(tmp_path: Path) -> FakeFleet:
    fleet = fleet_with(tmp_path, "1.0.0")
    publish(fleet.inventory, "2.0.0")
    return fleet


def test_the_page_has_every_step_the_digest_and_the_environment(fleet: FakeFleet) -> None:
    plan = make_plan(fleet)
    html = plan_page(plan, "Expected duration: about 41 s.", "production").html
    assert all(step.title in html for step in plan.steps)
    assert plan.digest in html
    assert "<b>production</b>" in html
    assert "Expected duration: about 41 s." in html
    assert f"{len(plan.pending)} of {len(plan.steps)} steps to do" in html
    assert "all" in html.partition("Preconditions:")[2][:6]


def test_what_is_not_met_stands_open_and_what_is_met_is_folded(fleet: FakeFleet) -> None:
    fleet.hosts["app1"].system = {"root_writable": "no"}
    html = plan_page(make_plan(fleet), UNKNOWN, "lab").html
    assert "<details open>" in html
    assert "✘" in html
    assert "met by runbook provision" in html


def test_equal_diffs_are_shown_once_folded_and_escaped() -> None:
    diff = "--- a/x.conf\n+++ b/x.conf\n-old <b>\n+new\n+more"
    steps = tuple(Step("configure", host, "configure", (), diff=diff) for host in ("app1", "app2"))
    html = plan_page(Plan("hot_deploy", "hotel", steps), UNKNOWN, "lab").html
    assert html.count("<details class='bb-diff'>") == 1
    assert "Diff on app1, app2: b/x.conf +2 −1 lines" in html
    assert "old &lt;b&gt;" in html


def test_the_text_of_a_diff_has_the_colour_of_all_text_and_stands_on_a_tint() -> None:
    for css in ("bb-add", "bb-del"):
        rule = CSS.partition(f".{css}{{")[2].partition("}")[0]
        assert rule.startswith("background:rgba(")
        assert ";" not in rule


def test_a_plan_with_nothing_to_do_says_so_and_a_huge_one_stays_readable() -> None:
    assert "Nothing to do" in plan_page(Plan("provision", "", ()), UNKNOWN, "lab").html
    steps = tuple(Step(f"s{n}", "app1", f"step {n}", ()) for n in range(MOST_ROWS + 50))
    html = plan_page(Plan("provision", "", steps), UNKNOWN, "lab").html
    assert "… and 50 more steps" in html


def record(records: Path, number: int, seconds: float, *, runbook: str = "hot_deploy", application: str = "hotel", **ended: object) -> None:
    folder = records / f"2026013{number}T090000Z-{runbook}-{number:08x}"
    folder.mkdir(parents=True)
    times = iter([BEGIN, BEGIN, BEGIN + timedelta(seconds=seconds)])
    journal = Journal(folder / "journal.jsonl", now=lambda: next(times))
    journal.append(made("run_opened", runbook=runbook, parameters={"application": application}))
    journal.append(made("apply_started", digest="d"))
    journal.append(made("apply_finished", **{"verdict": "succeeded", "changes": 4, **ended}))


def test_the_expected_duration_is_the_median_of_runs_like_this_one(fleet: FakeFleet, tmp_path: Path) -> None:
    records = tmp_path / "records"
    plan = make_plan(fleet)
    assert expected(plan, records) == "Expected duration: unknown (no earlier run)."
    for number, seconds in enumerate((40, 60, 50)):
        record(records, number, seconds)
    record(records, 4, 999, application="inn")
    record(records, 5, 999, runbook="provision")
    record(records, 6, 999, verdict="failed")
    record(records, 7, 1, changes=0)
    assert expected(plan, records) == "Expected duration: about 50 s (median of 3 earlier runs)."


def test_a_duration_is_said_as_people_say_it() -> None:
    assert [spoken(s) for s in (0.4, 41.2, 99, 185)] == ["0 s", "41 s", "99 s", "3 min 5 s"]
