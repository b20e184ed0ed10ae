"""Deploy one application to its hosts: switch each instance to the release, see it healthy, go back where it is not.

The release layout, the health gate and the way back are those of a hot deployment. Behind a balancer instances are drained first;
without one each is restarted, and how long it was not there is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from balbook.plan.model import Plan
from balbook.procedures.parts.deployment import plan_to, versions_table
from balbook.procedures.parts.deployment import preflight as preflight
from balbook.procedures.parts.deployment import verify as verify
from balbook.procedures.parts.site import Site
from balbook.record.journal import history_of
from balbook.show.table import Shown, Table


def plan(site: Site) -> Plan:
    """The steps from what runs now to the wanted release on every instance."""
    return plan_to(site, "deploy")


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Shown]:
    """Which package versions run where now, and how long each instance was not there."""
    measured = history_of(run_dir).measured
    rows = [(name, f"{seconds:.2f} s") for name, seconds in ((measured and measured.downtime_s) or {}).items()]
    note = "" if rows else "None was stopped." if not site.application.balancer else "A balancer sends requests elsewhere meanwhile."
    downtime = Table(("instance", "not there for"), rows, title="Downtime, from the request to stop until it was healthy", note=note)
    return [versions_table(site), downtime]
