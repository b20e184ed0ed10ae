"""A running application is replaced on a real lab, under load, by each of the ways that there are to ask for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from balbook.plan.reading import read_plan
from tests.integration.hotel import ROOT, Hotel, events, last, printed_json

pytestmark = pytest.mark.integration
DEPLOY = ("hot_deploy", "-p", "application=hotel")


def digest_of(record: Path) -> str:
    return str(last(record, "planned")["digest"])


def test_the_plan_that_was_shown_is_applied_under_load_without_a_failed_request_and_only_once(hotel: Hotel) -> None:
    wanted = hotel.other()
    planned = printed_json(hotel.balbook("plan", *DEPLOY, "-p", f"release={wanted}", "-p", "reason=a test; $(not run)", "--json"))
    assert (planned["verdict"], planned["runbooks"][0]["changes"] > 0) == ("planned", True)
    assert wanted not in hotel.running().values()

    shown = hotel.balbook("apply", "--plan", planned["run_id"], "--json")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert sum(line.startswith("inventory: ") for line in shown.stderr.splitlines()) == 1, "the inventory and its secrets are read once"
    data = printed_json(shown)
    (run,) = data["runbooks"]
    measured = run["measurements"]
    assert (data["verdict"], run["verdict"], run["runbook"]) == ("succeeded", "succeeded", "hot_deploy")
    assert run["changes"] == planned["runbooks"][0]["changes"]
    assert measured["failed"] == 0
    assert measured["sent"] > 500
    assert measured["acknowledged_posts"] > 100
    assert (measured["missing_posts"], measured["duplicate_posts"]) == (0, 0)
    assert "closed_by_reload" in measured
    assert set(hotel.running().values()) == {wanted}

    record = Path(data["record"])
    assert last(record, "run_opened")["reason"] == "a test; $(not run)"
    assert events(record)[-1]["verdict"] == "succeeded"
    kept = read_plan(record)
    assert digest_of(record) == kept.digest == last(record, "apply_started")["digest"] == digest_of(Path(planned["record"]))
    outputs = [o for cell in json.loads(Path(run["notebook"]).read_text())["cells"] for o in cell.get("outputs", [])]
    assert outputs
    assert not [o for o in outputs if o["output_type"] == "error"]

    refused = hotel.balbook("apply", "--plan", planned["run_id"], "--json")
    assert refused.returncode == 2
    data = printed_json(refused)
    assert data["runbooks"][0]["changes"] == 0
    assert "the facts have changed" in data["runbooks"][0]["why"]
    assert "apply_started" not in {e["event"] for e in events(Path(data["record"]))}


def test_what_is_already_so_is_not_done_again(hotel: Hotel) -> None:
    version = next(iter(hotel.running().values()))
    pids = [hotel.look().pid(i) for i in hotel.inventory.applications["hotel"].instances]
    again = hotel.balbook("apply", *DEPLOY, "-p", f"release={version}", "--json")
    assert again.returncode == 0, again.stdout + again.stderr
    assert [r["changes"] for r in printed_json(again)["runbooks"]] == [0]
    assert pids == [hotel.look().pid(i) for i in hotel.inventory.applications["hotel"].instances]


def test_a_change_of_configuration_alone_is_a_deployment(hotel: Hotel, tmp_path: Path) -> None:
    version = next(iter(hotel.running().values()))
    before = {name: hotel.look().revision(i) for i in hotel.inventory.applications["hotel"].instances for name in [i.name]}

    changed = hotel.edited(tmp_path / "inventory.yaml", lambda d: d["applications"]["hotel"].update(environment={"RATE": "1 $(x) 'y'"}))
    plan = hotel.plan(version, inventory=changed)
    assert any("RATE=1 $(x) 'y'" in step.diff for step in plan.pending)
    stated, _ = hotel.apply(plan, changed)
    assert stated.verdict == "succeeded", stated.why
    seen = hotel.look()
    for instance in changed.applications["hotel"].instances:
        revision = seen.revision(instance)
        assert revision["version"] == version
        assert revision["release"] != before[instance.name]["release"]
        environment = Path(f"/proc/{seen.pid(instance)}/environ").read_bytes().split(b"\0")
        assert b"RATE=1 $(x) 'y'" in environment
    assert not hotel.plan(version, inventory=changed).pending


def test_a_plan_is_the_same_from_the_command_line_and_from_plain_papermill_elsewhere(hotel: Hotel, tmp_path: Path) -> None:
    shown = hotel.balbook("plan", "hot_deploy", "-p", "application=hotel", "--json", cwd=tmp_path)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    record = Path(printed_json(shown)["record"])
    before = hotel.records()
    argv = [sys.executable, "-m", "papermill", str(ROOT / "runbooks" / "hot_deploy.ipynb"), "out.ipynb"]
    argv += ["-r", "application", "hotel", "-r", "mode", "plan", "--no-progress-bar"]
    done = subprocess.run(argv, env=hotel.environ, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    other = hotel.new_record(before)
    assert digest_of(record) == digest_of(other)
    assert json.loads((record / "plan.json").read_text()) == json.loads((other / "plan.json").read_text())
    assert last(other, "concluded")["verdict"] == "planned"
    assert digest_of(record) in (tmp_path / "out.ipynb").read_text()


def test_a_plan_file_that_was_altered_is_not_applied(hotel: Hotel, monkeypatch: pytest.MonkeyPatch) -> None:
    from balbook.engine import process
    from balbook.run import without_notebook as direct
    from balbook.secrets.vault import Vault

    def start_altered(run_dir: Path, secrets: Vault) -> subprocess.Popen[bytes]:
        plan = json.loads((run_dir / "plan.json").read_text())
        plan["steps"] = plan["steps"][:1]
        (run_dir / "plan.json").write_text(json.dumps(plan))
        return process.start(run_dir, secrets)

    plan = hotel.plan(hotel.other())
    before = hotel.running()
    monkeypatch.setattr(direct, "process", type("Altered", (), {**vars(process), "start": staticmethod(start_altered)}))
    stated, _ = hotel.apply(plan)
    assert (stated.verdict, stated.exit_status) == ("failed", 2)
    assert "is not the plan that was shown" in stated.why
    assert hotel.running() == before


def test_an_instance_is_drained_and_readmitted_for_maintenance(hotel: Hotel) -> None:
    first, second = (i.name for i in hotel.inventory.applications["hotel"].instances)
    drained = hotel.balbook("drain", "hotel", first, "--reason", "new disk")
    assert drained.returncode == 0, drained.stderr
    status = hotel.balbook("status", "hotel", "--json")
    assert status.returncode == 1
    rows = {row["instance"]: row for row in printed_json(status)["hotel"]["instances"]}
    assert [rows[name]["in_service"] for name in (first, second)] == ["no", "yes"]
    assert [rows[name]["healthy"] for name in (first, second)] == ["yes", "yes"]

    assert hotel.balbook("readmit", "hotel", first).returncode == 0
    assert hotel.balbook("status", "hotel").returncode == 0
    assert len(hotel.running()) == 2


def test_logs_shows_the_end_of_each_instances_log(hotel: Hotel) -> None:
    first, second = (i.name for i in hotel.inventory.applications["hotel"].instances)
    shown = hotel.balbook("logs", "hotel", "--lines", "3")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert f"== {first} ==" in shown.stdout
    assert f"== {second} ==" in shown.stdout
    assert len(shown.stdout.splitlines()) in range(4, 9)
    wrong = hotel.balbook("logs", "hotel", first[:-1])
    assert wrong.returncode == 2
    assert f"Did you mean '{first}'?" in wrong.stderr
