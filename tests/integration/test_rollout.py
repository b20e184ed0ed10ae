"""Rollouts on the loopback lab under load, each strategy on its balancer: nobody notices, or it ends and is taken back."""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.bench.rollout import HEAD, ROWS, measure
from tests.integration.rollout_lab import RolloutLab, events, measured
from tests.journals import Line

pytestmark = [pytest.mark.integration, pytest.mark.load]
LEAST_FRESH = 10_000
GET = {"method": "GET", "path": "/rooms"}


@pytest.fixture
def make() -> Iterator[Any]:
    made: list[RolloutLab] = []

    def up(
        kind: str = "nginx",
        strategy: str = "active_active",
        apps: int = 2,
        more: Any = None,
        method: str = "least_conn",
        **application: Any,
    ) -> RolloutLab:
        settings = {"graceful_stop_s": 0.5, "health": {"path": "/health", "within_s": 6}, **application}
        balancer = {"method": method}
        lab = RolloutLab(kind=kind, strategy=strategy, apps=apps, application=settings, balancer=balancer, inventory_more=more or {})
        made.append(lab)
        lab.up()
        lab.deploy("1.0.0")
        return lab

    yield up
    for lab in made:
        lab.down()


def assert_unnoticed(found: Line, kind: str) -> None:
    assert found["failed"] == 0, found["failed_by_kind"]
    assert found["duplicate_posts"] == found["missing_posts"] == 0
    assert found["acknowledged_posts"] > 100
    assert found["sent"] == found["acknowledged"] + found["closed_by_reload"]
    assert found["closed_by_reload"] == 0 or kind == "nginx"


@pytest.mark.parametrize("name", ROWS)
def test_rollouts_in_a_row_and_a_rollback_cost_no_request_and_run_no_post_twice(name: str) -> None:
    apps = 3 if name == "active_passive haproxy" else 2  # which has several backups
    row = measure(name, *ROWS[name], LEAST_FRESH, rate=600, apps=apps, fresh_share=3, baseline_s=1, own_baseline_s=0.5)
    print(HEAD, row, sep="\n")
    assert row.deployments >= 3
    assert row.count(kept=False) >= LEAST_FRESH
    assert row.count(kept=True) > 0
    assert row.count(kept=False, failed=True) == row.count(kept=True, failed=True) == 0, row.findings.failed_by_kind
    assert row.twice == 0
    assert row.closed == 0 or row.kind == "nginx"
    assert row.back["failed"] == 0, row.back["failed_by_kind"]


def test_slow_requests_in_flight_complete_while_their_instances_are_replaced(make: Any) -> None:
    lab = make(routes={"/": {"timeout_s": 1}, "/slow": {"timeout_s": 20}})
    answers: list[int] = []

    def ask_slowly() -> None:
        with urllib.request.urlopen(f"{lab.url}/slow", timeout=30) as answer:
            answers.append(answer.status)

    asking = [threading.Thread(target=ask_slowly) for _ in range(4)]
    for number, thread in enumerate(asking):
        threading.Timer(1.5 + number, thread.start).start()
    assert_unnoticed(measured(lab.deploy("2.0.0")), "nginx")
    time.sleep(0.1)
    for thread in asking:
        thread.join(30)
    assert answers == [200, 200, 200, 200]


def test_a_client_that_belongs_to_one_instance_is_served_throughout(make: Any) -> None:
    lab = make(method="ip_hash")
    assert_unnoticed(measured(lab.deploy("2.0.0")), "nginx")


def test_leaving_nginx_by_a_graceful_stop_alone_costs_no_fresh_request(make: Any) -> None:
    lab = make(drain="graceful_stop", graceful_stop_s=2, probe={"rate": 200, "requests": [GET]})
    found = measured(lab.deploy("2.0.0"))
    assert found["failed"] == 0, found["failed_by_kind"]


def test_a_sick_release_is_taken_back_and_no_request_fails(make: Any) -> None:
    lab = make()
    lab.publish("3.0.0-sick", health_status=503)
    stated, record = lab.apply("hot_deploy", release="3.0.0-sick")
    assert stated.verdict == "failed"
    assert "was taken back to its earlier state" in stated.why
    assert measured(record)["failed"] == 0
    first, second = lab.names()
    assert events(record, "apply_finished")[-1]["units"] == {first: "taken back", second: "not reached"}
    assert not lab.checks("1.0.0")


def test_a_canary_serves_for_its_soak_and_new_instances_are_warmed_up(make: Any) -> None:
    lab = make(rollout={"canary": True, "soak_s": 2, "warm_up_requests": 30, "min_healthy_s": 1})
    record = lab.deploy("2.0.0")
    took = {e["step"].rpartition(" ")[0]: e["seconds"] for e in events(record, "step_finished") if e["outcome"] == "changed"}
    assert took["soak"] >= 2
    assert took["stay healthy"] >= 1
    assert "warm up" in took
    assert measured(record)["failed"] == 0


def test_requests_that_the_canary_fails_end_the_rollout_and_it_is_taken_back(make: Any) -> None:
    lab = make(rollout={"canary": True, "soak_s": 8}, probe={"rate": 100, "requests": [GET]})
    lab.publish("4.0.0-broken", rooms_status=500)
    stated, record = lab.apply("hot_deploy", release="4.0.0-broken")
    assert stated.verdict == "failed"
    assert "requests failed (limit 0)" in stated.why
    assert set(events(record, "apply_finished")[-1]["units"].values()) == {"taken back", "not reached"}
    assert not lab.checks("1.0.0")


def test_others_are_told_and_prometheus_gets_its_file(make: Any) -> None:
    code = "import sys, pathlib; pathlib.Path('told').open('a').write(sys.stdin.read())"
    lab = make(more={"notify": {"command": [sys.executable, "-c", code]}, "metrics_textfile": "balbook.prom"})
    lab.deploy("2.0.0")
    told = [json.loads(line) for line in (lab.lab.folder / "told").read_text().splitlines()]
    assert [(t["what"], t.get("verdict", "")) for t in told[-2:]] == [("started", ""), ("verdict", "succeeded")]
    text = (lab.lab.folder / "balbook.prom").read_text()
    assert 'balbook_last_run_failed_requests{application="hotel",runbook="hot_deploy"} 0\n' in text
