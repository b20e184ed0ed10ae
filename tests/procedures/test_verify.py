"""What a verification asks of each instance, and when it is not so."""

from __future__ import annotations

from pathlib import Path

import pytest

from balbook.commands.command import Result
from balbook.procedures import procedure
from balbook.procedures.parts.site import Site
from balbook.testing import FakeFleet, arguments_of, name_of
from tests.small_fleet import change_inventory, fleet_with, make_plan


@pytest.fixture
def fleet(tmp_path: Path) -> FakeFleet:
    return fleet_with(tmp_path, version="0.1.0+1a2b3c4d", hosts=1, balancer=False)


def checks(fleet: FakeFleet) -> dict[str, tuple[bool, str]]:
    site = Site(fleet.inventory, fleet, {"application": "hotel", "release": "latest"})
    return {check.what: (check.is_so, check.found) for check in procedure("verify").verify(site, make_plan(fleet, "verify"))}


def test_the_version_that_a_service_is_to_answer_is_the_packages_without_what_build_adds(fleet: FakeFleet) -> None:
    change_inventory(fleet, verify={"requests": [{"path": "/version", "contains": '"v{version}"'}]})
    found = checks(fleet)
    asked = [arguments_of(command) for _, command in fleet.commands if name_of(command) == "http-check"]
    assert [words[3] for words in asked if words[1] == "/version"] == ['"v0.1.0"']
    assert "app1:9090: GET /version answers 200 with '\"v0.1.0\"'" in found


def test_a_log_that_cannot_be_read_is_not_one_without_errors(fleet: FakeFleet) -> None:
    what = "app1:9090: no error in the log since the start"
    assert checks(fleet)[what] == (True, "")
    fleet.answers["log-errors"] = Result(2, "", "the log cannot be read: no bus\n")
    assert checks(fleet)[what] == (False, "the log cannot be read: no bus")
