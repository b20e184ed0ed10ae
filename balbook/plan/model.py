"""A plan as data: steps, each a unit that one person can review, on one host.

A plan can be shown, compared, written as JSON, signed, and applied by another process. `Plan.digest` covers all that
would be done and nothing that differs from one look to the next (times, PIDs, durations): the same facts give the same
digest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from balbook.commands.command import Command
from balbook.errors import BadInput
from balbook.facts.readers import FilesReader, OutputReader
from balbook.local.digests import canonical, sha256_of
from balbook.local.typed_json import plain
from balbook.plan.settings import Settings
from balbook.secrets.secret_ref import SecretRef

VERSION = 2
Way = Literal["keep", "publish", "retrieve"]
Phase = Literal["", "stage", "draining", "killed", "hanging", "unreachable", "down", "starting", "new", "serving", "settle"]
"""The state of a step's instances while the step is done and from then on; `stage` and `settle` are about no instance."""
CONTROLLER = "this machine"
"""`Step.host` of what is done where the run's process is; no host has this name, since it has a space."""


@dataclass(frozen=True)
class Run:
    """Action: run a command once."""

    command: Command


@dataclass(frozen=True)
class Wait:
    """Action: repeat a read-only command until it exits as expected, at most `within_s` seconds.

    A status of `hopeless` ends it at once: what is waited for will not come any more.
    """

    command: Command
    within_s: float
    every_s: float = 0.2
    hopeless: tuple[int, ...] = ()


@dataclass(frozen=True)
class Hold:
    """Action: for `seconds` a read-only command exits as expected at every look; a request to stop ends it early."""

    command: Command
    seconds: float


@dataclass(frozen=True)
class Upload:
    """Action: a local file to `path` on the host, moved into place only when its sha256 is right."""

    source: str
    sha256: str
    path: str
    mode: str = "0644"
    is_privileged: bool = False


@dataclass(frozen=True)
class Fetch:
    """Action: a file of the host to a local `destination`, written beside and moved, checked by sha256.

    With `is_directory` all files of a directory; a destination that is there already is refused.
    """

    path: str
    destination: str
    is_directory: bool = False


@dataclass(frozen=True)
class Publish:
    """Action: a built executable of the host into the local artifact store `store`, with what is in it.

    `reads` names what reads the files `beside` it: the packages that are in it, and more details (`facts.readers`). `details` go
    into the store's entry; of them `input_digest` says what it was built from, since two builds of one input differ in bytes.
    """

    path: str
    store: str
    application: str
    version: str
    kind: str
    reads: FilesReader = ""
    beside: tuple[str, ...] = ()
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Exchange:
    """Action, on this machine: an artifact into the artifact store, or between it and a registry; held against its sha256.

    `way`: `keep` (the file `source` into the store), `publish` (to the registry) or `retrieve` (from it). `registry` is an
    address or a directory, relative to the folder `base`; `credentials` a secret's reference, empty where none are needed.
    """

    way: Way
    store: str
    application: str
    version: str
    kind: str
    sha256: str
    registry: str = ""
    credentials: str = ""
    base: str = ""
    source: str = ""


Action = Run | Wait | Hold | Upload | Fetch | Publish | Exchange


@dataclass(frozen=True)
class Guard:
    """A read-only command on a host that must exit 0 right before a step's actions."""

    host: str
    command: Command


@dataclass(frozen=True)
class Step:
    """One reviewable unit on one host.

    `verb` says what is done: `drain`, `start`, `upload`; `about` what it is done to, where that is neither `instances` nor the
    host. `unit` groups the steps that belong together, by the names of what they change (instances, mostly): a plan stops only
    between units, and a failure undoes the unit in hand; unless they are given, `instances` are all of it. `phase` is what its
    instances are in from then on. `id` names the step in the journal; it is made of the verb and what that is done to.

    `done`: a command that exits 0 where the step is already done; `is_done` is what it said when the
    plan was made. `verify` says that it worked. `undo` takes it back. `diff` is a unified diff for the reader. `reads` names what
    reads the output of its commands (`facts.readers`).
    Neighbours with the same `group` run side by side, those of one host and one `lane` in their order. Of the `guards` at least
    `guards_needed` must hold right before the actions (the capacity floor).
    """

    verb: str
    host: str
    title: str
    actions: tuple[Action, ...]
    about: str = ""
    instances: tuple[str, ...] = ()
    unit: tuple[str, ...] = ()
    group: str = ""
    lane: str = ""
    phase: Phase = ""
    done: Command | None = None
    is_done: bool = False
    verify: tuple[Action, ...] = ()
    undo: tuple[Action, ...] = ()
    diff: str = ""
    guards: tuple[Guard, ...] = ()
    guards_needed: int = 0
    reads: OutputReader = ""
    id: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "instances", self.instances or self.unit)
        object.__setattr__(self, "id", self.id or f"{self.verb} {self.about or '+'.join(self.instances) or self.host}")

    @property
    def unit_name(self) -> str:
        """The unit as the journal names it; empty where the step is in none."""
        return "+".join(self.unit)


def ensured(verb: str, host: str, title: str, check: Command, *todo: Command | Action, **more: Any) -> Step:
    """A step that is done where `check` exits 0, else does the commands and actions, and has worked where `check` exits 0 then."""
    actions = tuple(Run(each) if isinstance(each, Command) else each for each in todo)
    return Step(verb, host, title, actions, done=check, verify=(Run(check),), **more)


@dataclass(frozen=True)
class Precondition:
    """A precondition of applying a plan. `met_by`: the runbook that meets it.

    `left out`: it needs privilege that balbook was not given, and hinders nothing.
    """

    what: str
    state: Literal["met", "unmet", "left out"]
    found: str = ""
    met_by: str = ""

    @property
    def said(self) -> str:
        """The state for people: `met`, `unmet`, `left out` or `met by runbook NAME`."""
        return f"met by runbook {self.met_by}" if self.state == "unmet" and self.met_by else self.state

    def __str__(self) -> str:
        return f"{self.what}: {self.said}" + (f", {self.found}" if self.found else "")


@dataclass(frozen=True)
class Plan:
    """Steps in order, for one runbook; `application` is whose lock is taken (empty: none).

    `subject` names what the plan is about (release, strategy, versions), plain data of the runbook's own.
    """

    version: ClassVar[int] = VERSION

    runbook: str
    application: str
    steps: tuple[Step, ...]
    subject: Mapping[str, Any] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    preconditions: tuple[Precondition, ...] = ()

    @property
    def pending(self) -> tuple[Step, ...]:
        """The steps that would change something."""
        return tuple(step for step in self.steps if not step.is_done)

    @property
    def unmet(self) -> tuple[Precondition, ...]:
        """The preconditions that are not met; what was left out for want of privilege does not count."""
        return tuple(p for p in self.preconditions if p.state == "unmet")

    @property
    def digest(self) -> str:
        """sha256 (hex) over the canonical JSON of the plan, less what preconditions measured (free space, clocks)."""
        states = [[p.what, p.said] for p in self.preconditions]
        return sha256_of(canonical(self.data() | {"preconditions": states}))

    def data(self) -> dict[str, Any]:
        """Plain data, what is as usual left out; the inverse of `reading.plan_from`. BadInput where a field has another type."""
        always: dict[str, Any] = {"version": VERSION, "subject": {}, "settings": {}, "preconditions": []}
        return always | plain(self, Plan, f"the plan of {self.runbook}", BadInput)

    def restricted_to(self, verbs: Collection[str]) -> Plan:
        """A plan of its steps with these verbs alone, with nothing measured beside it."""
        steps = tuple(step for step in self.steps if step.verb in verbs)
        return Plan(self.runbook, self.application, steps, self.subject, replace(self.settings, probe=None), self.preconditions)


def secrets_of(plan: Plan) -> list[SecretRef]:
    """The secrets that the pending steps hand to hosts, each once."""
    actions = [a for step in plan.pending for a in (*step.actions, *step.verify, *step.undo)]
    commands = [a.command for a in actions if isinstance(a, Run | Wait | Hold)]
    shown = [SecretRef(a.credentials) for a in actions if isinstance(a, Exchange) and a.credentials]
    return list(dict.fromkeys([*(part for command in commands for part in command.stdin if isinstance(part, SecretRef)), *shown]))
