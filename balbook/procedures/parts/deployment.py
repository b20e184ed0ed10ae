"""The common part of deploying and rolling back: the plan that brings every instance to a release, and the checks afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from balbook.commands import balancer as balancing
from balbook.commands import releases
from balbook.engine.order import PROVE
from balbook.errors import StoreError
from balbook.inventory.models import Application, Instance
from balbook.plan.model import Plan, Precondition, Run, Step
from balbook.plan.settings import ProbeSettings, RolloutSettings, Settings
from balbook.procedures import Check
from balbook.procedures.parts import supervision, watchdog
from balbook.procedures.parts.look import Seen, look
from balbook.procedures.parts.preconditions import deployment_preconditions, row
from balbook.procedures.parts.release import Release, diff_of, release_of, stage
from balbook.procedures.parts.rollout import Pace, final_configuration, roll
from balbook.procedures.parts.site import Site
from balbook.show.table import Table

QUICK_PROBE_S = 0.5
"""How long a rollback measures before and after: a way back does not wait for figures."""
LOOKS, LOOK_EVERY_S = 3, 0.7


def planned(site: Site, runbook: str, make: Callable[[Seen, Release], Plan]) -> Plan:
    """`make`'s plan for the release that the parameters name; a plan without steps that says so where the store lacks the release."""
    seen = look(site)
    try:
        artifact = site.store.find(site.application_name, str(site.parameters.get("release", "latest")))
        site.store.check(artifact)
    except StoreError as exc:
        missing = row("the artifact is in the store", False, exc.message)
        return Plan(runbook, site.application_name, (), preconditions=(missing, *deployment_preconditions(site, seen)))
    return make(seen, release_of(site, artifact))


def plan_to(site: Site, runbook: str) -> Plan:
    """The steps that stage the release that the parameters name, and bring every instance to the release."""
    return planned(site, runbook, partial(_plan_to, site, runbook))


def _plan_to(site: Site, runbook: str, seen: Seen, release: Release) -> Plan:
    serial = max(1, int(site.parameters.get("serial", 1) or 1))
    steps = [*staging(site, seen, release), *roll(site, seen, release, Pace.of(site.application, serial))]
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
    """Fresh facts. A failed check is repeated for a moment, since a balancer that was just reloaded may still answer as before."""
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
        name, running, is_healthy = instance.name, seen.running(instance), seen.is_healthy[instance.name]
        wrong = f"{name} runs {running}, not {wanted}" if running else f"{name} is down and should run {wanted}"
        checks.append(Check(f"{name} runs {wanted}", running == wanted, running or "nothing runs", wrong))
        checks.append(Check(f"{name} is healthy", is_healthy, "" if is_healthy else "no healthy answer", f"{name} is not healthy"))
        if seen.front:
            out = f"{name} is out of service"
            checks.append(Check(f"{name} is in service", seen.in_service[name], service_of(seen, instance), out))
    if seen.front:
        other = f"the balancer {seen.front.name} runs another configuration than the inventory's"
        checks.append(Check(f"{seen.front.name} has this configuration in force", seen.is_final_applied, "", other))
    return checks


def preflight(site: Site) -> Table:
    """The release, health and service of each instance now."""
    seen = look(site)
    faults = [f"{fault} on {host}" for host, found in sorted(seen.watchdogs.items()) for fault in sorted(found.values())]
    note = f"A drill was cut off; its watchdogs still stand: {', '.join(faults)}" if faults else ""
    return now_table(site, seen, note)


def now_table(site: Site, seen: Seen, note: str) -> Table:
    """The instances as this look found them."""
    rows = [
        (i.name, seen.running(i) or "-", "yes" if seen.is_healthy[i.name] else "no", service_of(seen, i), seen.pid(i) or "-")
        for i in site.application.instances
    ]
    return Table(("instance", "release", "healthy", "in service", "pid"), rows, title=f"{site.application_name} now", note=note)


def evidence(site: Site, plan: Plan, run_dir: Path) -> list[Table]:
    """The package versions that run now, by instance."""
    seen = look(site)
    rows: list[tuple[str, str, str, str]] = []
    for instance in site.application.instances:
        revision = seen.revision(instance)
        packages = dict(revision.get("packages", {})) or {site.application_name: str(revision.get("version", "-"))}
        rows += [(instance.name, seen.running(instance) or "-", package, version) for package, version in sorted(packages.items())]
    return [Table(("instance", "release", "package", "version"), rows, title="Package versions by instance")]


def staging(site: Site, seen: Seen, release: Release) -> list[Step]:
    """The steps that stage the release on all hosts at the same time; each diff is to the configuration that runs on the host."""
    steps = []
    for host in site.application_hosts:
        before: dict[str, str] = {}
        for instance in site.instances_on(host):
            before |= {p: t for p, t in seen.revision(instance).get("files", {}).items() if p.startswith(f"{instance.port}/")}
        steps += stage(site, release, host, release.name in seen.installed[host].releases, diff_of(before, release.files_on(host)))
    return steps


def service_of(seen: Seen, instance: Instance) -> str:
    """The instance's service in one word for people."""
    if not seen.front:
        return "no balancer"
    return "yes" if seen.in_service[instance.name] else "no"


def deployment_settings(site: Site, seen: Seen, steps: Sequence[Step]) -> Settings:
    """The engine's settings beside the steps: the lease, the limits that end a rollout, and the probe where an instance serves."""
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
    """The requests that measure the application while its hosts are changed, and their rate."""
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
        logs={host: tuple(supervision.log_source(site, i) for i in site.instances_on(host)) for host in site.application_hosts},
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
    """The release's preconditions on the hosts."""
    artifact = release.artifact
    return deployment_preconditions(site, seen, str(artifact.details.get("distribution", "")), artifact.kind)


def subject_of(site: Site, release: Release) -> Mapping[str, Any]:
    """The subject of a plan about this release."""
    artifact = release.artifact
    about = {"release": release.name, "version": artifact.version, "kind": artifact.kind, "artifact_sha256": artifact.sha256}
    placed = {"strategy": site.application.strategy, "environment": site.inventory.environment}
    return {**about, "packages": dict(artifact.packages), **placed}


def _settle(site: Site, seen: Seen, release: Release) -> list[Step]:
    """The release is marked as the last that was proven healthy, and old releases go, less those that one may want to go back to."""
    running, keep = {seen.running(i) for i in site.application.instances}, site.application.keep_releases
    proves, prunes = [], []
    for host in site.application_hosts:
        installed, directory, place = seen.installed[host], release.directory(site, host), site.application_dir(host)
        wanted = {*running, installed.previous_proven(release.name)}
        protected = sorted({release.name, *(name for name in installed.releases if name in wanted)})
        pruned, is_there = releases.is_pruned(place, keep, protected), release.name in installed.releases
        step = partial(Step, host=host, phase="settle")
        prove = step(
            verb="prove",
            title=f"mark {release.name} as proven healthy",
            group=PROVE,
            done=releases.is_proven(directory),
            is_done=installed.last_proven == release.name,
            actions=(Run(releases.mark_proven(directory)),),
        )
        prune = step(
            verb="prune",
            title=f"keep the last {keep} releases",
            group="prune",
            done=pruned,
            # Once the release is there the host knows: protected ones may exceed the number.
            is_done=site.holds(host, pruned) if is_there else len(installed.releases) < keep,
            actions=(Run(releases.prune(place, keep, protected)),),
        )
        proves.append(prove)
        prunes.append(prune)
    return proves + prunes
