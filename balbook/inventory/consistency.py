"""Checks across values: names that must exist, ports that must differ, strategies that a balancer cannot keep.

The sources of the refusals are NGINX's and HAProxy's own documentation and trials of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import chain
from typing import Any

from balbook.errors import nearest
from balbook.inventory.balancers import KINDS
from balbook.inventory.document import Document, Place, Problem
from balbook.inventory.models import Application, Balancer, Host, Inventory
from balbook.inventory.words import REGISTRY_SCHEMES

RESERVED = ("balancers", "ballerina", "bin", "locks", "packages", "projects", "published", "sources")
"""Balbook's own directories below a host's root, beside those of applications."""


def reference_problems(inventory: Inventory, document: Document) -> list[Problem]:
    """Every reference of the inventory that leads nowhere.

    `inventory` may lack entries of `document` that have problems of their own; a reference to one of these is not a
    problem. Reads the file system for files that the inventory names.
    """
    hosts, balancers = _names(document.data, "hosts"), _names(document.data, "balancers")
    found = [_jumps(inventory), _balancers(inventory, hosts), _ports(inventory), _registry(inventory)]
    for name, application in inventory.applications.items():
        found += [_application(inventory, name, application, hosts), _strategy(inventory, name, application, balancers)]
    return list(chain.from_iterable(found))


def _names(data: Any, section: str) -> set[str]:
    """The names as written, those of entries with problems too."""
    entries = data.get(section)
    return set(entries) if isinstance(entries, dict) else set()


def _jumps(inventory: Inventory) -> Iterator[Problem]:
    hosts = inventory.hosts
    for name, host in hosts.items():
        place: Place = ("hosts", name, "jump")
        if host.jump in hosts:
            way = [name]
            while (following := hosts[way[-1]].jump) in hosts and following not in way:
                way.append(str(following))
            if following in way:
                yield Problem(place, f"found {host.jump!r}, which leads in a circle: {' -> '.join([*way, str(following)])}")
        elif host.jump and (meant := _misspelt(host.jump, hosts)):
            known = f"found {host.jump!r}, which is not a host of this inventory. Did you mean '{meant}'?"
            yield Problem(place, f"{known} Write any other address in full.")


def _misspelt(word: str, names: Iterable[str]) -> str | None:
    """The host that a bare word nearly names. `bastion2` beside `bastion1` is an address of its own, from `~/.ssh/config`."""
    if "." in word or ":" in word:
        return None
    near = get_close_matches(word, names, n=1, cutoff=0.8)
    is_numbered = bool(near) and re.sub(r"\d", "", near[0]) == re.sub(r"\d", "", word)
    return near[0] if near and not is_numbered else None


def _balancers(inventory: Inventory, known: set[str]) -> Iterator[Problem]:
    for name, balancer in inventory.balancers.items():
        place: Place = ("balancers", name, "host")
        yield from _host(inventory.hosts, known, place, balancer.host, "balancer")
        if (tls := balancer.tls) and not balancer.traits.has_key_anywhere and tls.key not in (tls.certificate, f"{tls.certificate}.key"):
            allowed = f"{balancer.kind} reads the key from the certificate's own file or from {tls.certificate}.key; name one of these"
            yield Problem(("balancers", name, "tls", "key"), f"found {tls.key!r}; {allowed}")


def _host(hosts: dict[str, Host], known: set[str], place: Place, name: str, role: str) -> Iterator[Problem]:
    if name not in known:
        yield Problem(place, f"found {name!r}, which is not a host of this inventory. {nearest(name, known)}")
    elif name in hosts and role not in hosts[name].roles:
        able = [other for other, host in hosts.items() if role in host.roles]
        told = f"hosts with that role: {', '.join(able)}" if able else "no host has that role"
        yield Problem(place, f"found {name!r}, which lacks the role {role!r}; add it to hosts.{name}.roles, or name another ({told})")


def _ports(inventory: Inventory) -> Iterator[Problem]:
    """Pairs of listeners on one port of one host."""
    taken: dict[tuple[str, int], Place] = {}
    for host, port, place in _listeners(inventory):
        other = taken.setdefault((host, port), place)
        if other != place:
            owner = Problem(other, "").field_name
            yield Problem(place, f"found port {port} on host {host!r}, which {owner} has already; choose a free port")


def _listeners(inventory: Inventory) -> Iterator[tuple[str, int, Place]]:
    shared: set[tuple[str, int]] = set()
    for name, balancer in inventory.balancers.items():
        yield balancer.host, balancer.listen, ("balancers", name, "listen")
        if balancer.tls:
            yield balancer.host, balancer.tls.listen, ("balancers", name, "tls", "listen")
        generation = (balancer.host, balancer.generation_port)
        is_included = balancer.configuration == "include" and not balancer.traits.is_one_file
        if not is_included or generation not in shared:
            yield *generation, ("balancers", name, "generation_port")
        if is_included:
            shared.add(generation)  # files of one process, which tells them apart by name
    for name, application in inventory.applications.items():
        for index, instance in enumerate(application.instances):
            yield instance.host, instance.port, ("applications", name, "instances", index, "port")


def _registry(inventory: Inventory) -> Iterator[Problem]:
    """An address that cannot be opened, or that would show its password."""
    registry = inventory.registry
    if registry is None:
        return
    scheme, separator, rest = registry.url.partition("://")
    is_http = scheme in ("http", "https") and bool(separator)
    if separator and scheme not in REGISTRY_SCHEMES:
        known = nearest(scheme, REGISTRY_SCHEMES)
        yield Problem(("registry", "url"), f"found {scheme!r}, which is not the scheme of a registry. {known}")
    elif separator and scheme != "file" and not rest.strip("/"):
        yield Problem(("registry", "url"), f"found {registry.url!r}, which names no {'bucket' if scheme == 's3' else 'host'}")
    elif separator and "@" in rest.partition("/")[0] and ":" in rest.partition("@")[0]:
        yield Problem(("registry", "url"), "the address contains a password; give a reference in `credentials`: env:NAME or file:PATH")
    elif registry.credentials and not is_http:
        yield Problem(("registry", "credentials"), "are for http and https only; sftp takes your SSH keys, s3 the AWS_… variables")


def _application(inventory: Inventory, name: str, application: Application, known: set[str]) -> Iterator[Problem]:
    place: Place = ("applications", name)
    for index, instance in enumerate(application.instances):
        yield from _host(inventory.hosts, known, (*place, "instances", index, "host"), instance.host, "app")
    if application.config and not (path := inventory.resolve(application.config.file)).is_file():
        text = f"found {application.config.file!r}, but {path} is not a file; paths are relative to the inventory"
        yield Problem((*place, "config", "file"), text)
    if name in RESERVED:
        yield Problem(place, f"balbook has a directory {name!r} of its own on hosts; choose another name")
    if application.source and len(application.packages) > 1:
        count = len(application.packages)
        text = f"is for an application of one package, and `packages` has {count}; remove `source` to consolidate the packages"
        yield Problem((*place, "source"), text)


def _strategy(inventory: Inventory, name: str, application: Application, known: set[str]) -> Iterator[Problem]:
    """The strategy's demands on the instances and the balancer."""
    place: Place = ("applications", name)
    count, strategy, balancer = len(application.instances), application.strategy, application.balancer
    if application.capacity_floor is not None and application.capacity_floor >= count:
        text = f"found {application.capacity_floor} of {count} instances, so that none could be replaced; allowed: at most {count - 1}"
        yield Problem((*place, "capacity_floor"), text)
    if strategy == "active_passive" and count == 1:
        yield Problem((*place, "strategy"), "found 'active_passive' with one instance, so that no instance can stand by; add an instance")
    if balancer is None and strategy != "active_active":
        yield Problem((*place, "strategy"), f"found {strategy!r} without a balancer; name one in `balancer`")
    if balancer is not None and balancer not in known:
        yield Problem((*place, "balancer"), f"found {balancer!r}, which is not a balancer of this inventory. {nearest(balancer, known)}")
    if balancer in inventory.balancers:
        for reason, advice in refusals(application, inventory.balancers[balancer]):
            yield Problem((*place, "strategy"), f"found {strategy!r}, which the balancer {balancer!r} cannot keep: {reason}. {advice}")


def refusals(application: Application, balancer: Balancer) -> Iterator[tuple[str, str]]:
    """The reasons why this kind of balancer cannot keep the strategy, each with advice."""
    strategy, traits = application.strategy, balancer.traits
    if strategy == "active_passive" and balancer.method == "ip_hash":
        yield "`backup` cannot be combined with the method ip_hash", "Use least_conn or round_robin."
    if strategy == "active_active_checked" and not traits.has_active_checks:
        able = " or ".join(sorted(kind for kind, other in KINDS.items() if other.has_active_checks))
        yield f"kind {balancer.kind} has no active health checks", f"Use kind {able}, or strategy active_active."
    if strategy == "active_passive" and not traits.has_ordered_backups and len(application.instances) > 2:
        able = " or ".join(sorted(kind for kind, other in KINDS.items() if other.has_ordered_backups))
        text = f"kind {balancer.kind} spreads requests over all its backups instead of taking the first that is available"
        yield text, f"Use kind {able}, or two instances."
