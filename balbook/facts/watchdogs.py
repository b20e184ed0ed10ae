"""The watchdogs of drills that still wait on a host."""

from __future__ import annotations

from collections.abc import Sequence

from balbook.commands import faults
from balbook.facts import Fact


def watchdogs(files: Sequence[str]) -> Fact[dict[str, str]]:
    """The fact of which of these files name a watchdog that lives: the fault that each repairs, by file."""
    return Fact(faults.pending_watchdogs(files), parse_watchdogs)


def parse_watchdogs(output: str) -> dict[str, str]:
    """Reads the lines `FAULT FILE`.

    >>> parse_watchdogs("hang /srv/hotel/instances/9090/drill-watchdog")
    {'/srv/hotel/instances/9090/drill-watchdog': 'hang'}
    """
    pairs = [line.partition(" ") for line in output.splitlines()]
    return {file: fault for fault, _, file in pairs if file}
