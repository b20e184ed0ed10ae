"""What is shown of `bal`'s words: the counts of all tests, however long the output was."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from balbook.commands.command import Command, Result
from balbook.engine.loop import TAIL_LINES, Loop, StopRequest
from balbook.inventory import read_inventory
from balbook.plan.model import Plan, Run, Step
from balbook.procedures import procedure
from balbook.procedures.parts.bal_outputs import bal_outputs
from balbook.procedures.parts.site import Site
from balbook.record.journal import Journal
from balbook.show.table import Table
from balbook.testing import FakeTransport


def module(name: str, passing: int, failing: int = 0) -> str:
    lines = [*(f"\t\t[pass] test{n}" for n in range(passing)), *(f"\t\t[fail] test{n}:\n\t\t    no" for n in range(failing))]
    counts = f"\t\t{passing} passing\n\t\t{failing} failing\n\t\t0 skipped\n"
    return f"\n\t{name}\n" + "\n".join(lines) + f"\n\n{counts}"


@pytest.mark.parametrize(("failing", "status", "outcome"), [(0, 0, "passed"), (2, 1, "failed")])
def test_a_hundred_tests_in_two_modules_are_all_counted(tmp_path: Path, failing: int, status: int, outcome: str) -> None:
    said = "Running Tests\n" + module("rooms", 60, failing) + module("rooms.beds", 40)
    assert len(said.splitlines()) > TAIL_LINES
    journal = Journal(tmp_path / "j")
    step = Step("test", "build1", "bal test", (Run(Command(("bal", "test"))),), about="acme/rooms", reads="bal")
    plan = Plan("pack_push", "", (step,))
    Loop(plan, FakeTransport({"bal": Result(status, said)}), journal, StopRequest()).apply()
    table = bal_outputs(plan, journal)[0]
    assert isinstance(table, Table)
    assert table.rows == [("acme/rooms", 100, failing, 0, outcome)]


def test_the_build_of_a_single_package_shows_its_tests_too(tmp_path: Path) -> None:
    (tmp_path / "rooms").mkdir()
    (tmp_path / "rooms" / "Ballerina.toml").write_text('[package]\norg = "acme"\nname = "rooms"\nversion = "1.0.0"\n')
    hosts = {"build1": {"address": "127.0.0.1", "roles": ["build", "app"]}}
    application = {"packages": ["acme/rooms"], "source": "rooms", "instances": [{"host": "build1", "port": 9090}]}
    path = tmp_path / "inventory.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "hosts": hosts, "applications": {"rooms": application}, "artifacts": "store"}))
    transport = FakeTransport({"bal": lambda host, command: module("rooms", 3) if "test" in command.argv else "Ballerina 2201.13.1 (Swan)"})
    site = Site(read_inventory(path), transport, {"application": "rooms"})
    plan = procedure("build").plan(site)
    journal = Journal(tmp_path / "journal.jsonl")
    Loop(plan, transport, journal, StopRequest()).apply()
    tables = [shown for shown in procedure("build").evidence(site, plan, tmp_path) if isinstance(shown, Table)]
    assert [table.rows for table in tables if table.title == "Tests of this run"] == [[("acme/rooms", 3, 0, 0, "passed")]]
