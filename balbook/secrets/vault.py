"""The secrets of one inventory, each read once for a whole command: by whoever starts, when it is first needed.

Processes of a command do not read again. Each inherits one end of a socket pair (`handed_over`) from the process that started it:
there it is told what was read already, and there it asks for what it needs besides (`take_over`); that process reads it, or asks
the one above it. So six kernels, one after the other, and their engines come to one read, and a plan that needs nothing reads
nothing. No value is on an argv, in an environment or on a disk for that. A value may be longer than the socket's buffer: it is
written by a thread, which ends with the reader.

Values of `env:` and `file:` are known from the beginning, since reading them starts nothing. The others (`cmd:`, `keyring:`) are
read where one of them is used, and before anything is written down that may show one (`everything`).
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from balbook.errors import BadInput
from balbook.secrets.references import Scrubber, resolve, without_secrets
from balbook.secrets.secret_ref import SecretRef

Failures = dict[str, tuple[str, str]]
"""Message and advice by reference."""
QUIET = ("env:", "file:")
"""References that are read without starting anything."""


class Vault:
    """The values of these references; `folder` is what a relative `file:` starts from. Thread-safe."""

    def __init__(self, references: tuple[str, ...], folder: Path) -> None:
        self.references = references
        self._folder, self._scrubber, self._lock = folder, Scrubber(), threading.RLock()
        self._values: dict[str, str] = {}
        self._failures: Failures = {}
        self._above: socket.socket | None = None

    @property
    def scrubber(self) -> Scrubber:
        """The scrubber of all values that were read, and that will be read."""
        self._read(reference for reference in self.references if reference.startswith(QUIET))
        return self._scrubber

    def everything(self) -> Scrubber:
        """The scrubber, after every reference was read; an unreadable one is left out, since its value cannot be shown either."""
        self._read(self.references)
        return self._scrubber

    def reveal(self, secret: SecretRef) -> str:
        """The value. BadInput where it cannot be read, each time for the reason of the first."""
        self._read([secret.reference])
        if secret.reference in self._failures:
            message, advice = self._failures[secret.reference]
            raise BadInput(message, advice=advice)
        return self._values[secret.reference]

    @contextmanager
    def handed_over(self) -> Iterator[int]:
        """The file descriptor for the `take_over` of a process that is started in this block and inherits the descriptor."""
        ours, theirs = socket.socketpair()
        threading.Thread(target=self._answer, args=(ours,), name="balbook-secrets", daemon=True).start()
        with theirs:
            yield theirs.fileno()

    def take_over(self, fd: int) -> None:
        """Leaves reading to the process that handed over `fd`, and learns the values that it has read."""
        try:
            os.set_inheritable(fd, False)
            self._above = socket.socket(fileno=os.dup(fd))
        except OSError as exc:
            raise BadInput("the secrets were handed over to another process", advice="Start the run again.") from exc
        self._learn(*self._ask([]))

    def _read(self, references: Iterable[str]) -> None:
        with self._lock:
            missing = [r for r in references if r not in self._values and r not in self._failures]
            if missing:
                self._learn(*(self._ask(missing) if self._above else self._resolve(missing)))

    def _learn(self, values: dict[str, str], failures: Failures) -> None:
        self._values |= values
        self._failures |= failures
        for reference, value in values.items():
            self._scrubber.remember(reference, value)

    def _resolve(self, references: Iterable[str]) -> tuple[dict[str, str], Failures]:
        values, failures = {}, {}
        bare = without_secrets(os.environ, self.references)
        for reference in references:
            try:
                values[reference] = resolve(reference, os.environ if reference.startswith("env:") else bare, base=self._folder)
            except BadInput as exc:
                failures[reference] = (exc.message, exc.advice)
        return values, failures

    def _ask(self, references: list[str]) -> tuple[dict[str, str], Failures]:
        """The values that the process above has read, those of these references included."""
        assert self._above
        try:
            with self._above.makefile("rb") as answers:
                self._above.sendall(json.dumps(references).encode() + b"\n")
                values, failures = json.loads(answers.readline())
                return values, failures
        except (OSError, ValueError) as exc:
            raise BadInput("the process that reads the secrets has ended", advice="Start the run again.") from exc
        except KeyboardInterrupt:
            self._above.close()  # the answer that is on its way would be taken for the next one's
            raise

    def _answer(self, below: socket.socket) -> None:
        """Answers the questions of a process, one a line, until that process ends."""
        with below, below.makefile("rb") as questions, suppress(OSError):
            for line in questions:
                with self._lock:
                    self._read(json.loads(line))
                    answer = json.dumps([self._values, self._failures])
                below.sendall(answer.encode() + b"\n")
