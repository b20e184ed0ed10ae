"""Deploy one application to its hosts: switch each instance to the release, wait until it is healthy, go back where it is not.

The release layout, the health gate and the way back are those of a hot deployment. Behind a balancer instances are drained first;
without a balancer each instance is restarted, and its downtime is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from balbook.plan.model import Plan
from balbook.procedures.parts.deployment import evidence as versions
from balbook.procedures.parts.deployment import plan_to
from balbook.procedures.parts.deployment import preflight as preflight
from balbook.procedures.parts.deployment import verify as verify
from balbook.procedures.parts.site import Site
from balbook.record.journal import history_of
from balbook.show.table import Shown, Table


def plan(site: Site) -> Plan:
    """The steps from what runs now to the wanted release on every instance."""
    return plan_to(site, "deploy")


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Shown]:
    """The package versions that run now, and the downtime of each instance."""
    measured = history_of(run_dir).measured
    rows = [(name, f"{seconds:.2f} s") for name, seconds in ((measured and measured.downtime_s) or {}).items()]
    note = (
        ""
        if rows
        else "No instance was stopped."
        if not site.application.balancer
        else "The balancer sent requests to other instances meanwhile."
    )
    downtime = Table(("instance", "downtime"), rows, title="Downtime of each instance, from the request to stop until healthy", note=note)
    return [*versions(site, plan, run_dir), downtime]
