"""What the demonstration says at its end, and what it does not let pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from balbook.lab.demo_report import FEWEST_FRESH, Shown, fresh_and_kept, missed, text

SERVED = {
    "GET /rooms fresh": {"app1:9090": 700, "app2:9090": 500},
    "POST /bookings fresh": {"app1:9090": 600, "app2:9090": 600},
    "GET /rooms keep-alive": {"app1:9090": 900, "app2:9090": 1},
}
MEASURED: dict[str, Any] = {
    "sent": 3304,
    "failed": 0,
    "failed_by_kind": {},
    "closed_by_reload": 3,
    "served": SERVED,
    "acknowledged_posts": 1200,
    "missing_posts": 0,
    "duplicate_posts": 0,
    "latency": {"all": {"p50_ms": 1.23, "p99_ms": None, "max_ms": 99.0}},
}


def act(verdict: str = "succeeded", why: str = "", **measured: Any) -> Shown:
    return Shown("Replace it", "hot_deploy", verdict, 12.3, 16, why, {**MEASURED, **measured}, None, is_under_load=True)


def test_requests_are_told_apart_by_their_connections() -> None:
    assert fresh_and_kept(MEASURED) == (2400, 901)
    assert fresh_and_kept({}) == (0, 0)


def test_a_clean_replacement_misses_nothing() -> None:
    assert missed([Shown("Bring up", "", "up", 1.0), act()]) == []


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        ({"failed": 1}, "1 requests failed"),
        ({"missing_posts": 2}, "2 acknowledged POSTs were never executed"),
        ({"duplicate_posts": 1}, "executed more than once"),
        ({"served": {"GET / fresh": {"a": FEWEST_FRESH - 1}}}, "1,999 requests on fresh connections"),
    ],
)
def test_what_a_replacement_cost_is_named(measured: dict[str, Any], said: str) -> None:
    assert [sentence for sentence in missed([act(**measured)]) if said in sentence]


def test_posts_of_which_nothing_is_known_do_not_pass() -> None:
    unknown = {key: value for key, value in MEASURED.items() if not key.endswith("posts")}
    shown = Shown("Replace it", "hot_deploy", "succeeded", 1.0, 1, "", {**unknown, "posts": "the logs could not be read"}, None, True)
    assert missed([shown]) == ["Replace it: the number of executed POSTs is not known: the logs could not be read"]


def test_an_act_that_failed_is_named_with_its_reason() -> None:
    assert missed([act("failed", "app1 never became healthy")]) == ["Replace it: failed: app1 never became healthy"]


def test_the_report_has_steps_requests_and_the_files_that_are_there(tmp_path: Path) -> None:
    record = tmp_path / "records" / "demo" / "r1"
    record.mkdir(parents=True)
    for name in ("hot_deploy.ipynb", "latency.png"):
        (record / name).touch()
    shown = Shown("Replace it", "hot_deploy", "succeeded", 12.3, 16, "", MEASURED, record, True)
    said = text([Shown("Bring up", "", "up", 1.0), shown], [], 33.3, relative_to=tmp_path)
    for expected in ("12.3 s", "3,304", "2,400", "closed by a reload", "POSTs acknowledged", "p50", "The demo took 33 s"):
        assert expected in said
    assert "  records/demo/r1/hot_deploy.ipynb\n  records/demo/r1/latency.png" in said
    assert "p99" not in said
    assert "Not as it should be" in text([shown], ["1 requests failed"], 33.3, relative_to=tmp_path)
