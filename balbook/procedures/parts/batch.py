"""Instances that change together: drained, replaced, proven, readmitted; one unit, with how each step is taken back."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from balbook.commands import health, process, releases
from balbook.commands.balancer import State
from balbook.commands.command import Command
from balbook.inventory.models import Instance
from balbook.plan.model import Action, Guard, Hold, Run, Step, Wait
from balbook.procedures.parts import supervision
from balbook.procedures.parts.look import Seen
from balbook.procedures.parts.release import Release
from balbook.procedures.parts.site import Site

THROUGH_BALANCER_S = 30.0
KNOWN_GOOD_WITHIN_S = 30.0
"""The least time that an undo gives the earlier release to become healthy, however impatient the inventory is with a new one."""
Floor = Callable[[Sequence[Instance]], tuple[tuple[Guard, ...], int]]


@dataclass
class Batch:
    """One unit of a rollout. `states` is what the balancer will have; each batch moves it on.

    `stop_within_s` is how long an instance may take to stop; None: no time at all where the balancer has drained it.
    `soak_s`: how long it serves at the end before the rest follows, for a canary.
    """

    site: Site
    seen: Seen
    release: Release
    instances: Sequence[Instance]
    states: dict[str, State]
    floor: Floor
    stop_within_s: int | None
    soak_s: float | None = None

    def __post_init__(self) -> None:
        self.names = "+".join(i.name for i in self.instances)
        self.step = partial(Step, unit=tuple(i.name for i in self.instances))

    def steps(self) -> list[Step]:
        """Drain, stop, switch, start, prove, readmit, soak."""
        hooks = self.site.application.hooks
        steps = self._hooks("before drain", hooks.before_drain) + self._drain()
        for make in (self._replace, self._prove):
            steps += [step for instance in self.instances for step in make(instance)]
        return steps + self._hooks("after ready", hooks.after_ready) + self._admit() + self._soak()

    def _drain(self) -> list[Step]:
        """Also instances that run out of service: the run that took them out may have died before their requests were through."""
        front = self.seen.front
        is_in_service = any(self.seen.in_service.get(i.name) for i in self.instances)
        is_leaving = bool(self.seen.balancer_text) and any(self.seen.running(i) for i in self.instances)
        if not front or not self._is_drained_first or not (is_in_service or is_leaving):
            return []
        guards, needed = self.floor(self.instances)
        before = self._move("down")
        change = f"take {self.names} out of service" if is_in_service else f"wait until {self.names} has no request"
        return [
            self.step(
                verb="drain",
                host=front.host,
                title=f"{front.name}: {change}",
                phase="draining",
                done=front.is_applied(dict(self.states)),
                actions=front.apply(dict(self.states)),
                undo=front.apply(before),
                guards=guards,
                guards_needed=needed,
            )
        ]

    def _replace(self, instance: Instance) -> list[Step]:
        place, host = self.site.instance_dir(instance), instance.host
        target = self.release.directory(self.site, host)
        old, link = self.seen.current(instance), f"{place}/current"
        undo = releases.switch(link, f"{self.site.application_dir(host)}/releases/{old}") if old else releases.unlink(link)
        group = f"{self.names} replace" if len(self.instances) > 1 else ""
        step = partial(self.step, host=host, instances=(instance.name,), group=group)
        switch = step(
            verb="switch",
            title=f"switch from {old or 'nothing'} to {self.release.name}",
            phase="down",
            done=releases.points_to(link, target),
            actions=(Run(releases.switch(link, target)),),
            verify=(Run(releases.points_to(link, target)),),
            undo=(Run(undo),),
        )
        start = step(
            verb="start",
            title=f"start {self.release.name} and wait until it is healthy",
            phase="starting",
            actions=(Run(self._start(instance)),),
            verify=(Run(process.runs(place, self.release.name)), *self._healthy(instance)),
            undo=(Run(self._stop_command(instance)),),
        )
        running = self.seen.running(instance)
        if not running:
            return [switch, start]
        guards, needed = ((), 0) if self._is_drained_first else self.floor(self.instances)
        stop = step(
            verb="stop",
            title=f"stop {running}",
            phase="down",
            done=process.runs(place, "-"),
            actions=(Run(self._stop_command(instance)),),
            undo=(Run(self._start(instance)), *self._healthy(instance, KNOWN_GOOD_WITHIN_S)),
            guards=guards,
            guards_needed=needed,
        )
        return [stop, switch, start]

    def _prove(self, instance: Instance) -> list[Step]:
        """Warm-up requests and the minimum time healthy, before anybody is sent there."""
        application, rollout = self.site.application, self.site.application.rollout
        step = partial(self.step, host=instance.host, instances=(instance.name,), phase="starting")
        steps = []
        if rollout.warm_up_requests:
            paths = [r.path for r in application.probe.requests if r.method == "GET"] or [application.health.path]
            warm = Run(health.warm_up(instance.port, paths, rollout.warm_up_requests))
            title = f"{rollout.warm_up_requests} requests to warm {instance.name} up"
            steps.append(step(verb="warm up", title=title, actions=(warm,)))
        if rollout.min_healthy_s:
            hold = Hold(self.site.is_healthy(instance), rollout.min_healthy_s)
            title = f"{instance.name} is healthy for {rollout.min_healthy_s:g} s"
            steps.append(step(verb="stay healthy", title=title, actions=(hold,)))
        return steps

    def _admit(self) -> list[Step]:
        front = self.seen.front
        if not front:
            return []
        before = self._move("up")
        is_changed = before != self.states
        return [
            self.step(
                verb="admit",
                host=front.host,
                title=f"{front.name}: put {self.names} into service and see answers through the balancer",
                phase="new",
                actions=front.apply(dict(self.states)) if is_changed else (),
                verify=self._answers(),
                undo=front.apply(before) if is_changed else (),
            )
        ]

    def _soak(self) -> list[Step]:
        """The canary serves for a while, and is healthy all the time; the probe judges it meanwhile."""
        if not self.soak_s:
            return []
        instance, title = self.instances[0], f"the canary {self.names} serves for {self.soak_s:g} s before the rest follows"
        hold = Hold(self.site.is_healthy(instance), self.soak_s)
        return [self.step(verb="soak", host=instance.host, title=title, phase="serving", actions=(hold,))]

    def _move(self, state: State) -> dict[str, State]:
        """Moves the balancer's states on; returns those before."""
        before = dict(self.states)
        self.states.update({i.name: state for i in self.instances})
        return before

    def _answers(self) -> tuple[Action, ...]:
        """The balancer sends requests to the instances, as far as a client on the balancer's own host can reach them."""
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
            self.step(
                verb=when,
                about=f"{number} {instance.name}",
                host=instance.host,
                instances=(instance.name,),
                title=f"{when}: {line}",
                actions=(Run(Command(tuple(shlex.split(line)), deadline_s=600)),),
            )
            for instance in self.instances
            for number, line in enumerate(lines, 1)
        ]
