"""Replace a running application by a new release, instance by instance, while the others serve.

The release is staged beside the old one on every host. Then, a batch at a time: drain, stop, switch, start, wait until
healthy, readmit, see the balancer send requests there. A batch that fails goes back to what it was, and the rollout stops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from balbook.plan.model import Plan
from balbook.procedures.parts.deployment import plan_to, versions_table
from balbook.procedures.parts.deployment import preflight as preflight
from balbook.procedures.parts.deployment import verify as verify
from balbook.procedures.parts.preconditions import row
from balbook.procedures.parts.site import Site
from balbook.show.table import Table


def plan(site: Site) -> Plan:
    """The steps from what runs now to the wanted release on every instance, while somebody serves."""
    found = plan_to(site, "hot_deploy")
    if not site.application.is_restarted:
        return found
    nobody = row("another instance or a balancer, so that requests flow meanwhile", False, "there is none: use the runbook deploy")
    return replace(found, preconditions=(*found.preconditions, nobody))


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Table]:
    """Which package versions run where now."""
    return [versions_table(site)]
