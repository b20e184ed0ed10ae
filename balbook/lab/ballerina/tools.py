"""The commands `bal tool` and `bal dist`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from balbook.lab.ballerina.home import Home
from balbook.lab.ballerina.options import read_options
from balbook.lab.ballerina.said import command_error, err, out

TOOLS: Mapping[str, str] = {"consolidate-packages": "1.1.0"}
"""The tools that the stand-in has, and their versions."""
_NEEDS = (2201, 12, 0)
_VERSION = re.compile(r"2201\.(\d+)\.(\d+)")


def tool(argv: Sequence[str], home: Home) -> None:
    """Runs `bal tool pull NAME[:VERSION]` or `bal tool list`."""
    options = read_options(argv, valued=("--repository",))
    match options.operands:
        case ["list"]:
            _list_tools(home)
        case ["pull", wanted]:
            pull_tool(wanted, home)
        case ["pull"]:
            usage = "USAGE:\n    bal tool pull <tool-id>[:<version>]\nFor more information try --help"
            raise command_error(f"tool id is not provided.\n{usage}")
        case _:
            raise command_error("unknown subcommand for 'bal tool'\nFor more information try --help")


def dist(argv: Sequence[str], home: Home) -> None:
    """Runs `bal dist list|pull|use`; the use of an absent version succeeds, with a message on standard output."""
    match list(argv):
        case ["list"]:
            out("Distributions available locally:\n")
            for version in home.distributions():
                out(f"{'*' if version == home.distribution() else ' '} {version}")
        case ["pull", version]:
            _pull_distribution(version, home)
        case ["use", version]:
            if version not in home.distributions():
                out(f"Distribution '{version}' not found")
                return
            home.save_distribution(version)
            out(f"'{version}' successfully set as the active distribution")
        case _:
            raise command_error("unknown command for 'bal dist'\nFor more information try --help")


def pull_tool(wanted: str, home: Home) -> None:
    """Pulls a tool and makes its version the active one."""
    name, _, version = wanted.partition(":")
    if name not in TOOLS or version not in ("", TOOLS[name]):
        raise command_error(f"unexpected error occurred while pulling tool:error: tool not found for: {wanted}")
    version = TOOLS[name]
    if tuple(map(int, home.distribution().split("."))) < _NEEDS:
        raise command_error(f"tool '{name}:{version}' is not compatible with the current Ballerina distribution")
    tools = home.tools()
    if any(t["id"] == name and t["version"] == version and t["active"] for t in tools):
        out(f"tool '{name}:{version}' is already available locally.")
        out(f"tool '{name}:{version}' is already active.")
        return
    home.save_tools([*(t for t in tools if t["id"] != name), {"id": name, "version": version, "active": True}])
    out(f"tool '{name}:{version}' pulled successfully.")
    out(f"tool '{name}:{version}' successfully set as the active version.")


def _list_tools(home: Home) -> None:
    tools = home.tools()
    if not tools:
        out("no tools found locally.")
        return
    width = max(22, *(len(t["id"]) + 1 for t in tools))
    out(f"|{'TOOL ID':<{width}}|{'VERSION':<16}|{'REPO':<11}|")
    out(f"|{'-' * width}|{'-' * 16}|{'-' * 11}|")
    for entry in tools:
        out(f"|{entry['id']:<{width}}|{'* ' if entry['active'] else '  '}{entry['version']:<14}|{'central':<11}|")


def _pull_distribution(version: str, home: Home) -> None:
    if not _VERSION.fullmatch(version):
        err(f"error: distribution '{version}' not found")
        raise SystemExit(1)
    if version in home.distributions():
        out(f"'{version}' is already available locally")
    else:
        out(f"Fetching the '{version}' distribution from the remote server...")
    home.save_distribution(version)
    out(f"'{version}' successfully set as the active distribution")
