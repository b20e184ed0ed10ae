"""The rollout of a release, a batch of instances at a time; each batch is a unit that is done whole or undone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from balbook.commands.balancer import State
from balbook.commands.command import Command
from balbook.inventory.models import Application, Instance
from balbook.plan.model import Guard, Run, Step
from balbook.procedures.parts import supervision
from balbook.procedures.parts.balancing import file_diff
from balbook.procedures.parts.batch import Batch
from balbook.procedures.parts.look import Seen
from balbook.procedures.parts.release import Release
from balbook.procedures.parts.site import Site


@dataclass(frozen=True)
class Pace:
    """How fast a rollout goes. `serial`: instances that change at the same time.

    `is_quick`: what serves nobody is changed first and together, and an instance that the balancer has drained is stopped
    without a graceful stop, since it has no request in hand. `soak_s` is how long the first batch, of one instance,
    serves before the rest follows; None: it is no canary.
    """

    serial: int = 1
    soak_s: float | None = None
    is_quick: bool = False

    @classmethod
    def of(cls, application: Application, serial: int) -> Pace:
        """The pace of a deployment, as the inventory has it."""
        return cls(serial, application.rollout.soak_s if application.rollout.canary else None)

    @classmethod
    def quick(cls, site: Site, seen: Seen) -> Pace:
        """As many instances at a time as the capacity floor allows."""
        serving = sum(seen.is_serving(i) for i in site.application.instances)
        return cls(max(1, serving - site.application.floor), None, True)


def roll(site: Site, seen: Seen, release: Release, pace: Pace) -> list[Step]:
    """The steps for every instance that does not serve the release yet."""
    states: dict[str, State] = {name: "up" if is_in else "down" for name, is_in in seen.in_service.items()}
    waiting = [i for i in _order(site, seen) if not _is_deployed(seen, i, release)]
    steps: list[Step] = []
    floor, stop_within_s = partial(floor_guards, site, seen, states), None if pace.is_quick else supervision.stop_within_s(site.application)
    for number, instances in enumerate(_batches(seen, waiting, pace)):
        soak_s = pace.soak_s if number == 0 and len(instances) < len(waiting) else None
        steps += Batch(site, seen, release, instances, states, floor, stop_within_s, soak_s).steps()
    return steps if pace.is_quick else _before_rollout(site, waiting) + steps


def final_configuration(site: Site, seen: Seen) -> list[Step]:
    """The balancer's configuration as the inventory has it, every instance in service."""
    front = seen.front
    if not front:
        return []
    title, diff = f"{front.name}: configuration as in the inventory", file_diff(front.path, seen.balancer_text, front.text({}))
    known: dict[str, Any] = {"done": front.is_final(), "is_done": seen.is_final_applied, "diff": diff}
    return [Step("configure", front.host, title, front.finish(), about=front.name, phase="settle", **known)]


def floor_guards(site: Site, seen: Seen, states: Mapping[str, State], leaving: Sequence[Instance]) -> tuple[tuple[Guard, ...], int]:
    """The capacity floor: so many of the other instances in service must be healthy; 0 where the leaving ones are dead anyway."""
    application = site.application
    needed = application.floor if any(seen.is_serving(i) for i in leaving) else 0
    gone = {i.name for i in leaving}
    others = [i for i in application.instances if i.name not in gone and (seen.front is None or states.get(i.name) == "up")]
    return tuple(Guard(i.host, site.is_healthy(i)) for i in others), needed


def _batches(seen: Seen, waiting: Sequence[Instance], pace: Pace) -> list[list[Instance]]:
    dead = [i for i in waiting if not seen.is_serving(i)] if pace.is_quick else []
    others = [i for i in waiting if i not in dead]
    batches = [dead] if dead else []
    if pace.soak_s is not None and others:
        batches, others = [*batches, [others[0]]], others[1:]
    return batches + [others[start : start + pace.serial] for start in range(0, len(others), pace.serial)]


def _before_rollout(site: Site, waiting: Sequence[Instance]) -> list[Step]:
    steps = []
    for number, line in enumerate(site.application.hooks.before_rollout if waiting else (), 1):
        action, title = Run(Command(tuple(shlex.split(line)), deadline_s=3600)), f"before the rollout: {line}"
        steps.append(Step(verb="before rollout", about=str(number), host=waiting[0].host, title=title, actions=(action,)))
    return steps


def _order(site: Site, seen: Seen) -> list[Instance]:
    """The inventory's order, of active_passive the passive ones first; but instances that serve nobody now come before all.

    An instance that is down costs no capacity while it changes, and serves when the next one leaves.
    """
    instances = list(site.application.instances)
    if site.application.strategy == "active_passive":
        instances = instances[1:] + instances[:1]
    return sorted(instances, key=seen.is_serving)


def _is_deployed(seen: Seen, instance: Instance, release: Release) -> bool:
    is_right = seen.running(instance) == release.name == seen.current(instance) and seen.is_healthy[instance.name]
    return is_right and (seen.front is None or seen.in_service[instance.name])
