"""Reading a plan again: of this version, or of an earlier one that a run has begun with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from balbook.errors import BadInput
from balbook.plan.model import VERSION, Plan, adapter
from balbook.plan.version_1 import plan_of_version_1

FILE = "plan.json"


def plan_from(data: Mapping[str, Any]) -> Plan:
    """The plan that `Plan.data` wrote; BadInput for a newer version, and where a field is missing or unknown or of another type."""
    version = data.get("version")
    if isinstance(version, int) and version > VERSION:
        raise BadInput(f"this plan has version {version}, this balbook knows {VERSION}", advice="Install a newer balbook.")
    try:
        if version == 1:
            return plan_of_version_1(data)
        return adapter().validate_json(json.dumps({key: value for key, value in data.items() if key != "version"}))
    except ValidationError as exc:
        first = exc.errors()[0]
        told = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise BadInput(f"this is not a plan: {told}", advice="Make a new plan: balbook plan NAME.") from exc
    except (AttributeError, KeyError, TypeError) as exc:
        raise BadInput(f"this is not a plan: {type(exc).__name__}: {exc}", advice="Make a new plan: balbook plan NAME.") from exc


def read_plan(run_dir: Path) -> Plan:
    """The plan that a run's folder keeps, of whatever version; BadInput where there is none to read."""
    try:
        return plan_from(json.loads((run_dir / FILE).read_bytes()))
    except (OSError, ValueError, AttributeError) as exc:  # or no JSON object
        raise BadInput(f"{run_dir} has no plan that can be read", advice="Run balbook plan, and name that run's id.") from exc


def require_current(plan: Plan) -> Plan:
    """The plan; BadInput where an earlier balbook made it: what nobody has begun to apply is planned anew."""
    if plan.version != VERSION:
        raise BadInput(
            f"this plan has version {plan.version}, and a plan that is to be applied has {VERSION}",
            advice=f"Nothing was touched. Make a new plan: balbook plan {plan.runbook}",
        )
    return plan
