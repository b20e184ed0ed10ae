"""Installing Ballerina: where its archive and its digest come from, and what goes to which host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from balbook.command import Command, Result
from balbook.inventory import read_inventory
from balbook.plan import Plan, Run
from balbook.procedures import procedure
from balbook.procedures.site import Site
from balbook.testing import FakeTransport, arguments_of

SHA256 = "ab" * 32
NAME = "ballerina-2201.13.1-swan-lake.zip"


def planned(folder: Path, transport: FakeTransport, source: str = "") -> Plan:
    build1: dict[str, Any] = {"address": "127.0.0.1", "roles": ["build"]}
    (folder / "inventory.yaml").write_text(yaml.safe_dump({"version": 1, "hosts": {"build1": build1}}))
    site = Site(read_inventory(folder / "inventory.yaml"), transport, {"hosts": [], "version": "2201.13.1", "source": source})
    return procedure("install").plan(site)


@pytest.mark.parametrize(
    ("source", "zip_at", "sha256_at"),
    [
        (
            "",
            f"https://dist.ballerina.io/downloads/2201.13.1/{NAME}",
            f"https://github.com/ballerina-platform/ballerina-distribution/releases/download/v2201.13.1/{NAME}.sha256",
        ),
        ("https://mirror/bal/", f"https://mirror/bal/2201.13.1/{NAME}", f"https://mirror/bal/2201.13.1/{NAME}.sha256"),
        ("https://mirror/bal.zip", "https://mirror/bal.zip", "https://mirror/bal.zip.sha256"),
    ],
)
def test_the_archive_and_its_digest_come_from_where_they_are(tmp_path: Path, source: str, zip_at: str, sha256_at: str) -> None:
    asked: list[str] = []

    def curl(host: str, command: Command) -> Result:
        asked.append(command.argv[-1])
        return Result(0, f"SHA2-256(/build/{NAME})= {SHA256}\n")

    plan = planned(tmp_path, FakeTransport({"curl": curl, "system": "java 21.0.2\n", "bal": Result(127)}), source)
    assert asked == [sha256_at]
    bring = next(step for step in plan.steps if step.id == "distribution build1").actions[0]
    assert isinstance(bring, Run)
    assert arguments_of(bring.command)[0] == zip_at
    assert arguments_of(bring.command)[2] == SHA256
