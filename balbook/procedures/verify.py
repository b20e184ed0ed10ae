"""Verify a running application: the release that is served, its health, HTTP requests of the inventory, its log since the start.

Changes nothing. The memory and the start-up time of each instance are measured on its host and kept in the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from balbook.commands import health, process
from balbook.facts.footprint import Footprint, footprint
from balbook.inventory.models import HttpCheck, Instance
from balbook.plan.model import Plan
from balbook.procedures import Check
from balbook.procedures.parts import supervision
from balbook.procedures.parts.deployment import planned, settled_checks, subject_of
from balbook.procedures.parts.deployment import preflight as preflight
from balbook.procedures.parts.site import Site
from balbook.record.events import Measured
from balbook.record.journal import Journal
from balbook.show.table import Shown, Table
from balbook.transport import fan_out


def plan(site: Site) -> Plan:
    """No steps: the release that the instances should serve, as the inventory configures it."""
    found = planned(site, "verify", lambda seen, release: Plan("verify", site.application_name, (), subject=subject_of(site, release)))
    return replace(found, preconditions=found.preconditions[:1])  # the checks ask the hosts everything else


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """Fresh facts of every instance, all hosts side by side."""
    instances = {i.name: i for i in site.application.instances}
    asked = fan_out(instances, lambda name: list(_asked(site, instances[name], str(plan.subject["version"])))).require()
    return [*settled_checks(site, str(plan.subject["release"])), *(check for found in asked.values() for check in found)]


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Shown]:
    """Memory and start-up time of each instance, on its host."""
    found = footprints(site)
    _record(Journal(run_dir / "journal.jsonl"), plan, found)
    measured = found.items() if plan.subject else ()
    rows = [(name, plan.subject["kind"], _shown(there.rss_mb, "MB"), _shown(there.start_s, "s")) for name, there in measured]
    note = "In a lab the figures are the stand-in's, not those of a program that the real Ballerina built." if site.inventory.lab else ""
    return [
        Table(
            ("instance", "kind", "memory (RSS)", "start"),
            rows,
            title="Memory and start-up time of each instance, measured on its host",
            note=note,
        )
    ]


def footprints(site: Site) -> dict[str, Footprint]:
    """Memory and start-up time by instance."""
    places = {i.name: (i.host, site.instance_dir(i)) for i in site.application.instances}
    return fan_out(places, lambda name: site.ask(places[name][0], footprint(places[name][1]))).require()


def _asked(site: Site, instance: Instance, version: str) -> Iterator[Check]:
    wanted, check = site.application.verify, site.application.health
    for request in (HttpCheck(path=check.path, expect=check.expect), *wanted.requests):
        contains = request.contains.replace(
            "{version}", version.partition("+")[0]
        )  # the part behind + is `build`'s, and no service knows it
        asked = site.transport.execute(instance.host, health.answers(instance.port, request.path, request.expect, contains))
        text = f" with {contains!r}" if contains else ""
        yield Check(f"{instance.name}: GET {request.path} answers {request.expect}{text}", asked.status == 0, asked.stdout.strip())
    source = supervision.log_source(site, instance)
    unit = "" if source.startswith("/") else source
    log = site.transport.execute(instance.host, process.log_errors(site.instance_dir(instance), unit, list(wanted.allowed_errors)))
    yield Check(f"{instance.name}: no error in the log since the start", log.status == 0, log.stdout.strip() or log.stderr.strip())


def _record(journal: Journal, plan: Plan, found: dict[str, Footprint]) -> None:
    """Writes the figures into the record of a run that was applied."""
    if journal.history().verified:
        rss_mb = {name: there.rss_mb for name, there in found.items() if there.rss_mb is not None}
        start_s = {name: there.start_s for name, there in found.items() if there.start_s is not None}
        journal.append(Measured(version=plan.subject["version"], kind=plan.subject["kind"], rss_mb=rss_mb, start_s=start_s))


def _shown(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:g} {unit}"
