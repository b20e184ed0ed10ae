"""Reading a plan again: of this version, or of an earlier one that a run has begun with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from balbook.errors import BadInput
from balbook.local.typed_json import parse_json
from balbook.plan.model import VERSION, Plan
from balbook.plan.version_1 import plan_of_version_1

FILE = "plan.json"


def plan_from(data: dict[str, Any], where: str = "this plan") -> Plan:
    """The plan that `Plan.data` wrote; BadInput for a newer version, and where a field is missing or unknown or of another type."""
    try:
        if (version := data["version"]) > VERSION:
            raise BadInput(f"{where} has version {version}; this balbook knows {VERSION}", advice="Install a newer balbook.")
        if version == 1:
            return plan_of_version_1(data, where)
        return parse_json(json.dumps({key: data[key] for key in data if key != "version"}), Plan, where, BadInput)
    except (AttributeError, KeyError, TypeError) as exc:
        raise BadInput(f"{where} is not a plan: {type(exc).__name__}: {exc}", advice="Make a new plan: balbook plan NAME") from exc


def read_plan(run_dir: Path) -> Plan:
    """The plan that a run's folder keeps, of whatever version; BadInput where there is none to read."""
    try:
        data = json.loads((run_dir / FILE).read_bytes())
    except (OSError, ValueError) as exc:
        raise BadInput(f"{run_dir} has no readable plan", advice="Run balbook plan, and name that run's id.") from exc
    return plan_from(data, str(run_dir / FILE))


def require_current(plan: Plan) -> Plan:
    """The plan; BadInput where an earlier balbook made it: what nobody has begun to apply is planned anew."""
    if plan.version != VERSION:
        raise BadInput(
            f"this plan has version {plan.version}, and a plan that is to be applied has {VERSION}",
            advice=f"Nothing was touched. Make a new plan: balbook plan {plan.runbook}",
        )
    return plan
