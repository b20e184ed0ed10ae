"""Every kind of event in a journal, each with its fields and its meaning. No other room knows their names.

Here stand the kinds that commands and kernels write: runs, cells, plans, pipelines. Those of applying a plan stand in
`apply_events`, and are read from here too. `event` says how a kind is named and written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from balbook.record.apply_events import ApplyFinished as ApplyFinished
from balbook.record.apply_events import ApplyStarted as ApplyStarted
from balbook.record.apply_events import ControllerGone as ControllerGone
from balbook.record.apply_events import LeaseBroken as LeaseBroken
from balbook.record.apply_events import LeaseTakenOver as LeaseTakenOver
from balbook.record.apply_events import Measured as Measured
from balbook.record.apply_events import Notified as Notified
from balbook.record.apply_events import Paused as Paused
from balbook.record.apply_events import ProbeFailed as ProbeFailed
from balbook.record.apply_events import ProbeStarted as ProbeStarted
from balbook.record.apply_events import StepFinished as StepFinished
from balbook.record.apply_events import StepStarted as StepStarted
from balbook.record.apply_events import StopAsked as StopAsked
from balbook.record.apply_events import StopRequested as StopRequested
from balbook.record.apply_events import Timed as Timed
from balbook.record.apply_events import UndoStarted as UndoStarted
from balbook.record.apply_events import UploadProgress as UploadProgress
from balbook.record.apply_events import measured as measured
from balbook.record.event import Event as Event
from balbook.record.event import name_of, own_fields

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


class Verified(Event):
    """The hosts were read again. Each check says `what` must hold, whether it does (`so`), and what was `found`."""

    checks: tuple[Mapping[str, Any], ...]


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


KINDS: Mapping[str, type[Event]] = {name_of(kind): kind for kind in Event.__subclasses__()}
"""Every kind of event by its name on disk."""
OWN = {name: own_fields(kind) for name, kind in KINDS.items()}
"""The fields of each kind that are its own, by the name of the kind."""
