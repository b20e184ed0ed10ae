"""What will be done, as data: a plan of steps, each a unit that one person can review, on one host.

A plan can be shown, compared, written as JSON, signed, and applied by another process. `Plan.digest` covers all that
would be done and nothing that differs from one look to the next (times, PIDs, durations): the same facts give the same
digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from balbook.commands.command import Command, command_from
from balbook.errors import BadInput
from balbook.local.digests import canonical, sha256_of
from balbook.secrets.secret_ref import SecretRef

VERSION = 1
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

    `dependencies` is the host's `Dependencies.toml`: the versions that the build resolved; `build_time` its `build-time.json`.
    `details` go into the store's entry; of them `input_digest` says what it was built from, since two builds of one input
    differ in bytes.
    """

    path: str
    store: str
    application: str
    version: str
    kind: str
    dependencies: str
    build_time: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Exchange:
    """Action, on this machine: an artifact into the artifact store, or between it and a registry; held against its sha256.

    `way`: `keep` (the file `source` into the store), `publish` (to the registry) or `retrieve` (from it). `registry` is an
    address or a directory, relative to the folder `base`; `credentials` a secret's reference, empty where none are needed.
    """

    way: str
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

    `unit` groups the steps that belong together (an instance): a plan stops only between units, and a failure undoes
    the unit in hand. `done`: a command that exits 0 where the step is already done; `is_done` is what it said when the
    plan was made. `verify` says that it worked. `undo` takes it back. `diff` is a unified diff for the reader.
    Neighbours with the same `group` run side by side, those of one host and one `lane` in their order. Of the `guards` at least
    `guards_needed` must hold right before the actions (the capacity floor).
    """

    id: str
    host: str
    title: str
    actions: tuple[Action, ...]
    unit: str = ""
    group: str = ""
    lane: str = ""
    phase: str = ""
    done: Command | None = None
    is_done: bool = False
    verify: tuple[Action, ...] = ()
    undo: tuple[Action, ...] = ()
    diff: str = ""
    guards: tuple[Guard, ...] = ()
    guards_needed: int = 0

    def data(self) -> dict[str, Any]:
        """Plain data; the inverse of `step_from`."""
        data: dict[str, Any] = {"id": self.id, "host": self.host, "title": self.title, "is_done": self.is_done}
        data |= {key: value for key in ("unit", "group", "lane", "phase", "diff") if (value := getattr(self, key))}
        data |= {key: [_action_data(a) for a in value] for key in ("actions", "verify", "undo") if (value := getattr(self, key))}
        if self.done:
            data["done"] = self.done.data()
        if self.guards:
            data["guards"] = [{"host": g.host, "command": g.command.data()} for g in self.guards]
        if self.guards_needed:  # without guards too: then nobody is left to serve, and the floor refuses the step
            data["guards_needed"] = self.guards_needed
        return data


@dataclass(frozen=True)
class Plan:
    """Steps in order, for one runbook; `application` is whose lock is taken (empty: none).

    `subject` names what the plan is about (release, strategy, versions), `settings` what the engine needs beside the
    steps (capacity floor, probe), both plain data.
    """

    runbook: str
    application: str
    steps: tuple[Step, ...]
    subject: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    preconditions: tuple[Mapping[str, str], ...] = ()

    @property
    def pending(self) -> tuple[Step, ...]:
        """The steps that would change something."""
        return tuple(step for step in self.steps if not step.is_done)

    @property
    def unmet(self) -> tuple[Mapping[str, str], ...]:
        """The preconditions that are not met; what was left out for want of privilege does not count."""
        return tuple(p for p in self.preconditions if p["state"] not in ("met", "left out"))

    @property
    def digest(self) -> str:
        """sha256 (hex) over the canonical JSON of the plan, less what preconditions measured (free space, clocks)."""
        states = [{"what": p["what"], "state": p["state"]} for p in self.preconditions]
        return sha256_of(canonical(self.data() | {"preconditions": states}))

    def data(self) -> dict[str, Any]:
        """Plain data; the inverse of `plan_from`."""
        return {
            "version": VERSION,
            "runbook": self.runbook,
            "application": self.application,
            "subject": dict(self.subject),
            "settings": dict(self.settings),
            "preconditions": [dict(p) for p in self.preconditions],
            "steps": [step.data() for step in self.steps],
        }

    def restricted_to(self, ids: set[str]) -> Plan:
        """The same plan with only these steps."""
        return replace(self, steps=tuple(step for step in self.steps if step.id in ids))


def plan_from(data: Mapping[str, Any]) -> Plan:
    """The plan that `Plan.data` wrote; a newer version is refused."""
    if data.get("version", 0) > VERSION:
        raise BadInput(f"this plan has version {data['version']}, this balbook knows {VERSION}", advice="Install a newer balbook.")
    return Plan(
        runbook=data["runbook"],
        application=data["application"],
        steps=tuple(step_from(step) for step in data["steps"]),
        subject=data["subject"],
        settings=data["settings"],
        preconditions=tuple(data["preconditions"]),
    )


def step_from(data: Mapping[str, Any]) -> Step:
    """The step that `Step.data` wrote."""
    return Step(
        id=data["id"],
        host=data["host"],
        title=data["title"],
        is_done=data["is_done"],
        unit=data.get("unit", ""),
        group=data.get("group", ""),
        lane=data.get("lane", ""),
        phase=data.get("phase", ""),
        diff=data.get("diff", ""),
        done=command_from(data["done"]) if "done" in data else None,
        actions=tuple(_action_from(a) for a in data.get("actions", ())),
        verify=tuple(_action_from(a) for a in data.get("verify", ())),
        undo=tuple(_action_from(a) for a in data.get("undo", ())),
        guards=tuple(Guard(g["host"], command_from(g["command"])) for g in data.get("guards", ())),
        guards_needed=int(data.get("guards_needed", 0)),
    )


def secrets_of(plan: Plan) -> list[SecretRef]:
    """The secrets that the pending steps hand to hosts, each once."""
    actions = [a for step in plan.pending for a in (*step.actions, *step.verify, *step.undo)]
    commands = [a.command for a in actions if isinstance(a, Run | Wait | Hold)]
    shown = [SecretRef(a.credentials) for a in actions if isinstance(a, Exchange) and a.credentials]
    return list(dict.fromkeys([*(part for command in commands for part in command.stdin if isinstance(part, SecretRef)), *shown]))


def _action_data(action: Action) -> dict[str, Any]:
    match action:
        case Run(command):
            return {"run": command.data()}
        case Wait(command, within_s, every_s, hopeless):
            given = {"hopeless": list(hopeless)} if hopeless else {}
            return {"wait": command.data(), "within_s": float(within_s), "every_s": float(every_s), **given}
        case Hold(command, seconds):
            return {"hold": command.data(), "seconds": float(seconds)}
        case Upload(source, sha256, path, mode, is_privileged):
            return {"upload": path, "sha256": sha256, "source": source, "mode": mode, "privileged": is_privileged}
        case Fetch(path, destination, is_directory):
            return {"fetch": path, "destination": destination, **({"is_directory": True} if is_directory else {})}
        case Publish():
            return {"publish": asdict(action)}
        case Exchange():
            return {"exchange": {key: value for key, value in asdict(action).items() if value}}


def _action_from(data: Mapping[str, Any]) -> Action:
    if "run" in data:
        return Run(command_from(data["run"]))
    if "wait" in data:
        return Wait(command_from(data["wait"]), float(data["within_s"]), float(data["every_s"]), tuple(data.get("hopeless", ())))
    if "hold" in data:
        return Hold(command_from(data["hold"]), float(data["seconds"]))
    if "fetch" in data:
        return Fetch(data["fetch"], data["destination"], bool(data.get("is_directory", False)))
    if "publish" in data:
        return Publish(**data["publish"])
    if "exchange" in data:
        return Exchange(**data["exchange"])
    return Upload(data["source"], data["sha256"], data["upload"], data["mode"], bool(data["privileged"]))
