"""Description of a host: CPUs, memory, disk, OS, clock, tools, listening ports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from balbook.commands.system import describe_system
from balbook.facts import Fact

INTEGERS = ("cpus", "memory_mb", "disk_mb", "epoch", "uid", "nofile")


@dataclass(frozen=True)
class System:
    """A host as it describes itself. `java` is the major version of the runtime on the path, `epoch` its clock in seconds."""

    cpus: int = 0
    memory_mb: int = 0
    disk_mb: int = 0
    os: str = ""
    epoch: int = 0
    uid: int = -1
    user: str = ""
    java: int | None = None
    nofile: int = 1 << 20
    is_root_writable: bool = False
    has_systemd: bool = False
    tools: Mapping[str, str] = field(default_factory=dict)
    listening: frozenset[int] = frozenset()

    @property
    def is_root(self) -> bool:
        return self.uid == 0


def system(root: str) -> Fact[System]:
    """The fact of the host's description; `disk_mb` is of the file system below `root`."""
    return Fact(describe_system(root), parse_system)


def parse_system(output: str) -> System:
    """Reads the `KEY VALUE` lines of `system`; unknown keys are passed over."""
    values: dict[str, str] = {}
    tools: dict[str, str] = {}
    listening: set[int] = set()
    for line in output.splitlines():
        key, _, value = line.partition(" ")
        if key == "listens":
            listening.update(int(port, 16) for port in re.findall(r"^[0-9A-F]{4}$", value))
        elif key.startswith("tool."):
            tools[key.removeprefix("tool.")] = value
        else:
            values[key] = value.strip()
    integers = {name: int(values[name]) for name in INTEGERS if values.get(name, "").isdigit()}
    return System(
        **integers,
        os=values.get("os", ""),
        user=values.get("user", ""),
        java=java_major(values.get("java", "")),
        is_root_writable=values.get("root_writable") == "yes",
        has_systemd=values.get("init") == "systemd",
        tools=tools,
        listening=frozenset(listening),
    )


def java_major(version: str) -> int | None:
    """`17.0.15` → 17, `1.8.0_392` → 8, `21` → 21."""
    found = re.match(r"(?:1\.)?(\d+)", version)
    return int(found.group(1)) if found else None
