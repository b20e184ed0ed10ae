"""The rollout of a release, a batch of instances at a time; each batch is a unit that is done whole or undone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from balbook.balancing import State
from balbook.command import Command
from balbook.commands import health, process, releases
from balbook.inventory.models import Instance
from balbook.plan import Action, Guard, Run, Step, Wait
from balbook.procedures.look import Seen
from balbook.procedures.release import Release
from balbook.procedures.site import Site

THROUGH_BALANCER_S = 30.0


def roll(site: Site, seen: Seen, release: Release, serial: int) -> list[Step]:
    """The steps for every instance that does not serve the release yet, `serial` instances at a time."""
    states: dict[str, State] = {name: "up" if is_in else "down" for name, is_in in seen.in_service.items()}
    waiting = [i for i in _order(site) if not _is_deployed(seen, i, release)]
    steps: list[Step] = []
    for start in range(0, len(waiting), serial):
        steps += _Batch(site, seen, release, waiting[start : start + serial], states).steps()
    return _before_rollout(site, waiting) + steps


def final_configuration(site: Site, seen: Seen) -> list[Step]:
    """The balancer's configuration as the inventory has it, every instance in service."""
    if not seen.front:
        return []
    front = seen.front
    return [
        Step(
            id=f"configure {front.name}",
            host=front.host,
            title=f"{front.name}: configuration as in the inventory",
            phase="settle",
            done=front.is_applied({}),
            is_done=seen.is_final_applied,
            actions=(Run(front.apply({})),),
        )
    ]


def floor_guards(site: Site, seen: Seen, states: Mapping[str, State], leaving: Sequence[Instance]) -> tuple[tuple[Guard, ...], int]:
    """The capacity floor: of the other instances in service that many must be healthy; none where the leaving ones are dead anyway."""
    application = site.application
    if not any(seen.is_serving(i) for i in leaving):
        return (), 0
    gone = {i.name for i in leaving}
    others = [i for i in application.instances if i.name not in gone and states.get(i.name) == "up"]
    check = application.health
    return tuple(Guard(i.host, health.is_healthy(i.port, check.path, check.expect)) for i in others), application.floor


class _Batch:
    """Instances that change together. `states` is what the balancer will have; each batch moves it on."""

    def __init__(self, site: Site, seen: Seen, release: Release, instances: Sequence[Instance], states: dict[str, State]) -> None:
        self.site, self.seen, self.release, self.instances, self.states = site, seen, release, instances, states
        self.unit = "+".join(i.name for i in instances)

    def steps(self) -> list[Step]:
        """Drain, stop, switch, start, readmit."""
        steps = self._hooks("before drain", self.site.application.hooks.before_drain) + self._drain()
        for instance in self.instances:
            steps += self._replace(instance)
        steps += self._hooks("after ready", self.site.application.hooks.after_ready)
        return steps + self._admit()

    def _drain(self) -> list[Step]:
        in_service = [i for i in self.instances if self.seen.in_service.get(i.name)]
        front = self.seen.front
        if not front or not in_service or self.site.application.drain == "graceful_stop":
            return []
        before = dict(self.states)
        self.states.update({i.name: "down" for i in self.instances})
        guards, needed = self._floor()
        return [
            Step(
                id=f"drain {self.unit}",
                host=front.host,
                title=f"{front.name}: take {self.unit} out of service",
                unit=self.unit,
                phase=f"{self.unit} draining",
                done=front.is_applied(dict(self.states)),
                actions=(Run(front.apply(dict(self.states))),),
                undo=(Run(front.apply(before)),),
                guards=guards,
                guards_needed=needed,
            )
        ]

    def _replace(self, instance: Instance) -> list[Step]:
        place, host = self.site.instance_dir(instance), instance.host
        target = self.release.directory(self.site, host)
        old, running = self.seen.current(instance), self.seen.running(instance)
        old_dir = f"{self.site.application_dir(host)}/releases/{old}" if old else ""
        common = {"host": host, "unit": self.unit, "group": f"{self.unit} replace" if len(self.instances) > 1 else ""}
        stop = process.stop(place, round(self.site.application.graceful_stop_s) + 15)
        guards, needed = self._floor() if self.site.application.drain == "graceful_stop" else ((), 0)
        steps = []
        if running:
            steps.append(
                Step(
                    id=f"stop {instance.name}",
                    title=f"stop {running}",
                    phase=f"{instance.name} down",
                    done=process.runs(place, "-"),
                    actions=(Run(stop),),
                    undo=(Run(self._start(instance)), *self._healthy(instance)),
                    guards=guards,
                    guards_needed=needed,
                    **common,  # type: ignore[arg-type]
                )
            )
        link = f"{place}/current"
        steps += [
            Step(
                id=f"switch {instance.name}",
                title=f"switch from {old or 'nothing'} to {self.release.name}",
                phase=f"{instance.name} down",
                done=releases.points_to(link, target),
                actions=(Run(releases.switch(link, target)),),
                verify=(Run(releases.points_to(link, target)),),
                undo=(Run(releases.switch(link, old_dir) if old else releases.unlink(link)),),
                **common,  # type: ignore[arg-type]
            ),
            Step(
                id=f"start {instance.name}",
                title=f"start {self.release.name} and wait until it is healthy",
                phase=f"{instance.name} starting",
                actions=(Run(self._start(instance)),),
                verify=(Run(process.runs(place, self.release.name)), *self._healthy(instance)),
                undo=(Run(stop),),
                **common,  # type: ignore[arg-type]
            ),
        ]
        return steps

    def _admit(self) -> list[Step]:
        front = self.seen.front
        if not front:
            return []
        before = dict(self.states)
        self.states.update({i.name: "up" for i in self.instances})
        is_reloaded = before != self.states
        return [
            Step(
                id=f"admit {self.unit}",
                host=front.host,
                title=f"{front.name}: put {self.unit} into service and see it answer there",
                unit=self.unit,
                phase=f"{self.unit} new",
                actions=(Run(front.apply(dict(self.states))),) if is_reloaded else (),
                verify=self._answers(),
                undo=(Run(front.apply(before)),) if is_reloaded else (),
            )
        ]

    def _answers(self) -> tuple[Action, ...]:
        """The balancer sends requests there; a passive instance gets none as long as the active one serves."""
        front, application = self.seen.front, self.site.application
        if not front:
            return ()
        within_s = THROUGH_BALANCER_S + front.balancer.fail_timeout_s
        first = application.instances[0].name
        reachable = [i for i in self.instances if application.strategy != "active_passive" or i.name == first]
        return tuple(Wait(front.answers(i), within_s=within_s) for i in reachable)

    def _floor(self) -> tuple[tuple[Guard, ...], int]:
        return floor_guards(self.site, self.seen, self.states, self.instances)

    def _start(self, instance: Instance) -> Command:
        return process.start(self.site.instance_dir(instance), instance.port, self.site.application.system.nofile)

    def _healthy(self, instance: Instance) -> tuple[Action, ...]:
        check = self.site.application.health
        wait = Wait(health.is_healthy(instance.port, check.path, check.expect), within_s=check.within_s)
        return (wait,) * check.passes

    def _hooks(self, when: str, lines: Sequence[str]) -> list[Step]:
        return [
            Step(
                id=f"{when} {number} {instance.name}",
                host=instance.host,
                title=f"{when}: {line}",
                unit=self.unit,
                actions=(Run(Command(tuple(shlex.split(line)), deadline_s=600)),),
            )
            for instance in self.instances
            for number, line in enumerate(lines, 1)
        ]


def _before_rollout(site: Site, waiting: Sequence[Instance]) -> list[Step]:
    if not waiting:
        return []
    return [
        Step(
            id=f"before rollout {number}",
            host=waiting[0].host,
            title=f"before the rollout: {line}",
            actions=(Run(Command(tuple(shlex.split(line)), deadline_s=3600)),),
        )
        for number, line in enumerate(site.application.hooks.before_rollout, 1)
    ]


def _order(site: Site) -> list[Instance]:
    """The inventory's order; of active_passive the passive ones first."""
    instances = list(site.application.instances)
    return instances[1:] + instances[:1] if site.application.strategy == "active_passive" else instances


def _is_deployed(seen: Seen, instance: Instance, release: Release) -> bool:
    is_right = seen.running(instance) == release.name == seen.current(instance) and seen.is_healthy[instance.name]
    return is_right and (seen.front is None or seen.in_service[instance.name])
