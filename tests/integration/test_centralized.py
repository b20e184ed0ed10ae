"""From packages in source repositories to a running application, and again with a new version of one of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from balbook.artifacts.store import Store
from balbook.inventory import read_inventory
from balbook.plan.model import Plan
from balbook.procedures import procedure
from balbook.record.verdict import Stated
from balbook.run.without_notebook import apply_directly
from balbook.show.table import Table
from tests.integration.ballerina_lab import BallerinaLab, ballerina_lab
from tests.integration.hotel import ROOT
from tests.journals import last, lines

pytestmark = pytest.mark.integration
RUNBOOKS = ("provision", "install", "pack_push", "consolidate", "build", "hot_deploy")


@dataclass
class Story:
    """The runbooks in order for version 0.1.0 of all packages, their plans right after, and again for rooms 0.2.0."""

    rig: BallerinaLab
    first: dict[str, tuple[Stated, Path]] = field(default_factory=dict)
    afterwards: dict[str, Plan] = field(default_factory=dict)
    second: dict[str, tuple[Stated, Path]] = field(default_factory=dict)
    answers: list[dict[str, str]] = field(default_factory=list)

    def runs(self) -> dict[str, tuple[Stated, Path]]:
        """Plans and applies each runbook in turn."""
        found: dict[str, tuple[Stated, Path]] = {}
        for runbook in RUNBOOKS:
            with self.rig.site(runbook) as site:
                plan = procedure(runbook).plan(site)
                parameters = dict(site.parameters)
            found[runbook] = apply_directly(read_inventory(self.rig.lab.inventory), plan, parameters, lambda line: None)
            assert found[runbook][0].verdict == "succeeded", found[runbook]
        return found

    def steps(self, runs: dict[str, tuple[Stated, Path]], runbook: str) -> dict[str, str]:
        """What the run's journal says of each step."""
        events = lines(runs[runbook][1] / "journal.jsonl")
        return {e["step"]: e["outcome"] for e in events if e["event"] == "step_finished"}

    def ask(self) -> dict[str, str]:
        port = self.rig.lab.ports["lb1.listen"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/rooms", timeout=10) as answer:
            return dict(json.load(answer))

    def evidence(self, runbook: str, run_dir: Path) -> list[Any]:
        with self.rig.site(runbook) as site:
            return list(procedure(runbook).evidence(site, procedure(runbook).plan(site), run_dir))

    @property
    def store(self) -> Store:
        return Store(self.rig.lab.folder / "artifacts")


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with tempfile.TemporaryDirectory(prefix="balbook-it-") as folder, ballerina_lab(Path(folder), ("build1", "app1", "app2", "lb1")) as rig:
        told = Story(rig)
        told.first = told.runs()
        told.answers.append(told.ask())
        told.afterwards = {runbook: rig.plan(runbook) for runbook in RUNBOOKS}
        rig.commit("rooms", raise_rooms)
        told.second = told.runs()
        told.answers.append(told.ask())
        yield told


def raise_rooms(place: Path) -> None:
    for name, before, after in (("Ballerina.toml", '"0.1.0"', '"0.2.0"'), ("rooms.bal", "rate: 80.00", "rate: 95.00")):
        text = (place / name).read_text()
        assert before in text
        (place / name).write_text(text.replace(before, after))


@pytest.mark.parametrize("runbook", RUNBOOKS)
def test_right_after_nothing_is_left_to_do(story: Story, runbook: str) -> None:
    plan = story.afterwards[runbook]
    assert [step.title for step in plan.pending] == []
    assert plan.unmet == ()


def test_the_pipeline_as_a_command_changes_something_only_once(story: Story) -> None:
    argv = [sys.executable, "-m", "balbook", "apply", "centralized", "-i", str(story.rig.lab.inventory), "--json"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    for _ in range(2):
        done = subprocess.run(argv, env=environ, cwd=story.rig.scratch, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["name"], told["verdict"]) == ("centralized", "succeeded")
        assert [runbook["runbook"] for runbook in told["runbooks"]] == list(RUNBOOKS)
    assert [runbook["changes"] for runbook in told["runbooks"]] == [0] * len(RUNBOOKS)


def test_the_application_answers_on_the_routes_of_its_sources_with_their_version(story: Story) -> None:
    assert [(a["package"], a["version"], a["resource"]) for a in story.answers] == [
        ("acme/rooms", "0.1.0", "get ."),
        ("acme/rooms", "0.2.0", "get ."),
    ]


def test_only_the_package_that_changed_is_tested_and_pushed_again(story: Story) -> None:
    steps = story.steps(story.second, "pack_push")
    assert {step for step, outcome in steps.items() if outcome == "changed"} == {
        f"{w} acme/rooms" for w in ("sources", "test", "pack", "push")
    }
    for runbook in ("provision", "install"):
        assert "changed" not in story.steps(story.second, runbook).values()


def test_the_new_version_is_consolidated_tested_and_brought_back(story: Story) -> None:
    steps = story.steps(story.second, "consolidate")
    assert [step for step, outcome in steps.items() if outcome == "changed"] == ["test hotel", "take back project"]
    pinned = (story.rig.lab.folder / "hotel" / "Dependencies.toml").read_text()
    assert 'name = "rooms"\nversion = "0.2.0"' in pinned
    assert 'name = "bookings"\nversion = "0.1.0"' in pinned


def test_each_artifact_says_what_is_in_it_and_how_long_it_took(story: Story) -> None:
    first, second = story.store.artifacts("hotel")[:2]
    assert {n: v for n, v in first.packages.items() if n.startswith("acme/")} == dict.fromkeys(
        ("acme/bookings", "acme/payments", "acme/rooms"), "0.1.0"
    )
    assert second.packages["acme/rooms"] == "0.2.0"
    assert second.version != first.version
    assert second.details["build_s"] >= sum(second.details["phases"].values()) > 0


def test_the_evidence_says_which_version_of_which_package_runs_where(story: Story) -> None:
    table = next(t for t in story.evidence("hot_deploy", story.second["hot_deploy"][1]) if "Package versions" in getattr(t, "title", ""))
    instance = f"app1:{story.rig.lab.ports['app1.instance']}"
    running = {row[2]: row[3] for row in table.rows if row[0] == instance}
    assert {n: v for n, v in running.items() if n.startswith("acme/")} == {
        "acme/bookings": "0.1.0",
        "acme/payments": "0.1.0",
        "acme/rooms": "0.2.0",
    }


def test_every_acknowledged_booking_was_executed_once_while_the_release_changed(story: Story) -> None:
    measured = last(story.second["hot_deploy"][1] / "journal.jsonl", "measured")
    assert measured is not None
    assert measured["acknowledged_posts"] > 50
    assert (measured["failed"], measured["missing_posts"], measured["duplicate_posts"]) == (0, 0, 0)


def test_tests_are_counted_and_what_bal_said_is_kept(story: Story) -> None:
    table, *outputs, _ = story.evidence("pack_push", story.first["pack_push"][1])
    assert isinstance(table, Table)
    assert {row[0]: row[1:] for row in table.rows}["acme/rooms"] == (3, 0, 0, "passed")
    assert any("[pass] testHealth" in output.text and "<details>" in output._repr_html_() for output in outputs)
    table = story.evidence("consolidate", story.first["consolidate"][1])[0]
    assert [row[1] for row in table.rows] == [2]


def test_the_token_is_in_no_record(story: Story) -> None:
    token = (story.rig.lab.folder / "central.token").read_text().strip()
    for path in (story.rig.lab.folder / "records").rglob("*"):
        assert not path.is_file() or token not in path.read_text(errors="replace"), path


def test_a_native_binary_is_built_of_the_same_project(story: Story) -> None:
    inventory = story.rig.inventory(lambda data: data["applications"]["hotel"].update(artifact="native"))
    done = story.rig.apply("build", inventory)
    assert done.applied.verdict == "succeeded", done.why
    artifact = story.store.built_from("hotel", done.plan.subject["input_digest"])
    assert artifact is not None
    assert b"lab stand-in: no native image" in artifact.path.read_bytes()[:100]
    assert artifact.details["project_digest"] == story.store.artifacts("hotel")[1].details["project_digest"]
    assert story.rig.plan("build", inventory).pending == ()


def test_the_build_host_is_left_without_processes_of_bal(story: Story) -> None:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True, timeout=30).stdout
    assert not [line for line in listed.splitlines() if "ballerina.bal" in line and str(story.rig.lab.folder) in line]
