"""Every `run:` block of the workflows that deploy, executed in its order by bash as GitHub's runner does, on the lab.

What is not a command is stood in for: the checkout is a folder, `ballerina-action` left a jar, and the package index has a wheel
of balbook's name (the balbook that runs is this one).
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import balbook
from balbook.lab.ballerina.jar import sample_jar
from balbook.local.digests import sha256_of_file
from balbook.schedule.github import Wanted, write_workflow
from tests.integration.hotel import Hotel, events
from tests.registry_servers import CREDENTIALS, raw_repository

pytestmark = pytest.mark.integration
WITHIN_S = 180


@pytest.fixture
def repository(hotel: Hotel, tmp_path: Path) -> Path:
    """A deployment repository for the lab, whose hosts are reached with what the workflow puts into ~/.ssh."""
    folder = tmp_path / "repository"
    folder.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True, timeout=20)

    def change(data: dict[str, Any]) -> None:
        for host in data["hosts"].values():
            host.update(identity="~/.ssh/id_ed25519", known_hosts="~/.ssh/known_hosts")
        data.update(artifacts="artifacts", records={"path": "records"})
        data["central"]["token"] = "env:BALLERINA_CENTRAL_ACCESS_TOKEN"

    hotel.edited(folder / "inventory.yaml", change)
    return folder


def test_the_deployment_repositorys_blocks_consolidate_build_and_replace_what_runs(hotel: Hotel, repository: Path, tmp_path: Path) -> None:
    for runbook in ("install", "pack_push"):
        done = hotel.balbook("apply", runbook, "--json")
        assert done.returncode == 0, done.stderr
    before = hotel.running()
    runner = Runner(hotel, repository, tmp_path, secrets={"BALLERINA_CENTRAL_ACCESS_TOKEN": token_of(hotel)})
    ran = runner.run(Wanted("cd"), inputs={"application": "hotel", "reason": "a release; $(touch evil)", "ticket": ""})
    assert ran == [
        *("Install balbook", "Let this machine log in to the hosts", "Consolidate the packages", "Build", "Replace what runs"),
        *("Stop what still runs", "Say what wants committing", "Take the key away"),
    ]
    assert set(hotel.running()) == set(before)
    assert set(hotel.running().values()).isdisjoint(before.values())
    records = sorted((repository / "records").glob("*-*-*"))
    assert [events(record)[0]["runbook"] for record in records if events(record)] == ["consolidate", "build", "hot_deploy"]
    assert {events(record)[0]["reason"] for record in records} == {"a release; $(touch evil)"}
    assert not (repository / "evil").exists()
    assert not (runner.home / ".ssh" / "id_ed25519").exists()
    assert list(runner.temp.iterdir()) == []
    assert "hotel/Dependencies.toml" in runner.summary.read_text()


def test_the_packages_own_blocks_publish_retrieve_and_deploy(hotel: Hotel, repository: Path, tmp_path: Path) -> None:
    (repository / "target" / "bin").mkdir(parents=True)
    sample_jar(repository / "target" / "bin" / "hotel.jar", "7.1.0")
    with raw_repository() as registry:
        inventory = yaml.safe_load((repository / "inventory.yaml").read_text())
        inventory["registry"] = {"url": registry.url, "credentials": "env:REGISTRY_CREDENTIALS"}
        (repository / "inventory.yaml").write_text(yaml.safe_dump(inventory))
        runner = Runner(hotel, repository, tmp_path, secrets={"REGISTRY_CREDENTIALS": CREDENTIALS})
        inputs = {"application": "hotel", "release": "7.1.0", "reason": "", "ticket": "OPS-7"}
        ran = runner.run(Wanted("decentralized"), inputs=inputs, job="build")
        assert ran[2:] == ["Publish", "Stop what still runs", "Take the key away"]
        shutil.rmtree(repository / "artifacts")  # the other job's machine has nothing but the checkout
        shutil.rmtree(repository / "target")
        for _ in range(2):  # the second time as by `Re-run failed jobs`
            ran = runner.run(Wanted("decentralized"), inputs=inputs)
            digest = sha256_of_file(repository / "artifacts" / "hotel" / "7.1.0" / "app.jar")
            shutil.rmtree(repository / "artifacts")
        assert [path.rpartition("/")[2] for path in registry.contents] == ["app.jar", "artifact.json", f"{digest}.json"]
    assert ran[2:] == ["Retrieve", "Configure", "Deploy", "Verify", "Stop what still runs", "Take the key away"]
    assert set(hotel.running().values()) == {"7.1.0"}
    records = sorted((repository / "records").glob("*-*-*"))
    assert [events(record)[0]["runbook"] for record in records] == [
        "publish_artifact",
        *(["retrieve", "configure", "deploy", "verify"] * 2),
    ]
    assert not [path for record in records for path in record.rglob("*") if path.is_file() and CREDENTIALS.encode() in path.read_bytes()]


class Runner:
    """A runner of GitHub's, as far as `run:` steps need one."""

    def __init__(self, hotel: Hotel, repository: Path, folder: Path, *, secrets: dict[str, str]) -> None:
        lab = hotel.lab
        self.home = folder / "home"
        self.home.mkdir()
        ssh = {"SSH_PRIVATE_KEY": lab.client_key.read_text().rstrip("\n"), "SSH_KNOWN_HOSTS": lab.known_hosts.read_text()}
        self._contexts = {"secrets": {**ssh, **secrets}}
        self._repository, self._folder = repository, folder
        index = {
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(_wheel(folder / "index")),
            "PIP_NO_DEPS": "1",
            "PIP_TARGET": str(folder / "site"),
        }
        self.temp, self.summary = folder / "temp", folder / "summary.md"
        self.temp.mkdir()
        github = {"GITHUB_WORKSPACE": str(repository), "RUNNER_TEMP": str(self.temp), "GITHUB_STEP_SUMMARY": str(self.summary)}
        github |= {"GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "1"}
        self._environ = {**hotel.environ, "HOME": str(self.home), **github, **index}

    def run(self, wanted: Wanted, inputs: dict[str, str], job: str = "deploy") -> list[str]:
        """The names of the job's steps that ran, all of them successfully."""
        path, _ = write_workflow(wanted, self._folder / "workflows")
        steps, variables = (yaml.safe_load(path.read_text())["jobs"][job][key] for key in ("steps", "env"))
        contexts = {**self._contexts, "inputs": inputs}
        ran = []
        for number, step in enumerate(steps):
            if "run" not in step:
                continue
            script = self._folder / f"{number}.sh"
            script.write_text(step["run"])
            environ = {**self._environ, **_filled(variables, contexts), **_filled(step.get("env", {}), contexts)}
            done = subprocess.run(
                ["bash", "-e", str(script)],
                cwd=self._repository,
                env=environ,
                capture_output=True,
                text=True,
                timeout=WITHIN_S,
                check=False,
            )
            assert done.returncode == 0, (step["name"], done.stdout, done.stderr)
            ran.append(step["name"])
        assert (self._folder / "site" / f"balbook-{balbook.__version__}.dist-info").is_dir()
        return ran


def token_of(hotel: Hotel) -> str:
    return (hotel.lab.folder / "central.token").read_text().strip()


def _filled(environ: dict[str, str], contexts: dict[str, dict[str, str]]) -> dict[str, str]:
    """Expressions such as `${{ inputs.reason }}` by their values; what is not there is empty, as with GitHub."""
    return {
        name: re.sub(r"\$\{\{ (\w+)\.(\w+) \}\}", lambda found: contexts[found[1]].get(found[2], ""), text)
        for name, text in environ.items()
    }


def _wheel(folder: Path) -> Path:
    """An index with one wheel: balbook's name and version, and nothing in it."""
    folder.mkdir()
    info = f"balbook-{balbook.__version__}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: balbook\nVersion: {balbook.__version__}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{name},sha256={_digest(text)},{len(text)}" for name, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"]) + "\n"
    with zipfile.ZipFile(folder / f"balbook-{balbook.__version__}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return folder


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
