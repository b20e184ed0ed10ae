"""Break one instance on purpose while requests flow, measure what clients see, repair it, and measure its return.

The fault is a step with an undo. Before it is injected a watchdog stands on the host that repairs it after a while, so
that a run that is killed, or a controller that loses its network, leaves no fault behind. Another one on the balancer's
host brings the inventory's configuration back, where the drill is of another strategy. A run that is resumed repairs,
and measures nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from balbook.commands import faults, health
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
"""The verbs of what is left to do of a drill that was cut off: what is measured after that is not what was asked."""


@dataclass(frozen=True)
class Fault:
    """What is done to the instance on `host`, and what repairs it; `file` names the watchdog."""

    name: str
    host: str
    file: str
    inject: tuple[Action, ...]
    repair: tuple[Action, ...]
    watchdog: Command


def plan(site: Site) -> Plan:
    """Configure the strategy, inject, hold, repair, see the instance return, put the inventory's configuration back."""
    seen, name = look(site), str(site.parameters.get("fault", "kill"))
    if name not in FAULTS:
        raise ParameterError(f"parameter fault: {name!r} is not known", advice=nearest(name, FAULTS))
    if seen.front is None:
        raise Refused(f"application {site.application_name} has no balancer", advice="A drill shows what a balancer does; there is none.")
    victim, seconds = _victim(site, seen), max(1, int(site.parameters.get("seconds", 12)))
    fault = _fault(site, seen, victim, name)
    within_s = _repaired_within_s(seen.front, fault, seconds)
    probe = replace(
        probe_settings(site, seen),
        rate=int(site.parameters.get("rate", 0)) or site.application.probe.rate,
        baseline_s=BASELINE_S,
        after_s=BASELINE_S,
        # A POST that was sent to a dying instance may have run, so no balancer sends it again: its failure is the truth.
        judged_methods=("GET",),
        must_reach=(),
    )
    return Plan(
        runbook="failover_drill",
        application=site.application_name,
        steps=(
            *watchdog.end_pending(site, seen.watchdogs),
            *_configure(site, seen, victim, within_s),
            *_drill(site, seen, victim, fault, seconds, within_s),
            *_restore(site, seen, victim),
        ),
        subject={
            "strategy": site.application.strategy,
            "balancer": seen.front.balancer.kind,
            "fault": name,
            "instance": victim.name,
            "seconds": seconds,
        },
        settings=Settings(lease=site.lease_place, probe=probe, on_resume=ON_RESUME),
        preconditions=tuple(_preconditions(site, seen, victim, fault)),
    )


def verify(site: Site, plan: Plan) -> Sequence[Check]:
    """Fresh facts: the fault is gone, every instance serves."""
    seen = look(Site(read_inventory(site.inventory.path), site.transport, {"application": site.application_name}))
    checks = []
    for instance in site.application.instances:
        checks.append(Check(f"{instance.name} is healthy", seen.is_healthy[instance.name]))
        checks.append(Check(f"{instance.name} is in service", seen.in_service[instance.name]))
    return [*checks, Check("the inventory's configuration is in force", seen.is_final_applied)]


def evidence(site: Site, plan: Plan, run_dir: Path) -> Sequence[Table]:
    """What clients saw, from the probe's samples."""
    places = sorted(run_dir.glob("probe*/samples.csv.gz"))
    if not places:
        return []
    found = failover_of(places[-1].parent, str(plan.subject["instance"]))
    title = "{fault} of {instance}, {strategy} behind {balancer}".format(**plan.subject)
    return [Table(("measured", "value"), found.rows(), title=title)]


def _victim(site: Site, seen: Seen) -> Instance:
    """The active instance: the first that is in service."""
    serving = [i for i in site.application.instances if seen.is_serving(i)]
    return serving[0] if serving else site.application.instances[0]


def _preconditions(site: Site, seen: Seen, victim: Instance, fault: Fault) -> list[Precondition]:
    serving = sum(seen.is_serving(i) for i in site.application.instances)
    marked = {name: site.host(name).drill for name in (victim.host, fault.host)}
    rows = [
        *(row(f"{name}: drills are allowed there", drill == "allowed", f"drill: {drill}") for name, drill in marked.items()),
        row("every instance serves", serving == len(site.application.instances), f"{serving} of {len(site.application.instances)}"),
        row("another instance can take over", len(site.application.instances) > 1),
    ]
    if fault.name == "blackhole":
        can = site.transport.execute(victim.host, faults.can_blackhole(victim.port)).status == 0
        rows.append(row(f"{victim.host}: packets may be dropped there", can, "" if can else "needs iptables and privilege"))
    return [*rows, *deployment_preconditions(site, seen)]


def _repaired_within_s(front: Front, fault: Fault, seconds: int) -> int:
    """When the fault's watchdog repairs it: one that is drained first waits for the requests that it has in hand."""
    waiting_s = _change_s(front) if fault.name == "drain" else 0
    return seconds + waiting_s + WATCHDOG_MARGIN_S


def _change_s(front: Front) -> int:
    """How long a change of the balancer may take."""
    return math.ceil(front.longest_s) + 10


def _configure(site: Site, seen: Seen, victim: Instance, within_s: int) -> list[Step]:
    """The balancer as the strategy has it; whatever ends the drill early puts the inventory's back."""
    front, own = seen.front, _own_front(site)
    assert front is not None
    step = partial(Step, unit=(victim.name,))
    title = f"{front.name}: configuration for {site.application.strategy}"
    configure = step(
        "configure", front.host, title, front.finish(), undo=own.finish(), done=front.is_final(), is_done=seen.is_final_applied
    )
    if not _is_other(front, own):
        return [configure]
    # After the drill, and after the fault's watchdog, which has readmitted a drained instance by then: the first command is enough.
    longest_s = within_s + 4 * _change_s(front) + site.application.health.within_s + _return_within_s(front) + BASELINE_S
    limit_s = math.ceil(longest_s) + WATCHDOG_MARGIN_S
    file, command = watchdog.configuration_file(own), _first_command(own.finish())
    title = f"{own.name}: configuration as in the inventory after {limit_s} s whatever happens"
    set_it = Run(faults.set_watchdog(file, "configuration", command, limit_s))
    return [step("watch configuration", own.host, title, (set_it,), undo=(*own.finish(), _call_off(file, command))), configure]


def _restore(site: Site, seen: Seen, victim: Instance) -> list[Step]:
    """Where the drill was about another strategy than the inventory's, that one is put back."""
    own, front = _own_front(site), seen.front
    assert front is not None
    step, is_done = partial(Step, unit=(victim.name,)), not _is_other(front, own) and seen.is_final_applied
    title = f"{own.name}: configuration as in the inventory"
    restore = step("restore", own.host, title, own.finish(), done=own.is_final(), is_done=is_done)
    if not _is_other(front, own):
        return [restore]
    off = _call_off(watchdog.configuration_file(own), _first_command(own.finish()))
    return [restore, step("call off", own.host, f"{own.name}: call off its watchdog", (off,))]


def _own_front(site: Site) -> Front:
    own = front_of(Site(read_inventory(site.inventory.path), site.transport, {"application": site.application_name}))
    assert own is not None
    return own


def _is_other(front: Front, own: Front) -> bool:
    return front.text({}) != own.text({})


def _drill(site: Site, seen: Seen, victim: Instance, fault: Fault, seconds: int, within_s: int) -> list[Step]:
    front = seen.front
    assert front is not None
    check = site.application.health
    healthy = Wait(health.is_healthy(victim.port, check.path, check.expect), within_s=check.within_s)
    off = _call_off(fault.file, fault.watchdog)
    # The strategy decides who is asked: one that stands by is not, as long as the active one serves.
    setting = Run(faults.set_watchdog(fault.file, fault.name, fault.watchdog, within_s))
    step, title = partial(Step, unit=(victim.name,)), f"{fault.name} {victim.name}; repaired after {within_s} s whatever happens"
    back = f"{front.name} sends requests to {victim.name} again"
    return [
        step("inject", fault.host, title, (setting, *fault.inject), phase=STATES[fault.name], undo=(*fault.repair, off)),
        step("hold", front.host, f"measure for {seconds} s", (Run(faults.wait(seconds)),)),
        step("repair", fault.host, f"repair {victim.name}", (*fault.repair, off), phase="starting"),
        step("healthy", victim.host, f"{victim.name} is healthy", (healthy,)),
        step("return", front.host, back, (Wait(front.answers(victim), within_s=_return_within_s(front)),)),
        step("returned", front.host, f"measure for {BASELINE_S:g} s", (Run(faults.wait(BASELINE_S)),), phase="serving"),
    ]


def _return_within_s(front: Front) -> float:
    return THROUGH_BALANCER_S + front.balancer.fail_timeout_s


def _fault(site: Site, seen: Seen, victim: Instance, name: str) -> Fault:
    front, place, file = seen.front, site.instance_dir(victim), watchdog.instance_file(site, victim)
    assert front is not None
    match name:
        case "kill":
            start, killed = supervision.start_again(site, victim), (*supervision.keep_down(site, victim), faults.kill(place))
            return Fault(name, victim.host, file, tuple(Run(command) for command in killed), (Run(start),), start)
        case "hang":
            return Fault(name, victim.host, file, (Run(faults.hang(place)),), (Run(faults.wake(place)),), faults.wake(place))
        case "blackhole":
            again = faults.open_again(victim.port)
            return Fault(name, victim.host, file, (Run(faults.blackhole(victim.port)),), (Run(again),), again)
    repair = front.apply({})
    return Fault(name, front.host, watchdog.drain_file(front), front.apply({victim.name: "down"}), repair, _first_command(repair))


def _first_command(actions: Sequence[Action]) -> Command:
    return next(action.command for action in actions if isinstance(action, Run))


def _call_off(file: str, repair: Command) -> Run:
    return Run(faults.end_watchdog(file, is_privileged=repair.is_privileged))
