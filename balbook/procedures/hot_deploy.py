"""Replace a running application by a new release, instance by instance, while the others serve.

The release is staged beside the old one on every host. Then, a batch at a time: drain, stop, switch, start, wait until
healthy, readmit, see the balancer send requests there. A batch that fails goes back to what it was, and the rollout stops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from balbook.commands import releases
from balbook.errors import StoreError
from balbook.facts.releases import Installed
from balbook.inventory.models import Instance
from balbook.plan import Plan, Run, Step
from balbook.procedures import Check
from balbook.procedures.look import Seen, look
from balbook.procedures.preconditions import deployment_preconditions
from balbook.procedures.release import Release, diff_of, release_of, staging
from balbook.procedures.rollout import final_configuration, roll
from balbook.procedures.site import Site
from balbook.table import Table


def preflight(site: Site) -> Table:
    """What runs now, by instance."""
    seen = look(site)
    rows = [
        (i.name, seen.running(i) or "-", seen.is_healthy[i.name], _service(seen, i), seen.pid(i) or "-") for i in site.application.instances
    ]
    return Table(
        ("instance", "release", "healthy", "in service", "pid"),
        [(name, release, "yes" if ok else "no", service, pid) for name, release, ok, service, pid in rows],
        title=f"{site.application_name} now",
    )


def plan(site: Site) -> Plan:
    """The steps from what runs now to the wanted release on every instance."""
    seen = look(site)
    try:
        artifact = site.store.find(site.application_name, str(site.parameters.get("release", "latest")))
        site.store.check(artifact)
    except StoreError as exc:
        missing = {"what": "the artifact is in the store", "state": "unmet", "found": exc.message}
        return Plan("hot_deploy", site.application_name, (), preconditions=(missing, *deployment_preconditions(site, seen)))
    release = release_of(site, artifact)
    return plan_for(site, seen, release, "hot_deploy")


def plan_for(site: Site, seen: Seen, release: Release, runbook: str) -> Plan:
    """The steps that bring every instance to `release`."""
    serial = max(1, int(site.parameters.get("serial", 1) or 1))
    steps = [
        *staging(
            site, release, {h: release.name in seen.installed[h].releases for h in site.application_hosts}, _diffs(site, seen, release)
        ),
        *roll(site, seen, release, serial),
        *final_configuration(site, seen),
        *_settle(site, seen, release),
    ]
    return Plan(
        runbook=runbook,
        application=site.application_name,
        steps=tuple(steps),
        subject=_subject(site, release),
        settings=_settings(site, seen),
        preconditions=tuple(deployment_preconditions(site, seen)),
    )


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """Fresh facts: every instance runs the release, is healthy, and is in service."""
    seen = look(site)
    wanted = str(plan.subject.get("release", ""))
    checks = []
    for instance in site.application.instances:
        running = seen.running(instance)
        checks += [
            Check(f"{instance.name} runs {wanted}", running == wanted, running or "nothing runs"),
            Check(
                f"{instance.name} is healthy", seen.is_healthy[instance.name], "" if seen.is_healthy[instance.name] else "no healthy answer"
            ),
        ]
        if seen.front:
            checks.append(Check(f"{instance.name} is in service", seen.in_service[instance.name], _service(seen, instance)))
    if seen.front:
        checks.append(Check(f"{seen.front.name} has this configuration in force", seen.is_final_applied, ""))
    return checks


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Table]:
    """Which package versions run where now."""
    seen = look(site)
    rows: list[tuple[str, str, str, str]] = []
    for instance in site.application.instances:
        revision = seen.revision(instance)
        packages = dict(revision.get("packages", {})) or {site.application_name: str(revision.get("version", "-"))}
        rows += [(instance.name, seen.running(instance) or "-", package, version) for package, version in sorted(packages.items())]
    return [Table(("instance", "release", "package", "version"), rows, title="What runs where")]


def _settle(site: Site, seen: Seen, release: Release) -> list[Step]:
    """The release is marked as proven healthy, and old releases go."""
    steps = []
    for host in site.application_hosts:
        installed = seen.installed[host]
        directory = release.directory(site, host)
        current = next((seen.running(i) for i in site.application.instances if i.host == host), None)
        previous = installed.previous_proven(release.name) if current == release.name else current
        protected = sorted({release.name, *([previous] if previous else []), *_proven_before(installed, release.name)})
        is_proven = release.name in installed.releases and installed.releases[release.name].proven_at is not None
        place, keep = site.application_dir(host), site.application.keep_releases
        steps += [
            Step(
                id=f"prove {host}",
                host=host,
                title=f"mark {release.name} as proven healthy",
                group="prove",
                phase="settle",
                done=releases.is_proven(directory),
                is_done=is_proven,
                actions=(Run(releases.mark_proven(directory)),),
            ),
            Step(
                id=f"prune {host}",
                host=host,
                title=f"keep the last {keep} releases",
                group="prune",
                phase="settle",
                done=releases.is_pruned(place, keep, protected),
                is_done=len({*installed.releases, release.name}) <= keep,
                actions=(Run(releases.prune(place, keep, protected)),),
            ),
        ]
    return sorted(steps, key=lambda step: step.group == "prune")


def _proven_before(installed: Installed, release: str) -> list[str]:
    previous = installed.previous_proven(release)
    return [previous] if previous else []


def _diffs(site: Site, seen: Seen, release: Release) -> dict[str, str]:
    """By host, how the configuration differs from that of what runs there."""
    diffs = {}
    for host in site.application_hosts:
        before: dict[str, str] = {}
        for instance in site.application.instances:
            if instance.host == host:
                before |= {p: t for p, t in seen.revision(instance).get("files", {}).items() if p.startswith(f"{instance.port}/")}
        diffs[host] = diff_of(before, release.files_on(host))
    return diffs


def _subject(site: Site, release: Release) -> Mapping[str, Any]:
    return {
        "release": release.name,
        "version": release.artifact.version,
        "artifact_sha256": release.artifact.sha256,
        "packages": dict(release.artifact.packages),
        "strategy": str(site.parameters.get("strategy", "")) or site.application.strategy,
        "environment": site.inventory.environment,
    }


def _settings(site: Site, seen: Seen) -> Mapping[str, Any]:
    """What the engine needs beside the steps: the lease, and what to measure where something serves already."""
    place = site.lease_place
    settings: dict[str, Any] = {"lease": {"host": place.host, "directory": place.directory}}
    application, serving = site.application, [i for i in site.application.instances if seen.is_serving(i)]
    if seen.front and serving:
        probe, balancer = application.probe, seen.front.balancer
        settings["probe"] = {
            "host": balancer.address or site.host(balancer.host).address,
            "port": balancer.listen,
            "rate": probe.rate,
            "timeout_s": probe.timeout_s,
            "max_failed": probe.max_failed,
            "requests": [request.model_dump() for request in probe.requests],
            "health_path": application.health.path,
            "instances": {f"{site.host(i.host).address}:{i.port}": i.name for i in application.instances},
            "logs": {host: [site.instance_dir(i) for i in application.instances if i.host == host] for host in site.application_hosts},
        }
    return settings


def _service(seen: Seen, instance: Instance) -> str:
    if not seen.front:
        return "no balancer"
    return "yes" if seen.in_service[instance.name] else "no"
