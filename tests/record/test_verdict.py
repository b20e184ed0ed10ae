"""Verdicts: stated from the journal, never from the executor's word alone."""

from __future__ import annotations

from typing import Any

import pytest

from balbook.record.verdict import Returned, Stated, is_injected, state
from tests.journals import Line, history

CELLS = ["a" * 64, "b" * 64, "c" * 64]
OK = Returned("ok")


def state_of(happened: list[Line], cells: list[str], returned: Returned) -> Stated:
    return state(history(happened), cells, returned)


def cell(sha256: str, role: str = "plan", number: int = 1) -> dict[str, Any]:
    return {"event": "cell_started", "source_sha256": sha256, "role": role, "number": number}


def events(*more: dict[str, Any], cells: list[str] | None = None, verdict: str = "succeeded", why: str = "") -> list[dict[str, Any]]:
    ran = [cell(sha256) for sha256 in (CELLS if cells is None else cells)]
    return [*ran, {"event": "planned", "digest": "d1"}, *more, {"event": "concluded", "verdict": verdict, "why": why, "digest": "d1"}]


@pytest.mark.parametrize(("verdict", "status"), [("succeeded", 0), ("planned", 0), ("failed", 1), ("inconclusive", 3)])
def test_a_whole_run_has_the_verdict_that_it_concluded_with(verdict: str, status: int) -> None:
    stated = state_of(events(verdict=verdict, why="so"), CELLS, OK)
    assert (stated.verdict, stated.why, stated.exit_status) == (verdict, "so", status)


@pytest.mark.parametrize("how", ["error", "kernel_death", "cell_timeout", "interrupted"])
def test_a_run_whose_executor_did_not_return_well_has_failed_whatever_was_concluded(how: str) -> None:
    stated = state_of(events(), CELLS, Returned(how, "what it said"))
    assert (stated.verdict, stated.why, stated.exit_status) == ("failed", f"{how}: what it said", 1)


@pytest.mark.parametrize(("verdict", "status"), [("failed", 1), ("inconclusive", 3)])
def test_a_conclusion_that_is_not_good_ends_by_an_error_and_is_the_verdict_all_the_same(verdict: str, status: int) -> None:
    stated = state_of(events(verdict=verdict, why="so"), CELLS, Returned("error", "a long traceback"))
    assert (stated.verdict, stated.why, stated.exit_status) == (verdict, "so", status)


@pytest.mark.parametrize(("status", "verdict"), [(1, "failed"), (2, "failed"), (3, "inconclusive")])
def test_an_error_in_the_journal_decides_with_its_exit_status_and_advice(status: int, verdict: str) -> None:
    error = {"event": "error", "message": "app1: no route", "advice": "Is it up?", "exit_status": status}
    stated = state_of([*events()[:-1], error], CELLS, Returned("error", "a long traceback"))
    assert (stated.verdict, stated.exit_status) == (verdict, status)
    assert stated.why == "app1: no route\n  Is it up?"


def test_a_run_that_was_never_concluded_is_inconclusive() -> None:
    assert "no cell concluded the run" in state_of(events()[:-1], CELLS, OK).why
    assert state_of([], CELLS, OK).exit_status == 3


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ([CELLS[0], CELLS[2]], "skipped_cell: code cell 2"),
        ([CELLS[0], "f" * 64, CELLS[1], CELLS[2]], "edited_cell"),
        ([CELLS[1], CELLS[0], CELLS[2]], "out_of_order"),
        ([*CELLS, CELLS[2]], "out_of_order"),
        ([], "skipped_cell: code cell 1"),
    ],
)
def test_cells_that_are_not_the_runbooks_make_it_inconclusive(cells: list[str], why: str) -> None:
    stated = state_of(events(cells=cells), CELLS, OK)
    assert stated.verdict == "inconclusive"
    assert stated.why.startswith(why)


def test_papermills_own_cell_counts_only_right_after_the_parameters_and_where_it_sets_parameters_alone() -> None:
    injected = {**cell("f" * 64, "unknown"), "is_injected": True}
    ran = [cell(CELLS[0], "parameters"), injected, cell(CELLS[1]), cell(CELLS[2])]
    assert state_of([*ran, *events(cells=[])], CELLS, OK).verdict == "succeeded"
    for ran in (
        [cell(CELLS[0], "parameters"), cell(CELLS[1]), injected, cell(CELLS[2])],
        [cell(CELLS[0], "parameters"), cell("f" * 64, "unknown"), cell(CELLS[1]), cell(CELLS[2])],
    ):
        assert state_of([*ran, *events(cells=[])], CELLS, OK).why.startswith("edited_cell")


@pytest.mark.parametrize(
    ("source", "is_so"),
    [
        ('# Parameters\napplication = "hotel"\nserial = -1\nhosts = ["app1", "app2"]\n', True),
        ('application = "hotel"; open("/tmp/x", "w")', False),
        ("application = open('/tmp/x')", False),
        ('application = f"{open}"', False),
        ('application = serial = "hotel"', False),
        ('application[0] = "hotel"', False),
        ('balbook = "hotel"', False),
        ("!id", False),
        ("import os", False),
    ],
)
def test_a_cell_with_parameters_is_told_from_code_by_its_syntax(source: str, is_so: bool) -> None:
    assert is_injected(source, {"application": "", "serial": 1, "hosts": []}) == is_so


def test_a_conclusion_about_another_plan_than_the_one_shown_is_inconclusive() -> None:
    stated = state_of(events({"event": "planned", "digest": "d2"}), CELLS, OK)
    assert (stated.verdict, stated.why.partition(":")[0]) == ("inconclusive", "changed_plan")


def test_a_parameters_cell_that_was_filled_in_by_hand_stands_for_the_runbooks() -> None:
    filled = [cell("f" * 64, "parameters"), *(cell(sha256) for sha256 in CELLS[1:])]
    assert state_of([*filled, *events(cells=[])], CELLS, OK).verdict == "succeeded"
    twice = [*filled[:1], *filled]
    assert "out_of_order" in state_of([*twice, *events(cells=[])], CELLS, OK).why


@pytest.mark.parametrize(("error", "word"), [("SystemExit", "sys_exit"), ("ValueError", "cell_error")])
def test_a_cell_that_ended_with_an_error_counts_although_the_executor_went_on(error: str, word: str) -> None:
    ended = {"event": "cell_finished", "status": "error", "error": error, "number": 2}
    stated = state_of(events(ended), CELLS, OK)
    assert (stated.verdict, stated.exit_status) == ("failed", 1)
    assert stated.why.startswith(f"{word}:")
