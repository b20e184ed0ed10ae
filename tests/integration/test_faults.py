"""Faults of the world on a real lab: the old release serves on, and what went wrong is told."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from balbook.artifacts.store import Store
from balbook.engine import lease as lock
from balbook.errors import Refused
from balbook.lab import faults
from balbook.plan.model import Upload
from tests.integration.hotel import ENDS_AT_START, NEVER_HEALTHY, Hotel, events, last

pytestmark = pytest.mark.integration


def require_old_serves(hotel: Hotel, version: str) -> None:
    assert hotel.running() == dict.fromkeys((i.name for i in hotel.inventory.applications["hotel"].instances), version)


def test_a_release_that_is_never_healthy_costs_no_request_and_goes_back(hotel: Hotel, tmp_path: Path) -> None:
    version = next(iter(hotel.running().values()))
    impatient = hotel.edited(tmp_path / "inventory.yaml", lambda d: d["applications"]["hotel"]["health"].update(within_s=1.5))
    stated, record = hotel.apply(hotel.plan(NEVER_HEALTHY, inventory=impatient, is_measured=True), impatient)
    assert (stated.verdict, stated.exit_status) == ("failed", 1)
    assert "/health answers 503, not 200" in stated.why
    assert "was taken back to its earlier state" in stated.why
    measured = last(record, "measured")
    assert measured["sent"] > 200
    assert (measured["failed"], measured["missing_posts"], measured["duplicate_posts"]) == (0, 0, 0)
    second = hotel.inventory.applications["hotel"].instances[1].name
    assert not [e for e in events(record) if e["event"] == "step_started" and second in e["step"]]
    require_old_serves(hotel, version)
    assert hotel.is_nginx_valid()


def test_a_release_that_ends_at_its_start_is_found_out_at_once_with_its_last_words(hotel: Hotel) -> None:
    version = next(iter(hotel.running().values()))
    stated, record = hotel.apply(hotel.plan(ENDS_AT_START))
    assert (stated.verdict, stated.exit_status) == ("failed", 1)
    assert "the process" in stated.why
    assert "has ended" in stated.why or "runs -" in stated.why
    failed = next(e for e in events(record) if e["event"] == "step_finished" and e["outcome"] == "failed")
    within_s = hotel.inventory.applications["hotel"].health.within_s
    assert "did not succeed within" not in failed["tail"], f"it waited {within_s} s for a process that had ended"
    require_old_serves(hotel, version)


@pytest.fixture
def extra_file(hotel: Hotel) -> Iterator[Path]:
    """A file of somebody else's beside balbook's, in the folder that the balancer includes."""
    path = hotel.balancer / "conf.d" / "zz-extra.conf"
    yield path
    path.unlink(missing_ok=True)


def test_an_invalid_configuration_of_the_balancer_leaves_the_old_one_serving(hotel: Hotel, extra_file: Path) -> None:
    version = next(iter(hotel.running().values()))
    plan = hotel.plan(hotel.other())
    extra_file.write_text("no_such_directive on;\n")
    stated, _ = hotel.apply(plan)
    assert (stated.verdict, stated.exit_status) == ("failed", 1)
    assert 'unknown directive "no_such_directive"' in stated.why
    assert "zz-extra.conf" in stated.why
    require_old_serves(hotel, version)


def test_a_reload_that_fails_leaves_the_old_configuration_serving(hotel: Hotel, extra_file: Path) -> None:
    version = next(iter(hotel.running().values()))
    plan = hotel.plan(hotel.other())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        extra_file.write_text(f"server {{ listen 127.0.0.1:{port}; }}\n")
        stated, _ = hotel.apply(plan)
        assert (stated.verdict, stated.exit_status) == ("failed", 1)
        assert f"bind() to 127.0.0.1:{port} failed" in stated.why
        assert "previous configuration is back" in stated.why
        require_old_serves(hotel, version)
    extra_file.unlink()
    assert hotel.is_nginx_valid()


def test_the_last_instance_that_serves_is_not_taken_out_of_service(hotel: Hotel) -> None:
    first, second = (i.name for i in hotel.inventory.applications["hotel"].instances)
    plan = hotel.plan(hotel.other())
    version = hotel.running()[first]
    faults.inject("kill", second, environ=hotel.environ)
    stated, record = hotel.apply(plan)
    assert (stated.verdict, stated.exit_status) == ("failed", 1)
    assert "capacity floor: 0 of the other instances serve, 1 are needed" in stated.why
    assert f"drain {first}" not in {e["step"] for e in events(record) if e["event"] == "step_started"}
    assert hotel.running() == {first: version}


def test_an_artifact_that_was_changed_in_the_store_is_not_deployed(hotel: Hotel) -> None:
    version, wanted = next(iter(hotel.running().values())), hotel.other()
    artifact = Store(hotel.inventory.resolve(hotel.inventory.artifacts)).find("hotel", wanted)
    content = artifact.path.read_bytes()
    before = hotel.records()
    agreed = hotel.plan(wanted)
    artifact.path.write_bytes(content + b"!")
    try:
        plan = hotel.plan(wanted)
        assert not plan.pending
        (unmet,) = plan.unmet
        assert "sha256 is" in unmet.found
        assert artifact.sha256 in unmet.found
        with pytest.raises(Refused, match="the artifact is in the store"):
            hotel.apply(plan)
        assert hotel.records() == before
        # It may change after the plan was made, too: what arrives on the host is what counts.
        forced = tuple(replace(s, done=None, actions=tuple(_to_nowhere(a, hotel) for a in s.actions)) for s in agreed.steps[:1])
        stated, _ = hotel.apply(replace(agreed, steps=forced))
        assert (stated.verdict, stated.exit_status) == ("failed", 1)
        assert f"expected {artifact.sha256}" in stated.why
        assert not list(hotel.lab.servers["app1"].home.glob("nowhere*"))
    finally:
        artifact.path.write_bytes(content)
    require_old_serves(hotel, version)


def _to_nowhere(action: Any, hotel: Hotel) -> Any:
    return replace(action, path=str(hotel.lab.servers["app1"].home / "nowhere")) if isinstance(action, Upload) else action


def test_a_lock_is_refused_by_its_holder_and_taken_away_with_a_reason(hotel: Hotel) -> None:
    with hotel.site() as site:
        holder = {"run_id": "feedface", "who": "eve@elsewhere", "since": "2026-01-01T00:00:00.000Z", "reason": "night shift; $(x)"}
        lock.acquire(site.transport, site.lease_place, "feedface", holder)
    stated, _ = hotel.apply(hotel.plan(hotel.other()))
    assert (stated.verdict, stated.exit_status) == ("failed", 2)
    assert "eve@elsewhere since 2026-01-01T00:00:00.000Z (run feedface, reason: night shift; $(x)" in stated.why
    status = hotel.balbook("status", "hotel", "--json")
    assert "eve@elsewhere" in json.loads(status.stdout)["hotel"]["lock"]
    before = hotel.records()
    shown = hotel.balbook("unlock", "hotel", "--reason", "eve has left")
    assert shown.returncode == 0, shown.stderr
    assert "eve@elsewhere" in shown.stdout
    (record,) = hotel.records() - before
    assert last(record, "run_opened")["reason"] == "eve has left"
    assert last(record, "lease_broken")["run_id"] == "feedface"
    with hotel.site() as site:
        assert lock.show(site.transport, site.lease_place) is None
    assert "nobody holds the lock" in hotel.balbook("unlock", "hotel", "--reason", "again").stdout


def test_a_host_that_cannot_be_reached_is_named_and_the_others_are_still_reported(hotel: Hotel, tmp_path: Path) -> None:
    path = tmp_path / "inventory.yaml"
    hotel.edited(path, lambda d: [d["hosts"][host].update(port=1) for host in ("app1", "lb1")])
    before = hotel.records()
    shown = hotel.balbook("plan", "provision", "-i", str(path), "--json")
    assert shown.returncode == 0, "in plan mode what is not as it must be is reported"
    (run,) = json.loads(shown.stdout)["runbooks"]
    unreachable = "unreachable: 127.0.0.1:1 cannot be reached: Connection refused"
    assert all(f"{host}: takes commands: unmet, {unreachable}" in run["why"] for host in ("app1", "lb1"))
    assert "Is the machine up" in run["why"]
    refused = hotel.balbook("apply", "provision", "-i", str(path), "--json")
    assert refused.returncode == 2, "nothing is touched, on the hosts that answer neither"
    assert all(f"{host}: takes commands" in json.loads(refused.stdout)["runbooks"][0]["why"] for host in ("app1", "lb1"))
    outputs = Path(run["notebook"]).read_text()
    assert all(host in outputs for host in ("build1", "app2", "unreachable"))
    assert hotel.records() - before
