"""A transport that answers from a script, and the death of a controller."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from balbook.commands.command import Command, Result
from balbook.errors import BalbookError
from balbook.local.digests import sha256_of
from balbook.plan.model import Upload
from balbook.record.events import Event
from balbook.record.journal import Journal
from balbook.transport import Progress

Answer = Result | int | str | BalbookError | Callable[[str, Command], Result | int | str]


class Died(BaseException):
    """The death of the controller."""


def name_of(command: Command) -> str:
    """The name of the host's script in a command, else the program."""
    return command.argv[3] if command.argv[:2] == ("sh", "-c") else command.argv[0]


def arguments_of(command: Command) -> tuple[str, ...]:
    """The arguments of the host's script in a command, else of the program."""
    return command.argv[4:] if command.argv[:2] == ("sh", "-c") else command.argv[1:]


def text_of(command: Command) -> str:
    """The standard input of a command, with each secret as its reference in brackets."""
    return "".join(part if isinstance(part, str) else f"[secret {part.reference}]" for part in command.stdin)


class FakeTransport:
    """A transport that answers by `(host, name)`, else by `name`, else with `otherwise`; `commands` has all commands in order.

    An answer is a Result, an exit status, standard output, an error to raise, or a function of host and command. With
    `dies_after` the call of that number has its effect, but its answer never arrives; later calls do nothing.
    """

    def __init__(
        self, answers: Mapping[str | tuple[str, str], Answer] | None = None, *, otherwise: Answer = 0, dies_after: int | None = None
    ) -> None:
        self.answers = dict(answers or {})
        self.otherwise, self.dies_after = otherwise, dies_after
        self.commands: list[tuple[str, Command]] = []
        self.uploads: list[tuple[str, Upload]] = []
        self.calls = 0
        self.is_dead = self.is_closed = False
        self._one_at_a_time = threading.RLock()

    def execute(self, host: str, command: Command) -> Result:
        """The scripted answer."""
        with self._one_at_a_time:
            self._live()
            self.commands.append((host, command))
            result = result_of(self.answer(host, command), host, command)
            self._die_if_due()
            return result

    def upload(self, host: str, upload: Upload, progress: Progress | None = None) -> bool:
        """Answers under the name `upload`; True (new) where the answer is the exit status 0."""
        with self._one_at_a_time:
            self._live()
            self.uploads.append((host, upload))
            is_new = self.receive(host, upload)
            if progress:
                progress(1, 1)
            self._die_if_due()
            return is_new

    def download(self, host: str, path: str, destination: Path) -> str:
        """Writes the standard output of the answer named `download`; returns the sha256."""
        with self._one_at_a_time:
            self._live()
            command = Command(("download", path))
            content = result_of(self.answer(host, command), host, command).stdout.encode()
            destination.write_bytes(content)
            self._die_if_due()
            return sha256_of(content)

    def close(self) -> None:
        self.is_closed = True

    def answer(self, host: str, command: Command) -> Answer:
        """The scripted answer for this command on this host."""
        name = name_of(command)
        return self.answers.get((host, name), self.answers.get(name, self.otherwise))

    def receive(self, host: str, upload: Upload) -> bool:
        """True where the scripted answer for an upload to this host is the exit status 0."""
        command = Command(("upload", upload.path))
        return result_of(self.answer(host, command), host, command).status == 0

    def names(self, host: str = "") -> list[str]:
        """The names of the commands so far, of all hosts or of one."""
        return [name_of(command) for on, command in self.commands if host in ("", on)]

    def _live(self) -> None:
        if self.is_dead:
            raise Died
        self.calls += 1

    def _die_if_due(self) -> None:
        if self.calls == self.dies_after:
            self.is_dead = True
            raise Died


class DyingJournal(Journal):
    """A journal whose writer is killed, with the transport, right after event number `dies_after`, counted from now."""

    def __init__(self, path: Path, transport: FakeTransport, dies_after: int) -> None:
        super().__init__(path)
        self._transport, self._left, self._one_at_a_time = transport, dies_after, threading.Lock()

    def append(self, event: Event) -> Event:
        with self._one_at_a_time:
            if self._transport.is_dead:
                raise Died
            written = super().append(event)
            self._left -= 1
            if self._left == 0:
                self._transport.is_dead = True
                raise Died
            return written


def result_of(answer: Answer, host: str, command: Command) -> Result:
    """The result of an answer; an answer that is an error is raised."""
    if isinstance(answer, BalbookError):
        raise answer
    if callable(answer):
        return result_of(answer(host, command), host, command)
    if isinstance(answer, int):
        return Result(answer)
    return Result(0, answer) if isinstance(answer, str) else answer
