"""Commands are data: an argv, what goes to its standard input, and what may come back.

Nothing here runs anything. Quoting happens once, in `Command.line`, which only a transport calls. A value that a
user wrote is an element of the argv or a part of standard input, never text pasted into a shell line. Where a host
needs several commands in one go, the argv is `sh -c SCRIPT NAME ARG…`: SCRIPT is a constant of ours and reads its
values from `$1`, `$2`, ….
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from balbook.commands import host_script
from balbook.secrets.secret_ref import Text

DEADLINE_S = 30.0
WITH_PASSWORD = """IFS= read -r password && printf '%s\\n' "$password" | sudo -S -p '' -v && unset password && sudo -n -- "$@\""""
"""The first line of standard input is for sudo alone, even where sudo asks for no password; the command reads the rest."""


@dataclass(frozen=True)
class Command:
    """One command for one host. `is_privileged` runs it through the host's `become`; `shown` is how people are told of it."""

    argv: tuple[str, ...]
    stdin: Text = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    deadline_s: float = DEADLINE_S
    expect: tuple[int, ...] = (0,)
    is_privileged: bool = False
    shown: str = ""

    def line(self, become: str = "", *, asks_password: bool = False) -> str:
        """The one shell line that a transport sends; every word quoted. `asks_password`: its input begins with a line for sudo."""
        words = list(self.argv)
        if self.environment:
            words = ["env", *(f"{key}={value}" for key, value in sorted(self.environment.items())), *words]
        if self.is_privileged and become and asks_password:
            words = ["sh", "-c", WITH_PASSWORD, "balbook-become", *words]
        elif self.is_privileged and become:
            words = [become, "-n", "--", *words]
        return shlex.join(words)


def script(name: str, text: str, *args: str | int | float, **options: Any) -> Command:
    """A constant shell script with its values as `$1`, `$2`, …; `name` is what `ps` and errors show."""
    return Command(argv=("sh", "-c", text, name, *(str(a) for a in args)), **options)


def hosted(name: str, *args: str | int | float, file: str = "", after: tuple[str, ...] = (), **options: Any) -> Command:
    """The script `scripts/FILE.sh` (unset: that of `name`), with the functions of the scripts `after` before it."""
    return script(name, host_script(*after, file or name.replace("-", "_")), *args, **options)


@dataclass(frozen=True)
class Result:
    """A command's result: exit status, both streams as text, and how long it took."""

    status: int
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0

    def tail(self, lines: int = 12) -> str:
        """The last lines of both streams, errors last."""
        return "\n".join([*self.stdout.splitlines()[-lines:], *self.stderr.splitlines()[-lines:]])
