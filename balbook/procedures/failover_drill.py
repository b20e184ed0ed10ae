"""Break one instance on purpose while requests flow, measure what clients see, repair the instance, and measure its return.

The fault is a step with an undo. Before the fault is injected the host gets a watchdog that repairs it after a while, so
that a run that is killed, or a controller that loses its network, leaves no fault behind. Another watchdog on the balancer's
host brings the inventory's configuration back, where the drill is of another strategy. A run that is resumed repairs,
and measures nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from balbook.commands import faults
from balbook.commands.command import Command
from balbook.errors import ParameterError, Refused, nearest
from balbook.inventory import read_inventory
from balbook.inventory.models import Instance
from balbook.plan.model import Action, Phase, Plan, Precondition, Run, Step, Wait
from balbook.plan.settings import Settings
from balbook.probe.outage import failover_of
from balbook.procedures import Check
from balbook.procedures.parts import supervision, watchdog
from balbook.procedures.parts.balancing import Front
from balbook.procedures.parts.balancing import front as front_of
from balbook.procedures.parts.batch import THROUGH_BALANCER_S
from balbook.procedures.parts.deployment import preflight as preflight
from balbook.procedures.parts.deployment import probe_settings
from balbook.procedures.parts.look import Seen, look
from balbook.procedures.parts.preconditions import deployment_preconditions, row
from balbook.procedures.parts.site import Site
from balbook.show.table import Table

FAULTS = ("kill", "hang", "drain", "blackhole")
STATES: Mapping[str, Phase] = {"kill": "killed", "hang": "hanging", "drain": "draining", "blackhole": "unreachable"}
BASELINE_S = 3.0
WATCHDOG_MARGIN_S = 30
ON_RESUME = ("repair", "healthy", "restore", "call off")
"""The verbs of the steps that a resumed drill still does; after a cut a measurement answers another question than the one asked."""


@dataclass(frozen=True)
class Fault:
    """A fault of the instance on `host`: how to inject and how to repair it; `file` names the watchdog."""

    name: str
    host: str
    file: str
    inject: tuple[Action, ...]
    repair: tuple[Action, ...]
    watchdog: Command

    @property
    def call_off(self) -> Run:
        return _call_off(self.file, self.watchdog)


@dataclass(frozen=True)
class Drill:
    """One drill. `front` is the balancer as the drill's strategy has it, `own` as the inventory has it."""

    site: Site
    seen: Seen
    front: Front
    own: Front
    victim: Instance
    fault: Fault
    seconds: int

    @property
    def is_other(self) -> bool:
        """True where the drill's strategy differs from the inventory's."""
        return self.front.text({}) != self.own.text({})

    @property
    def change_s(self) -> int:
        """How long a change of the balancer takes at most."""
        return math.ceil(self.front.longest_s) + 10

    @property
    def return_within_s(self) -> float:
        return THROUGH_BALANCER_S + self.front.balancer.fail_timeout_s

    @property
    def repaired_within_s(self) -> int:
        """When the fault's watchdog repairs the instance; an instance that is drained first waits for its requests in hand."""
        return self.seconds + (self.change_s if self.fault.name == "drain" else 0) + WATCHDOG_MARGIN_S


def plan(site: Site) -> Plan:
    """Configure the strategy, inject, hold, repair, see the instance return, put the inventory's configuration back."""
    seen, name = look(site), str(site.parameters.get("fault", "kill"))
    if name not in FAULTS:
        raise ParameterError(f"parameter fault: {name!r} is not known", advice=nearest(name, FAULTS))
    own = front_of(_as_in_inventory(site))
    if seen.front is None or own is None:
        advice = "A drill measures how a balancer reacts to a fault: give the application a balancer."
        raise Refused(f"application {site.application_name} has no balancer", advice=advice)
    victim, seconds = _victim(site, seen), max(1, int(site.parameters.get("seconds", 12)))
    drill = Drill(site, seen, seen.front, own, victim, _fault(site, seen.front, victim, name), seconds)
    probe = replace(
        probe_settings(site, seen),
        rate=int(site.parameters.get("rate", 0)) or site.application.probe.rate,
        baseline_s=BASELINE_S,
        after_s=BASELINE_S,
        # A POST that was sent to a dying instance may have run, so no balancer sends it again: its failure is the truth.
        judged_methods=("GET",),
        must_reach=(),
    )
    about = {"strategy": site.application.strategy, "balancer": seen.front.balancer.kind, "fault": name, "instance": victim.name}
    return Plan(
        runbook="failover_drill",
        application=site.application_name,
        steps=(*watchdog.end_pending(site, seen.watchdogs), *_configure(drill), *_drill(drill), *_restore(drill)),
        subject={**about, "seconds": seconds},
        settings=Settings(lease=site.lease_place, probe=probe, on_resume=ON_RESUME),
        preconditions=tuple(_preconditions(drill)),
    )


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """Fresh facts: the fault is gone, every instance serves."""
    seen = look(_as_in_inventory(site))
    checks = []
    for instance in site.application.instances:
        checks.append(Check(f"{instance.name} is healthy", seen.is_healthy[instance.name]))
        checks.append(Check(f"{instance.name} is in service", seen.in_service[instance.name]))
    return [*checks, Check("the inventory's configuration is in force", seen.is_final_applied)]


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Table]:
    """The clients' view of the fault, from the probe's samples."""
    places = sorted(run_dir.glob("probe*/samples.csv.gz"))
    if not places:
        return []
    found = failover_of(places[-1].parent, str(plan.subject["instance"]))
    title = "{fault} of {instance}, {strategy} behind {balancer}".format(**plan.subject)
    return [Table(("measured", "value"), found.rows(), title=title)]


def _as_in_inventory(site: Site) -> Site:
    """The site with the strategy that the inventory gives the application."""
    return Site(read_inventory(site.inventory.path), site.transport, {"application": site.application_name})


def _victim(site: Site, seen: Seen) -> Instance:
    """The active instance: the first that is in service."""
    return next((i for i in site.application.instances if seen.is_serving(i)), site.application.instances[0])


def _preconditions(drill: Drill) -> list[Precondition]:
    site, victim, instances = drill.site, drill.victim, drill.site.application.instances
    serving = sum(drill.seen.is_serving(i) for i in instances)
    marked = {name: site.host(name).drill for name in (victim.host, drill.fault.host)}
    rows = [
        *(row(f"{name}: drills are allowed on this host", mark == "allowed", f"drill: {mark}") for name, mark in marked.items()),
        row("every instance serves", serving == len(instances), f"{serving} of {len(instances)}"),
        row("another instance can take over", len(instances) > 1),
    ]
    if drill.fault.name == "blackhole":
        can = site.holds(victim.host, faults.can_blackhole(victim.port))
        rows.append(row(f"{victim.host}: balbook can drop packets", can, "" if can else "needs iptables and privilege"))
    return [*rows, *deployment_preconditions(site, drill.seen)]


def _configure(drill: Drill) -> list[Step]:
    """The balancer as the strategy has it; a drill that ends early puts the inventory's configuration back."""
    front, own, step = drill.front, drill.own, partial(Step, host=drill.own.host, unit=(drill.victim.name,))
    configure = step(
        verb="configure",
        title=f"{front.name}: configuration for {drill.site.application.strategy}",
        done=front.is_final(),
        is_done=drill.seen.is_final_applied,
        actions=front.finish(),
        undo=own.finish(),
    )
    if not drill.is_other:
        return [configure]
    # After the drill, and after the fault's watchdog, which has readmitted a drained instance by then: the first command is enough.
    drill_s = drill.repaired_within_s + 4 * drill.change_s + drill.site.application.health.within_s + drill.return_within_s + BASELINE_S
    limit_s = math.ceil(drill_s) + WATCHDOG_MARGIN_S
    file, command = watchdog.configuration_file(own), _first_command(own.finish())
    title = f"{own.name}: a watchdog restores the inventory's configuration after {limit_s} s in any case"
    actions, undo = (Run(faults.set_watchdog(file, "configuration", command, limit_s)),), (*own.finish(), _call_off(file, command))
    return [step(verb="watch configuration", title=title, actions=actions, undo=undo), configure]


def _restore(drill: Drill) -> list[Step]:
    """The inventory's strategy again, where the drill was about another one."""
    own, step = drill.own, partial(Step, host=drill.own.host, unit=(drill.victim.name,))
    title, is_done = f"{own.name}: configuration as in the inventory", not drill.is_other and drill.seen.is_final_applied
    restore = step(verb="restore", title=title, actions=own.finish(), done=own.is_final(), is_done=is_done)
    if not drill.is_other:
        return [restore]
    off = _call_off(watchdog.configuration_file(own), _first_command(own.finish()))
    return [restore, step(verb="call off", title=f"{own.name}: call off the watchdog of its configuration", actions=(off,))]


def _drill(drill: Drill) -> list[Step]:
    front, victim, fault, within_s = drill.front, drill.victim, drill.fault, drill.repaired_within_s
    step = partial(Step, unit=(victim.name,))
    inject = (Run(faults.set_watchdog(fault.file, fault.name, fault.watchdog, within_s)), *fault.inject)
    healthy = (Wait(drill.site.is_healthy(victim), within_s=drill.site.application.health.within_s),)
    hold, rest = (Run(faults.wait(drill.seconds)),), (Run(faults.wait(BASELINE_S)),)
    # The strategy decides which instance is asked: not one that stands by, as long as the active one serves.
    returned = (Wait(front.answers(victim), within_s=drill.return_within_s),)
    return [
        step(
            verb="inject",
            host=fault.host,
            title=f"{fault.name} {victim.name}; a watchdog repairs this after {within_s} s in any case",
            phase=STATES[fault.name],
            actions=inject,
            undo=(*fault.repair, fault.call_off),
        ),
        step(verb="hold", host=front.host, title=f"measure for {drill.seconds} s", actions=hold),
        step(verb="repair", host=fault.host, title=f"repair {victim.name}", phase="starting", actions=(*fault.repair, fault.call_off)),
        step(verb="healthy", host=victim.host, title=f"{victim.name} is healthy", actions=healthy),
        step(verb="return", host=front.host, title=f"{front.name} sends requests to {victim.name} again", actions=returned),
        step(verb="returned", host=front.host, title=f"measure for {BASELINE_S:g} s", phase="serving", actions=rest),
    ]


def _fault(site: Site, front: Front, victim: Instance, name: str) -> Fault:
    host, place, file = victim.host, site.instance_dir(victim), watchdog.instance_file(site, victim)
    match name:
        case "kill":
            start, killed = supervision.start(site, victim, is_kept_down=True), (*supervision.keep_down(site, victim), faults.kill(place))
            return Fault(name, host, file, tuple(Run(command) for command in killed), (Run(start),), start)
        case "hang":
            return Fault(name, host, file, (Run(faults.hang(place)),), (Run(faults.wake(place)),), faults.wake(place))
        case "blackhole":
            again = faults.open_again(victim.port)
            return Fault(name, host, file, (Run(faults.blackhole(victim.port)),), (Run(again),), again)
    repair = front.apply({})
    return Fault(name, front.host, watchdog.drain_file(front), front.apply({victim.name: "down"}), repair, _first_command(repair))


def _first_command(actions: Sequence[Action]) -> Command:
    return next(action.command for action in actions if isinstance(action, Run))


def _call_off(file: str, repair: Command) -> Run:
    return Run(faults.end_watchdog(file, is_privileged=repair.is_privileged))
