"""The kinds of events while a plan is applied: steps, requests to stop, the lock, and what was measured meanwhile.

The run's own process writes most of them. `events` offers them beside all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from balbook.record.event import Event, own_fields

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
    known = {f.name for f in own_fields(Measured)}
    own = {key: value for key, value in figures.items() if key in known}
    return Measured(**own, more={key: value for key, value in figures.items() if key not in known})


class Timed(Event):
    """A build took `build_s` seconds; `more` has each phase as `<phase>_s`."""

    version: str
    kind: str
    build_s: float
