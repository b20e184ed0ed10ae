"""How commands and files reach hosts: a small protocol, outcomes for every host, and SSH behind it.

Only `balbook.transport.ssh` imports paramiko. Tests use `balbook.testing.FakeTransport`, which keeps to the same protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from balbook.commands.command import Command, Result
from balbook.errors import BalbookError, CommandFailed
from balbook.plan.model import Upload
from balbook.secrets.secret_ref import SecretRef, Text

if TYPE_CHECKING:
    from balbook.inventory.models import Inventory

Value = TypeVar("Value")
Reveal = Callable[[SecretRef], str]
Progress = Callable[[int, int], None]

MAX_AT_ONCE = 32
KEPT_LINES = 60
"""Lines of each stream that an error keeps for the record, beside the few in its message."""


class Transport(Protocol):
    """Runs commands on the inventory's hosts."""

    def execute(self, host: str, command: Command) -> Result:
        """Run once, whatever the status. Raises HostError or DeadlineExceeded."""

    def upload(self, host: str, upload: Upload, progress: Progress | None = None) -> bool:
        """Bring a file there, checked by sha256; False where it was there already. `progress(sent, total)` in bytes."""

    def download(self, host: str, path: str, destination: Path) -> str:
        """Bring a file from there to `destination`, whole or not at all; returns its sha256."""

    def close(self) -> None:
        """End all connections."""


@dataclass(frozen=True)
class Outcome(Generic[Value]):
    """The outcome of one host: a value or an error."""

    host: str
    value: Value | None = None
    error: BalbookError | None = None

    @property
    def is_ok(self) -> bool:
        return self.error is None


@dataclass(frozen=True)
class Outcomes(Generic[Value]):
    """The outcome of every host; the first failure hides no other."""

    by_host: Mapping[str, Outcome[Value]]

    @property
    def succeeded(self) -> dict[str, Value]:
        return {host: o.value for host, o in self.by_host.items() if o.error is None}  # type: ignore[misc]

    @property
    def failed(self) -> dict[str, BalbookError]:
        return {host: o.error for host, o in self.by_host.items() if o.error is not None}

    def require(self) -> dict[str, Value]:
        """The values, or the error of the failed host; of several failed hosts one error that names them all."""
        errors = list(self.failed.values())
        if len(errors) == 1:
            raise errors[0]
        if errors:
            message = f"{len(errors)} of {len(self.by_host)} hosts failed:\n" + "\n".join(f"  {e.message}" for e in errors)
            raise _many(message, errors)
        return self.succeeded


def _many(message: str, errors: list[BalbookError]) -> BalbookError:
    advice = "\n  ".join(dict.fromkeys(e.advice for e in errors if e.advice))
    error = CommandFailed(message, advice=advice)
    error.exit_status = max(e.exit_status for e in errors)
    return error


def fan_out(hosts: Iterable[str], work: Callable[[str], Value], at_once: int = MAX_AT_ONCE) -> Outcomes[Value]:
    """`work` for every host, side by side; errors of ours are kept by host, anything else is a defect and is raised."""
    names = list(dict.fromkeys(hosts))

    def one(host: str) -> Outcome[Value]:
        try:
            return Outcome(host, value=work(host))
        except BalbookError as exc:
            return Outcome(host, error=exc)

    if len(names) <= 1:
        return Outcomes({host: one(host) for host in names})
    with ThreadPoolExecutor(max_workers=min(at_once, len(names))) as pool:
        return Outcomes(dict(zip(names, pool.map(one, names), strict=True)))


def run(transport: Transport, host: str, command: Command) -> Result:
    """Run once and hold the status against what the command expects; raises CommandFailed with the last lines."""
    result = transport.execute(host, command)
    if result.status not in command.expect:
        error = CommandFailed(
            f"{host}: {describe(command)} ended with status {result.status}" + (f":\n{result.tail()}" if result.tail() else "")
        )
        error.status, error.output, error.whole = result.status, result.tail(KEPT_LINES), result.stdout
        raise error
    return result


def describe(command: Command) -> str:
    """A short name of a command, for people: what it says itself, else of a script its name and arguments."""
    argv = command.argv
    if command.shown:
        return command.shown
    if argv[:2] != ("sh", "-c") or len(argv) <= 3:
        return " ".join(argv)
    name, *arguments = argv[3:]
    return " ".join([name, *arguments])


def reveal_text(text: Text, reveal: Reveal) -> bytes:
    """Standard input with its secrets put in; never logged."""
    return "".join(part if isinstance(part, str) else part.quoted(reveal(part)) for part in text).encode()


def connect(inventory: Inventory, on_contact: Callable[[], object] = lambda: None) -> Transport:
    """The real transport, SSH; connections are opened when first needed, one a host, each after a call of `on_contact`."""
    from balbook.transport.ssh import SshTransport

    return SshTransport(inventory, on_contact)
