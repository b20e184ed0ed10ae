"""Bring every instance back to a release that was proven healthy and still stands on every host.

The engine and the steps are those of a deployment, less what need not be waited for: nothing is uploaded or staged, an
instance that has left the balancer and has no request in hand is not asked for a graceful stop, instances that serve
nobody are changed together, and as many others at a time as the capacity floor allows.
"""

from __future__ import annotations

from balbook.errors import ParameterError, nearest
from balbook.inventory.models import Instance
from balbook.plan.model import Plan
from balbook.procedures.parts.deployment import evidence as evidence
from balbook.procedures.parts.deployment import now_table, plan_back
from balbook.procedures.parts.deployment import verify as verify
from balbook.procedures.parts.look import Seen, look
from balbook.procedures.parts.preconditions import deployment_preconditions, row
from balbook.procedures.parts.release import release_from
from balbook.procedures.parts.site import Site
from balbook.show.table import Table


def preflight(site: Site) -> Table:
    """The instances now, and the releases to go back to."""
    seen = look(site)
    known = ", ".join(candidates(site, seen)) or "none"
    return now_table(site, seen, f"Proven healthy and on every host, the latest first: {known}")


def plan(site: Site) -> Plan:
    """The steps from what runs now to the chosen release, or to the previous proven one."""
    seen = look(site)
    name = chosen(site, seen)
    if name is None:
        what = "a release that was proven healthy stands on every host"
        missing = row(what, False, "no such release; deploy an earlier version")
        return Plan("rollback", site.application_name, (), preconditions=(missing, *deployment_preconditions(site, seen)))
    revisions = {host: seen.installed[host].releases[name].revision for host in site.application_hosts}
    return plan_back(site, seen, release_from(site, revisions), "rollback")


def candidates(site: Site, seen: Seen) -> list[str]:
    """The releases that stand on every host and were proven healthy there, the one that was proven last first."""
    by_host = [seen.installed[host].proven for host in site.application_hosts]
    everywhere = set.intersection(*(set(proven) for proven in by_host)) if by_host else set()
    return sorted(everywhere, key=lambda name: (max(proven[name] for proven in by_host), name), reverse=True)


def chosen(site: Site, seen: Seen) -> str | None:
    """The release that the parameters name, by its name or version, else the previous one; None where there is none.

    The previous one is the release that was proven before the last one; where a rollout away from the last one was cut off, it is
    the last one itself. Raises ParameterError for a release that is not among the candidates.
    """
    known = candidates(site, seen)
    if wanted := str(site.parameters.get("release", "")):
        found = [name for name in known if wanted == name or name.rpartition("-")[0] == wanted]
        if not found:
            raise ParameterError(f"parameter release: {wanted!r} was not proven healthy on every host", advice=nearest(wanted, known))
        return found[0]
    return next((name for name in known if not all(_is_at(seen, i, name) for i in site.application.instances)), None)


def _is_at(seen: Seen, instance: Instance, release: str) -> bool:
    """True where the instance runs the release, or died in service with it: a rollout drains an instance before a stop."""
    is_running = seen.running(instance) == release
    return seen.current(instance) == release and (is_running or seen.in_service[instance.name])
