"""Put a release with its configuration beside the one that runs, on every host: environment variables, `Config.toml`, limits.

Nothing that runs is touched: `deploy` switches to the release. Only the application's account can read the files, and secrets are
put into them on their way to the host. Where systemd runs the instances, its unit has the limits and is written too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from balbook.commands import releases
from balbook.inventory.secret_references import PLACEHOLDER
from balbook.plan.model import Plan
from balbook.plan.settings import Settings
from balbook.procedures import Check
from balbook.procedures.parts import supervision
from balbook.procedures.parts.deployment import planned, preconditions_of, staging, subject_of
from balbook.procedures.parts.deployment import preflight as preflight
from balbook.procedures.parts.look import Seen, look
from balbook.procedures.parts.preconditions import UNIT
from balbook.procedures.parts.release import Release, release_of
from balbook.procedures.parts.site import Site
from balbook.procedures.provision import unit_step
from balbook.show.table import Shown, Table
from balbook.transport import fan_out


def plan(site: Site) -> Plan:
    """The release with its configuration, staged on every host; the diff is to the configuration that runs."""
    return planned(site, "configure", partial(_plan, site))


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """Fresh facts: every host has the release with this configuration, and no other account can read the files."""
    seen, checks = look(site), []
    name, units = plan.subject["release"], supervision.units(site)
    places = {host: f"{site.application_dir(host)}/releases/{name}" for host in site.application_hosts}
    private = fan_out(places, lambda host: site.transport.execute(host, releases.is_private(places[host]))).require()
    for host in site.application_hosts:
        there = seen.installed[host].releases.get(str(name))
        files = dict(there.revision.get("files", {})) if there else {}
        is_same = there is not None and files == _release(site, plan).files_on(host)
        checks.append(Check(f"{host} has {name} as the inventory configures it", is_same))
        checks.append(
            Check(f"{host}: no other account can read the configuration", private[host].status == 0, private[host].stdout.strip())
        )
        if host in units:
            checks.append(Check(f"{host}: the systemd unit has the inventory's limits", units[host]))
    return checks


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Shown]:
    """The files of the configuration, with their references to secrets."""
    if not plan.subject:
        return []
    release = _release(site, plan)
    rows = [
        (host, path, len(text.splitlines()), ", ".join(sorted(set(PLACEHOLDER.findall(text)))) or "-")
        for host in site.application_hosts
        for path, text in sorted(release.files_on(host).items())
    ]
    return [Table(("host", "file", "lines", "secrets"), rows, title=f"Configuration of {release.name}")]


def _plan(site: Site, seen: Seen, release: Release) -> Plan:
    name, subject, settings = site.application_name, subject_of(site, release), Settings(lease=site.lease_place)
    # Systemd's unit has the limits of the processes; balbook's own supervision takes them as arguments of the start.
    units = [replace(unit_step(site, host, name), is_done=is_right) for host, is_right in supervision.units(site).items()]
    rows = tuple(row for row in preconditions_of(site, seen, release) if not row.what.endswith(UNIT))
    return Plan("configure", name, (*units, *staging(site, seen, release)), subject, settings, rows)


def _release(site: Site, plan: Plan) -> Release:
    return release_of(site, site.store.find(site.application_name, str(plan.subject["version"])))
