from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from balbook.errors import ParameterError
from balbook.inventory import read_inventory
from balbook.local.resources import resource
from balbook.procedures import report
from balbook.procedures.parts.site import Site
from balbook.testing.transport import FakeTransport
from tests.report.history import BEGIN, History

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    path = tmp_path / "inventory.yaml"
    path.write_text(resource("templates", "deployment", "inventory.yaml").read_text())
    return Site(read_inventory(path), FakeTransport({}), {"since": "", "include_lab": False})


def test_since_is_a_day_or_a_time_ago() -> None:
    assert report.since_of("", NOW) is None
    assert report.since_of("2026-01-31", NOW) == datetime(2026, 1, 31, tzinfo=UTC)
    assert report.since_of("90d", NOW) == datetime(2025, 12, 31, 12, tzinfo=UTC)
    assert report.since_of("2w", NOW) == datetime(2026, 3, 17, 12, tzinfo=UTC)


@pytest.mark.parametrize("wrong", ["2026-02-30", "yesterday", "0d", "-3d", "3m", "2026-1-1", "12345d", "2026-01-01T00:00", "90d\n"])
def test_a_time_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ParameterError, match="parameter since"):
        report.since_of(wrong, NOW)


def test_a_report_reads_records_and_plans_no_step(site: Site, tmp_path: Path) -> None:
    history = History(tmp_path / "records")
    history.deploy("1.0.0", BEGIN)
    history.deploy("1.1.0", BEGIN, verdict="failed")
    assert list(report.preflight(site).rows) == [("hot_deploy", "failed", 1), ("hot_deploy", "succeeded", 1)]
    plan = report.plan(site)
    assert plan.steps == ()
    assert all(check.is_so for check in report.verify(site, plan))


def test_a_record_that_cannot_be_read_is_named(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "records" / "20260101T000000Z-build-aaaaaaaa"
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text("nonsense\n")
    (check,) = report.verify(site, report.plan(site))
    assert not check.is_so
    assert folder.name in check.found
