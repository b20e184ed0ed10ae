"""Carrying out one action of a step on its host."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from balbook import transport as transports
from balbook.artifacts.sources import unpack_new
from balbook.artifacts.store import Store
from balbook.commands.command import Command, Result, script
from balbook.engine.exchange import exchange
from balbook.errors import CommandFailed, DeadlineExceeded
from balbook.facts.readers import FILES
from balbook.plan.model import CONTROLLER, Action, Exchange, Fetch, Guard, Hold, Publish, Run, Step, Upload, Wait
from balbook.record.journal import utc_now
from balbook.transport import Reveal, Transport, describe, fan_out

Progress = Callable[[str, int, int], None]
PACKED = "balbook.tar"
LOOK_EVERY_S = 0.5


def perform(
    transport: Transport,
    host: str,
    action: Action,
    progress: Progress | None = None,
    reveal: Reveal | None = None,
    go_on: Callable[[], None] = lambda: None,
) -> Result:
    """Carries out one action; raises CommandFailed, DeadlineExceeded, HostError or StoreError.

    `go_on` is called all the time while something is only held; what it raises ends that.
    """
    match action:
        case Run(command):
            return transports.run(transport, host, command)
        case Wait():
            return _wait(transport, host, action)
        case Hold():
            return _hold(transport, host, action, go_on)
        case Upload(path=path):
            report = (lambda sent, total: progress(path, sent, total)) if progress else None
            is_new = transport.upload(host, action, report)
            return Result(0, f"{'uploaded' if is_new else 'already there'}: {path}\n")
        case Fetch(path, destination, is_directory):
            if is_directory:
                _fetch_directory(transport, host, path, Path(destination))
            else:
                transport.download(host, path, Path(destination))
            return Result(0, f"fetched: {path}\n")
        case Publish():
            return _publish(transport, host, action)
        case Exchange():
            return exchange(action, reveal)


def is_done(transport: Transport, step: Step) -> bool:
    """Whether the step's own check says that there is nothing to do; of this machine that was seen when the plan was made."""
    if step.host == CONTROLLER:
        return step.is_done
    return step.done is not None and transport.execute(step.host, step.done).status == 0


def holding(transport: Transport, guards: tuple[Guard, ...]) -> list[str]:
    """The hosts whose guard holds right now; a host that cannot be reached does not hold."""

    def one(key: str) -> bool:
        guard = guards[int(key)]
        return transport.execute(guard.host, guard.command).status == 0

    outcomes = fan_out([str(i) for i in range(len(guards))], one)
    return [guards[int(key)].host for key, ok in outcomes.succeeded.items() if ok]


def _wait(transport: Transport, host: str, wait: Wait) -> Result:
    started = time.monotonic()
    while True:
        result = transport.execute(host, wait.command)
        if result.status in wait.command.expect:
            return result
        if result.status in wait.hopeless:
            raise CommandFailed(f"{host}: {describe(wait.command)} cannot succeed any more\n{result.tail()}".rstrip())
        if time.monotonic() - started + wait.every_s > wait.within_s:
            raise DeadlineExceeded(
                f"{host}: {describe(wait.command)} did not succeed within {wait.within_s:g} s\n{result.tail(4)}".rstrip()
            )
        time.sleep(wait.every_s)


def _hold(transport: Transport, host: str, hold: Hold, go_on: Callable[[], None]) -> Result:
    started = time.monotonic()
    while True:
        result = transports.run(transport, host, hold.command)
        left_s = hold.seconds - (time.monotonic() - started)
        if left_s <= 0:
            return result
        go_on()
        time.sleep(min(LOOK_EVERY_S, left_s))


def _fetch_directory(transport: Transport, host: str, path: str, destination: Path) -> None:
    """The files of a directory, as one archive on its way."""
    archive = f"{path}.{PACKED}"
    transports.run(transport, host, script("pack-directory", 'tar -cf "$1" -C "$2" .', archive, path))
    with tempfile.TemporaryDirectory(prefix="balbook-") as folder:
        file = Path(folder) / "directory.tar"
        transport.download(host, archive, file)
        unpack_new(file, destination)
    transports.run(transport, host, Command(("rm", "-f", "--", archive)))


def _publish(transport: Transport, host: str, publish: Publish) -> Result:
    """Nothing where the store holds what was built from the same input."""
    store = Store(Path(publish.store))
    if there := store.built_from(publish.application, publish.details.get("input_digest", "")):
        return Result(0, f"already in the store: {there.version}\n")
    texts = [transports.run(transport, host, Command(("cat", "--", path))).stdout for path in publish.beside]
    packages, details = FILES[publish.reads](*texts)
    with tempfile.TemporaryDirectory(prefix="balbook-") as folder:
        file = Path(folder) / "artifact"
        transport.download(host, publish.path, file)
        artifact, _ = store.publish(
            publish.application,
            publish.version,
            publish.kind,
            file,
            at=utc_now(),
            packages=packages,
            details={**publish.details, **details},
        )
    return Result(0, f"published {artifact.application} {artifact.version}, sha256 {artifact.sha256}\n")
