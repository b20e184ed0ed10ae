"""The parts of an application on a host: releases, instances, artifacts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from balbook.commands.releases import inspect
from balbook.errors import Failed
from balbook.facts import Fact


@dataclass(frozen=True)
class InstalledRelease:
    """A release directory. `proven_at` is in seconds since 1970, None where it never served healthily."""

    name: str
    proven_at: int | None
    revision: Mapping[str, Any]


@dataclass(frozen=True)
class RunningInstance:
    """An instance directory: the release that it points to, and the one that its process was started with."""

    port: int
    current: str | None
    running: str | None
    pid: int | None
    since: int | None


@dataclass(frozen=True)
class Installed:
    """All parts of one application on one host."""

    releases: Mapping[str, InstalledRelease] = field(default_factory=dict)
    instances: Mapping[int, RunningInstance] = field(default_factory=dict)
    artifacts: frozenset[str] = frozenset()

    @property
    def proven(self) -> dict[str, int]:
        """When each proven release last came to serve healthily (seconds since 1970)."""
        return {r.name: r.proven_at for r in self.releases.values() if r.proven_at is not None}

    @property
    def last_proven(self) -> str | None:
        """The release that was proven last."""
        return self.previous_proven(None)

    def previous_proven(self, current: str | None) -> str | None:
        """The proven release other than `current` that was proven last."""
        others = {name: at for name, at in self.proven.items() if name != current}
        return max(others, key=lambda name: (others[name], name)) if others else None


def installed(application_dir: str) -> Fact[Installed]:
    """The fact of the parts below an application's directory."""
    return Fact(inspect(application_dir), parse_installed)


def parse_installed(output: str) -> Installed:
    """Reads the lines of `inspect`: `release …`, `instance …`, `artifact …`; Failed names one that is damaged."""
    releases: dict[str, InstalledRelease] = {}
    instances: dict[int, RunningInstance] = {}
    artifacts: set[str] = set()
    for line in output.splitlines():
        try:
            match line.split(" ", 3):
                case ["release", name, proven, revision]:
                    at = None if proven == "no" else int(proven)
                    releases[name] = InstalledRelease(name, at, json.loads(revision))
                case ["instance", port, current, rest]:
                    running, pid, since = rest.split(" ")
                    instances[int(port)] = RunningInstance(int(port), _or_none(current), _or_none(running), _number(pid), _number(since))
                case ["artifact", sha256]:
                    artifacts.add(sha256)
        except ValueError as exc:
            what = " ".join(line.split(" ", 2)[:2])
            raise Failed(f"{what} on the host cannot be read", advice="Its REVISION or PROVEN is damaged; remove that folder.") from exc
    return Installed(releases, instances, frozenset(artifacts))


def _or_none(word: str) -> str | None:
    return None if word == "-" else word


def _number(word: str) -> int | None:
    return int(word) if word.isdigit() else None
