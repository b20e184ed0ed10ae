"""Pipelines: what their file may say, and what follows from each runbook's outcome. The runbooks themselves do not run here."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from balbook.cli import main
from balbook.engine import process
from balbook.engine.process import STOP_FILE
from balbook.errors import BadInput, ParameterError
from balbook.inventory import Inventory, read_inventory
from balbook.local.resources import resource
from balbook.plan.model import Plan
from balbook.record.statement import run_id_of
from balbook.run import pipeline as pipelines
from balbook.run.headless import Outcome
from balbook.run.pipeline import Pipeline, find_pipelines, read_pipeline, run_pipeline
from tests.journals import last, lines

THREE = "version: 1\nname: three\nrunbooks: [{runbook: provision}, {runbook: build}, {runbook: hot_deploy, parameters: {serial: 2}}]\n"
BUILT = "0.1.0+0a1b2c3d"
Execute = Callable[..., Outcome]


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    path = tmp_path / "inventory.yaml"
    path.write_text(
        "version: 1\nhosts: {build1: {address: 127.0.0.1, roles: [build, app]}}\n"
        "applications: {hotel: {packages: [acme/rooms], instances: [{host: build1, port: 9090}]}}\n"
    )
    return read_inventory(path)


@pytest.fixture
def three(tmp_path: Path) -> Pipeline:
    path = tmp_path / "three.yaml"
    path.write_text(THREE)
    return read_pipeline(path)


def executing(tmp_path: Path, verdicts: dict[str, tuple[str, int]], calls: list[tuple[str, dict[str, Any]]], stopped: str = "") -> Execute:
    """Stands in for the runner: notes each call; a runbook has the verdict given here, else it succeeds."""

    def execute(name: str, inventory: Inventory, parameters: dict[str, Any], **_: Any) -> Outcome:
        calls.append((name, dict(parameters)))
        record = tmp_path / f"record-{len(calls)}"
        record.mkdir()
        (record / "plan.json").write_text(json.dumps(Plan("build", "hotel", (), {"version": BUILT}).data()))
        if name == stopped:
            (record / STOP_FILE).touch()
        verdict, status = verdicts.get(name, ("succeeded", 0))
        return Outcome(name, f"{len(calls):08x}", verdict, "because" if status else "", status, 0.1, record, record / "n.ipynb", changes=1)

    return execute


def play(
    three: Pipeline,
    inventory: Inventory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verdicts: dict[str, tuple[str, int]] | None = None,
    parameters: dict[str, Any] | None = None,
    stopped: str = "",
    resumed: Path | None = None,
) -> tuple[Outcome, list[tuple[str, dict[str, Any]]]]:
    calls: list[tuple[str, dict[str, Any]]] = []
    place = tmp_path / f"play-{len(list(tmp_path.glob('play-*')))}"
    place.mkdir()
    monkeypatch.setattr(pipelines, "execute", executing(place, verdicts or {}, calls, stopped))
    return run_pipeline(three, inventory, {"mode": "apply", **(parameters or {})}, resumed=resumed), calls


def test_ours_is_the_guides_centralized_deployment() -> None:
    ours = read_pipeline(find_pipelines(Path("/nonexistent"))["centralized"])
    assert [e.runbook for e in ours.entries] == ["provision", "install", "pack_push", "consolidate", "build", "hot_deploy"]
    assert resource("runbooks", "centralized.yaml") == ours.path


def test_ours_is_the_guides_decentralized_deployment_too() -> None:
    ours = read_pipeline(find_pipelines(Path("/nonexistent"))["decentralized"])
    publishing, deploying = ["build", "publish_artifact"], ["retrieve", "configure", "deploy", "verify"]
    assert [e.runbook for e in ours.entries] == ["provision", "install", *publishing, *deploying]


def test_a_users_own_stands_over_ours(tmp_path: Path) -> None:
    (tmp_path / "pipelines").mkdir()
    own = tmp_path / "pipelines" / "centralized.yaml"
    own.write_text(THREE)
    assert find_pipelines(tmp_path)["centralized"] == own


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a list", "is not a valid pipeline"),
        ("version: 1\nname: x\nrunbooks: []\nmore: 1\n", "is not a valid pipeline"),
        ("version: 2\nname: x\nrunbooks: []\n", "has the unknown version 2"),
        ("version: 1\nname: ../x\nrunbooks: []\n", "'../x' is not allowed"),
        ("version: 1\nname: x\nrunbooks: [{runbook: provison}]\n", "Did you mean 'provision'"),
        ("version: 1\nname: x\nrunbooks: [build]\n", "is not a valid entry"),
        ("version: 1\nname: x\nrunbooks:\n- {runbook: build}\n- {runbook: provison}\n", "p.yaml:5: there is no runbook 'provison'"),
        ("version: 1\nname: x\nrunbooks: [{runbook: build, parameters: [hotel]}]\n", "p.yaml:3: parameters ['hotel'] is not a mapping"),
        ("version: 1\nname: x\nrunbooks: [{runbook: [build]}]\n", "there is no runbook ['build']"),
        ("version: [1\n", "p.yaml:2: this is not YAML"),
        ("version: 1\nname: x\nname: y\nrunbooks: []\n", "p.yaml:3: name: is written twice"),
        ("version: 1\nname: h\xf4tel\nrunbooks: []\n", "p.yaml:2: this is not UTF-8 text"),
    ],
)
def test_what_is_no_pipeline_is_refused_in_words(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput) as refused:
        read_pipeline(path)
    assert said in str(refused.value)


def test_a_parameter_reaches_every_runbook_that_declares_it_and_no_other(
    three: Pipeline, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, calls = play(three, inventory, tmp_path, monkeypatch, parameters={"application": "hotel", "reason": "why"})
    assert calls == [
        ("provision", {"mode": "apply", "reason": "why"}),
        ("build", {"mode": "apply", "application": "hotel", "reason": "why"}),
        ("hot_deploy", {"mode": "apply", "application": "hotel", "reason": "why", "release": BUILT, "serial": 2}),
    ]


def test_what_nobody_gives_the_inventory_may_have_for_the_pipeline(
    three: Pipeline, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    applications = dict.fromkeys(("hotel", "inn", "rooms"), inventory.applications["hotel"])
    defaults = {"three": {"application": "rooms"}, "*": {"application": "hotel"}}
    lab = inventory.model_copy(update={"applications": applications, "defaults": defaults})
    for given, application in (({}, "rooms"), ({"application": ""}, "rooms"), ({"application": "inn"}, "inn")):
        _, calls = play(three, lab, tmp_path, monkeypatch, parameters=given)
        assert [parameters.get("application") for _, parameters in calls] == [None, application, application]


def test_a_parameter_that_no_runbook_has_is_refused_before_anything_runs(
    three: Pipeline, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ParameterError, match="Did you mean 'application'"):
        play(three, inventory, tmp_path, monkeypatch, parameters={"aplication": "hotel"})
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize(
    ("given", "release"),
    [({}, BUILT), ({"release": "latest"}, BUILT), ({"release": "1.0.0"}, "1.0.0"), ({"release": "latest", "mode": "plan"}, "latest")],
)
def test_what_was_built_is_what_is_deployed_unless_the_caller_names_another(
    three: Pipeline, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], release: str
) -> None:
    _, calls = play(three, inventory, tmp_path, monkeypatch, parameters=given)
    assert dict(calls)["hot_deploy"]["release"] == release
    assert "release" not in dict(calls)["provision"]


def test_a_resumed_pipeline_deploys_what_the_earlier_run_built(
    three: Pipeline, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = play(three, inventory, tmp_path, monkeypatch, verdicts={"hot_deploy": ("failed", 1)})
    _, calls = play(three, inventory, tmp_path, monkeypatch, resumed=first.record)
    assert [(name, given["release"]) for name, given in calls] == [("hot_deploy", BUILT)]


@pytest.mark.parametrize(
    ("verdict", "its", "status"),
    [("failed", 1, 1), ("inconclusive", 3, 3), ("failed", 2, 1)],  # 2 would say that nothing was touched, and provision changed something
)
def test_it_stops_at_the_first_that_does_not_succeed(
    verdict: str, its: int, status: int, three: Pipeline, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, calls = play(three, inventory, tmp_path, monkeypatch, {"build": (verdict, its)})
    assert [name for name, _ in calls] == ["provision", "build"]
    assert (done.verdict, done.why, done.exit_status) == ("inconclusive" if status == 3 else "failed", "build: because", status)
    assert done.changes == 2


@pytest.mark.parametrize(
    ("given", "own", "said"),
    [
        ({"application": "hotle"}, "", "Did you mean 'hotel'"),
        ({"release": "; x"}, "", "parameter release '; x' is not allowed"),
        ({"serial": 0}, "", "parameter serial: 0"),
        ({}, "{application: hotle}", "Did you mean 'hotel'"),
        ({}, "{serial: two}", "must be a whole number"),
        ({}, "{serail: 2}", "Did you mean 'serial'"),
    ],
)
def test_a_value_that_a_later_runbook_would_refuse_is_refused_before_anything_runs(
    given: dict[str, Any], own: str, said: str, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(f"version: 1\nname: two\nrunbooks: [{{runbook: provision}}, {{runbook: hot_deploy, parameters: {own or '{}'}}}]\n")
    with pytest.raises(BadInput) as refused:
        play(read_pipeline(path), inventory, tmp_path, monkeypatch, parameters=given)
    assert said in str(refused.value)
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"version": "latest", "packages": ["git+https://host/rooms.git@main"]}, "is not a version of Ballerina"),
        ({"version": "2201.13.1"}, "packages is empty"),
        ({"version": "2201.13.1", "packages": ["nowhere/rooms"]}, "nowhere/rooms is not a directory"),
        ({"version": "2201.13.1", "packages": ["git+https://host/rooms.git@main"], "repository": "here"}, "'here' is not known"),
    ],
)
def test_what_install_and_pack_push_would_refuse_is_refused_before_provision(
    given: dict[str, Any], said: str, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    centralized = read_pipeline(find_pipelines(Path("/nonexistent"))["centralized"])
    with pytest.raises(BadInput) as refused:
        play(centralized, inventory, tmp_path, monkeypatch, parameters=given)
    assert said in str(refused.value)
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize(("mode", "status"), [("apply", 1), ("plan", 2)])
def test_a_runbook_that_cannot_even_begin_ends_the_pipelines_record_too(
    mode: str, status: int, three: Pipeline, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = executing(tmp_path, {}, [])

    def execute(name: str, *args: Any, **options: Any) -> Outcome:
        if name == "build":
            raise BadInput("the runbook is gone", advice="Restore it.")
        return usual(name, *args, **options)

    monkeypatch.setattr(pipelines, "execute", execute)
    done = run_pipeline(three, inventory, {"mode": mode})
    assert (done.verdict, done.why, done.exit_status) == ("failed", "the runbook is gone\n  Restore it.", status)
    assert [e["verdict"] for e in lines(done.record / "journal.jsonl") if e["event"] == "run_closed"] == ["failed"]
    assert (done.record / "statement.json").exists()


def test_a_runbook_that_is_twice_in_it_is_resumed_by_its_place(
    inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("version: 1\nname: twice\nrunbooks: [{runbook: verify}, {runbook: build}, {runbook: hot_deploy}, {runbook: verify}]\n")
    twice = read_pipeline(path)
    first, _ = play(twice, inventory, tmp_path, monkeypatch, {"hot_deploy": ("failed", 1)})
    done, calls = play(twice, inventory, tmp_path, monkeypatch, resumed=first.record)
    assert [name for name, _ in calls] == ["hot_deploy", "verify"]
    assert (done.verdict, done.exit_status) == ("succeeded", 0)


def test_resumed_again_it_deploys_what_the_first_run_built(
    three: Pipeline, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: Path | None = None
    for _ in range(3):
        done, calls = play(three, inventory, tmp_path, monkeypatch, {"hot_deploy": ("failed", 1)}, resumed=run)
        run = done.record
        assert calls[-1] == ("hot_deploy", {"mode": "apply", "release": BUILT, "serial": 2})


def test_a_request_to_stop_ends_it_even_where_the_runbook_in_hand_succeeded(
    three: Pipeline, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, calls = play(three, inventory, tmp_path, monkeypatch, stopped="provision")
    assert [name for name, _ in calls] == ["provision"]
    assert (done.verdict, done.why, done.exit_status) == ("failed", "stopped on request after provision", 1)


def stopping(
    three: Pipeline, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: Callable[[Path], object]
) -> Path:
    """The record of a pipeline that is stopped from outside when its second runbook has just begun: that runbook is asked to stop too."""
    usual = executing(tmp_path, {"build": ("failed", 1)}, [])
    begun: list[str] = []

    def execute(name: str, *args: Any, on_begun: Callable[[Path], None], **options: Any) -> Outcome:
        begun.append(name)
        in_hand = tmp_path / f"in-hand-{name}"
        in_hand.mkdir()
        on_begun(in_hand)
        if name == "build":
            stop(next((tmp_path / "records").glob("*-three-*")))
            assert (in_hand / STOP_FILE).exists()
        return usual(name, *args)

    monkeypatch.setattr(pipelines, "execute", execute)
    done = run_pipeline(three, inventory, {"mode": "apply"})
    assert begun == ["provision", "build"]
    return done.record


def test_a_running_pipeline_is_found_shown_and_stopped_by_its_id(
    three: Pipeline, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-i", str(inventory.path)]

    def stop(record: Path) -> None:
        assert process.find(record) == os.getpid()
        assert main(["records", "list", "--json", *words]) == main(["records", "show", record.name, "--json", *words]) == 0
        assert capsys.readouterr().out.count('"verdict": "running"') == 2
        assert main(["resume", run_id_of(record), *words]) == 2
        assert main(["stop", run_id_of(record), *words]) == 0
        assert "finishes its current step" in capsys.readouterr().out

    record = stopping(three, inventory, tmp_path, monkeypatch, stop)
    assert process.find(record) is None
    assert not process.is_alive(record)
    assert (last(record / "journal.jsonl", "stop_asked") or {})["by"] == "balbook stop"
    assert main(["stop", run_id_of(record), *words]) == 2
    assert main(["records", "verify", str(record), *words]) in (0, 3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_between_runbooks_closes_and_seals_the_pipeline(
    number: signal.Signals, three: Pipeline, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(number)
    record = stopping(three, inventory, tmp_path, monkeypatch, lambda record: os.kill(os.getpid(), number))
    assert (record / "statement.json").exists()
    assert signal.getsignal(number) is before


def test_a_signal_that_the_runbook_in_hand_has_survived_ends_the_pipeline_after_it(
    three: Pipeline, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = executing(tmp_path, {}, [])

    def execute(name: str, *args: Any, on_stop: Callable[[], None], **options: Any) -> Outcome:
        on_stop()
        return usual(name, *args)

    monkeypatch.setattr(pipelines, "execute", execute)
    done = run_pipeline(three, inventory, {"mode": "apply"})
    assert (done.why, done.exit_status) == ("stopped on request after provision", 1)


def test_a_stop_before_the_first_runbook_begins_none(
    three: Pipeline, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = process.present

    def asked(run_dir: Path) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return present(run_dir)

    monkeypatch.setattr(process, "present", asked)
    done, calls = play(three, inventory, tmp_path, monkeypatch)
    assert (calls, done.why, done.exit_status) == ([], "stopped on request before the first runbook", 1)


def test_resumed_it_leaves_out_what_succeeded_also_in_the_run_before_the_last(
    three: Pipeline, inventory: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = play(three, inventory, tmp_path, monkeypatch, {"build": ("failed", 1)})
    second, calls = play(three, inventory, tmp_path, monkeypatch, {"hot_deploy": ("failed", 1)}, resumed=first.record)
    assert [name for name, _ in calls] == ["build", "hot_deploy"]
    third, calls = play(three, inventory, tmp_path, monkeypatch, resumed=second.record)
    assert [name for name, _ in calls] == ["hot_deploy"]
    assert third.verdict == "succeeded"
    assert [e["verdict"] for e in lines(third.record / "journal.jsonl") if e["event"] == "run_closed"] == ["succeeded"]
    assert (first.record / "statement.json").exists()
