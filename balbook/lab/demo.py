"""The demonstration: an application is replaced on a fleet of its own while requests flow. `python -m balbook.lab.demo [loopback|vm]`

The demo brings up a lab of its own, on loopback or of VMs, runs the acts below, and shows the results. The records stay in
`records/demo` of the current directory; the lab goes down in any case, also after Ctrl-C, SIGTERM or a closed terminal.
Exit statuses: 0 all went well, 1 an act or a request failed, 2 the machine lacks something or another demo runs.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import yaml

from balbook.errors import BalbookError, ExitStatus, ParameterError, Refused, nearest
from balbook.inventory import Inventory, read_inventory
from balbook.lab import demo_report, loopback, vm
from balbook.lab.demo_report import Shown
from balbook.lab.supplies import raise_version
from balbook.local import locks
from balbook.local.atomic_files import write_text
from balbook.local.lab_place import lab_folder, labs_home, read_state
from balbook.local.resources import resource
from balbook.local.signals import answered

Say = Callable[[str], None]
Lab = loopback.Lab | vm.Lab
BACKENDS = (loopback.BACKEND, vm.BACKEND)
NAME = "demo"
REQUESTS_PER_S = 500
"""Half of the requests use fresh connections: even a replacement of 8 s gets more of them than the report asks for."""
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Act:
    """One pass through the pipeline `centralized`. `raises`: a package, and its new version.

    `is_under_load`: requests must have been sent while the application was replaced.
    """

    title: str
    raises: tuple[str, str] | None = None
    is_under_load: bool = False


ACTS = (
    Act("Three packages become one application, and are deployed"),
    Act("A package changes: the application is replaced", ("rooms", "0.2.0"), is_under_load=True),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays the acts on the backend that the only argument names; returns the exit status."""
    (backend,) = (sys.argv[1:] if arguments is None else arguments) or [loopback.BACKEND]
    try:
        if backend not in BACKENDS:
            raise ParameterError(f"{backend!r} is not a known backend", advice=nearest(backend, BACKENDS))
        with _endings_unwind(), _the_only_one():
            return play(ACTS, Path.cwd() / "records" / NAME, backend)
    except KeyboardInterrupt:
        say("demo: interrupted; the lab is down")
        return ExitStatus.FAILED
    except BalbookError as exc:
        say(f"demo: {exc}")
        return exc.exit_status


def play(acts: Sequence[Act], records: Path, backend: str) -> int:
    """Brings the lab up, runs the acts until one does not succeed, and reports; 0 where all promises hold."""
    began = time.monotonic()
    shown: list[Shown] = []
    with _lab(backend) as lab:
        shown.append(Shown(f"Bring up four hosts ({backend})", "", "up", time.monotonic() - began))
        inventory = _inventory(lab, records)
        for number, act in enumerate(acts, 1):
            say(f"\n== {number} of {len(acts)}: {act.title} ==")
            shown += _run(act, lab, inventory)
            if shown[-1].verdict != "succeeded":
                break
    say("")
    missed = demo_report.missed(shown)
    print_whole(demo_report.text(shown, missed, time.monotonic() - began, relative_to=Path.cwd()))
    return 1 if missed else 0


def say(line: str) -> None:
    """Prints progress on standard error; without a terminal the demo still cleans up."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        _replace_by_nothing(2)


def print_whole(text: str) -> None:
    """Prints the report on standard output."""
    try:
        print(text, flush=True)
    except OSError:
        _replace_by_nothing(1)


def _run(act: Act, lab: Lab, inventory: Inventory) -> list[Shown]:
    """The outcome of each runbook, up to the first that failed."""
    from balbook.run.pipeline import read_pipeline, run_pipeline  # loads papermill, after the lab is up

    if act.raises:
        package, version = act.raises
        raise_version(lab.folder / "repositories", package, version, os.environ)
        say(f"acme/{package} has version {version} now, in its repository")
    pipeline = read_pipeline(resource("runbooks", "centralized.yaml"))
    done = run_pipeline(pipeline, inventory, {"mode": "apply", "reason": "demonstration"}, say=say)
    if done.verdict != "succeeded":
        say(f"{done.name}: {done.verdict}: {done.why}")
    return [
        Shown(
            title=act.title,
            runbook=outcome.name,
            verdict=outcome.verdict,
            seconds=outcome.seconds,
            changes=outcome.changes,
            why=outcome.why,
            measurements=outcome.measurements,
            record=outcome.record,
            is_under_load=act.is_under_load and outcome.name == pipeline.entries[-1].runbook,
        )
        for outcome in done.outcomes
    ]


def _inventory(lab: Lab, records: Path) -> Inventory:
    """The lab's inventory, changed: records that outlive the lab, and enough requests for a judgement."""
    data = yaml.safe_load(lab.inventory.read_text(encoding="utf-8"))
    data["records"] = {"path": str(records)}
    data["applications"]["hotel"]["probe"]["rate"] = REQUESTS_PER_S
    write_text(lab.inventory, yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
    records.mkdir(parents=True, exist_ok=True)
    return read_inventory(lab.inventory)


# The lab, and its end in any case ----------------------------------------------------------------------------------------------


@contextmanager
def _lab(backend: str) -> Iterator[Lab]:
    _down_whatever_it_is()  # the rest of a demo that was killed
    try:
        yield vm.up(NAME, say=say) if backend == vm.BACKEND else loopback.up(NAME, say=say)
    finally:
        with _deaf():
            (vm if backend == vm.BACKEND else loopback).down(NAME, say=say)


def _down_whatever_it_is() -> None:
    state = read_state(lab_folder(NAME, os.environ))
    (vm if state is not None and state.backend == vm.BACKEND else loopback).down(NAME)


@contextmanager
def _the_only_one() -> Iterator[None]:
    """Raises Refused where another demo of this user runs, since both would use the same lab."""
    home = labs_home(os.environ)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    another = Refused("another demo is running", advice="Wait until that demo has ended, or interrupt that demo.")
    with locks.holding(home / f".{NAME}.lock", within_s=0, taken=another):
        yield


class _Interrupted(KeyboardInterrupt):
    """An interruption that Python does not take for Ctrl-C: a KeyboardInterrupt in an extension's import ends Python by SIGINT."""


@contextmanager
def _endings_unwind() -> Iterator[None]:
    """Unwinds the stack on SIGTERM and SIGHUP, as Ctrl-C does.

    While a runbook runs, the runner listens to SIGINT and SIGTERM instead; a hangup becomes a SIGTERM for the runner. Signals that
    are ignored, as under nohup, stay ignored.
    """

    def unwind(number: int, frame: FrameType | None) -> None:
        raise _Interrupted

    def pass_on(number: int, frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGTERM)

    wanted = {signal.SIGINT: unwind, signal.SIGTERM: unwind, signal.SIGHUP: pass_on}
    before = {number: signal.getsignal(number) for number in wanted}
    for number, handler in wanted.items():
        if before[number] != signal.SIG_IGN:
            signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def _deaf() -> Iterator[None]:
    """Holds signals off while the demo cleans up, for some seconds."""
    with answered(ENDINGS, lambda *_: say("demo: interrupted; taking the lab down first")):
        yield


def _replace_by_nothing(descriptor: int) -> None:
    """Makes all later output of this process on the descriptor vanish without an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
