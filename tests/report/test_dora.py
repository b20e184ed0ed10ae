from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from balbook.record.journal import Journal
from balbook.report.dora import Dora, deployments_frame, dora
from balbook.report.records import runs_frame
from tests.journals import made
from tests.report.history import BEGIN, DAY, History

HOUR = timedelta(hours=1)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "records")


def found(history: History) -> pd.DataFrame:
    return deployments_frame(runs_frame(history.records))


def measured(history: History, days: int = 14) -> Dora:
    return dora(found(history), pd.Timestamp(BEGIN), pd.Timestamp(BEGIN + days * DAY))


def test_frequency_counts_successful_deployments_a_week(history: History) -> None:
    for day in range(4):
        history.deploy(f"1.{day}.0", BEGIN + day * DAY)
    history.deploy("2.0.0", BEGIN + 5 * DAY, verdict="failed")
    assert measured(history).per_week == pytest.approx(2.0)
    assert measured(history).deployments == 5


def test_less_than_a_week_has_no_frequency(history: History) -> None:
    history.deploy("1.0.0", BEGIN)
    assert measured(history, days=6).per_week is None
    assert measured(history, days=7).per_week == 1


def test_what_changed_nothing_was_refused_or_is_another_runbook_is_no_deployment(history: History) -> None:
    history.deploy("1.0.0", BEGIN, changes=0)
    history.deploy("1.0.0", BEGIN, verdict="failed", has_begun=False)
    history.deploy("1.0.0", BEGIN, verdict="failed", changes=0, exit_status=2)
    history.build("1.0.0", BEGIN)
    history.run("provision", BEGIN)
    history.run("rollback", BEGIN)
    assert len(found(history)) == 0
    assert measured(history) == Dora(0, 0.0, None, None, None)


def test_lead_time_runs_from_the_first_build_to_the_end_of_the_first_success_in_each_environment(history: History) -> None:
    history.build("1.0.0", BEGIN)
    history.build("1.0.0", BEGIN + HOUR)
    history.deploy("1.0.0", BEGIN + 2 * HOUR, verdict="failed")
    history.deploy("1.0.0", BEGIN + 3 * HOUR, 3600)
    history.deploy("1.0.0", BEGIN + 5 * HOUR, 3600)
    history.deploy("1.0.0", BEGIN + 9 * HOUR, 3600, environment="production")
    history.deploy("0.9.0", BEGIN + 10 * HOUR)
    frame = found(history)
    assert frame["lead_time_h"].dropna().to_list() == pytest.approx([4, 10])
    assert measured(history).lead_time_h == pytest.approx(7)


def test_a_failed_or_lost_or_rolled_back_deployment_is_a_failure(history: History) -> None:
    history.deploy("1.0.0", BEGIN)
    history.deploy("1.1.0", BEGIN + DAY, verdict="failed")
    history.deploy("1.2.0", BEGIN + 2 * DAY, verdict="")
    history.deploy("1.3.0", BEGIN + 3 * DAY)
    history.run("rollback", BEGIN + 3 * DAY + HOUR)
    history.deploy("1.4.0", BEGIN + 4 * DAY)
    assert found(history)["is_failure"].to_list() == [False, True, True, True, False]
    assert measured(history).failure_rate == pytest.approx(3 / 5)


def test_a_rollback_elsewhere_or_after_the_next_deployment_is_not_held_against_it(history: History) -> None:
    history.deploy("1.0.0", BEGIN)
    history.run("rollback", BEGIN + HOUR, environment="production")
    history.deploy("1.1.0", BEGIN + DAY)
    history.run("rollback", BEGIN + DAY + HOUR)
    assert found(history)["is_failure"].to_list() == [False, True]


def test_time_to_restore_ends_with_the_next_success_there(history: History) -> None:
    history.deploy("1.0.0", BEGIN, 3600, verdict="failed")
    history.deploy("1.0.0", BEGIN + 2 * HOUR, verdict="failed")
    history.deploy("1.1.0", BEGIN + 2 * HOUR, environment="production")
    history.deploy("1.1.0", BEGIN + 4 * HOUR, 3600)
    history.run("rollback", BEGIN + 8 * HOUR, 3600)
    history.deploy("1.2.0", BEGIN + DAY, verdict="failed")
    hours = found(history)["restore_h"].to_list()
    assert hours[0] == pytest.approx(4)
    assert hours[3] == pytest.approx(4)  # 1.1.0, to the end of its rollback
    assert pd.isna(hours[-1])  # nothing has followed yet
    assert pd.isna(hours[2])


BACK = {"units": {"app1:9090": "taken back", "app2:9090": "not reached"}}
HALF = {"units": {"app1:9090": "NOT taken back", "app2:9090": "not reached"}}
ASKED = {"why": "stopped on request (Stop safely)"}


def test_what_the_engine_took_back_whole_was_restored_at_its_own_end(history: History) -> None:
    for number, applied in enumerate((BACK, HALF, {"units": {"app1:9090": "changed", "app2:9090": "taken back"}})):
        history.deploy(f"1.{number}.0", BEGIN + number * DAY, verdict="failed", applied=applied)
        history.deploy(f"1.{number}.1", BEGIN + number * DAY + 5 * HOUR)
    assert found(history)["restore_h"].dropna().to_list() == pytest.approx([0, 5, 5])
    assert found(history)["is_failure"].to_list() == [True, False] * 3


def test_taking_back_lasts_from_the_step_that_failed(tmp_path: Path) -> None:
    folder = History(tmp_path).run("hot_deploy", BEGIN, mode="apply", verdict="", has_begun=False)
    minutes = iter(range(100))
    journal = Journal(folder / "journal.jsonl", now=lambda: BEGIN + timedelta(minutes=next(minutes)))
    journal.append(made("apply_started", digest="0" * 64))
    journal.append(made("step_finished", step="start app1", outcome="changed"))
    journal.append(made("step_finished", step="check app1", outcome="failed"))
    journal.append(made("step_finished", step="stop app1", outcome="undone"))
    journal.append(made("apply_finished", verdict="failed", changes=0, exit_status=1, why="x", **BACK))
    (run,) = runs_frame(tmp_path).to_dict("records")
    assert run["undo_s"] == 120


def test_what_somebody_asked_to_stop_is_no_deployment_unless_it_left_a_unit_half_done(history: History) -> None:
    history.deploy("1.0.0", BEGIN)
    history.deploy("1.1.0", BEGIN + DAY, verdict="failed", applied={**ASKED, **BACK})
    history.run("rollback", BEGIN + DAY + HOUR)  # of what was stopped, not of 1.0.0
    history.deploy("1.2.0", BEGIN + 2 * DAY, verdict="failed", applied={"why": "stopped: asked by SIGTERM", "units": {}})
    history.deploy("1.3.0", BEGIN + 3 * DAY, verdict="failed", applied={"why": "stopped: the controller is gone", **BACK})
    history.deploy("1.4.0", BEGIN + 4 * DAY, verdict="failed", applied={**ASKED, **HALF})
    frame = found(history)
    assert frame["version"].to_list() == ["1.0.0", "1.3.0", "1.4.0"]
    assert frame["is_failure"].to_list() == [False, True, True]


def test_an_inconclusive_deployment_counts_by_what_it_left(history: History) -> None:
    changed = {"units": {"app1:9090": "changed", "app2:9090": "already"}}
    history.deploy("1.0.0", BEGIN, verdict="inconclusive", applied=changed)
    history.deploy("1.1.0", BEGIN + DAY, verdict="inconclusive", applied={"units": {"app1:9090": "changed", "app2:9090": "not reached"}})
    history.deploy("1.2.0", BEGIN + 2 * DAY, verdict="")
    assert found(history)["has_succeeded"].to_list() == [True, False, False]
    assert found(history)["is_failure"].to_list() == [False, True, True]


def test_only_the_deployments_of_the_span_count(history: History) -> None:
    for day in range(6):
        history.deploy(f"1.{day}.0", BEGIN + day * DAY, verdict="failed" if day < 3 else "succeeded")
    frame = found(history)
    assert dora(frame, pd.Timestamp(BEGIN + 3 * DAY), pd.Timestamp(BEGIN + 6 * DAY)).failure_rate == 0
    assert dora(frame, pd.Timestamp(BEGIN), pd.Timestamp(BEGIN + 3 * DAY)).failure_rate == 1
