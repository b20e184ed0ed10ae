"""A run is found by its id, an unambiguous beginning of it, or its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from balbook.errors import BadInput
from balbook.record.run_ids import find_run, run_folders
from tests.run_folders import run_folder


def test_a_run_is_found_by_its_id_the_beginning_of_it_and_its_folder(tmp_path: Path) -> None:
    one, other = (run_folder(tmp_path, run_id) for run_id in ("c4520abc", "c46f0abc"))
    for said in ("c4520abc", "c45", one.name, str(one)):
        assert find_run(tmp_path, said) == one
    assert find_run(tmp_path / "elsewhere", str(other)) == other


def test_an_id_that_begins_another_means_itself(tmp_path: Path) -> None:
    short, _ = (run_folder(tmp_path, run_id) for run_id in ("c452", "c4520abc"))
    assert find_run(tmp_path, "c452") == short


def test_an_ambiguous_beginning_names_the_runs_that_it_fits(tmp_path: Path) -> None:
    one, other, third = (run_folder(tmp_path, run_id) for run_id in ("c4520abc", "c46f0abc", "d0000abc"))
    with pytest.raises(BadInput, match=r"2 runs in .* begin with 'c4'") as refused:
        find_run(tmp_path, "c4")
    assert one.name in refused.value.advice
    assert other.name in refused.value.advice
    assert third.name not in refused.value.advice


@pytest.mark.parametrize("said", ["c4521abc", "", "2026", ".."])
def test_no_run_names_those_that_may_be_meant(tmp_path: Path, said: str) -> None:
    with pytest.raises(BadInput, match=r"no run in .* is called") as refused:
        find_run(tmp_path / "records", said)
    assert "There is no run yet" in refused.value.advice
    there = run_folder(tmp_path / "records", "c4520abc")
    with pytest.raises(BadInput, match=r"no run in .* is called") as refused:
        find_run(tmp_path / "records", said)
    assert there.name in refused.value.advice


def test_folders_that_no_run_left_are_not_among_them(tmp_path: Path) -> None:
    there = run_folder(tmp_path, "c4520abc")
    (tmp_path / "ledger").mkdir()
    (tmp_path / "20260301T080000Z-hot_deploy-c4530abc").mkdir()
    assert run_folders(tmp_path) == [there]
    assert find_run(tmp_path, "c45") == there
