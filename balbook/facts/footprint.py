"""The memory of a running instance, and the time that its start took."""

from __future__ import annotations

from dataclasses import dataclass

from balbook.commands import process
from balbook.facts import Fact


@dataclass(frozen=True)
class Footprint:
    """`rss_mb`: resident memory of the process; `start_s`: from its begin until it was healthy. None where unknown."""

    rss_mb: float | None = None
    start_s: float | None = None


def footprint(instance_dir: str) -> Fact[Footprint]:
    """The fact of one instance."""
    return Fact(process.footprint(instance_dir), parse_footprint)


def parse_footprint(output: str) -> Footprint:
    """Reads `rss_kb N` and `ready_s S`."""
    values = {key: value for key, _, value in (line.partition(" ") for line in output.splitlines())}
    rss, ready = values.get("rss_kb"), values.get("ready_s")
    return Footprint(round(int(rss) / 1024, 1) if rss else None, float(ready) if ready else None)
