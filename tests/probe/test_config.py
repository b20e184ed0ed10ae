from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from typing import Any

import pytest

from balbook.errors import BadInput
from balbook.inventory.models import ProbeRequest
from balbook.probe.config import ProbeConfig, Stream, config_from, schedule, streams_from

GET, POST = Stream(path="/a"), Stream("POST", "/b", '{"n": "{id}"}', is_keepalive=True, has_logged_id=True, share=3.0, expect=201)


def config(**options: Any) -> ProbeConfig:
    return ProbeConfig(**{"host": "lb1", "port": 80, "out_dir": "out", "streams": (GET, POST), **options})


def test_a_configuration_survives_json() -> None:
    written = config(instances={"10.0.0.1:9090": "app1:9090"}, must_reach=("app1:9090",), connect_to="10.0.0.9", host_header="hotel")
    assert config_from(json.loads(json.dumps(written.data()))) == written


def test_a_newer_configuration_is_refused() -> None:
    with pytest.raises(BadInput, match="version 2"):
        config_from({**config().data(), "version": 2})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rate": 0}, "rate 0"),
        ({"rate": 6000}, "rate 6000"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"port": 0}, "port 0"),
        ({"streams": ()}, "streams"),
        ({"run_id": "a b"}, "run_id"),
        ({"host_header": "a\r\nX: y"}, "host"),
        ({"streams": (Stream(path="/a b"),)}, "path"),
        ({"streams": (Stream(path="/a\r\nX: y"),)}, "path"),
        ({"streams": (Stream(method="GET /x"),)}, "method"),
        ({"streams": (Stream(share=0),)}, "share"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        config(**options)


def test_every_kind_of_request_gets_a_fresh_and_a_kept_connection() -> None:
    kinds = [ProbeRequest(path="/rooms"), ProbeRequest(method="POST", path="/orders", body="{id}", has_logged_id=True)]
    names = [stream.name for stream in streams_from(kinds, "/health")]
    assert names == ["GET /rooms fresh", "GET /rooms keep-alive", "POST /orders fresh", "POST /orders keep-alive"]
    assert [stream.has_logged_id for stream in streams_from(kinds, "/health")] == [False, False, True, True]


def test_without_a_kind_the_health_path_is_asked_and_its_status_expected() -> None:
    streams = streams_from([], "/ready", health_expect=204)
    assert [(s.name, s.expect) for s in streams] == [("GET /ready fresh", 204), ("GET /ready keep-alive", 204)]


def test_a_seed_draws_the_same_streams_again_and_another_seed_others() -> None:
    def first(seed: int) -> list[int]:
        return list(islice(schedule(config(seed=seed)), 200))

    assert first(5) == first(5) != first(6)


def test_streams_are_drawn_by_their_shares() -> None:
    drawn = Counter(islice(schedule(config()), 4000))
    assert drawn[1] / drawn[0] == pytest.approx(3, rel=0.15)


def test_nobody_says_otherwise_so_every_instance_must_be_reached() -> None:
    instances = {"1:1": "app2:9090", "1:2": "app1:9090"}
    assert config(instances=instances).expected_instances == ("app1:9090", "app2:9090")
    assert config(instances=instances, must_reach=()).expected_instances == ()
