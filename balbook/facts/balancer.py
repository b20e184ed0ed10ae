"""Which instances a balancer's configuration has in service."""

from __future__ import annotations

import re

from balbook.command import Command, script


def configuration(path: str) -> Command:
    """Prints the file; exit 1 where there is none."""
    return script("configuration", '[ -f "$1" ] && cat "$1"', path, expect=(0, 1), is_privileged=True)


def parse_servers(text: str) -> dict[str, bool]:
    """`address:port` → whether it is in service, from a configuration that balbook rendered.

    >>> parse_servers("server 10.0.0.1:9090 max_fails=3;\\nserver 10.0.0.2:9090 down;")
    {'10.0.0.1:9090': True, '10.0.0.2:9090': False}
    """
    found: dict[str, bool] = {}
    for line in text.splitlines():
        words = line.split("#", 1)[0].strip().rstrip(";").split()
        match words:
            case ["server", address, *options] if ":" in address:
                found[address] = "down" not in options
            case ["server", _, address, *options] if re.fullmatch(r".+:\d+", address):
                found[address] = "disabled" not in options
    return found
