"""The versions of the programs that did the work, for the record."""

from __future__ import annotations

from balbook.commands.ballerina import bal_of
from balbook.facts.versions import versions
from balbook.plan.model import Plan
from balbook.procedures.parts.site import Site
from balbook.record.events import Versions
from balbook.record.journal import Journal


def note_versions(site: Site, plan: Plan, journal: Journal) -> None:
    """Writes the versions on the plan's hosts into the journal, without hosts that do not answer: the plan names those."""
    inventory = site.inventory
    application = inventory.applications.get(plan.application)
    front = [inventory.balancers[application.balancer].host] if application and application.balancer else []
    hosts = dict.fromkeys([*(step.host for step in plan.steps if step.host in inventory.hosts), *front])
    builders = {host: bal_of(inventory.hosts[host].root) for host in hosts if "build" in inventory.hosts[host].roles}
    found = site.ask_all(hosts, lambda host: versions(builders.get(host, "")))
    journal.append(Versions(hosts=found.succeeded))
