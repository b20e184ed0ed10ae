"""Records listed, shown and compared; times of day are no difference."""

from __future__ import annotations

from pathlib import Path

from balbook.record.ledger import open_ledger
from balbook.record.listing import Difference, diff, list_records, same_artifact, summary
from balbook.record.seal import Record, seal
from tests.run_folders import BEGIN, clock, run_folder, sealed


def made(records: Path, run_id: str, **options: object) -> Record:
    return seal(run_folder(records, run_id, **options), open_ledger(records / "ledger"), now=clock(BEGIN))  # type: ignore[arg-type]


def test_the_list_has_sealed_unsealed_and_unreadable_runs(tmp_path: Path) -> None:
    made(tmp_path, "a1")
    run_folder(tmp_path, "b2", verdict="")
    broken = run_folder(tmp_path, "c3")
    (broken / "statement.json").write_text("{")
    rows = list_records(tmp_path)
    assert [(r.run_id, r.verdict, r.is_signed) for r in rows] == [
        ("a1", "succeeded", False),
        ("b2", "not sealed", False),
        ("c3", "unreadable", False),
    ]
    assert (rows[0].release, rows[0].user, rows[0].is_lab) == ("1.2.0", "ada", True)


def test_a_summary_has_steps_and_durations(tmp_path: Path) -> None:
    shown = summary(made(tmp_path, "a1", seconds=2.5))
    assert shown["steps"] == [
        {"step": "reload", "host": "lb1", "title": "Reload the balancer", "outcome": "changed", "seconds": 2.5, "status": 0}
    ]
    assert (shown["seconds"], shown["verdict"], shown["is_signed"]) == (2.5, "succeeded", False)
    assert "plan.json" in shown["files"]


def test_a_step_that_a_crash_left_is_shown_as_started(tmp_path: Path) -> None:
    assert [s["outcome"] for s in summary(made(tmp_path, "a1", verdict=""))["steps"]] == ["started"]


def test_a_promotion_is_visible_by_the_artifacts_digest(tmp_path: Path) -> None:
    where = {env: {"inventory": {"path": "i.yaml", "sha256": "", "environment": env}} for env in ("staging", "production")}
    made(tmp_path, "stag", opened=where["staging"])
    made(tmp_path, "othr", artifact_sha256="99" * 32)
    found = same_artifact(made(tmp_path, "prod", opened=where["production"]))
    assert [(f["record"][-4:], f["environment"], f["verdict"]) for f in found] == [("stag", "staging", "succeeded")]


def test_the_same_run_at_another_time_does_not_differ(tmp_path: Path) -> None:
    one, other = sealed(tmp_path, None, 2)
    assert one.predicate["at"] != other.predicate["at"]
    assert diff(one, other) == []


def test_what_differs_is_named(tmp_path: Path) -> None:
    a = made(tmp_path, "a1")
    opened = {"parameters": {"application": "hotel", "mode": "plan"}, "versions": {"balbook": "0.2.0", "java": "21"}}
    b = made(tmp_path, "b2", verdict="failed", release="1.3.0", artifact_sha256="99" * 32, p99_ms=80.0, seconds=9.0, opened=opened)
    found = {d.what: (d.before, d.after) for d in diff(a, b)}
    expected = {
        "verdict": ("succeeded", "failed"),
        "why": ("", "the step reload failed"),
        "parameters mode": ("apply", "plan"),
        "versions balbook": ("0.1.0", "0.2.0"),
        "versions bal": ("2201.10.0", None),
        "versions java": (None, "21"),
        "digests artifact_sha256": ("ab" * 32, "99" * 32),
        "subject hot_deploy.release": ("1.2.0", "1.3.0"),
        "step reload on lb1": ("changed", "failed"),
        "seconds of reload on lb1": (1.5, 9.0),
        "seconds": (1.5, 9.0),
        "measurement p99_ms": (12.5, 80.0),
    }
    assert {what: found.get(what) for what in expected} == expected
    assert "plan hot_deploy" in found


def test_a_small_difference_of_durations_is_noise(tmp_path: Path) -> None:
    a, b = made(tmp_path, "a1", seconds=1.5), made(tmp_path, "b2", seconds=1.9)
    assert diff(a, b) == []
    assert Difference("seconds", 1.5, 2.5) in diff(a, made(tmp_path, "c3", seconds=2.5))
