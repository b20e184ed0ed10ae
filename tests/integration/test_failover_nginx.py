"""What a real NGINX does with balbook's configuration when instances fail, hang, come back and are drained."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from balbook.commands import nginx
from tests.integration.balancer_rig import Answer, Load, Rig, run, statuses, under_load, until

pytestmark = [pytest.mark.integration]

Rigs = Callable[..., Rig]


@pytest.fixture
def rigs(tmp_path: Path) -> Iterator[Rigs]:
    made: list[Rig] = []

    def make(**options: Any) -> Rig:
        made.append(Rig(tmp_path, **options))
        return made[-1].up()

    yield make
    for rig in made:
        rig.down()


def answers(rig: Rig, number: int = 20, **options: Any) -> list[Answer]:
    return asyncio.run(Load(rig.listen, rate=100, **options).go_on(number / 100))


def upstreams(rig: Rig, number: int = 20) -> set[str]:
    return {answer.upstream for answer in answers(rig, number)}


def curl(rig: Rig, *options: str, path: str = "/") -> str:
    argv = ["curl", "-si", "--max-time", "10", *options, f"http://127.0.0.1:{rig.listen}{path}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20).stdout.lower()


def test_both_instances_serve(rigs: Rigs) -> None:
    rig = rigs(method="round_robin")
    assert upstreams(rig) == {rig.address(0), rig.address(1)}


def test_an_instance_that_is_killed_costs_no_request(rigs: Rigs) -> None:
    rig = rigs(balancer={"fail_timeout_s": 2})
    got = under_load(Load(rig.listen, rate=100), rig.instances[0].kill)
    assert statuses(got) == {"200": len(got)}
    assert any(", " in answer.upstream for answer in got), "nobody was passed on: the failure was not met"


def test_after_max_fails_a_dead_instance_is_left_alone_until_fail_timeout(rigs: Rigs) -> None:
    rig = rigs(method="round_robin", balancer={"max_fails": 3, "fail_timeout_s": 3})
    rig.instances[0].kill()
    tried = [answer for answer in answers(rig, 40) if rig.address(0) in answer.upstream]
    assert len(tried) == 3  # shared by all workers, through the zone
    rig.instances[0].start()
    until(lambda: rig.address(0) in upstreams(rig, 4), within_s=20, what="the failback")
    assert time.monotonic() - tried[-1].at_s >= 2, "NGINX counts whole seconds, but it did not wait for three"


def test_clients_that_belong_to_an_instance_that_is_killed_are_served_by_another(rigs: Rigs) -> None:
    rig = rigs(method="ip_hash", balancer={"fail_timeout_s": 2})
    (theirs,) = upstreams(rig)
    number = next(number for number in (0, 1) if rig.address(number) == theirs)
    got = under_load(Load(rig.listen, rate=100), rig.instances[number].kill)
    assert statuses(got) == {"200": len(got)}
    assert {answer.upstream.rpartition(" ")[2] for answer in got[-20:]} == {rig.address(1 - number)}


def test_a_backup_is_idle_until_it_is_needed_and_again_afterwards(rigs: Rigs) -> None:
    rig = rigs(strategy="active_passive", balancer={"fail_timeout_s": 1, "max_fails": 1})
    assert upstreams(rig) == {rig.address(0)}
    rig.instances[0].kill()
    got = answers(rig)
    assert statuses(got) == {"200": len(got)}
    assert {answer.upstream.rpartition(" ")[2] for answer in got} == {rig.address(1)}
    rig.instances[0].start()
    until(lambda: upstreams(rig, 4) == {rig.address(0)}, within_s=8, what="the failback to the active instance")


def test_a_drained_active_instance_leaves_the_work_to_the_backup(rigs: Rigs) -> None:
    rig = rigs(strategy="active_passive")
    assert rig.apply(0).status == 0
    assert upstreams(rig) == {rig.address(1)}


def test_a_hung_instance_costs_a_get_its_routes_timeout_only(rigs: Rigs) -> None:
    rig = rigs(routes={"/": {"timeout_s": 60}, "/quick": {"timeout_s": 0.5}})
    rig.instances[0].send(signal.SIGSTOP)
    got = answers(rig, 40, path="/quick")
    assert statuses(got) == {"200": len(got)}
    waited = [answer for answer in got if ", " in answer.upstream]
    assert waited, "no request met the hung instance"
    assert all(answer.seconds >= 0.4 for answer in waited)


def test_a_slow_answer_within_its_routes_timeout_ejects_nobody(rigs: Rigs) -> None:
    rig = rigs(routes={"/": {"timeout_s": 0.4}, "/slow": {"timeout_s": 5}}, balancer={"max_fails": 1})
    got = answers(rig, 6, path="/slow?s=1")
    assert statuses(got) == {"200": len(got)}
    assert not any(", " in answer.upstream for answer in got)


def test_a_post_that_was_sent_is_never_sent_again(rigs: Rigs) -> None:
    rig = rigs(routes={"/": {"timeout_s": 0.4}})
    got = answers(rig, 10, method="POST", path="/orders?s=1")
    executed = rig.instances[0].executed() + rig.instances[1].executed()
    assert {answer.status for answer in got} <= {502, 504}
    assert len(executed) == len(set(executed))
    assert executed


def test_a_post_to_an_instance_that_refuses_goes_to_the_next(rigs: Rigs) -> None:
    rig = rigs()
    rig.instances[0].kill()
    got = answers(rig, 20, method="POST", path="/orders")
    assert statuses(got) == {"201": len(got)}
    assert sorted(rig.instances[1].executed()) == sorted(answer.id for answer in got)


@pytest.mark.load
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_draining_by_reload_costs_no_request(rigs: Rigs, method: str) -> None:
    rig = rigs()

    def toggle() -> None:
        for number in range(6):
            for drained in ([number % 2], []):
                done = rig.apply(*drained)
                assert done.status == 0, done

    got = under_load(Load(rig.listen, rate=200, method=method), toggle)
    assert statuses(got) == {"200" if method == "GET" else "201": len(got)}
    assert len(got) > 200


@pytest.mark.load
def test_an_instance_that_is_drained_gets_no_request_and_can_be_killed(rigs: Rigs) -> None:
    rig = rigs()

    def replace() -> None:
        for number in (0, 1):
            assert rig.apply(number).status == 0
            rig.instances[number].kill()
            rig.instances[number].start()
            assert rig.apply().status == 0

    got = under_load(Load(rig.listen, rate=200, path="/work?s=0.05"), replace)
    assert statuses(got) == {"200": len(got)}
    assert not any(", " in answer.upstream for answer in got), "a killed instance still had requests"


def test_who_answered_is_told_to_probes_only(rigs: Rigs) -> None:
    rig = rigs()
    assert "x-balbook-upstream" not in curl(rig)
    assert "x-balbook-upstream: 127.0.0.1:" in curl(rig, "-H", "X-Balbook-Probe: 1")
    for backend in rig.instances:
        backend.kill()
    assert "x-balbook-upstream: 127.0.0.1:" in curl(rig, "-H", "X-Balbook-Probe: 1"), "not with an error either"


def test_an_instance_learns_who_asked_for_what(rigs: Rigs) -> None:
    seen = curl(rigs(), "-H", "Host: shop.example:81", "-H", "X-Request-Id: abc")
    assert "saw-host: shop.example\n" in seen
    assert "saw-x-forwarded-host: shop.example:81\n" in seen
    assert "saw-x-forwarded-for: 127.0.0.1\n" in seen
    assert "saw-x-forwarded-proto: http\n" in seen
    assert "saw-x-request-id: abc\n" in seen
    assert "saw-connection: close\n" in seen


def test_a_request_without_an_id_gets_one_that_the_access_log_has_too(rigs: Rigs) -> None:
    rig = rigs()
    seen = curl(rig)
    request_id = seen.split("saw-x-request-id: ")[1].split("\n")[0]
    log = Path(rig.place.logs, "balbook-hotel.log")
    until(lambda: f'"request":"{request_id}"' in log.read_text(), what="the line in the access log")


def test_a_large_body_is_taken(rigs: Rigs, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"x" * 300_000)
    assert curl(rigs(), "--data-binary", f"@{body}").endswith("\n\n300000")


def test_a_route_that_ends_in_a_slash_is_no_redirect_without_it(rigs: Rigs) -> None:
    rig = rigs(routes={"/reports/": {"timeout_s": 5}})
    assert curl(rig, path="/reports").startswith("http/1.1 200")


def test_through_the_balancer_a_named_instance_is_found_or_missed(rigs: Rigs) -> None:
    rig = rigs()
    url = f"http://127.0.0.1:{rig.listen}/"
    found = run(nginx.through_balancer(url, "localhost", rig.instances[1].port))
    assert (found.status, found.stdout) == (0, f"{rig.address(1)} answered 200\n")
    assert rig.apply(1).status == 0
    missed = run(nginx.through_balancer(url, "localhost", rig.instances[1].port, requests=5))
    assert missed.status == 1
    assert f"localhost:{rig.instances[1].port} never answered 200" in missed.stderr
    assert f"{rig.address(0)}=200" in missed.stderr
