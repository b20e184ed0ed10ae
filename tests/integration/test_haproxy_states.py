"""Draining a HAProxy's servers without a reload, kept in its file for the next start."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from balbook.commands import haproxy, nginx
from balbook.commands.balancer import servers_of
from balbook.commands.command import Result
from balbook.facts.balancer import parse_runtime, parse_servers
from tests.integration.balancer_rig import Load, Rig, run, statuses, under_load

pytestmark = [pytest.mark.integration]


@pytest.fixture
def rig() -> Iterator[Rig]:
    with tempfile.TemporaryDirectory(prefix="bb-") as folder:
        made = Rig(Path(folder), kind="haproxy", strategy="active_active_checked")
        for backend in made.instances:
            backend.start()
        assert start(made, made.content()).status == 0
        yield made
        run(haproxy.stop(made.place, within_s=1))
        for backend in made.instances:
            backend.kill()


def start(rig: Rig, content: str) -> Result:
    return run(haproxy.apply_configuration(rig.place, content, generation_port=rig.generation_port))


def states(rig: Rig, *drained: int) -> dict[str, Any]:
    servers = servers_of(rig.inventory, "hotel", {})
    return {server.word: "drain" if number in drained else "ready" for number, server in enumerate(servers)}


def put(rig: Rig, *drained: int, **options: Any) -> Result:
    return run(haproxy.put_states(rig.place, rig.content(*drained), "hotel", states(rig, *drained), **options))


def are(rig: Rig, *drained: int, **options: Any) -> bool:
    return run(haproxy.are_states(rig.place, rig.content(*drained), "hotel", states(rig, *drained), **options)).status == 0


def test_a_drain_is_in_force_at_once_and_in_the_file(rig: Rig) -> None:
    assert are(rig)
    assert put(rig, 0).status == 0
    assert are(rig, 0)
    assert not are(rig)
    shown = run(haproxy.configuration(rig.place, "hotel")).stdout
    assert list(parse_runtime(shown).values()) == [False, True]
    assert parse_servers(shown) == {rig.address(0): False, rig.address(1): True}


def test_a_start_keeps_what_was_drained_and_it_can_be_readmitted(rig: Rig) -> None:
    assert put(rig, 0).status == 0
    assert run(haproxy.stop(rig.place, within_s=1)).status == 0
    assert start(rig, rig.content(0)).status == 0
    assert are(rig, 0)
    assert put(rig).status == 0
    assert are(rig)


def test_a_start_does_not_bring_back_what_was_drained_at_an_earlier_reload(rig: Rig) -> None:
    assert put(rig, 0).status == 0
    changed = rig.content(0, 1)  # any other file: a reload while the first is drained
    assert start(rig, changed).status == 0
    assert put(rig).status == 0
    assert run(haproxy.stop(rig.place, within_s=1)).status == 0
    assert start(rig, rig.content()).status == 0
    assert are(rig)


def test_changes_of_state_are_no_reload_and_the_final_check_knows_of_one_that_is_due(rig: Rig) -> None:
    served = {"generation_port": rig.generation_port}
    assert are(rig, **served)
    put(rig, 1)
    assert not are(rig, 1, **served)
    put(rig)
    assert are(rig, **served)


def test_toggling_costs_no_request(rig: Rig) -> None:
    def toggle() -> None:
        for number in range(6):
            assert put(rig, number % 2).status == 0
            assert put(rig).status == 0

    got = under_load(Load(rig.listen, rate=100, is_fresh=False), toggle)
    assert statuses(got) == {"200": len(got)}


def test_a_server_with_a_request_in_hand_is_not_drained_yet(rig: Rig) -> None:
    url = f"http://127.0.0.1:{rig.listen}/?s=4"
    with subprocess.Popen(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %header{x-balbook-upstream}", url]) as slow:
        time.sleep(1)
        assert put(rig, 0, 1, within_s=1).status == nginx.LINGERING
        assert not are(rig, 0, 1)
        assert slow.wait(20) == 0
    assert are(rig, 0, 1)


def test_an_instance_that_is_dead_is_not_waited_for_for_ever(rig: Rig) -> None:
    assert put(rig, 0).status == 0
    rig.instances[0].kill()
    done = put(rig, within_s=1)
    deadline = time.monotonic() + 15
    while done.status == 0 and time.monotonic() < deadline:  # HAProxy knows of it after its next checks
        assert put(rig, 0).status == 0
        done = put(rig, within_s=1)
    assert done.status == 28
    assert "finds" in done.stderr


def test_a_file_that_is_not_balbooks_is_left_alone(rig: Rig) -> None:
    rig.path.write_text("# mine\n")
    assert put(rig, 0).status == nginx.FOREIGN
    assert rig.path.read_text() == "# mine\n"
