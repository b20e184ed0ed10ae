"""One package from its sources to a registry and from there to running instances, beside another application on the same hosts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from balbook.artifacts.store import Store
from balbook.commands.command import script
from balbook.inventory import Inventory, read_inventory
from balbook.lab import loopback
from balbook.lab.ballerina.jar import sample_jar
from balbook.local.digests import sha256_of_file
from balbook.local.lab_place import VARIABLE
from balbook.plan.model import Plan
from balbook.procedures import procedure
from balbook.procedures.parts.look import look
from balbook.procedures.verify import footprints
from balbook.record.verdict import Stated
from balbook.run.without_notebook import apply_directly
from tests.integration.ballerina_lab import BallerinaLab, ballerina_lab
from tests.integration.hotel import command_environment
from tests.journals import last

pytestmark = pytest.mark.integration
PIPELINE = ("provision", "install", "build", "publish_artifact", "retrieve", "configure", "deploy", "verify")
HOSTS = ("build1", "app1", "app2", "app3")
"""The last one is the native binary's alone."""
Change = Callable[[dict[str, Any]], object]


@dataclass
class Story:
    """`rooms` deployed by the pipeline's procedures, and `hotel`, a jar, beside it on the same two hosts."""

    rig: BallerinaLab
    environ: dict[str, str]
    versions: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.rig.lab.folder

    @property
    def store(self) -> Store:
        return Store(self.folder / "artifacts")

    def plan(self, runbook: str, inventory: Inventory | None = None, application: str = "rooms", **parameters: Any) -> Plan:
        with self.rig.site(runbook, inventory, application=application, **parameters) as site:
            return procedure(runbook).plan(site)

    def apply(self, runbook: str, inventory: Inventory | None = None, application: str = "rooms", **parameters: Any) -> tuple[Stated, Path]:
        """Plans and applies in a process of its own."""
        with self.rig.site(runbook, inventory, application=application, **parameters) as site:
            plan, given = procedure(runbook).plan(site), dict(site.parameters)
        return apply_directly(inventory or read_inventory(self.rig.lab.inventory), plan, given, lambda line: None)

    def run(self, *runbooks: str, inventory: Inventory | None = None, application: str = "rooms") -> None:
        for runbook in runbooks:
            stated, record = self.apply(runbook, inventory, application)
            assert stated.verdict == "succeeded", (runbook, stated, record)

    def balbook(self, *words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "balbook", *words]
        return subprocess.run(
            argv, env=self.environ, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
        )

    def port(self, host: str, application: str = "rooms") -> int:
        return self.rig.lab.ports[f"{host}.{'instance' if application == 'hotel' else application}"]

    def place(self, host: str, application: str = "rooms") -> Path:
        return self.folder / "hosts" / host / "home" / "balbook" / application

    def pid(self, host: str, application: str = "rooms") -> int:
        return int((self.place(host, application) / "instances" / str(self.port(host, application)) / "pid").read_text().split()[0])

    def ask(self, host: str, path: str = "/rooms", application: str = "rooms") -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port(host, application)}{path}", timeout=10) as answer:
            return str(answer.read().decode()).replace(" ", "")

    def running(self, application: str = "rooms", inventory: Inventory | None = None) -> dict[str, str]:
        """The version that each instance runs, of those that are healthy."""
        with self.rig.site("verify", inventory, application=application) as site:
            seen = look(site)
            return {i.host: str(seen.running(i)).rpartition("-")[0] for i in site.application.instances if seen.is_healthy[i.name]}


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with tempfile.TemporaryDirectory(prefix="balbook-it-") as folder, ballerina_lab(Path(folder), HOSTS) as rig:

        def brisk(data: dict[str, Any]) -> None:
            data["applications"]["hotel"]["instances"].pop()
            for application in data["applications"].values():
                application["graceful_stop_s"] = 0.5
                application["health"].update(within_s=10, passes=1)

        rig.lab.inventory.write_text(yaml.safe_dump(_changed(rig, brisk)))
        environ = command_environment(Path(folder) / "labs") | {"BALBOOK_INVENTORY": str(rig.lab.inventory)}
        told = Story(rig, environ)
        told.run(*PIPELINE)
        told.versions.append(told.running()["app1"])
        jar = sample_jar(Path(folder) / "hotel.jar", "1.0.0")
        told.store.publish("hotel", "1.0.0", "jar", jar, at=datetime.now(UTC))
        told.run("deploy", application="hotel")
        yield told


def _changed(rig: BallerinaLab, change: Change) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(rig.lab.inventory.read_text())
    change(data)
    return data


def test_the_package_is_served_by_every_instance_from_the_registrys_content(story: Story) -> None:
    assert all('"version":"0.1.0"' in story.ask(host) for host in ("app1", "app2"))
    (content,) = (story.folder / "registry" / "rooms" / story.versions[0]).glob("*/app.jar")
    assert content.parent.name == sha256_of_file(content)
    assert sha256_of_file(story.place("app1") / "instances" / str(story.port("app1")) / "current" / "app.jar") == content.parent.name


def test_applied_again_by_its_command_the_pipeline_changes_nothing_and_leaves_a_sealed_record_each(story: Story) -> None:
    pids = [story.pid(host) for host in ("app1", "app2")]
    shown = story.balbook("apply", "decentralized", "-p", "reason=again", "--json")
    assert shown.returncode == 0, shown.stderr
    data = json.loads(shown.stdout)
    assert {r["runbook"]: r["changes"] for r in data["runbooks"]} == dict.fromkeys(PIPELINE, 0)
    assert all((Path(r["notebook"]).parent / "statement.json").is_file() for r in data["runbooks"])
    measured = data["runbooks"][-1]["measurements"]
    assert measured["kind"] == "jar"
    assert min(measured["rss_mb"].values()) > 5
    assert min(measured["start_s"].values()) > 0
    assert (Path(data["runbooks"][-1]["notebook"]).parent / "footprint.png").read_bytes()[:4] == b"\x89PNG"
    assert [story.pid(host) for host in ("app1", "app2")] == pids


def test_a_version_that_is_never_healthy_is_taken_back_and_reported_with_the_downtime(story: Story) -> None:
    jar = sample_jar(story.rig.scratch / "sick.jar", "0.0.1", health_status=503)
    story.store.publish("rooms", "0.0.1", "jar", jar, at=datetime(2020, 1, 1, tzinfo=UTC))
    impatient = story.rig.inventory(lambda d: d["applications"]["rooms"]["health"].update(within_s=5))
    shown = story.balbook("apply", "deploy", "-i", str(impatient.path), "-p", "application=rooms", "-p", "release=0.0.1", "--json")
    assert shown.returncode == 1, shown.stderr
    (done,) = json.loads(shown.stdout)["runbooks"]
    assert done["verdict"] == "failed"
    assert "/health answers 503" in done["why"]
    assert "was taken back to its earlier state" in done["why"]
    assert list(done["measurements"]["downtime_s"]) == [f"app1:{story.port('app1')}"]
    assert story.running() == dict.fromkeys(("app1", "app2"), story.versions[0])


def test_applications_on_one_host_have_configuration_and_life_of_their_own(story: Story) -> None:
    before = {host: story.pid(host) for host in ("app1", "app2")}
    files = _state(story.place("app1"))
    other = story.rig.inventory(lambda d: d["applications"]["hotel"].update(environment={"RATE": "7"}))
    story.run("configure", "deploy", inventory=other, application="hotel")
    assert {host: story.pid(host) for host in ("app1", "app2")} == before
    assert _state(story.place("app1")) == files
    environ = Path(f"/proc/{story.pid('app1', 'hotel')}/environ").read_bytes().split(b"\0")
    assert b"RATE=7" in environ
    assert b"RATE=7" not in Path(f"/proc/{before['app1']}/environ").read_bytes().split(b"\0")
    hotel = story.pid("app1", "hotel")
    os.kill(hotel, signal.SIGTERM)
    story.rig.until_gone(hotel)
    assert '"version":"0.1.0"' in story.ask("app1")
    story.run("deploy", inventory=other, application="hotel")
    assert story.running("hotel", other) == dict.fromkeys(("app1", "app2"), "1.0.0")
    assert {host: story.pid(host) for host in ("app1", "app2")} == before


def test_a_secret_of_the_configuration_is_in_a_private_file_and_in_no_plan(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATES_KEY", "a-key-of-nine-lives")
    (story.folder / "rooms.toml").write_text('[acme.rooms]\ncurrency = "CHF"\nkey = "${secret:env:RATES_KEY}"\n')
    configured = story.rig.inventory(lambda d: d["applications"]["rooms"].update(config={"file": "rooms.toml"}))
    plan = story.plan("configure", configured, release=story.versions[0])
    shown = json.dumps(plan.data())
    assert '+currency = "CHF"' in next(step.diff for step in plan.steps if step.diff)
    assert "${secret:env:RATES_KEY}" in shown
    assert "a-key-of-nine-lives" not in shown
    before = [story.pid(host) for host in ("app1", "app2")]
    stated, _ = story.apply("configure", configured, release=story.versions[0])
    assert stated.verdict == "succeeded", stated
    written = story.place("app1") / "releases" / plan.subject["release"] / str(story.port("app1")) / "Config.toml"
    assert 'key = "a-key-of-nine-lives"' in written.read_text()
    assert written.stat().st_mode & 0o077 == 0
    assert [story.pid(host) for host in ("app1", "app2")] == before
    assert story.plan("configure", configured, release=story.versions[0]).pending == ()
    written.chmod(0o644)
    with story.rig.site("configure", configured, application="rooms", release=story.versions[0]) as site:
        wrong = [check.what for check in procedure("configure").verify(site, plan) if not check.is_so]
    assert wrong == ["app1: no other account can read the configuration"]


def test_an_error_in_the_log_since_the_start_fails_the_verification_and_an_older_one_does_not(story: Story) -> None:
    log = story.place("app2") / "instances" / str(story.port("app2")) / "log"
    size, text = int((log / "began").read_text()), (log / "current.log").read_text()
    with story.rig.site("verify", application="rooms", release=story.versions[0]) as site:
        verify = procedure("verify")
        plan = verify.plan(site)
        (log / "current.log").write_text(text + 'time=2026 level=ERROR module=acme/rooms message="no rooms"\n')
        wrong = {check.what: check.found for check in verify.verify(site, plan) if not check.is_so}
        name = f"app2:{story.port('app2')}: no error in the log since the start"
        assert list(wrong) == [name]
        assert "no rooms" in wrong[name]
        (log / "began").write_text(str((log / "current.log").stat().st_size))
        assert all(check.is_so for check in verify.verify(site, plan))
        (log / "began").write_text(f"{size}\n")
        (log / "current.log").write_text(text)


def test_the_package_goes_to_central_as_well_where_the_inventory_says_so(story: Story) -> None:
    both = story.rig.inventory(lambda d: d["registry"].update(central=True))
    stated, record = story.apply("publish_artifact", both)
    assert stated.verdict == "succeeded", stated
    assert sorted(p.name for p in (story.folder / "central" / "packages").rglob("*.bala"))
    assert (story.folder / "central.token").read_text().strip() not in (record / "journal.jsonl").read_text()
    assert story.plan("publish_artifact", both).pending == ()


def test_a_native_build_without_graalvm_is_refused_in_bals_words_with_advice(story: Story) -> None:
    bal = story.rig.root / "bin" / "bal"
    text = bal.read_text()
    bal.write_text(text.replace("#!/bin/sh\n", "#!/bin/sh\nunset GRAALVM_HOME\n"))
    stated, _ = story.apply("build", story.rig.inventory(_native))
    bal.write_text(text)
    assert stated.verdict == "failed"
    assert "GraalVM installation directory not found. Set GRAALVM_HOME as an environment variable" in stated.why
    assert "or build a jar" in stated.why
    assert {artifact.kind for artifact in story.store.artifacts("rooms")} == {"jar"}


def test_a_native_binary_is_deployed_rolled_and_rolled_back_on_a_host_without_java(story: Story) -> None:
    _take_java_away(story, "app3")
    source = story.rig.scratch / "den"
    shutil.copytree(story.folder / "repositories" / "rooms", source, ignore=shutil.ignore_patterns(".git"))
    port, host = story.port("app3", "hotel"), "app3"
    den = {"source": str(source), "artifact": "native", "instances": [{"host": host, "port": port}]}
    native = story.rig.inventory(lambda d: d["applications"].update(den={**d["applications"]["rooms"], **den}))
    with story.rig.site("deploy", native, application="den") as site:
        assert site.transport.execute(host, script("where", 'command -v "$1"', "java")).status != 0
    story.run("provision", "build", "publish_artifact", "retrieve", "deploy", inventory=native, application="den")
    first = story.running("den", native)[host]
    pid = int((story.place(host, "den") / "instances" / str(port) / "pid").read_text().split()[0])
    assert any(word.endswith(b"/app") for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))
    _edit(source, ("Ballerina.toml", '"0.1.0"', '"0.2.0"'))
    story.run("build", "deploy", "verify", inventory=native, application="den")
    assert story.running("den", native)[host] != first
    assert '"version":"0.2.0"' in story.ask(host, application="hotel")
    stated, record = story.apply("rollback", native, "den", release="")
    assert stated.verdict == "succeeded", stated
    assert story.running("den", native) == {host: first}
    assert '"version":"0.1.0"' in story.ask(host, application="hotel")
    assert list((last(record / "journal.jsonl", "measured") or {})["downtime_s"]) == [f"{host}:{port}"]
    with story.rig.site("verify", native, application="den") as site:
        (taken,) = footprints(site).values()
    assert taken.start_s is not None
    assert taken.rss_mb is not None


def _native(data: dict[str, Any]) -> None:
    data["applications"]["rooms"].update(artifact="native")


def _edit(place: Path, *changes: tuple[str, str, str]) -> None:
    for name, before, after in changes:
        text = (place / name).read_text()
        assert before in text
        (place / name).write_text(text.replace(before, after))


def _state(place: Path) -> dict[str, bytes]:
    """Every file below but logs."""
    return {str(p): p.read_bytes() for p in sorted(place.rglob("*")) if p.is_file() and "log" not in p.parts}


def _take_java_away(story: Story, host: str) -> None:
    """The host's sessions find every program of this machine but Java's."""
    server = story.rig.lab.servers[host]
    programs = server.folder / "programs"
    programs.mkdir()
    for folder in ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"):
        for program in Path(folder).glob("*"):
            if not program.name.startswith(("java", "jcmd")) and not (programs / program.name).exists():
                (programs / program.name).symlink_to(program)
    configuration = server.folder / "sshd_config"
    text = configuration.read_text()
    (path,) = (word for word in text.split('"') if word.startswith("PATH="))
    configuration.write_text(text.replace(f'"{path}"', f'"PATH={server.home}/bin:{programs}"'))
    pid = int(server.pid_file.read_text())
    os.kill(pid, signal.SIGTERM)
    story.rig.until_gone(pid)
    environ = {**os.environ, VARIABLE: str(story.folder.parent)}
    loopback.up("ballerina", HOSTS, environ=environ)
