from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import balbook
from balbook.cli import main
from balbook.errors import BadInput, Refused
from balbook.workflow import KINDS, PINS, Pin, Wanted, is_moving, pins_with, workflow_text, write_workflow

DATA = Path(__file__).parent / "data" / "workflows"
GOLDENS = {
    "ballerina-packages.yaml": Wanted("ci", packages=("services/rooms", "services/bookings")),
    "cd-staging.yaml": Wanted("cd"),
    "decentralized-production.yaml": Wanted("decentralized", environment="production"),
}


@pytest.fixture(autouse=True)
def _version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balbook, "__version__", "0.1.0")


def steps(text: str) -> list[dict[str, Any]]:
    return [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("name", GOLDENS)
def test_the_workflow_is_the_golden_file(name: str) -> None:
    assert workflow_text(GOLDENS[name]) == (DATA / name).read_text()


def test_githubs_schema_accepts_every_workflow(tmp_path: Path) -> None:
    texts = {**{name: workflow_text(wanted) for name, wanted in GOLDENS.items()}, "defaults.yaml": workflow_text(Wanted("ci"))}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    assert _against_the_schema(*tmp_path.iterdir()) == 0


def test_githubs_schema_refuses_a_workflow_with_a_misspelt_word(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(workflow_text(Wanted("cd")).replace("runs-on:", "run-on:"))
    assert _against_the_schema(wrong) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_action_is_pinned_by_commit_with_its_tag_in_a_comment(kind: str) -> None:
    text = workflow_text(Wanted(kind))
    used = [line.strip().partition("uses: ")[2] for line in text.splitlines() if "uses: " in line]
    assert used
    for line in used:
        name, _, pinned = line.partition("@")
        assert pinned == f"{PINS[name].ref} # {PINS[name].tag}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_workflow_may_read_the_repository_and_nothing_else(kind: str) -> None:
    data = yaml.safe_load(workflow_text(Wanted(kind)))
    assert data["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in data["jobs"].values())


@pytest.mark.parametrize("kind", ["cd", "decentralized"])
def test_two_deployments_to_one_environment_never_overlap(kind: str) -> None:
    data = yaml.safe_load(workflow_text(Wanted(kind, environment="production")))
    assert data["concurrency"] == {"group": "deploy-production", "cancel-in-progress": False}
    assert data["jobs"]["deploy"]["environment"] == "production"


@pytest.mark.parametrize("kind", KINDS)
def test_no_value_of_github_is_pasted_into_a_command(kind: str) -> None:
    assert not [step["run"] for step in steps(workflow_text(Wanted(kind))) if "${{" in step.get("run", "")]


def test_only_the_push_sees_the_token() -> None:
    seeing = [step["name"] for step in steps(workflow_text(Wanted("ci"))) if "BALLERINA_CENTRAL_ACCESS_TOKEN" in step.get("env", {})]
    assert seeing == ["Push"]


@pytest.mark.parametrize("kind", ["cd", "decentralized"])
def test_records_are_kept_whatever_the_outcome(kind: str) -> None:
    (kept,) = [step for step in steps(workflow_text(Wanted(kind))) if "upload-artifact" in step.get("uses", "")]
    assert kept["if"] == "always()"
    assert "github.run_attempt" in kept["with"]["name"]  # one name cannot be uploaded twice in a run


def test_a_word_that_yaml_would_change_stays_the_word() -> None:
    assert yaml.safe_load(workflow_text(Wanted("cd", environment="1.10")))["jobs"]["deploy"]["environment"] == "1.10"


def test_another_commit_of_an_action_is_taken_by_its_short_or_whole_name() -> None:
    commit = "0" * 40
    assert pins_with([f"checkout={commit}", "actions/setup-python=v9"]) == {
        **PINS,
        "actions/checkout": Pin(commit),
        "actions/setup-python": Pin("v9"),
    }
    assert f"actions/checkout@{commit}\n" in workflow_text(Wanted("cd", pins=pins_with([f"checkout={commit}"])))
    assert is_moving(Pin("v9"))
    assert not is_moving(Pin(commit))


@pytest.mark.parametrize("wrong", ["checkuot=v1", "checkout", "checkout=", "checkout=a b", "checkout=v1\n  evil: 1"])
def test_a_pin_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(BadInput, match="--action"):
        pins_with([wrong])


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted("cd", environment="a b"),
        Wanted("cd", inventory="../inventory.yaml"),
        Wanted("cd", records="/srv/records"),
        Wanted("ci", packages=("rooms\nx: y",)),
        Wanted("ci", branch="${{ evil }}"),
        Wanted("no"),
    ],
)
def test_words_that_do_not_belong_into_the_file_are_refused(wanted: Wanted) -> None:
    with pytest.raises(BadInput):
        workflow_text(wanted)


def test_the_same_again_is_already_there_and_a_newer_one_replaces_it(tmp_path: Path) -> None:
    path, is_new = write_workflow(Wanted("cd"), tmp_path / "deep")
    assert is_new
    assert write_workflow(Wanted("cd"), tmp_path / "deep") == (path, False)
    newer = Wanted("cd", pins=pins_with(["checkout=" + "1" * 40]))
    assert write_workflow(newer, tmp_path / "deep") == (path, True)
    assert path.read_text() == workflow_text(newer)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == [path.name]


def test_a_file_that_was_edited_or_is_another_one_is_never_written_over(tmp_path: Path) -> None:
    path, _ = write_workflow(Wanted("cd"), tmp_path)
    for foreign in (path.read_text() + "# mine\n", "name: mine\n", "", "\udcff"):
        path.write_bytes(foreign.encode(errors="surrogateescape"))
        before = path.read_bytes()
        with pytest.raises(Refused, match="nothing was written"):
            write_workflow(Wanted("cd", environment="staging"), tmp_path)
        assert path.read_bytes() == before


def test_the_command_prints_the_path_and_exits_2_where_it_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["workflow", "cd", "--environment", "production", "--output", str(tmp_path)]
    assert main(argv) == 0
    path = tmp_path / "cd-production.yaml"
    assert capsys.readouterr().out == f"{path}\n"
    assert main([*argv, "--action", "checkout=main"]) == 0
    assert "can be moved" in capsys.readouterr().err
    path.write_text("name: mine\n")
    assert main(argv) == 2
    assert "is not a file that balbook made" in capsys.readouterr().err


def _against_the_schema(*paths: Path) -> int:
    """The schema comes with check-jsonschema; nothing is fetched."""
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, paths)]
    return subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode
