"""What breaks around a rollout while it goes on: a host dies, SSH drops, the balancer is stopped by hand, the disk fills.

Each ends in a stated verdict, no client notices as long as one instance and the balancer live, and the next run mends it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from balbook.artifacts.store import Store
from balbook.commands import nginx
from balbook.lab import loopback
from balbook.procedures.parts.balancing import front
from balbook.record.verdict import Stated
from tests.integration.balancer_rig import run
from tests.integration.rollout_lab import Clients, RolloutLab, events, until

pytestmark = [pytest.mark.integration]
SETTINGS: dict[str, Any] = {
    "graceful_stop_s": 0.3,
    "health": {"path": "/health", "within_s": 8, "passes": 1},
    "probe": {"rate": 60, "baseline_s": 0.5, "requests": [{"method": "GET", "path": "/rooms"}]},
}
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def shared() -> Iterator[RolloutLab]:
    made = RolloutLab(application=SETTINGS)
    try:
        made.up()
        made.deploy("1.0.0")
        yield made
    finally:
        made.down()


@pytest.fixture
def lab(shared: RolloutLab) -> RolloutLab:
    """Both instances serve 1.0.0, whatever the test before left."""
    loopback.up(hosts=tuple(shared.lab.servers), environ=shared.environ)
    if shared.checks("1.0.0"):
        shared.apply("provision", hosts=[])
        shared.deploy("1.0.0")
    return shared


def deploy_until(lab: RolloutLab, text: str, then: Callable[[], None], version: str = "2.0.0") -> tuple[Stated, Path]:
    """Deploys; `then` happens when a line with `text` is said, once."""
    waiting = [then]

    def hear(line: str) -> None:
        if text in line and waiting:
            waiting.pop()()

    stated, record = lab.apply("hot_deploy", hear, release=version)
    assert not waiting, f"nothing was said of {text!r}"
    return stated, record


def test_a_host_that_dies_in_a_rollout_ends_it_and_the_others_serve(lab: RolloutLab) -> None:
    with hesitating(lab), Clients(f"{lab.url}/rooms", rate=25) as clients:
        stated, record = deploy_until(lab, "app2: before drain", lambda: die(lab, "app2"))
    assert stated.verdict == "failed"
    assert "app2" in stated.why
    assert "was NOT taken back: 0 of the other instances serve" in stated.why, "the last one that serves stays"
    assert not clients.failed, clients.failed[:3]
    outcomes = events(record, "apply_finished")[-1]["units"]
    assert outcomes[lab.names()[0]] == "changed"
    assert outcomes[lab.names()[1]] != "changed"
    loopback.up(hosts=tuple(lab.lab.servers), environ=lab.environ)
    with Clients(f"{lab.url}/rooms", rate=25) as clients:
        lab.deploy("2.0.0")
    assert not clients.failed, clients.failed[:3]
    assert not lab.checks("2.0.0")


def test_a_rollout_that_pauses_keeps_what_is_done_says_so_and_goes_on_with_the_next_run(lab: RolloutLab) -> None:
    pause = {"rollout": {"on_failure": "pause"}}
    with hearing() as (url, heard), hesitating(lab, pause, notify={"webhook": url}):
        stated, record = deploy_until(lab, "app2: before drain", lambda: die(lab, "app2"))
    assert stated.verdict == "failed"
    assert events(record, "apply_finished")[-1]["units"][lab.names()[0]] == "changed"
    assert events(record, "paused")[-1]["done"] == [lab.names()[0]]
    assert [h["what"] for h in heard] == ["started", "paused", "verdict"]
    assert {h["application"] for h in heard} == {"hotel"}
    assert heard[-1]["verdict"] == "failed"
    loopback.up(hosts=tuple(lab.lab.servers), environ=lab.environ)
    lab.deploy("2.0.0")
    assert not lab.checks("2.0.0")


def test_a_connection_that_drops_in_an_upload_costs_nothing_and_the_next_one_begins_anew(lab: RolloutLab) -> None:
    publish_large(lab, "2.1.0-large", 96)
    stated, _ = deploy_until(lab, "app1: upload", lambda: drop_connections(lab, "app1"), "2.1.0-large")
    assert stated.verdict == "failed", "the upload was over before its connection dropped"
    assert "app1" in stated.why
    assert set(lab.releases().values()) == {"1.0.0"}
    assert not lab.checks("1.0.0")
    lab.deploy("2.1.0-large")
    assert not lab.checks("2.1.0-large")


def test_a_balancer_that_is_stopped_by_hand_is_said_and_put_back_by_the_next_run(lab: RolloutLab) -> None:
    patient = {"probe": {**SETTINGS["probe"], "max_failed": 100_000}}  # else the failing requests may end it first
    with hesitating(lab, patient):
        stated, _ = deploy_until(lab, "app1: start ", lambda: stop_balancer(lab))
    assert stated.verdict == "failed"
    assert "nginx is not running" in stated.why
    assert all(lab.releases().values()), "an instance does not run"
    assert lab.apply("provision", hosts=[])[0].verdict == "succeeded"
    assert lab.apply("rollback", release="1.0.0")[0].verdict == "succeeded"
    assert not lab.checks("1.0.0")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_disk_that_is_full_leaves_the_old_release_serving_and_nothing_half_written(lab: RolloutLab) -> None:
    publish_large(lab, "2.2.0-large", 24)
    releases = Path(lab.site().application_dir("app1")) / "releases"
    with small_disk(releases, 8), Clients(f"{lab.url}/rooms", rate=25) as clients:
        stated, _ = lab.apply("hot_deploy", release="2.2.0-large")
        assert stated.verdict in ("failed", "refused")
        assert "space" in stated.why, stated.why
        assert not list(releases.glob("2.2.0*")), "something half-written stayed"
        assert not lab.checks("1.0.0")
    assert not clients.failed, clients.failed[:3]


@contextmanager
def hearing() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook, and what it was told."""
    heard: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/", heard
        server.shutdown()


@contextmanager
def hesitating(lab: RolloutLab, application: dict[str, Any] | None = None, **more: Any) -> Iterator[None]:
    """The inventory with more in it, and a while before each drain in which something can happen."""
    before = lab.lab.inventory.read_text()
    data = yaml.safe_load(before)
    data["applications"]["hotel"] |= {"hooks": {"before_drain": ["sleep 3"]}, **(application or {})}
    lab.lab.inventory.write_text(yaml.safe_dump({**data, **more}))
    try:
        yield
    finally:
        lab.lab.inventory.write_text(before)


def die(lab: RolloutLab, host: str) -> None:
    """No process of this host is left."""
    pid, _ = server(lab, host)
    os.kill(lab.pid(host), signal.SIGKILL)
    for number in (pid, *children(pid)):
        os.kill(number, signal.SIGKILL)


def drop_connections(lab: RolloutLab, host: str) -> None:
    pid, _ = server(lab, host)
    sessions = children(pid)
    assert sessions, f"nobody is connected to {host}"
    for number in sessions:
        os.kill(number, signal.SIGKILL)


def stop_balancer(lab: RolloutLab) -> None:
    site = lab.site()
    try:
        balancer = front(site)
        assert balancer is not None
        assert run(nginx.stop(balancer.place, within_s=5)).status == 0
    finally:
        site.transport.close()


def server(lab: RolloutLab, host: str) -> tuple[int, str]:
    state = loopback.read_state(lab.lab.folder)
    assert state is not None
    return state.servers[host]


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def publish_large(lab: RolloutLab, version: str, mib: int) -> None:
    """A release that runs as any other does, and weighs that much more."""
    store = Store(lab.lab.folder / "artifacts")
    if version in {artifact.version for artifact in store.artifacts("hotel")}:
        return
    from datetime import UTC, datetime

    from balbook.lab.ballerina.jar import sample_jar

    jar = sample_jar(lab.folder / f"{version}.jar", version.partition("-")[0])
    with zipfile.ZipFile(jar, "a", zipfile.ZIP_STORED) as archive, archive.open("ballast", "w") as ballast:
        for _ in range(mib):
            ballast.write(random.randbytes(MIB))
    store.publish("hotel", version, "jar", jar, at=datetime.now(UTC))


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[None]:
    """The folder on a disk of its own, with the release that runs and no room for a large one."""
    kept = folder.with_name(f"{folder.name}.kept")
    folder.rename(kept)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=755", "balbook-test", str(folder)], check=True)
    try:
        subprocess.run(["cp", "-a", *map(str, kept.glob("1.0.0-*")), str(folder)], check=True)
        yield
    finally:
        until(lambda: subprocess.run(["umount", str(folder)], capture_output=True, check=False).returncode == 0, what="the unmount")
        folder.rmdir()
        kept.rename(folder)
