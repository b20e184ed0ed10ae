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
from balbook.inventory import read_inventory
from balbook.procedures.parts import project
from balbook.schedule.github import KINDS, PINS, Pin, Wanted, informed, is_moving, pins_with, workflow_text, write_workflow

DATA = Path(__file__).parents[1] / "data" / "workflows"
GOLDENS = {
    "ballerina-packages.yaml": Wanted("ci", packages=("services/rooms", "services/bookings")),
    "cd-staging.yaml": Wanted("cd"),
    "decentralized-production.yaml": Wanted("decentralized", environment="production"),
}

BUILDING = ("Test", "Build", "Publish")
DEPLOYING = ("Retrieve", "Configure", "Deploy", "Verify")
INVENTORY = """
version: 1
hosts: {app1: {address: 127.0.0.1, roles: [app], become: sudo, become_password: "env:SUDO"}}
applications:
  hotel:
    packages: [acme/rooms]
    instances: [{host: app1, port: 9090}]
    config: {file: Config.toml}
    rollout: {deadline_s: 7200}
registry: {url: "https://nexus.example.com/raw", credentials: "env:NEXUS"}
notify: {webhook: "https://chat.example.com/x", token: "env:HOOK"}
central: {token: "file:token"}
records: {ledger: "s3://bucket/ledger"}
"""
FAKE = """
import json, pathlib, sys
folder, words = pathlib.Path(sys.argv[1]), sys.argv[2:]
with (folder / "calls").open("a") as calls:
    calls.write(" ".join(words[:1] if words[0] == "records" else words) + "\\n")
asked = (folder / "calls").read_text().count("records")
verdicts = {"a1": "succeeded", "b2": "running" if asked < 3 else "inconclusive"}
if words[0] == "records":
    print(json.dumps({"records": [{"run_id": run, "verdict": verdict} for run, verdict in verdicts.items()]}))
"""


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


def test_one_package_is_chosen_or_all_and_one_that_fails_does_not_stop_the_others() -> None:
    data = yaml.safe_load(workflow_text(Wanted("ci", packages=("services/rooms", "services/bookings"))))
    chosen = data[True]["workflow_dispatch"]["inputs"]["package"]  # YAML 1.1 takes the key `on` for true
    assert (chosen["type"], chosen["options"], chosen["default"]) == ("choice", ["all", "services/rooms", "services/bookings"], "all")
    strategy = data["jobs"]["package"]["strategy"]
    assert (strategy["fail-fast"], strategy["max-parallel"]) == (False, 1)
    assert strategy["matrix"]["package"] == (
        """${{ fromJSON((inputs.package || 'all') == 'all' && '["services/rooms", "services/bookings"]'"""
        """ || format('["{0}"]', inputs.package)) }}"""
    )


@pytest.mark.parametrize("kind", ["cd", "decentralized"])
def test_records_are_kept_whatever_the_outcome(kind: str) -> None:
    names = set()
    for job in yaml.safe_load(workflow_text(Wanted(kind)))["jobs"].values():
        (kept,) = [step for step in job["steps"] if step.get("with", {}).get("path") == "records"]
        assert kept["if"] == "always()"
        assert "github.run_attempt" in kept["with"]["name"]  # one name cannot be uploaded twice in a run
        assert "upload-artifact" in kept["uses"]
        names.add(kept["with"]["name"])
    assert len(names) == {"cd": 1, "decentralized": 2}[kind]


def test_what_failed_after_the_publication_is_done_again_without_another_build() -> None:
    jobs = yaml.safe_load(workflow_text(Wanted("decentralized")))["jobs"]
    done = {name: [step["name"] for step in job["steps"] if step["name"] in (*BUILDING, *DEPLOYING)] for name, job in jobs.items()}
    assert done == {"build": list(BUILDING), "deploy": list(DEPLOYING)}
    assert jobs["deploy"]["needs"] == "build"
    assert jobs["deploy"]["env"]["RELEASE"] == jobs["build"]["env"]["RELEASE"] == "${{ inputs.release }}"


def test_the_inventory_says_which_secrets_a_step_gets_and_how_long_a_rollout_may_take(tmp_path: Path) -> None:
    (tmp_path / "Config.toml").write_text('password = "${secret:env:DB_PASSWORD}"\n')
    (tmp_path / "inventory.yaml").write_text(INVENTORY)
    wanted = informed(Wanted("decentralized", secrets=("EXTRA",)), read_inventory(tmp_path / "inventory.yaml"))
    assert (wanted.has_s3, wanted.rollout_s) == (True, 7200)
    names = ["EXTRA", "NEXUS", "HOOK", "DB_PASSWORD", "SUDO", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
    text = workflow_text(wanted)
    for step in steps(text):
        if step.get("run", "").startswith("balbook apply"):
            assert {name: f"${{{{ secrets.{name} }}}}" for name in names}.items() <= step["env"].items()
    (stopping, _) = [step for step in steps(text) if step["name"] == "Stop what still runs"]
    assert list(stopping["env"]) == names[-2:]  # it seals, and the ledger is there
    assert text.count('"balbook[s3]==0.1.0"') == 2
    assert yaml.safe_load(text)["jobs"]["deploy"]["timeout-minutes"] == 180
    assert yaml.safe_load(workflow_text(Wanted("cd")))["jobs"]["deploy"]["timeout-minutes"] == 120  # a rollout's own deadline is 60


def test_the_command_reads_the_inventory_where_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = ["workflow", "cd", "--secret", "EXTRA", "--runs-on", "self-hosted"]
    path = tmp_path / ".github" / "workflows" / "cd-staging.yaml"
    assert main(argv) == 0
    assert "inventory.yaml" in capsys.readouterr().err
    assert "secrets.EXTRA" in path.read_text()
    (tmp_path / "inventory.yaml").write_text(INVENTORY)
    (tmp_path / "Config.toml").write_text("")
    assert main(argv) == 0
    assert "secrets.SUDO" in path.read_text()
    assert "runs-on: self-hosted\n" in path.read_text()


def test_the_files_of_the_project_that_come_back_are_kept() -> None:
    (kept,) = [step for step in steps(workflow_text(Wanted("cd", inventory="ops/inventory.yaml"))) if step["name"] == "Keep the project"]
    assert kept["with"]["path"].split() == [f"ops/*/{name}" for name in project.KEPT]
    assert kept["with"]["include-hidden-files"] is True


def test_the_summary_says_what_wants_committing(tmp_path: Path) -> None:
    for words in (["init", "-q"], ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "--allow-empty", "-m", "a"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, timeout=20)
    assert _block("cd", "Say what wants committing", tmp_path) == 0
    summary = tmp_path / "summary"
    assert not summary.exists()
    (tmp_path / "hotel").mkdir()
    (tmp_path / "hotel" / "Dependencies.toml").write_text("x")
    assert _block("cd", "Say what wants committing", tmp_path) == 0
    assert "hotel/Dependencies.toml" in summary.read_text()
    assert "project-7-1" in summary.read_text()


def test_a_key_that_the_machine_has_is_neither_written_over_nor_taken_away(tmp_path: Path) -> None:
    ssh = tmp_path / "home" / ".ssh"
    ssh.mkdir(parents=True)
    (ssh / "id_ed25519").write_text("its own\n")
    assert _block("cd", "Let this machine log in to the hosts", tmp_path, SSH_PRIVATE_KEY="secret", SSH_KNOWN_HOSTS="app1 x") == 0
    assert (ssh / "id_ed25519").read_text() == "its own\n"
    assert (ssh / "known_hosts").read_text() == "app1 x\n"
    assert _block("cd", "Take the key away", tmp_path) == 0
    assert [path.name for path in ssh.iterdir()] == ["id_ed25519"]
    assert list((tmp_path / "temp").iterdir()) == []


def test_what_still_runs_is_asked_to_stop_waited_for_and_sealed_before_the_records_are_kept(tmp_path: Path) -> None:
    names = [step["name"] for step in steps(workflow_text(Wanted("cd")))]
    assert names.index("Replace what runs") < names.index("Stop what still runs") < names.index("Keep the records")
    assert _block("cd", "Stop what still runs", tmp_path) == 0  # balbook was not installed
    program = tmp_path / "bin" / "balbook"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/fake.py {tmp_path} "$@"\n')
    program.chmod(0o755)
    (program.parent / "python").symlink_to(sys.executable)
    (tmp_path / "fake.py").write_text(FAKE)
    assert _block("cd", "Stop what still runs", tmp_path) == 0
    assert (tmp_path / "calls").read_text().splitlines() == ["records", "stop b2", "records", "records", "seal b2"]


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
        Wanted("cd", runs_on="a\n  evil: 1"),
        Wanted("cd", secrets=("A B",)),
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


def _block(kind: str, name: str, folder: Path, **environ: str) -> int:
    """Runs a step's script as a runner does, in a folder that has its home and the rest; its exit status."""
    (script,) = [step["run"] for step in steps(workflow_text(Wanted(kind))) if step["name"] == name]
    (folder / "temp").mkdir(exist_ok=True)
    given = {
        "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
        "HOME": str(folder / "home"),
        "RUNNER_TEMP": str(folder / "temp"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "GITHUB_RUN_ID": "7",
        "GITHUB_RUN_ATTEMPT": "1",
    }
    return subprocess.run(["bash", "-e", "-c", script], cwd=folder, env={**given, **environ}, timeout=60, check=False).returncode


def _against_the_schema(*paths: Path) -> int:
    """The schema comes with check-jsonschema; nothing is fetched."""
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *map(str, paths)]
    return subprocess.run(argv, capture_output=True, timeout=60, check=False).returncode
