"""An Airflow in a virtual environment of its own below `.cache/`, and a lab for its pipelines."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from balbook.lab import loopback, needs
from tests.airflow.real_airflow import Airflow, installed
from tests.integration.conftest import make_brisk
from tests.integration.hotel import Hotel, command_environment


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    """A new Airflow home with an SQLite database, the lab's pool and a kernel of this interpreter's."""
    made = Airflow(installed(), tmp_path_factory.mktemp("airflow"))
    made.set_up(pool="balbook-lab")
    return made


@pytest.fixture(scope="session")
def hotel() -> Iterator[Hotel]:
    """A lab on which nothing is provisioned, with releases of the hotel in its store."""
    if lacking := needs.missing():
        pytest.skip(f"missing for the lab: {', '.join(need.program for need in lacking)}")
    with tempfile.TemporaryDirectory(prefix="balbook-af-") as folder:
        environ = command_environment(Path(folder))
        lab = loopback.up("default", environ=environ)
        try:
            found = Hotel(lab, environ)
            found.edited(lab.inventory, make_brisk)
            found.publish()
            yield found
        finally:
            loopback.down("default", environ={**os.environ, **environ})
