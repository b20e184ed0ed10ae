"""A quick look at every application: nobody waits for a host that is down.

Hosts are asked side by side. Whoever has not answered in time is said not to have answered, and the others' answers stand;
`procedures.look` waits for every host and is what plans are made from.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from balbook import transport
from balbook.commands.health import is_healthy
from balbook.engine import lease as lock
from balbook.engine.lease import Holder
from balbook.errors import BalbookError
from balbook.facts.releases import RunningInstance, installed
from balbook.inventory.models import Inventory
from balbook.procedures.parts.balancing import front
from balbook.procedures.parts.site import Site
from balbook.transport import Transport

Question = tuple[str, str]
"""What is asked (`instances`, `service`, `lock`) and of which host."""


@dataclass(frozen=True)
class Glimpse:
    """What one application's hosts answered; by instance, `host:port`. `unanswered`: why a host said nothing."""

    running: Mapping[str, RunningInstance] = field(default_factory=dict)
    is_healthy: Mapping[str, bool] = field(default_factory=dict)
    in_service: Mapping[str, bool] = field(default_factory=dict)
    holder: Holder | None = None
    unanswered: Mapping[str, str] = field(default_factory=dict)


def glimpse(
    inventory: Inventory, within_s: float, connection: Transport | None = None, *, applications: Iterable[str] | None = None
) -> dict[str, Glimpse]:
    """These applications of the inventory, else every one, `within_s` seconds from now at the latest."""
    opened = connection or transport.connect(inventory)
    names = inventory.applications if applications is None else applications
    sites = {name: Site(inventory, opened, {"application": name}) for name in names}
    asked = {(name, *question): ask for name, site in sites.items() for question, ask in _questions(site).items()}
    answers = _side_by_side(asked, within_s)
    threading.Thread(target=opened.close, daemon=True).start()  # a connection that hangs is not waited for either
    return {name: _glimpse(site, answers, within_s) for name, site in sites.items()}


def _questions(site: Site) -> dict[Question, Callable[[], Any]]:
    """What is to be asked about one application."""
    asked: dict[Question, Callable[[], Any]] = {("instances", host): partial(_instances_on, site, host) for host in site.application_hosts}
    if site.application.balancer:
        asked["service", site.inventory.balancers[site.application.balancer].host] = partial(_in_service, site)
    asked["lock", site.lease_place.host] = partial(lock.show, site.transport, site.lease_place)
    return asked


def _instances_on(site: Site, host: str) -> tuple[Mapping[int, RunningInstance], dict[str, bool]]:
    there = site.ask(host, installed(site.application_dir(host))).instances
    health = site.application.health
    healthy = {
        i.name: site.transport.execute(host, is_healthy(i.port, health.path, health.expect)).status == 0
        for i in site.application.instances
        if i.host == host
    }
    return there, healthy


def _in_service(site: Site) -> dict[str, bool]:
    behind = front(site)
    return behind.in_service(behind.read()) if behind else {}


def _side_by_side(asked: Mapping[tuple[str, str, str], Callable[[], Any]], within_s: float) -> dict[tuple[str, str, str], Any]:
    """The answers that came in time; an error of ours is an answer, anything else is none."""
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


def _glimpse(site: Site, answers: Mapping[tuple[str, str, str], Any], within_s: float) -> Glimpse:
    running: dict[str, RunningInstance] = {}
    healthy: dict[str, bool] = {}
    service: dict[str, bool] = {}
    holder: Holder | None = None
    unanswered: dict[str, str] = {}
    for what, host in _questions(site):
        key = (site.application_name, what, host)
        answer: Any = answers.get(key)
        if key not in answers or isinstance(answer, BalbookError):
            unanswered[host] = answer.message if isinstance(answer, BalbookError) else f"{host}: no answer within {within_s:g} s"
        elif what == "instances":
            running |= {f"{host}:{port}": there for port, there in answer[0].items()}
            healthy |= answer[1]
        elif what == "service":
            service = answer
        else:
            holder = answer
    return Glimpse(running, healthy, service, holder, unanswered)
