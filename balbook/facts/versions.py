"""Versions of the programs on a host, as a record names them."""

from __future__ import annotations

from balbook.commands.system import describe_versions
from balbook.facts import Fact


def versions(bal: str = "") -> Fact[dict[str, str]]:
    """The fact of what is installed; of `bal` only where its path is given."""
    return Fact(describe_versions(bal), parse_versions)


def parse_versions(output: str) -> dict[str, str]:
    """Program → what it says of itself, from lines `NAME VERSION`; a name that comes twice has both.

    >>> parse_versions("java 17.0.15\\nnginx nginx/1.22.1\\n")
    {'java': '17.0.15', 'nginx': 'nginx/1.22.1'}
    """
    found: dict[str, str] = {}
    for line in output.splitlines():
        name, _, said = line.partition(" ")
        if said.strip():
            found[name] = f"{found[name]}; {said.strip()}" if name in found else said.strip()
    return found
