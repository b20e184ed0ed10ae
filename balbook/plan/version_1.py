"""Plans of version 1, which balbook 0.1.0 wrote: a run that began with one goes on with it, and its record is verified.

There a step's verb and instances were the words of its id, its phase had them in front, and its unit was joined by `+`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, get_args

from balbook.errors import BadInput
from balbook.local.digests import canonical, sha256_of
from balbook.local.typed_json import parse_json
from balbook.plan.model import Phase, Plan

NAMES = {"upload": "path", "fetch": "path", "privileged": "is_privileged"}


@dataclass(frozen=True)
class PlanOfVersion1(Plan):
    """A plan that was read from version 1; `digest` is what its journal and its approvals name."""

    version: ClassVar[int] = 1
    written: str = ""

    @property
    def digest(self) -> str:
        return self.written


def plan_of_version_1(data: Mapping[str, Any], where: str) -> PlanOfVersion1:
    """The plan that was read `where`; BadInput, AttributeError, KeyError or TypeError where it is none."""
    states = [{"what": p["what"], "state": p["state"]} for p in data["preconditions"]]
    written = sha256_of(canonical({**data, "preconditions": states}))
    settings = dict(data["settings"])
    if "lease" in settings:
        settings["lease"] = {"application": data["application"], **settings["lease"]}
    if "on_resume" in settings:
        settings["on_resume"] = [step.partition(" ")[0] for step in settings["on_resume"]]
    new = {
        "runbook": data["runbook"],
        "application": data["application"],
        "subject": data["subject"],
        "settings": settings,
        "preconditions": [_precondition(p) for p in data["preconditions"]],
        "steps": [_step(step) for step in data["steps"]],
    }
    plan = parse_json(json.dumps(new), Plan, where, BadInput)
    return PlanOfVersion1(**{f.name: getattr(plan, f.name) for f in fields(plan)}, written=written)


def _precondition(data: Mapping[str, str]) -> dict[str, str]:
    runbook = data["state"].partition("met by runbook ")[2]
    return {**data, "state": "unmet", "met_by": runbook} if runbook else dict(data)


def _step(data: Mapping[str, Any]) -> dict[str, Any]:
    verb, _, about = data["id"].partition(" ")
    subject, _, state = data.get("phase", "").rpartition(" ")
    unit = data["unit"].split("+") if "unit" in data else []
    changed: dict[str, Any] = {
        "verb": verb,
        "about": about,
        "reads": "bal",  # every output was read so
        "unit": unit,
        "instances": subject.split("+") if subject else unit,
        "phase": state if state in get_args(Phase) else "",
        "guards": [{**guard, "command": _command(guard["command"])} for guard in data.get("guards", ())],
        **{kind: [_action(action) for action in data.get(kind, ())] for kind in ("actions", "verify", "undo")},
    }
    return {**data, **changed, **({"done": _command(data["done"])} if "done" in data else {})}


def _action(data: Mapping[str, Any]) -> dict[str, Any]:
    for kind in ("run", "wait", "hold"):
        if kind in data:
            return {"command": _command(data[kind]), **{key: value for key, value in data.items() if key != kind}}
    if "exchange" in data:
        return dict(data["exchange"])
    if "publish" in data:
        dependencies, build_time = data["publish"]["dependencies"], data["publish"]["build_time"]
        kept = {key: value for key, value in data["publish"].items() if key not in ("dependencies", "build_time")}
        return {**kept, "reads": "bal build", "beside": [dependencies, build_time]}
    return {NAMES.get(key, key): value for key, value in data.items()}


def _command(data: Mapping[str, Any]) -> dict[str, Any]:
    parts = data.get("stdin", ())
    stdin = [p if isinstance(p, str) else {"reference": p["secret"], "quoting": p.get("quoting", "")} for p in parts]
    return {**{NAMES.get(key, key): value for key, value in data.items()}, "stdin": stdin}
