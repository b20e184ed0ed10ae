"""Replace a running application by a new release, instance by instance, while the others serve.

The release is staged beside the old one on every host. Then, a batch at a time: drain, stop, switch, start, wait until
healthy, readmit, see the balancer send requests there. A batch that fails goes back to what it was, and the rollout stops.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from balbook.errors import StoreError
from balbook.plan import Plan
from balbook.procedures import Check
from balbook.procedures.deployment import checks_of, plan_for, state_table, versions_table
from balbook.procedures.look import look
from balbook.procedures.preconditions import deployment_preconditions
from balbook.procedures.release import release_of
from balbook.procedures.site import Site
from balbook.table import Table


def preflight(site: Site) -> Table:
    """What runs now, by instance."""
    return state_table(site, look(site))


def plan(site: Site) -> Plan:
    """The steps from what runs now to the wanted release on every instance."""
    seen = look(site)
    try:
        artifact = site.store.find(site.application_name, str(site.parameters.get("release", "latest")))
        site.store.check(artifact)
    except StoreError as exc:
        missing = {"what": "the artifact is in the store", "state": "unmet", "found": exc.message}
        return Plan("hot_deploy", site.application_name, (), preconditions=(missing, *deployment_preconditions(site, seen)))
    return plan_for(site, seen, release_of(site, artifact), "hot_deploy")


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """Fresh facts: every instance runs the release, is healthy, and is in service."""
    return checks_of(site, look(site), str(plan.subject.get("release", "")))


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Table]:
    """Which package versions run where now."""
    return [versions_table(site, look(site))]
