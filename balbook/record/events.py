"""The kinds of events in a journal, each with its fields and its meaning. No other module knows their names.

A class is a kind: `StepStarted` stands in the journal as `step_started`. Fields without a default are always written; a field
with a default is written where it has another value. `seq` (1, 2, …) and `at` (UTC, ISO 8601 with milliseconds) are the
journal's to set. `more` keeps the other keys of a line: open-ended measurements, and fields that a later balbook added.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, dataclass_transform


@dataclass_transform(kw_only_default=True, frozen_default=True)
@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened in a run; each kind is a class below, and a frozen dataclass as this one."""

    seq: int = 0
    at: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True, kw_only=True)(cls)

    @property
    def time(self) -> datetime:
        """The time of the event."""
        return datetime.fromisoformat(self.at)

    @property
    def event(self) -> str:
        """The kind, as the journal names it."""
        return name_of(type(self))

    def payload(self) -> dict[str, Any]:
        """The event's own fields as they are written, without `seq`, `at`, `event` and `prev`."""
        own = {f.name: getattr(self, f.name) for f in OWN[self.event] if getattr(self, f.name) != f.default}
        return {**own, **self.more}


# A run ----------------------------------------------------------------------------------------------------------------------


class RunOpened(Event):
    """A run begins. The event names the runbook, the person, the reason and the versions; it is always the first event.

    `notebook`, `procedure` and `cells` (sha256 of the code cells) are written where a notebook is executed; `pipeline` has path
    and sha256 of a pipeline's file. `git` is empty where the inventory is in no repository.
    """

    run_id: str
    journal: int
    runbook: str
    name: str
    runbook_sha256: str
    mode: str
    who: Mapping[str, Any]
    reason: str
    ticket: str
    parameters: Mapping[str, Any]
    environment: str
    inventory: Mapping[str, Any]
    versions: Mapping[str, Any]
    lab: bool
    git: Mapping[str, Any]
    key: str = ""
    procedure: str = ""
    notebook: str = ""
    cells: tuple[str, ...] | None = None
    pipeline: Mapping[str, Any] | None = None

    KNOWN: ClassVar[int] = 1
    """The newest version of a journal that this balbook reads."""


class Resumed(Event):
    """A run that was cut off goes on: in the process `by` (a PID), or in a pipeline that goes on with `run` after what `succeeded`."""

    by: int | None = None
    run: str = ""
    succeeded: tuple[Mapping[str, Any], ...] | None = None


class RunLost(Event):
    """The run's process ended without writing its end; `why` says how that was seen."""

    why: str


class ErrorRaised(Event):
    """The library raised an error, which the notebook shows next."""

    kind: str
    message: str
    advice: str
    exit_status: int


class Concluded(Event):
    """The notebook states its own verdict; `digest` is the plan's, empty without a plan."""

    verdict: str
    why: str
    digest: str


class ExecutorReturned(Event):
    """The notebook's executor returned: `ok`, `error`, `kernel_death`, `cell_timeout` or `interrupted`."""

    status: str
    message: str


class RunClosed(Event):
    """The run is closed with this verdict; the last event, unless the run is resumed. `by`: `seal` where `balbook seal` closed the run."""

    verdict: str
    why: str
    by: str = ""


# A notebook's cells ---------------------------------------------------------------------------------------------------------


class CellStarted(Event):
    """A code cell begins. `role` is the cell's tag, `number` the kernel's count; `is_injected` marks a cell that only sets parameters."""

    role: str
    number: int
    source_sha256: str
    is_injected: bool = False


class CellFinished(Event):
    """A code cell ended: `ok`, `error` (with the class of the error), or `waiting` where the cell could do nothing yet."""

    role: str
    number: int
    source_sha256: str
    status: str
    error: str = ""
    is_injected: bool = False


# A plan ---------------------------------------------------------------------------------------------------------------------


class Planned(Event):
    """A plan was made, kept and shown. The numbers: its steps, the steps that would change something, the unmet preconditions."""

    digest: str
    changes: int
    steps: int
    unmet: int


class Versions(Event):
    """The versions of the programs on the plan's hosts, by host."""

    hosts: Mapping[str, Any]


class Approved(Event):
    """The people `by` have signed the plan that `run` showed."""

    run: str
    digest: str
    by: tuple[str, ...]


class NotApproved(Event):
    """An emergency act begins without the `needed` approvals."""

    needed: int
    reason: str
    digest: str


# Applying -------------------------------------------------------------------------------------------------------------------


class ApplyStarted(Event):
    """The run's own process begins to apply the plan of this digest."""

    digest: str
    pid: int
    steps: int


class StepStarted(Event):
    """A step begins to change something."""

    step: str
    host: str
    title: str


class UploadProgress(Event):
    """An upload has sent `bytes` of `total` bytes; written about twice a second."""

    step: str
    host: str
    bytes: int
    total: int


class StepFinished(Event):
    """A step ended: `changed`, `already`, `failed`, `stopped`, `undone` or `undo_failed`.

    `status`: exit status of the command that failed, else None. `tail`: the last lines that the command printed. `tests`: the
    counts of tests in its whole output. A step that was already done has no `StepStarted`.
    """

    step: str
    host: str
    title: str
    outcome: str
    seconds: float
    status: int | None
    tail: str
    tests: Mapping[str, int] | None = None


class UndoStarted(Event):
    """A step is being undone."""

    step: str
    host: str


class Paused(Event):
    """A rollout stops between two units; the units in `done` stay as they are."""

    why: str
    done: tuple[str, ...]


class StopAsked(Event):
    """A person or a program asked the run to stop; `by` names the command, the button or the signal."""

    by: str


class StopRequested(Event):
    """The run's process has received the request to stop."""

    by: str


class ControllerGone(Event):
    """The process that followed the run is gone; the run's own process stops in a safe state."""


class LeaseTakenOver(Event):
    """The run took the lock over from another run, which is dead or has given no sign of life for `age_s` seconds."""

    age_s: int
    run_id: str
    who: str
    since: str
    reason: str
    why: str


class LeaseBroken(Event):
    """A person took the lock away from the run `run_id`."""

    age_s: int
    run_id: str
    who: str
    since: str
    reason: str


class Notified(Event):
    """A message about `what` was sent through `channel`; `problem` says why sending failed."""

    what: str
    channel: str
    problem: str = ""


class ApplyFinished(Event):
    """The run's process has finished: verdict, number of steps that changed something, outcome of each unit."""

    exit_status: int
    verdict: str
    changes: int
    why: str
    units: Mapping[str, str]

    @property
    def instances(self) -> dict[str, str]:
        """The outcome of each instance; a unit of several instances joins their names by `+`."""
        return {name: outcome for unit, outcome in self.units.items() for name in unit.split("+")}


class Verified(Event):
    """The hosts were read again. Each check says `what` must hold, whether it does (`so`), and what was `found`."""

    checks: tuple[Mapping[str, Any], ...]


# Measuring ------------------------------------------------------------------------------------------------------------------


class ProbeStarted(Event):
    """The probe begins to send `rate` requests a second to `target` (host:port)."""

    rate: int
    target: str


class ProbeFailed(Event):
    """The probe could not start; the run goes on without a measurement."""

    why: str


class Measured(Event):
    """Figures of a probe (`sent`, `failed`, `latency`, …), of instances that were down, or of the resources that instances use.

    `downtime_s`, `start_s` (seconds) and `rss_mb` (MB) are by instance. All other figures are in `more`.
    """

    sent: int | None = None
    failed: int | None = None
    closed_by_reload: int | None = None
    latency: Mapping[str, Any] | None = None
    downtime_s: Mapping[str, Any] | None = None
    start_s: Mapping[str, Any] | None = None
    rss_mb: Mapping[str, Any] | None = None
    version: str = ""
    kind: str = ""


def measured(figures: Mapping[str, Any]) -> Measured:
    """The event of these figures by name."""
    known = {f.name for f in fields(Measured)}
    own = {key: value for key, value in figures.items() if key in known}
    return Measured(**own, more={key: value for key, value in figures.items() if key not in known})


class Timed(Event):
    """A build took `build_s` seconds; `more` has each phase as `<phase>_s`."""

    version: str
    kind: str
    build_s: float


# A pipeline -----------------------------------------------------------------------------------------------------------------


class RunbookStarted(Event):
    """A pipeline begins the runbook at this place (`entry`: 1, 2, …)."""

    entry: int
    runbook: str


class RunbookFinished(Event):
    """A runbook of a pipeline ended, with this verdict and this record."""

    entry: int
    run_id: str
    record: str
    runbook: str
    verdict: str
    why: str
    seconds: float
    notebook: str
    changes: int
    measurements: Mapping[str, Any]


def name_of(kind: type[Event]) -> str:
    """The name of a kind on disk: `step_started` for `StepStarted`."""
    return _SPELLED.get(kind.__name__) or re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


_SPELLED = {"ErrorRaised": "error", "UploadProgress": "progress"}
KINDS: Mapping[str, type[Event]] = {name_of(kind): kind for kind in Event.__subclasses__()}
"""Every kind of event by its name on disk."""
OWN = {name: tuple(f for f in fields(kind) if f.name not in ("seq", "at", "more")) for name, kind in KINDS.items()}
"""The fields of each kind that are its own."""
