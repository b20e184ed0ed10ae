"""Replace a running application by a new release, instance by instance, while the others serve.

The release is staged beside the old one on every host. Then, a batch at a time: drain, stop, switch, start, wait until
healthy, readmit, see answers through the balancer. A batch that fails goes back to its earlier release, and the rollout stops.
"""

from __future__ import annotations

from dataclasses import replace

from balbook.plan.model import Plan
from balbook.procedures.parts.deployment import evidence as evidence
from balbook.procedures.parts.deployment import plan_to
from balbook.procedures.parts.deployment import preflight as preflight
from balbook.procedures.parts.deployment import verify as verify
from balbook.procedures.parts.preconditions import row
from balbook.procedures.parts.site import Site


def plan(site: Site) -> Plan:
    """The steps from what runs now to the wanted release on every instance, while other instances serve."""
    found = plan_to(site, "hot_deploy")
    if not site.application.is_restarted:
        return found
    what = "the application has a balancer or another instance that serves meanwhile"
    return replace(found, preconditions=(*found.preconditions, row(what, False, "use the runbook deploy")))
