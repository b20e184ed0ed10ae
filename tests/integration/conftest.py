"""One loopback lab with the hotel sample for all integration tests of a session; each test finds it whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from balbook import procedures
from balbook.lab import loopback
from tests.integration.hotel import Hotel, command_environment


def make_brisk(data: dict[str, Any]) -> None:
    """A lab's application as it comes, only quicker: the tests wait for the same things, not as long."""
    hotel = data["applications"]["hotel"]
    hotel["graceful_stop_s"] = 1
    hotel["health"].update(within_s=20, passes=1)
    hotel["probe"]["baseline_s"] = 1


@pytest.fixture(scope="session")
def deployed() -> Iterator[Hotel]:
    """The lab, provisioned, with version 1.0.0 of the hotel on both instances."""
    with tempfile.TemporaryDirectory(prefix="balbook-it-") as folder:
        environ = command_environment(Path(folder))
        lab = loopback.up("default", environ=environ)
        try:
            hotel = Hotel(lab, environ)
            hotel.edited(lab.inventory, make_brisk)
            hotel.publish()
            with hotel.site() as site:
                plan = procedures.procedure("provision").plan(site)
            stated, record = hotel.apply(plan)
            assert stated.verdict == "succeeded", (stated, record)
            hotel.make_whole()
            yield hotel
        finally:
            loopback.down("default", environ={**os.environ, **environ})


@pytest.fixture
def hotel(deployed: Hotel) -> Hotel:
    """The lab with both instances serving one good release, before the test; the next test mends what this one leaves."""
    deployed.make_whole()
    return deployed
