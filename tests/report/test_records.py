from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from balbook.report.records import COLUMNS, phases_frame, runs_frame
from tests.report.history import BEGIN, DAY, History


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "records")


def test_the_frame_has_the_documented_columns_also_without_a_record(tmp_path: Path, history: History) -> None:
    empty = runs_frame(tmp_path / "nowhere")
    history.deploy("1.0.0", BEGIN)
    frame = runs_frame(history.records)
    for found, length in ((empty, 0), (frame, 1)):
        assert list(found.columns) == list(COLUMNS)
        assert len(found) == length
        assert isinstance(found["at"].dtype, pd.DatetimeTZDtype)


def test_plans_never_count_and_a_labs_runs_only_where_asked_for(history: History) -> None:
    history.deploy("1.0.0", BEGIN)
    history.deploy("2.0.0", BEGIN + DAY, lab=True)
    history.run("hot_deploy", BEGIN, mode="plan")
    history.run("hot_deploy", BEGIN, mode="plan", lab=True)
    assert list(runs_frame(history.records)["version"]) == ["1.0.0"]
    assert list(runs_frame(history.records, include_lab=True)["version"]) == ["1.0.0", "2.0.0"]


def test_a_row_says_what_the_journal_says(history: History) -> None:
    folder = history.deploy("1.0.0", BEGIN, 42.5, environment="production")
    (row,) = runs_frame(history.records).to_dict("records")
    expected = {"record": folder.name, "at": pd.Timestamp(BEGIN), "seconds": 42.5, "runbook": "hot_deploy", "verdict": "succeeded"}
    expected |= {"environment": "production", "application": "hotel", "version": "1.0.0", "changes": 4, "sent": 2000.0, "p99_ms": 12.0}
    assert {key: row[key] for key in expected} == expected


def test_the_phases_of_a_build_are_rows_of_their_own(history: History) -> None:
    history.build("1.0.0", BEGIN, 30, kind="native")
    history.deploy("1.0.0", BEGIN + DAY)
    frame = phases_frame(runs_frame(history.records))
    assert set(frame["phase"]) == {"resolve packages", "compile", "generate code", "run tests", "write executable"}
    assert set(frame["kind"]) == {"native"}
    assert frame["seconds"].sum() == pytest.approx(30)


def test_a_drill_has_its_times_from_the_probes_samples(history: History) -> None:
    history.drill("active_active", "kill", BEGIN, 1.2)
    (row,) = runs_frame(history.records).to_dict("records")
    assert (row["strategy"], row["fault"], row["instance"]) == ("active_active", "kill", "app1:9090")
    assert row["failover_s"] == pytest.approx(1.2, abs=0.11)
    assert row["return_s"] > 0


def test_a_run_that_was_lost_is_inconclusive_and_broken_folders_are_left_out(history: History) -> None:
    history.deploy("1.0.0", BEGIN, verdict="")
    (history.records / "ledger").mkdir()
    broken = history.records / "20260101T000000Z-hot_deploy-ffffffff"
    broken.mkdir()
    (broken / "journal.jsonl").write_text("no journal\n")
    unplanned = history.deploy("2.0.0", BEGIN + DAY)
    (unplanned / "plan.json").write_text("[")
    assert list(runs_frame(history.records)["verdict"]) == ["inconclusive", "succeeded"]
    assert list(runs_frame(history.records)["version"]) == ["1.0.0", ""]


def test_a_pipelines_own_record_is_left_out(history: History) -> None:
    history.run("centralized", BEGIN, pipeline=True)
    history.build("1.0.0", BEGIN)
    assert list(runs_frame(history.records)["runbook"]) == ["build"]


def test_only_runs_since_a_day_are_there(history: History) -> None:
    for day in range(3):
        history.deploy(f"1.{day}.0", BEGIN + day * DAY)
    assert list(runs_frame(history.records, since=BEGIN + DAY)["version"]) == ["1.1.0", "1.2.0"]
