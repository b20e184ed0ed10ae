"""One look at applications: what is installed, runs, is healthy, is in service; all hosts side by side.

`look` waits for every host; plans are made from it. `look_within` is for screens: a host that has not answered in time is said
not to have answered, and the other hosts' answers stand.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from balbook import transport
from balbook.engine import lease as lock
from balbook.engine.lease import Holder
from balbook.errors import BalbookError, DeadlineExceeded, HostError, HostUnreachable
from balbook.facts.releases import Installed, RunningInstance, installed
from balbook.facts.system import System, system
from balbook.facts.watchdogs import watchdogs
from balbook.inventory.models import Instance, Inventory
from balbook.procedures.parts import watchdog
from balbook.procedures.parts.balancing import Front, front
from balbook.procedures.parts.site import Site
from balbook.transport import Outcomes, Transport, fan_out

SILENT = (HostError, DeadlineExceeded)
"""The errors of a host that does not answer."""
Question = tuple[str, str]
"""A question (`instances`, `balancer`, `is_final`, `system`, `watchdogs`, `lock`) and the host that is asked."""


@dataclass(frozen=True)
class Seen:
    """The facts of one look, by host or by instance (`host:port`). `silent`: why a host said nothing; such a host has no facts."""

    installed: Mapping[str, Installed]
    systems: Mapping[str, System]
    watchdogs: Mapping[str, Mapping[str, str]]
    """By host, the files of drills' watchdogs that still stand, each with the fault that it repairs."""
    is_healthy: Mapping[str, bool]
    """An instance of a silent host is False in a plan's look, and missing in a look within a time."""
    in_service: Mapping[str, bool]
    front: Front | None
    balancer_text: str
    is_final_applied: bool
    silent: Mapping[str, BalbookError] = field(default_factory=dict)
    holder: Holder | None = None
    """The holder of the application's lock; plans do not ask."""

    def instance(self, instance: Instance) -> RunningInstance | None:
        there = self.installed.get(instance.host)
        return there.instances.get(instance.port) if there else None

    def running(self, instance: Instance) -> str | None:
        """The release that the instance's process was started with."""
        return there.running if (there := self.instance(instance)) else None

    def current(self, instance: Instance) -> str | None:
        """The release that the instance points to."""
        return there.current if (there := self.instance(instance)) else None

    def pid(self, instance: Instance) -> int | None:
        return there.pid if (there := self.instance(instance)) else None

    def is_serving(self, instance: Instance) -> bool:
        return self.is_healthy[instance.name] and (self.front is None or self.in_service[instance.name])

    def revision(self, instance: Instance) -> Mapping[str, Any]:
        """The REVISION of the release that runs, or that the instance points to."""
        name = self.running(instance) or self.current(instance)
        found = self.installed[instance.host].releases.get(name or "")
        return found.revision if found else {}


def look(site: Site, *, is_whole: bool = True) -> Seen:
    """Reads the facts of every host of the application; raises the HostErrors of all hosts that do not answer.

    Where the look need not be whole (`is_whole=False`), the instances of a silent host are not healthy; the balancer's host must answer.
    """
    behind = front(site)
    asked = _of_instances(site, behind) | _of_plans(site, behind)
    hosts = dict.fromkeys(host for _, host in asked)
    outcomes = fan_out(hosts, lambda host: {question: ask() for question, ask in asked.items() if question[1] == host})
    silent = {} if is_whole else _silent(outcomes, behind)
    found = outcomes.succeeded if silent else outcomes.require()
    seen = _seen(site, behind, {question: answer for host in found.values() for question, answer in host.items()}, silent)
    no = {i.name: False for i in site.application.instances}
    return replace(seen, is_healthy={**no, **seen.is_healthy}, in_service=seen.in_service if behind else no)


def look_within(
    inventory: Inventory, within_s: float, connection: Transport | None = None, *, applications: Iterable[str] | None = None
) -> dict[str, Seen]:
    """The facts of these applications (else of all) and the holders of their locks, within `within_s` seconds."""
    opened = connection or transport.connect(inventory)
    sites = {
        name: Site(inventory, opened, {"application": name}) for name in (inventory.applications if applications is None else applications)
    }
    asked = {
        name: _of_instances(site, front(site)) | {("lock", site.lease_place.host): partial(lock.show, site.transport, site.lease_place)}
        for name, site in sites.items()
    }
    answers = _answers({(name, *question): ask for name, asks in asked.items() for question, ask in asks.items()}, within_s)
    threading.Thread(target=opened.close, daemon=True).start()  # a connection that hangs is not waited for either
    found = {}
    for name, site in sites.items():
        late = f"no answer within {within_s:g} s"
        told = {(what, host): answers.get((name, what, host), HostUnreachable(host, late)) for what, host in asked[name]}
        silent = {host: answer for (_, host), answer in told.items() if isinstance(answer, BalbookError)}
        found[name] = _seen(site, front(site), {q: answer for q, answer in told.items() if not isinstance(answer, BalbookError)}, silent)
    return found


def _of_instances(site: Site, behind: Front | None) -> dict[Question, Callable[[], Any]]:
    asked: dict[Question, Callable[[], Any]] = {("instances", host): partial(_instances_on, site, host) for host in site.application_hosts}
    return asked | ({("balancer", behind.host): behind.read} if behind else {})


def _of_plans(site: Site, behind: Front | None) -> dict[Question, Callable[[], Any]]:
    asked: dict[Question, Callable[[], Any]] = {}
    for host in (*site.application_hosts, *([behind.host] if behind else [])):
        asked["system", host] = partial(site.ask, host, system(site.host(host).root))
        asked["watchdogs", host] = partial(site.ask, host, watchdogs(watchdog.files_on(site, host, behind)))
    if behind:
        asked["is_final", behind.host] = partial(site.holds, behind.host, behind.is_final())
    return asked


def _instances_on(site: Site, host: str) -> tuple[Installed, dict[str, bool]]:
    there = site.ask(host, installed(site.application_dir(host)))
    return there, {i.name: site.holds(host, site.is_healthy(i)) for i in site.instances_on(host)}


def _silent(outcomes: Outcomes[dict[Question, Any]], behind: Front | None) -> dict[str, BalbookError]:
    """The hosts that do not answer, where the look can do without them; empty where another error came."""
    failed = outcomes.failed
    is_theirs_alone = all(isinstance(error, SILENT) for error in failed.values())
    return failed if is_theirs_alone and (behind is None or behind.host not in failed) else {}


def _seen(site: Site, behind: Front | None, answers: Mapping[Question, Any], silent: Mapping[str, BalbookError]) -> Seen:
    def by_host(what: str) -> dict[str, Any]:
        return {host: answer for (asked, host), answer in answers.items() if asked == what and answer}

    instances = by_host("instances").items()
    text = answers.get(("balancer", behind.host)) if behind else None
    return Seen(
        installed={host: there for host, (there, _) in instances},
        systems=by_host("system"),
        watchdogs=by_host("watchdogs"),
        is_healthy={name: is_well for _, (_, healthy) in instances for name, is_well in healthy.items()},
        in_service=behind.in_service(text) if behind and text is not None else {},
        front=behind,
        balancer_text=text or "",
        is_final_applied=bool(answers.get(("is_final", behind.host))) if behind else True,
        silent=silent,
        holder=next(iter(by_host("lock").values()), None),
    )


def _answers(asked: Mapping[tuple[str, str, str], Callable[[], Any]], within_s: float) -> dict[tuple[str, str, str], Any]:
    """The answers that came in time; one of balbook's own errors is an answer too."""
    arrived: queue.Queue[tuple[tuple[str, str, str], Any]] = queue.Queue()

    def ask(key: tuple[str, str, str]) -> None:
        try:
            arrived.put((key, asked[key]()))
        except BalbookError as exc:
            arrived.put((key, exc))

    for key in asked:
        threading.Thread(target=ask, args=(key,), daemon=True).start()
    answers: dict[tuple[str, str, str], Any] = {}
    deadline = time.monotonic() + within_s
    with suppress(queue.Empty):
        while len(answers) < len(asked):
            key, answer = arrived.get(timeout=max(0.0, deadline - time.monotonic()))
            answers[key] = answer
    return answers
