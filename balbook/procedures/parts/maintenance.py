"""One instance out of service and back, for maintenance: plans without a notebook of their own."""

from __future__ import annotations

from balbook.commands.balancer import State
from balbook.errors import BadInput, Refused, nearest
from balbook.inventory.models import Instance
from balbook.plan.model import Plan, Step, Wait
from balbook.plan.settings import Settings
from balbook.procedures.parts import watchdog
from balbook.procedures.parts.batch import THROUGH_BALANCER_S
from balbook.procedures.parts.look import Seen, look
from balbook.procedures.parts.rollout import floor_guards
from balbook.procedures.parts.site import Site


def drain(site: Site, instance_name: str) -> Plan:
    """Takes one instance out of service; refused by the engine where the capacity floor would not hold.

    Hosts that do not answer are no hindrance: their instances serve nobody.
    """
    instance = _instance(site, instance_name)  # a wrong name is refused before any host is asked
    return _plan(site, look(site, is_whole=False), instance, "drain", "down")


def readmit(site: Site, instance_name: str) -> Plan:
    """Puts one instance back into service and sees the balancer use it; refused where the instance is not healthy."""
    instance = _instance(site, instance_name)
    seen = look(site, is_whole=False)
    if instance.host in seen.silent:
        error = seen.silent[instance.host]
        raise Refused(f"{instance.name} is not healthy: {error.message}", advice=error.advice)
    if not seen.is_healthy[instance.name]:
        raise Refused(
            f"{instance.name} is not healthy", advice=f"See the instance's log: balbook logs {site.application_name} {instance.name}"
        )
    return _plan(site, seen, instance, "readmit", "up")


def _plan(site: Site, seen: Seen, instance: Instance, name: str, wanted: State) -> Plan:
    front = seen.front
    if front is None:
        raise BadInput(
            f"application {site.application_name} has no balancer", advice="Only instances behind a balancer can be drained and readmitted."
        )
    before: dict[str, State] = {n: "up" if is_in else "down" for n, is_in in seen.in_service.items()}
    after: dict[str, State] = {**before, instance.name: wanted}
    is_leaving = wanted == "down"
    guards, needed = floor_guards(site, seen, before, [instance]) if is_leaving else ((), 0)
    change = f"take {instance.name} out of service" if is_leaving else f"put {instance.name} into service"
    step = Step(
        verb=name,
        host=front.host,
        title=f"{front.name}: {change}",
        unit=(instance.name,),
        phase="draining" if is_leaving else "new",
        done=front.is_applied(after),
        is_done=site.holds(front.host, front.is_applied(after)),
        actions=front.apply(after),
        verify=(Wait(front.answers(instance), within_s=THROUGH_BALANCER_S),) if not is_leaving and front.is_reachable(instance) else (),
        undo=front.apply(before),
        guards=guards,
        guards_needed=needed,
    )
    steps = (*watchdog.end_pending(site, seen.watchdogs), step)
    return Plan(name, site.application_name, steps, subject={"instance": instance.name}, settings=Settings(lease=site.lease_place))


def _instance(site: Site, name: str) -> Instance:
    known = {i.name: i for i in site.application.instances}
    if name not in known:
        raise BadInput(f"application {site.application_name} has no instance {name!r}", advice=nearest(name, known))
    return known[name]
