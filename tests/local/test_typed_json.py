"""What was written is read as its type, and a fault is named with its file and field."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from balbook.artifacts.store import Store
from balbook.errors import Failed, Refused
from balbook.local import lab_place
from balbook.local.typed_json import read_json
from balbook.record.approvals import read_approvals
from balbook.schedule.definition import Schedule, schedule_from


@dataclass(frozen=True)
class Note:
    name: str
    places: dict[str, tuple[int, str]] = field(default_factory=dict)
    version: int = 1


SOUND: dict[str, Any] = {"version": 1, "name": "a", "places": {"x": [1, "y"]}}


def read(folder: Path, text: str) -> Note:
    (folder / "note.json").write_text(text)
    return read_json(folder / "note.json", Note, Failed, version=1)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    note = Note("a", {"x": (1, "y")})
    assert read(tmp_path, json.dumps(asdict(note))) == note


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"name": 3}, "name: Input should be a valid string"),
        ({"places": {"x": [1, 2]}}, r"places\.x\.1: Input should be a valid string"),
        ({"places": {"x": ["1", "y"]}}, r"places\.x\.0: Input should be a valid integer"),
        ({"more": 1}, "more: "),
    ],
)
def test_a_fault_is_named_with_file_and_field(tmp_path: Path, fault: dict[str, Any], told: str) -> None:
    with pytest.raises(Failed, match=rf"note\.json cannot be read: {told}"):
        read(tmp_path, json.dumps(SOUND | fault))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"version": "1"}', '{"name": "a"}', "[" * 100_000])
def test_what_is_nothing_of_the_kind_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(Failed, match=r"note\.json cannot be read: "):
        read(tmp_path, text)


def test_a_newer_version_is_refused_whatever_is_in_it(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"note\.json has version 2; this balbook knows 1"):
        read(tmp_path, json.dumps({"version": 2, "title": "a"}))
    with pytest.raises(Failed, match="No such file"):
        read_json(tmp_path / "none.json", Note, Failed)


def test_what_earlier_versions_wrote_is_read(tmp_path: Path) -> None:
    (tmp_path / "lab.json").write_text(
        '{"version": 1, "backend": "loopback", "ports": {"lb1.listen": 20002}, "servers": {"lb1": [7, "b:8"]}, "is_up": true,'
        ' "addresses": {}, "base": "", "odd": {"app1": ["clock"]}}'
    )
    state = lab_place.read_state(tmp_path)
    assert state is not None
    assert (state.is_up, state.servers, state.odd) == (True, {"lb1": (7, "b:8")}, {"app1": ["clock"]})
    written = {"version": 1, "name": "night", "runs": "hot_deploy", "when": "daily", "inventory": "i", "folder": "f", "mode": "apply"}
    written |= {"parameters_file": "", "parameters": ["a=b"], "has_catch_up": False, "is_drift_failure": False, "on_failure": ["true"]}
    (tmp_path / "night.json").write_text(json.dumps(written | {"backend": "cron", "environment_file": ""}))
    expected = Schedule("night", "hot_deploy", "daily", "i", "f", parameters=("a=b",), on_failure=("true",), backend="cron")
    assert schedule_from(tmp_path / "night.json") == expected
    place = tmp_path / "store" / "hotel" / "1.0.0"
    place.mkdir(parents=True)
    about = {"application": "hotel", "version": "1.0.0", "kind": "jar", "sha256": "0" * 64, "bytes": 3, "details": {"tests": True}}
    (place / "artifact.json").write_text(json.dumps(about | {"packages": {"acme/rooms": "1.0.0"}, "published_at": "2026-01-31T09:00:00Z"}))
    assert Store(tmp_path / "store").find("hotel").path == place / "app.jar"
    approvals = tmp_path / "approvals" / "k3x9"
    approvals.mkdir(parents=True)
    said = {"approver": "ada", "at": "2026-01-31T09:00:00.000Z", "reason": "", "run_id": "k3x9", "version": 1, "plan_digest": "0" * 64}
    (approvals / "1.json").write_text(json.dumps(said | {"runbook": "hot_deploy", "application": "hotel"}))
    (approvals / "1.json.sig").write_text("signature")
    assert read_approvals(tmp_path, "k3x9")[0].said.approver == "ada"
