"""What all tests stand on: no lab or inventory of the user's is seen, one lab for all tests that ask for it, no silent skip."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from balbook.artifacts.store import Store
from balbook.lab import loopback, needs, ports
from balbook.lab.loopback import Lab
from balbook.local.lab_place import VARIABLE

# Machines are shared: how long an example takes says nothing about the code.
settings.register_profile("balbook", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("balbook")

SHARED = ("vm", "airflow", "browser")
"""Folders whose tests share something dear, the longest first."""
APART = ("tests/integration/test_crash.py",)
"""Modules each of whose tests takes long and has a lab of its own: they need not follow one another."""
NOT_APPLICABLE = "only "
"""How the reason of a skip begins that is no lack: `only root's NGINX changes accounts`."""


def pytest_configure(config: pytest.Config) -> None:
    """A labs home of this session's own, and an end by SIGTERM that stops what the session started."""
    home = Path(tempfile.mkdtemp(prefix="balbook-tests-"))
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    os.environ[VARIABLE] = str(home / "labs")
    os.environ.pop("BALBOOK_INVENTORY", None)
    _part_of_the_ports()
    config.pluginmanager.register(LongestFirst())
    for ending in (signal.SIGINT, signal.SIGTERM):  # SIGINT is ignored where a shell started this in the background
        signal.signal(ending, signal.default_int_handler)


def _part_of_the_ports() -> None:
    """Processes of tests side by side take their labs' ports from parts of their own: a port that is not listened on yet looks free."""
    number, count = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    size = (ports.LAST + 1 - ports.FIRST) // count
    ports.FIRST += int(number) * size
    ports.LAST = ports.FIRST + size - 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where tests run side by side in groups: a module is one, and so are all tests that share VMs, an Airflow or a browser.

    Tests that stand apart are a group each.
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _shared(nodeid) or (nodeid if nodeid.startswith(APART) else nodeid.partition("::")[0])

    return Together(config, log)


class LongestFirst:
    """The last that orders tests: those that share something take longest and begin first, then those that stand apart."""

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: _rank(item.nodeid))


def _rank(nodeid: str) -> int:
    if shared := _shared(nodeid):
        return SHARED.index(shared)
    return len(SHARED) if nodeid.startswith(APART) else len(SHARED) + 1


def _shared(nodeid: str) -> str:
    return next((name for name in SHARED if f"tests/{name}/" in nodeid), "")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    return _without_silent_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    return _without_silent_skip((yield))


def _without_silent_skip(report: Any) -> Any:
    """With CI=true a component that is missing is a failure."""
    if os.environ.get("CI") != "true" or not report.skipped or hasattr(report, "wasxfail"):
        return report
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr).removeprefix("Skipped: ")
    if not reason.startswith(NOT_APPLICABLE):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, which CI=true forbids: {reason}"
    return report


@pytest.fixture(scope="session")
def session_lab() -> Iterator[Lab]:
    """A loopback lab with releases 1.0.0 and 2.0.0 of the sample in its store; nothing is provisioned or deployed."""
    if lacking := needs.missing():
        pytest.skip(f"missing for the lab: {', '.join(need.program for need in lacking)}")
    from balbook.lab.ballerina.jar import sample_jar

    with tempfile.TemporaryDirectory(prefix="balbook-lab-") as folder:
        environ = {**os.environ, VARIABLE: folder}
        try:
            lab = loopback.up("tests", environ=environ)
            for version in ("1.0.0", "2.0.0"):
                jar = sample_jar(Path(folder) / f"{version}.jar", version)
                Store(lab.folder / "artifacts").publish("hotel", version, "jar", jar, at=datetime.now(UTC))
            yield lab
        finally:
            loopback.down("tests", environ=environ)


@pytest.fixture
def lab(session_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """The session's lab, which commands and notebooks of this test find as the running one."""
    monkeypatch.setenv(VARIABLE, str(session_lab.folder.parent))
    return session_lab
