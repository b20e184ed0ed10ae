"""Replace a running application by a new release, instance by instance, while the others serve.

The release is staged beside the old one on every host. Then, a batch at a time: drain, stop, switch, start, wait until
healthy, readmit, see the balancer send requests there. A batch that fails goes back to what it was, and the rollout stops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from balbook.plan.model import Plan
from balbook.procedures import Check
from balbook.procedures.parts.deployment import plan_for, planned, settled_checks, state_table, versions_table
from balbook.procedures.parts.look import look
from balbook.procedures.parts.preconditions import Row, row
from balbook.procedures.parts.site import Site
from balbook.show.table import Table


def preflight(site: Site) -> Table:
    """What runs now, by instance."""
    return state_table(site, look(site))


def plan(site: Site) -> Plan:
    """The steps from what runs now to the wanted release on every instance."""
    found = planned(site, "hot_deploy", lambda seen, release: plan_for(site, seen, release, "hot_deploy"))
    return replace(found, preconditions=(*found.preconditions, *_others(site)))


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """Fresh facts: every instance runs the release, is healthy, and is in service."""
    return settled_checks(site, str(plan.subject.get("release", "")))


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Table]:
    """Which package versions run where now."""
    return [versions_table(site, look(site))]


def _others(site: Site) -> list[Row]:
    """Somebody must serve meanwhile."""
    if not site.application.is_restarted:
        return []
    return [row("another instance or a balancer, so that requests flow meanwhile", False, "there is none: use the runbook deploy")]
