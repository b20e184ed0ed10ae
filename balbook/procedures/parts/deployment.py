"""What deploying and rolling back share: the plan that brings every instance to a release, and the checks afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from balbook.commands import balancer as balancing
from balbook.commands import releases
from balbook.engine.order import PROVE
from balbook.errors import StoreError
from balbook.facts.releases import Installed
from balbook.inventory.models import Application, Instance
from balbook.plan.model import Plan, Precondition, Run, Step
from balbook.plan.settings import ProbeSettings, RolloutSettings, Settings
from balbook.procedures import Check
from balbook.procedures.parts import supervision, watchdog
from balbook.procedures.parts.look import Seen, look
from balbook.procedures.parts.preconditions import deployment_preconditions, row
from balbook.procedures.parts.release import Release, diff_of, release_of, staging
from balbook.procedures.parts.rollout import Pace, final_configuration, roll
from balbook.procedures.parts.site import Site
from balbook.show.table import Table

QUICK_PROBE_S = 0.5
"""How long a rollback measures before and after: whoever goes back does not wait for figures."""
LOOKS, LOOK_EVERY_S = 3, 0.7


def planned(site: Site, runbook: str, make: Callable[[Seen, Release], Plan]) -> Plan:
    """`make`'s plan for the release that the parameters name; where the store has it not, an empty one that says so."""
    seen = look(site)
    try:
        artifact = site.store.find(site.application_name, str(site.parameters.get("release", "latest")))
        site.store.check(artifact)
    except StoreError as exc:
        missing = row("the artifact is in the store", False, exc.message)
        return Plan(runbook, site.application_name, (), preconditions=(missing, *deployment_preconditions(site, seen)))
    return make(seen, release_of(site, artifact))


def plan_to(site: Site, runbook: str) -> Plan:
    """The steps that stage the release which the parameters name, and bring every instance to it."""
    return planned(site, runbook, lambda seen, release: _plan_to(site, seen, release, runbook))


def _plan_to(site: Site, seen: Seen, release: Release, runbook: str) -> Plan:
    serial = max(1, int(site.parameters.get("serial", 1) or 1))
    staged = {h: release.name in seen.installed[h].releases for h in site.application_hosts}
    steps = [
        *staging(site, release, staged, diffs_of(site, seen, release)),
        *roll(site, seen, release, Pace.of(site.application, serial)),
    ]
    return _whole(site, seen, release, runbook, steps, deployment_settings(site, seen, steps))


def plan_back(site: Site, seen: Seen, release: Release, runbook: str) -> Plan:
    """The steps that bring every instance to a `release` that stands on every host, as fast as the capacity floor allows."""
    steps = roll(site, seen, release, Pace.quick(site, seen))
    settings = deployment_settings(site, seen, steps)
    # What is left behind may fail requests, and that must not end the way out of it.
    probe = replace(settings.probe, baseline_s=QUICK_PROBE_S, after_s=QUICK_PROBE_S, is_gate=False) if settings.probe else None
    rollout = replace(settings.rollout, on_failure="pause", max_p99_ratio=None)
    return _whole(site, seen, release, runbook, steps, replace(settings, probe=probe, rollout=rollout))


def verify(site: Site, plan: Plan) -> list[Check]:
    """Fresh facts: every instance runs the release, is healthy, and is in service where a balancer stands in front."""
    return settled_checks(site, str(plan.subject.get("release", "")))


def settled_checks(site: Site, wanted: str) -> list[Check]:
    """Fresh facts; what is not so is looked at again for a moment, since a balancer that was just reloaded may still answer as before."""
    for _ in range(LOOKS - 1):
        checks = checks_of(site, look(site), wanted)
        if all(check.is_so for check in checks):
            return checks
        time.sleep(LOOK_EVERY_S)
    return checks_of(site, look(site), wanted)


def checks_of(site: Site, seen: Seen, wanted: str) -> list[Check]:
    """Every instance runs the release, is healthy, and is in service."""
    checks = []
    for instance in site.application.instances:
        running, is_healthy = seen.running(instance), seen.is_healthy[instance.name]
        checks.append(Check(f"{instance.name} runs {wanted}", running == wanted, running or "nothing runs"))
        checks.append(Check(f"{instance.name} is healthy", is_healthy, "" if is_healthy else "no healthy answer"))
        if seen.front:
            checks.append(Check(f"{instance.name} is in service", seen.in_service[instance.name], service_of(seen, instance)))
    if seen.front:
        checks.append(Check(f"{seen.front.name} has this configuration in force", seen.is_final_applied, ""))
    return checks


def preflight(site: Site) -> Table:
    """What runs now, by instance."""
    seen = look(site)
    rows = [
        (i.name, seen.running(i) or "-", "yes" if seen.is_healthy[i.name] else "no", service_of(seen, i), seen.pid(i) or "-")
        for i in site.application.instances
    ]
    faults = [f"{fault} on {host}" for host, found in sorted(seen.watchdogs.items()) for fault in sorted(found.values())]
    note = f"A drill was cut off; its watchdogs still stand: {', '.join(faults)}" if faults else ""
    return Table(("instance", "release", "healthy", "in service", "pid"), rows, title=f"{site.application_name} now", note=note)


def versions_table(site: Site) -> Table:
    """Which package versions run where now."""
    seen = look(site)
    rows: list[tuple[str, str, str, str]] = []
    for instance in site.application.instances:
        revision = seen.revision(instance)
        packages = dict(revision.get("packages", {})) or {site.application_name: str(revision.get("version", "-"))}
        rows += [(instance.name, seen.running(instance) or "-", package, version) for package, version in sorted(packages.items())]
    return Table(("instance", "release", "package", "version"), rows, title="What runs where")


def diffs_of(site: Site, seen: Seen, release: Release) -> dict[str, str]:
    """By host, how the configuration differs from that of what runs there."""
    diffs = {}
    for host in site.application_hosts:
        before: dict[str, str] = {}
        for instance in site.application.instances:
            if instance.host == host:
                before |= {p: t for p, t in seen.revision(instance).get("files", {}).items() if p.startswith(f"{instance.port}/")}
        diffs[host] = diff_of(before, release.files_on(host))
    return diffs


def service_of(seen: Seen, instance: Instance) -> str:
    """Whether the instance is in service, for people."""
    if not seen.front:
        return "no balancer"
    return "yes" if seen.in_service[instance.name] else "no"


def deployment_settings(site: Site, seen: Seen, steps: Sequence[Step]) -> Settings:
    """What the engine needs beside the steps: the lease, what ends a rollout, and what to measure where something serves."""
    application, rollout, probe = site.application, site.application.rollout, None
    if seen.front and any(seen.is_serving(i) for i in application.instances):
        changed = {name for step in steps for name in step.unit}
        probe = replace(probe_settings(site, seen), must_reach=_must_reach(application, seen.front.balancer.method, changed))
    return Settings(
        lease=site.lease_place,
        rollout=RolloutSettings(rollout.on_failure, rollout.deadline_s, rollout.max_p99_ratio),
        probe=probe,
        downtime=() if seen.front else tuple(i.name for i in application.instances),
    )


def probe_settings(site: Site, seen: Seen) -> ProbeSettings:
    """What is asked of the application, and how often, while its hosts are changed."""
    application, front = site.application, seen.front
    assert front is not None
    probe, balancer = application.probe, front.balancer
    # p99 before, which the one during is held against, takes a thousand requests.
    least_s = 1000 / probe.rate + 0.5 if application.rollout.max_p99_ratio else 0
    return ProbeSettings(
        host=balancer.address or site.host(balancer.host).address,
        port=balancer.listen,
        rate=probe.rate,
        timeout_s=probe.timeout_s,
        max_failed=probe.max_failed,
        baseline_s=max(probe.baseline_s, least_s),
        after_s=probe.baseline_s,
        requests=tuple(probe.requests),
        host_header=balancing.host_name(site.application_name),
        health_path=application.health.path,
        health_expect=application.health.expect,
        instances={server.address: server.name for server in balancing.servers_of(site.inventory, site.application_name, {})},
        logs={
            host: tuple(supervision.log_source(site, i) for i in application.instances if i.host == host) for host in site.application_hosts
        },
    )


def _must_reach(application: Application, method: str, changed: Set[str]) -> tuple[str, ...]:
    """The instances that requests from one place come to see while those that are `changed` are replaced in turn."""
    if method == "ip_hash":
        return ()  # which of them is chance
    names = tuple(i.name for i in application.instances)
    if application.strategy != "active_passive":
        return names
    # While the active one leaves, the first that stands by serves, and nobody else; as long as it stays, it alone does.
    return names[: 2 if names[0] in changed else 1]


def _whole(site: Site, seen: Seen, release: Release, runbook: str, steps: Sequence[Step], settings: Settings) -> Plan:
    return Plan(
        runbook=runbook,
        application=site.application_name,
        steps=(*watchdog.end_pending(site, seen.watchdogs), *steps, *final_configuration(site, seen), *_settle(site, seen, release)),
        subject=subject_of(site, release),
        settings=settings,
        preconditions=tuple(preconditions_of(site, seen, release)),
    )


def preconditions_of(site: Site, seen: Seen, release: Release) -> list[Precondition]:
    """What this release needs of the hosts."""
    artifact = release.artifact
    return deployment_preconditions(site, seen, str(artifact.details.get("distribution", "")), artifact.kind)


def subject_of(site: Site, release: Release) -> Mapping[str, Any]:
    """What a plan about this release is about."""
    return {
        "release": release.name,
        "version": release.artifact.version,
        "kind": release.artifact.kind,
        "artifact_sha256": release.artifact.sha256,
        "packages": dict(release.artifact.packages),
        "strategy": site.application.strategy,
        "environment": site.inventory.environment,
    }


def _settle(site: Site, seen: Seen, release: Release) -> list[Step]:
    """The release is marked as the last that was proven healthy, and old releases go."""
    steps = []
    for host in site.application_hosts:
        installed, directory = seen.installed[host], release.directory(site, host)
        protected = sorted({release.name, *_kept(site, seen, installed, release)})
        place, keep = site.application_dir(host), site.application.keep_releases
        steps += [
            Step(
                "prove",
                host,
                f"mark {release.name} as proven healthy",
                (Run(releases.mark_proven(directory)),),
                group=PROVE,
                phase="settle",
                done=releases.is_proven(directory),
                is_done=installed.last_proven == release.name,
            ),
            Step(
                "prune",
                host,
                f"keep the last {keep} releases",
                (Run(releases.prune(place, keep, protected)),),
                group="prune",
                phase="settle",
                done=releases.is_pruned(place, keep, protected),
                is_done=_is_pruned(site, host, release, installed, protected),
            ),
        ]
    return sorted(steps, key=lambda step: step.group == "prune")


def _is_pruned(site: Site, host: str, release: Release, installed: Installed, protected: list[str]) -> bool:
    """Whether there will be nothing to prune. Once the release is there the host knows: protected ones may exceed the number."""
    keep = site.application.keep_releases
    if release.name in installed.releases:
        return site.transport.execute(host, releases.is_pruned(site.application_dir(host), keep, protected)).status == 0
    return len(installed.releases) < keep


def _kept(site: Site, seen: Seen, installed: Installed, release: Release) -> set[str]:
    """What one may want to go back to: what runs now, and what was proven last before."""
    running = {seen.running(i) for i in site.application.instances}
    return {name for name in (*running, installed.previous_proven(release.name)) if name and name in installed.releases}
