"""Put a release with its configuration beside the one that runs, on every host: environment variables, `Config.toml`, limits.

Nothing that runs is touched: `deploy` switches to it. The files are for the application's account alone to read, and secrets are
put into them on their way there. Where systemd runs the instances its unit has the limits, and is written too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from balbook.commands import releases
from balbook.inventory.secret_references import PLACEHOLDER
from balbook.plan.model import Plan, Step
from balbook.plan.settings import Settings
from balbook.procedures import Check
from balbook.procedures.parts import supervision
from balbook.procedures.parts.deployment import diffs_of, planned, preconditions_of, subject_of
from balbook.procedures.parts.deployment import preflight as preflight
from balbook.procedures.parts.look import Seen, look
from balbook.procedures.parts.preconditions import UNIT
from balbook.procedures.parts.release import Release, release_of, staging
from balbook.procedures.parts.site import Site
from balbook.procedures.provision import unit_step
from balbook.show.table import Shown, Table
from balbook.transport import fan_out


def plan(site: Site) -> Plan:
    """The release with its configuration, staged on every host; the diff is to what runs there."""
    return planned(site, "configure", lambda seen, release: _plan(site, seen, release))


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """Fresh facts: every host has the release with this configuration, for nobody else to read."""
    seen, checks = look(site), []
    name, units = plan.subject["release"], supervision.units(site)
    places = {host: f"{site.application_dir(host)}/releases/{name}" for host in site.application_hosts}
    private = fan_out(places, lambda host: site.transport.execute(host, releases.is_private(places[host]))).require()
    for host in site.application_hosts:
        there = seen.installed[host].releases.get(str(name))
        files = dict(there.revision.get("files", {})) if there else {}
        is_same = there is not None and files == _release(site, plan).files_on(host)
        checks.append(Check(f"{host} has {name} as the inventory configures it", is_same))
        checks.append(Check(f"{host}: nobody else may read its configuration", private[host].status == 0, private[host].stdout.strip()))
        if host in units:
            checks.append(Check(f"{host}: the systemd unit has its limits", units[host]))
    return checks


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Shown]:
    """The files of the configuration, with the references to secrets that are in them."""
    if not plan.subject:
        return []
    release = _release(site, plan)
    rows = [
        (host, path, len(text.splitlines()), ", ".join(sorted(set(PLACEHOLDER.findall(text)))) or "-")
        for host in site.application_hosts
        for path, text in sorted(release.files_on(host).items())
    ]
    return [Table(("host", "file", "lines", "secrets in it"), rows, title=f"Configuration of {release.name}")]


def _plan(site: Site, seen: Seen, release: Release) -> Plan:
    staged = {host: release.name in seen.installed[host].releases for host in site.application_hosts}
    steps = [*_units(site), *staging(site, release, staged, diffs_of(site, seen, release))]
    return Plan(
        "configure",
        site.application_name,
        tuple(steps),
        subject=subject_of(site, release),
        settings=Settings(lease=site.lease_place),
        preconditions=tuple(row for row in preconditions_of(site, seen, release) if not row.what.endswith(UNIT)),
    )


def _units(site: Site) -> Iterator[Step]:
    """Limits of the processes; of balbook's own supervision they are arguments of the start."""
    for host, is_so in supervision.units(site).items():
        yield replace(unit_step(site, host, site.application_name), is_done=is_so)


def _release(site: Site, plan: Plan) -> Release:
    return release_of(site, site.store.find(site.application_name, str(plan.subject["version"])))
