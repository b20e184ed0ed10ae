"""A secret is read once for a command: by the command, its kernels and the runs' own processes together, when it is first needed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.integration
REASON = ("-p", "reason=new prices for the season")


@dataclass(frozen=True)
class Counted:
    """A folder with an inventory whose references each note that they are read. Its host answers nobody."""

    folder: Path

    def balbook(self, *words: str) -> dict[str, int]:
        """How often each reference was read for this command."""
        argv = [sys.executable, "-m", "balbook", *words, "-i", "inventory.yaml"]
        done = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, timeout=240, check=False)
        assert "canary" not in done.stdout + done.stderr
        assert done.returncode in (0, 1), done.stderr
        read = {path.name: len(path.read_text().splitlines()) for path in self.folder.glob("read-*")}
        for path in self.folder.glob("read-*"):
            path.unlink()
        return read


@pytest.fixture
def counted(tmp_path: Path) -> Counted:
    def reference(name: str) -> str:
        program = tmp_path / f"{name}.sh"
        program.write_text(f"echo x >> {tmp_path}/read-{name}\necho canary-{name}-0a1b2c3d\n")
        return f"cmd:sh {program}"

    app1 = {"address": "127.0.0.1", "port": 1, "roles": ["app"], "become": "sudo", "become_password": reference("sudo")}
    (tmp_path / "Config.toml").write_text(f'password = "${{secret:{reference("config")}}}"\n')
    hotel = {"instances": [{"host": "app1", "port": 9090}], "config": {"file": "Config.toml"}}
    data = {"version": 1, "hosts": {"app1": app1}, "applications": {"hotel": hotel}, "central": {"token": reference("token")}}
    (tmp_path / "inventory.yaml").write_text(yaml.safe_dump(data))
    six = {"version": 1, "name": "six", "runbooks": [{"runbook": "report"}] * 6}
    (tmp_path / "six.yaml").write_text(yaml.safe_dump(six))
    return Counted(tmp_path)


ONCE = {"read-sudo": 1, "read-config": 1, "read-token": 1}


def test_a_plan_that_reaches_no_host_and_needs_none_reads_none(counted: Counted) -> None:
    assert counted.balbook("plan", "report") == {}


def test_a_plan_that_a_person_gave_words_for_reads_each_once(counted: Counted) -> None:
    assert counted.balbook("plan", "report", *REASON) == ONCE


def test_a_plan_that_reaches_for_a_host_reads_each_once(counted: Counted) -> None:
    assert counted.balbook("plan", "verify") == ONCE


def test_an_apply_reads_each_once(counted: Counted) -> None:
    assert counted.balbook("apply", "report") == ONCE


@pytest.mark.parametrize("words", [("apply", "six.yaml"), ("plan", "six.yaml", *REASON)])
def test_a_pipeline_of_six_reads_each_once(counted: Counted, words: tuple[str, ...]) -> None:
    assert counted.balbook(*words) == ONCE


def test_no_value_stands_in_what_is_left(counted: Counted) -> None:
    counted.balbook("apply", "report")
    left = [path for path in (counted.folder / "records").rglob("*") if path.is_file()]
    assert any(path.name == "request.json" for path in left)
    assert [path for path in left if b"canary" in path.read_bytes()] == []
