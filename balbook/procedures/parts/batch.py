"""Instances that change together: drained, replaced, proven, readmitted; one unit, with how each step is taken back."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any

from balbook.commands import health, process, releases
from balbook.commands.balancer import State
from balbook.commands.command import Command
from balbook.inventory.models import Instance
from balbook.plan.model import Action, Guard, Hold, Run, Step, Wait, ensured
from balbook.procedures.parts import supervision
from balbook.procedures.parts.look import Seen
from balbook.procedures.parts.release import Release
from balbook.procedures.parts.site import Site

THROUGH_BALANCER_S = 30.0
KNOWN_GOOD_WITHIN_S = 30.0
"""What ran before is given up no sooner than this: impatience with a new release is none with the old one."""
Floor = Callable[[Sequence[Instance]], tuple[tuple[Guard, ...], int]]


class Batch:
    """One unit of a rollout. `states` is what the balancer will have; each batch moves it on.

    `stop_within_s` is how long an instance may take to stop; None: no time at all where the balancer has drained it.
    `soak_s`: how long it serves at the end before the rest follows, for a canary.
    """

    def __init__(
        self,
        site: Site,
        seen: Seen,
        release: Release,
        instances: Sequence[Instance],
        states: dict[str, State],
        *,
        floor: Floor,
        stop_within_s: int | None,
        soak_s: float | None = None,
    ) -> None:
        self.site, self.seen, self.release, self.instances, self.states = site, seen, release, instances, states
        self.floor, self.stop_within_s, self.soak_s = floor, stop_within_s, soak_s
        self.unit = tuple(i.name for i in instances)
        self.names = "+".join(self.unit)

    def steps(self) -> list[Step]:
        """Drain, stop, switch, start, prove, readmit, soak."""
        steps = self._hooks("before drain", self.site.application.hooks.before_drain) + self._drain()
        for instance in self.instances:
            steps += self._replace(instance)
        for instance in self.instances:
            steps += self._prove(instance)
        steps += self._hooks("after ready", self.site.application.hooks.after_ready)
        return steps + self._admit() + self._soak()

    def _drain(self) -> list[Step]:
        """Also where they are out of service and run: whoever took them out may have died before their requests were through."""
        front = self.seen.front
        is_in_service = any(self.seen.in_service.get(i.name) for i in self.instances)
        is_leaving = bool(self.seen.balancer_text) and any(self.seen.running(i) for i in self.instances)
        if not front or not self._is_drained_first or not (is_in_service or is_leaving):
            return []
        guards, needed = self.floor(self.instances)
        before = dict(self.states)
        self.states.update({i.name: "down" for i in self.instances})
        title = f"{front.name}: " + (f"take {self.names} out of service" if is_in_service else f"see {self.names} without requests")
        return [
            Step(
                "drain",
                front.host,
                title,
                front.apply(dict(self.states)),
                unit=self.unit,
                phase="draining",
                done=front.is_applied(dict(self.states)),
                undo=front.apply(before),
                guards=guards,
                guards_needed=needed,
            )
        ]

    def _replace(self, instance: Instance) -> list[Step]:
        place, host = self.site.instance_dir(instance), instance.host
        target = self.release.directory(self.site, host)
        old, link = self.seen.current(instance), f"{place}/current"
        back = releases.switch(link, f"{self.site.application_dir(host)}/releases/{old}") if old else releases.unlink(link)
        there, switch = releases.points_to(link, target), releases.switch(link, target)
        common = self._of(instance) | {"group": f"{self.names} replace" if len(self.instances) > 1 else ""}
        return [
            *self._stop(instance, common),
            ensured("switch", host, f"switch from {old or 'nothing'} to {self.release.name}", there, switch, undo=(Run(back),), **common),
            Step(
                "start",
                host,
                f"start {self.release.name} and wait until it is healthy",
                (Run(self._start(instance)),),
                verify=(Run(process.runs(place, self.release.name)), *self._healthy(instance)),
                undo=(Run(self._stop_command(instance)),),
                **common | {"phase": "starting"},
            ),
        ]

    def _of(self, instance: Instance) -> dict[str, Any]:
        """What all steps have in common that are about one instance, which is down meanwhile."""
        return {"instances": (instance.name,), "unit": self.unit, "phase": "down"}

    def _stop(self, instance: Instance, common: dict[str, Any]) -> list[Step]:
        running = self.seen.running(instance)
        if not running:
            return []
        guards, needed = ((), 0) if self._is_drained_first else self.floor(self.instances)
        return [
            Step(
                "stop",
                instance.host,
                f"stop {running}",
                (Run(self._stop_command(instance)),),
                done=process.runs(self.site.instance_dir(instance), "-"),
                undo=(Run(self._start(instance)), *self._healthy(instance, KNOWN_GOOD_WITHIN_S)),
                guards=guards,
                guards_needed=needed,
                **common,
            )
        ]

    def _prove(self, instance: Instance) -> list[Step]:
        """Warm-up requests and the minimum time healthy, before anybody is sent there."""
        rollout, check = self.site.application.rollout, self.site.application.health
        common, steps = self._of(instance) | {"phase": "starting"}, []
        if rollout.warm_up_requests:
            paths = [r.path for r in self.site.application.probe.requests if r.method == "GET"] or [check.path]
            warm_up = Run(health.warm_up(instance.port, paths, rollout.warm_up_requests))
            title = f"{rollout.warm_up_requests} requests to warm {instance.name} up"
            steps.append(Step("warm up", instance.host, title, (warm_up,), **common))
        if rollout.min_healthy_s:
            hold = Hold(health.is_healthy(instance.port, check.path, check.expect), rollout.min_healthy_s)
            title = f"{instance.name} is healthy for {rollout.min_healthy_s:g} s"
            steps.append(Step("stay healthy", instance.host, title, (hold,), **common))
        return steps

    def _admit(self) -> list[Step]:
        front = self.seen.front
        if not front:
            return []
        before = dict(self.states)
        self.states.update({i.name: "up" for i in self.instances})
        actions, undo = (front.apply(dict(self.states)), front.apply(before)) if before != self.states else ((), ())
        title = f"{front.name}: put {self.names} into service and see it answer there"
        return [Step("admit", front.host, title, actions, unit=self.unit, phase="new", verify=self._answers(), undo=undo)]

    def _soak(self) -> list[Step]:
        """The canary serves for a while, and is healthy all the time; the probe judges it meanwhile."""
        if not self.soak_s:
            return []
        instance, check = self.instances[0], self.site.application.health
        hold = Hold(health.is_healthy(instance.port, check.path, check.expect), self.soak_s)
        title = f"the canary {self.names} serves for {self.soak_s:g} s before the rest follows"
        return [Step("soak", instance.host, title, (hold,), unit=self.unit, phase="serving")]

    def _answers(self) -> tuple[Action, ...]:
        """The balancer sends requests there, where one who asks from its own host can reach the instance."""
        front = self.seen.front
        if not front:
            return ()
        within_s = THROUGH_BALANCER_S + front.balancer.fail_timeout_s
        return tuple(Wait(front.answers(i), within_s=within_s) for i in self.instances if front.is_reachable(i))

    @property
    def _is_drained_first(self) -> bool:
        return self.seen.front is not None and self.site.application.drain != "graceful_stop"

    def _start(self, instance: Instance) -> Command:
        return supervision.start(self.site, instance)

    def _stop_command(self, instance: Instance) -> Command:
        within_s = self.stop_within_s
        if within_s is None:
            within_s = 0 if self._is_drained_first else supervision.stop_within_s(self.site.application)
        return supervision.stop(self.site, instance, within_s)

    def _healthy(self, instance: Instance, at_least_s: float = 0) -> tuple[Action, ...]:
        check = self.site.application.health
        started = health.is_started(self.site.instance_dir(instance), instance.port, check.path, check.expect)
        wait = Wait(started, within_s=max(check.within_s, at_least_s), hopeless=(health.ENDED,))
        return (wait,) * check.passes

    def _hooks(self, when: str, lines: Sequence[str]) -> list[Step]:
        return [
            Step(
                when,
                instance.host,
                f"{when}: {line}",
                (Run(Command(tuple(shlex.split(line)), deadline_s=600)),),
                about=f"{number} {instance.name}",
                instances=(instance.name,),
                unit=self.unit,
            )
            for instance in self.instances
            for number, line in enumerate(lines, 1)
        ]
