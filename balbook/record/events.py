"""Every kind of event of a journal: its fields, and what each says. Nobody else knows their names.

A class is a kind: `StepStarted` stands in the journal as `step_started`. Fields without a default are always written; a field
with a default is written where it has another value. `seq` (1, 2, …) and `at` (UTC, ISO 8601 with milliseconds) are the
journal's to set. `more` keeps what a line has beside its fields: open-ended measurements, and what a later balbook added.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened in a run."""

    seq: int = 0
    at: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def time(self) -> datetime:
        """When it happened."""
        return datetime.fromisoformat(self.at)

    @property
    def event(self) -> str:
        """The kind, as the journal has it."""
        return name_of(type(self))

    def payload(self) -> dict[str, Any]:
        """Its own fields as they are written, without `seq`, `at`, `event` and `prev`."""
        own = {f.name: getattr(self, f.name) for f in OWN[self.event] if getattr(self, f.name) != f.default}
        return {**own, **self.more}


# A run ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RunOpened(Event):
    """A run begins: who wants what, why, with which versions. Always the first event.

    `notebook`, `procedure` and `cells` (sha256 of the code cells) are there where a notebook is executed; `pipeline` has path and
    sha256 of a pipeline's file. `git` is empty where the inventory is in no repository.
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


@dataclass(frozen=True, kw_only=True)
class Resumed(Event):
    """Somebody goes on with a run that was cut off: a process (`by`, its PID), or a pipeline (`run`, and what `succeeded` in that)."""

    by: int | None = None
    run: str = ""
    succeeded: tuple[Mapping[str, Any], ...] | None = None


@dataclass(frozen=True, kw_only=True)
class RunLost(Event):
    """The process of the run ended without a word."""

    why: str


@dataclass(frozen=True, kw_only=True)
class ErrorRaised(Event):
    """An error of balbook's was raised; the notebook shows it next."""

    kind: str
    message: str
    advice: str
    exit_status: int


@dataclass(frozen=True, kw_only=True)
class Concluded(Event):
    """The notebook states what it came to; `digest` is of the plan, empty without one."""

    verdict: str
    why: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class ExecutorReturned(Event):
    """The executor of the notebook is back: `ok`, `error`, `kernel_death`, `cell_timeout` or `interrupted`."""

    status: str
    message: str


@dataclass(frozen=True, kw_only=True)
class RunClosed(Event):
    """The stated verdict. The last event, unless the run is resumed. `by`: `seal` where only the seal closed it."""

    verdict: str
    why: str
    by: str = ""


# A notebook's cells ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CellStarted(Event):
    """A code cell begins. `role` is its tag, `number` the kernel's count; `is_injected` where it only sets parameters."""

    role: str
    number: int
    source_sha256: str
    is_injected: bool = False


@dataclass(frozen=True, kw_only=True)
class CellFinished(Event):
    """A code cell is over: `ok`, `error` (with the class of the error) or `waiting`, where it did nothing yet."""

    role: str
    number: int
    source_sha256: str
    status: str
    error: str = ""
    is_injected: bool = False


# A plan ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Planned(Event):
    """A plan was made, kept and shown: its digest, how many steps it has, would change, and preconditions that are unmet."""

    digest: str
    changes: int
    steps: int
    unmet: int


@dataclass(frozen=True, kw_only=True)
class Versions(Event):
    """The versions of the programs on the hosts that the plan is about, by host."""

    hosts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Approved(Event):
    """Other people have signed the plan that `run` showed."""

    run: str
    digest: str
    by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NotApproved(Event):
    """An emergency act: `needed` approvals were asked for, and it goes without them."""

    needed: int
    reason: str
    digest: str


# Applying -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ApplyStarted(Event):
    """The run's own process begins to apply the plan of this digest."""

    digest: str
    pid: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class StepStarted(Event):
    """A step begins to change something."""

    step: str
    host: str
    title: str


@dataclass(frozen=True, kw_only=True)
class UploadProgress(Event):
    """How far an upload is, in bytes; about twice a second."""

    step: str
    host: str
    bytes: int
    total: int


@dataclass(frozen=True, kw_only=True)
class StepFinished(Event):
    """A step is over: `changed`, `already`, `failed`, `stopped`, `undone` or `undo_failed`.

    `status`: of the command that failed, None where there is none. `tail`: the last lines of what it said. `tests`: counts that
    its whole output had. A step that was found done has no `StepStarted`.
    """

    step: str
    host: str
    title: str
    outcome: str
    seconds: float
    status: int | None
    tail: str
    tests: Mapping[str, int] | None = None


@dataclass(frozen=True, kw_only=True)
class UndoStarted(Event):
    """A step is taken back."""

    step: str
    host: str


@dataclass(frozen=True, kw_only=True)
class Paused(Event):
    """A rollout stops between units; those that are `done` stay as they are."""

    why: str
    done: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StopAsked(Event):
    """Somebody asked for the end: a command, a button, an interrupt."""

    by: str


@dataclass(frozen=True, kw_only=True)
class StopRequested(Event):
    """The run's process has heard that it is to stop, and why."""

    by: str


@dataclass(frozen=True, kw_only=True)
class ControllerGone(Event):
    """Nobody follows the run's process any more; it stops in a safe state."""


@dataclass(frozen=True, kw_only=True)
class LeaseTakenOver(Event):
    """The lock was another's, who is dead or has been silent for `age_s` seconds."""

    age_s: int
    run_id: str
    who: str
    since: str
    reason: str
    why: str


@dataclass(frozen=True, kw_only=True)
class LeaseBroken(Event):
    """A person took the lock away from this holder."""

    age_s: int
    run_id: str
    who: str
    since: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Notified(Event):
    """Others were told of `what` through `channel`; `problem`: why that failed."""

    what: str
    channel: str
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class ApplyFinished(Event):
    """The run's process is through: the verdict, how many steps changed something, and what became of each unit."""

    exit_status: int
    verdict: str
    changes: int
    why: str
    units: Mapping[str, str]

    @property
    def instances(self) -> dict[str, str]:
        """What became of each instance; a unit may be several, joined by `+`."""
        return {name: outcome for unit, outcome in self.units.items() for name in unit.split("+")}


@dataclass(frozen=True, kw_only=True)
class Verified(Event):
    """Hosts were asked anew: `what` must be so, whether it is (`so`), what was `found`."""

    checks: tuple[Mapping[str, Any], ...]


# Measuring ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ProbeStarted(Event):
    """Requests are sent from outside, `rate` a second to `target` (host:port)."""

    rate: int
    target: str


@dataclass(frozen=True, kw_only=True)
class ProbeFailed(Event):
    """No request is sent; the run goes on without a measurement."""

    why: str


@dataclass(frozen=True, kw_only=True)
class Measured(Event):
    """Figures: of a probe (`sent`, `failed`, `latency`, …), of instances that were away, or of what instances take.

    `downtime_s`, `start_s` (seconds) and `rss_mb` (MB) are by instance. All else that was measured is in `more`.
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
    """The event of these figures, by name."""
    known = {f.name for f in fields(Measured)}
    own = {key: value for key, value in figures.items() if key in known}
    return Measured(**own, more={key: value for key, value in figures.items() if key not in known})


@dataclass(frozen=True, kw_only=True)
class Timed(Event):
    """How long a build took in all, and in `more` each phase of it as `<phase>_s`."""

    version: str
    kind: str
    build_s: float


# A pipeline -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RunbookStarted(Event):
    """A pipeline begins the runbook at this place (`entry`: 1, 2, …)."""

    entry: int
    runbook: str


@dataclass(frozen=True, kw_only=True)
class RunbookFinished(Event):
    """What a pipeline's runbook came to, and where its own record is."""

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
    """`StepStarted` is `step_started` on disk."""
    return _SPELLED.get(kind.__name__) or re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


_SPELLED = {"ErrorRaised": "error", "UploadProgress": "progress"}
KINDS: Mapping[str, type[Event]] = {name_of(kind): kind for kind in Event.__subclasses__()}
"""Every kind of event by its name on disk."""
OWN = {name: tuple(f for f in fields(kind) if f.name not in ("seq", "at", "more")) for name, kind in KINDS.items()}
"""The fields of each kind that are its own."""
