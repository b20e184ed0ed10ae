"""What a real HAProxy does with balbook's configuration when instances fail, hang, come back and are drained."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from balbook.commands import haproxy, host_script, nginx
from balbook.commands.balancer import NO_GENERATION, generation_of, identifier, servers_of
from balbook.commands.command import Result, script
from balbook.local.digests import sha256_of
from tests.integration.balancer_rig import Answer, Load, Rig, run, statuses, under_load, until

pytestmark = [pytest.mark.integration]

Rigs = Callable[..., Rig]


def apply(rig: Rig, content: str, within_s: float = 15) -> Result:
    return run(haproxy.apply_configuration(rig.place, content, generation_port=rig.generation_port, within_s=within_s))


@pytest.fixture
def rigs(tmp_path: Path) -> Iterator[Rigs]:
    made: list[Rig] = []

    def make(**options: Any) -> Rig:
        rig = Rig(tmp_path, kind="haproxy", **{"strategy": "active_active_checked", **options})
        made.append(rig)
        for backend in rig.instances:
            backend.start()
        applied = apply(rig, rig.content())
        assert applied.status == 0, applied
        return rig

    yield make
    for rig in made:
        run(haproxy.stop(rig.place, within_s=1))
        for backend in rig.instances:
            backend.kill()


def answers(rig: Rig, number: int = 20, **options: Any) -> list[Answer]:
    return asyncio.run(Load(rig.listen, rate=100, **options).go_on(number / 100))


def upstreams(rig: Rig, number: int = 20) -> set[str]:
    return {answer.upstream for answer in answers(rig, number)}


def drain(rig: Rig, number: int, within_s: float = 20) -> Result:
    states = {servers_of(rig.inventory, "hotel", {})[number].word: "drain"}
    return run(haproxy.put_states(rig.place, rig.content(number), "hotel", states, within_s=within_s))


def ready(rig: Rig, number: int, within_s: float = 15) -> Result:
    states = {servers_of(rig.inventory, "hotel", {})[number].word: "ready"}
    return run(haproxy.put_states(rig.place, rig.content(), "hotel", states, within_s=within_s))


def is_drained(rig: Rig, number: int) -> bool:
    """Whether HAProxy itself says that the server is taken out: 1 by force, 4 by its configuration, 8 drained."""
    word = servers_of(rig.inventory, "hotel", {})[number].word
    text = "socket=$1\n" + host_script("haproxy_master") + '\nadmin_state "$2" "$3"\n'
    told = run(script("test-admin-state", text, rig.place.socket, identifier("hotel"), word, is_privileged=True))
    return bool(int(told.stdout) & 13)


def edited(content: str, old: str, new: str) -> str:
    """`content` with a change, and the generation that belongs to it."""
    assert old in content
    blank = content.replace(generation_of(content), NO_GENERATION).replace(old, new)
    return blank.replace(NO_GENERATION, sha256_of(blank)[:16])


def test_clients_that_belong_to_an_instance_that_is_killed_are_served_by_another(rigs: Rigs) -> None:
    rig = rigs(method="ip_hash")
    (theirs,) = upstreams(rig)
    number = next(number for number in (0, 1) if rig.address(number) == theirs)
    got = under_load(Load(rig.listen, rate=100), rig.instances[number].kill)
    assert statuses(got) == {"200": len(got)}
    assert upstreams(rig) == {rig.address(1 - number)}


def test_an_instance_that_is_killed_costs_no_request(rigs: Rigs) -> None:
    rig = rigs()
    got = under_load(Load(rig.listen, rate=100), rig.instances[0].kill)
    assert statuses(got) == {"200": len(got)}
    assert upstreams(rig) == {rig.address(1)}
    rig.instances[0].start()
    until(lambda: rig.address(0) in upstreams(rig, 4), what="the failback")


def test_an_instance_that_says_it_is_sick_gets_no_more_requests(rigs: Rigs) -> None:
    rig = rigs()
    sick = Path(f"{rig.instances[0].log}.sick")
    sick.touch()
    until(lambda: upstreams(rig, 10) == {rig.address(1)}, what="the check that finds it sick")
    sick.unlink()
    until(lambda: rig.address(0) in upstreams(rig, 10), what="the failback")


def test_a_hung_instance_costs_a_get_its_routes_timeout_only(rigs: Rigs) -> None:
    rig = rigs(routes={"/": {"timeout_s": 60}, "/quick": {"timeout_s": 0.4}})
    rig.instances[0].send(signal.SIGSTOP)
    got = answers(rig, 60, path="/quick")
    assert statuses(got) == {"200": len(got)}
    assert {answer.upstream for answer in got} == {rig.address(1)}
    assert any(answer.seconds >= 0.35 for answer in got), "no request met the hung instance"


def test_a_slow_answer_has_the_time_of_its_own_route(rigs: Rigs) -> None:
    rig = rigs(routes={"/": {"timeout_s": 0.3}, "/slow": {"timeout_s": 5}})
    assert statuses(answers(rig, 4, path="/slow?s=1")) == {"200": 4}
    assert statuses(answers(rig, 2, path="/other?s=1")) == {"504": 2}


def test_a_post_that_was_sent_is_never_sent_again(rigs: Rigs) -> None:
    rig = rigs(routes={"/": {"timeout_s": 0.4}})
    got = answers(rig, 10, method="POST", path="/orders?s=1")
    executed = rig.instances[0].executed() + rig.instances[1].executed()
    assert {answer.status for answer in got} <= {502, 504}
    assert sorted(executed) == sorted(answer.id for answer in got)


def test_posts_to_an_instance_that_is_killed_go_to_the_next_until_the_check_notices(rigs: Rigs) -> None:
    rig = rigs(balancer={"method": "round_robin"})
    rig.instances[0].kill()
    got = answers(rig, 30, method="POST", path="/orders")
    assert statuses(got) == {"201": len(got)}
    assert sorted(rig.instances[1].executed()) == sorted(answer.id for answer in got)


def test_the_first_backup_alone_takes_over_and_hands_back(rigs: Rigs) -> None:
    rig = rigs(strategy="active_passive", backends=3)
    assert upstreams(rig) == {rig.address(0)}
    rig.instances[0].kill()
    until(lambda: upstreams(rig, 4) == {rig.address(1)}, what="the first backup")
    assert upstreams(rig, 20) == {rig.address(1)}
    rig.instances[0].start()
    until(lambda: upstreams(rig, 4) == {rig.address(0)}, what="the failback")


@pytest.mark.load
@pytest.mark.parametrize("is_fresh", [True, False])
def test_draining_through_the_socket_costs_no_request(rigs: Rigs, is_fresh: bool) -> None:
    rig = rigs()

    def toggle() -> None:
        for number in range(20):
            assert drain(rig, number % 2).status == 0
            assert ready(rig, number % 2).status == 0

    got = under_load(Load(rig.listen, rate=200, is_fresh=is_fresh), toggle)
    assert statuses(got) == {"200": len(got)}


def test_a_drained_instance_gets_no_request_and_may_be_replaced(rigs: Rigs) -> None:
    rig = rigs()
    assert not is_drained(rig, 0)
    assert drain(rig, 0).status == 0
    assert is_drained(rig, 0)
    assert not is_drained(rig, 1)
    assert upstreams(rig) == {rig.address(1)}
    rig.instances[0].kill()
    until(lambda: (drain(rig, 0), ready(rig, 0, within_s=1))[1].status == 28, what="the check that finds it dead")
    rig.instances[0].start()
    assert (drain(rig, 0).status, ready(rig, 0).status) == (0, 0)
    assert rig.address(0) in upstreams(rig)


def test_a_drain_waits_for_requests_in_hand_and_says_where_they_last(rigs: Rigs) -> None:
    rig = rigs(backends=1)
    results: list[Result] = []
    got = under_load(Load(rig.listen, rate=2, path="/?s=3"), lambda: results.append(drain(rig, 0, within_s=1)))
    assert results[0].status == nginx.LINGERING
    assert "requests in hand" in results[0].stderr
    assert {answer.id: answer.status for answer in got}["load-0"] == 200


def test_a_reload_keeps_what_is_drained_and_costs_no_request(rigs: Rigs) -> None:
    rig = rigs()
    assert drain(rig, 1).status == 0
    changed = edited(rig.content(), "timeout check 1s", "timeout check 2s")
    results: list[Result] = []
    got = under_load(Load(rig.listen, rate=100), lambda: results.append(apply(rig, changed)))
    assert results[0].status == 0, results
    assert is_drained(rig, 1)
    assert statuses(got) == {"200": len(got)}
    assert {answer.upstream for answer in got} == {rig.address(0)}


def test_what_is_in_force_already_is_not_reloaded(rigs: Rigs) -> None:
    rig = rigs()
    assert "already" in apply(rig, rig.content()).stdout


def test_an_invalid_configuration_keeps_the_old_one_and_says_what_haproxy_says(rigs: Rigs) -> None:
    rig = rigs()
    done = apply(rig, edited(rig.content(), "balance leastconn", "balance leastcon"))
    assert done.status == nginx.INVALID
    assert "leastcon" in done.stderr
    assert rig.path.read_text() == rig.content()
    assert rig.is_applied(rig.content())


def test_a_foreign_configuration_is_never_overwritten(rigs: Rigs) -> None:
    rig = rigs()
    rig.path.write_text("# mine\n")
    assert apply(rig, rig.content(0)).status == nginx.FOREIGN
    assert rig.path.read_text() == "# mine\n"


def test_a_port_in_use_keeps_the_old_configuration_and_goes_on_serving(rigs: Rigs) -> None:
    rig = rigs()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = apply(rig, edited(rig.content(), f"bind 127.0.0.1:{rig.listen}", f"bind 127.0.0.1:{port}"), within_s=2)
    assert done.status == nginx.NOT_RELOADED, done
    until(lambda: rig.is_applied(rig.content()), what="the previous configuration")
    assert statuses(answers(rig)) == {"200": 20}
    assert apply(rig, edited(rig.content(), "timeout check 1s", "timeout check 2s")).status == 0


def test_who_answered_is_found_through_the_balancer(rigs: Rigs) -> None:
    rig = rigs()
    url = f"http://127.0.0.1:{rig.listen}/"
    assert run(nginx.through_balancer(url, "localhost", rig.instances[1].port)).status == 0
    assert drain(rig, 1).status == 0
    assert run(nginx.through_balancer(url, "localhost", rig.instances[1].port, requests=4)).status == 1
