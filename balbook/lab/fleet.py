"""The inventory of a lab: which hosts it has, what runs where, on which ports. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from balbook.errors import BadInput
from balbook.local.names import require_word

HOSTS = ("build1", "app1", "app2", "lb1")
ROLES = {"build": "build", "app": "app", "lb": "balancer"}
"""Role of a host by the word before the number in its name."""
CENTRAL_PORT = "central.http"
"""Ballerina Central's stand-in; a lab with a build host has one."""
SINGLE = "rooms"
"""An application that is one package, beside the hotel: on the first two hosts of a loopback lab that can build it."""
INSTANCE_PORT, LISTEN_PORT = 9090, 80
"""Of hosts that are machines of their own."""
MOST_HOSTS = 64
OS_PACKAGE = "lab-database-driver"
"""What the application of hosts that are machines needs of the operating system; the lab serves it."""
SIGNERS = "allowed_signers"
HEADING = "# The inventory of a lab on this machine. `balbook lab down` removes it.\n"


def role(host: str) -> str:
    """`build`, `app` or `balancer`. Raises BadInput for a name that says none of them."""
    word = require_word(host, "the lab host's name").rstrip("0123456789")
    if word not in ROLES or word == host:
        raise BadInput(f"lab host {host!r} has no role", advice="Call hosts build1, app1, app2, …, lb1.")
    return ROLES[word]


def ports_wanted(hosts: Sequence[str]) -> list[str]:
    """What needs a port: each host's SSH, each application host's instance, the balancer's listener and generation port, Central.

    Raises BadInput where hosts are named twice or have no role, or where there are two balancers.
    """
    roles = [role(host) for host in hosts]
    if len(set(hosts)) != len(hosts) or not hosts:
        raise BadInput(f"a lab's hosts need names, each its own: {', '.join(hosts)}", advice="Leave them out for the usual four.")
    if roles.count("balancer") > 1:
        raise BadInput("a lab has one balancer at most", advice="Leave all but lb1 out.")
    names = [f"{host}.ssh" for host in hosts]
    names += [f"{host}.instance" for host in hosts if role(host) == "app"]
    names += [f"{host}.{SINGLE}" for host in _single_hosts(hosts)]
    names += [f"{host}.{what}" for host in hosts if role(host) == "balancer" for what in ("listen", "generation")]
    return names + ([CENTRAL_PORT] if "build" in roles else [])


def inventory_text(lab: Path, hosts: Sequence[str], ports: Mapping[str, int], user: str, ballerina: Mapping[str, Any] | None = None) -> str:
    """The lab's `inventory.yaml`: all hosts share 127.0.0.1, so every port is another one. `ballerina` is added as it stands."""
    data: dict[str, Any] = {"version": 1, "environment": "lab", "lab": True}
    data["hosts"] = {host: _host(lab, host, ports[f"{host}.ssh"], user) for host in hosts}
    balancers = [host for host in hosts if role(host) == "balancer"]
    instances = [{"host": host, "port": ports[f"{host}.instance"]} for host in hosts if role(host) == "app"]
    if instances:
        data["applications"] = {"hotel": _hotel(instances, has_balancer=bool(balancers))}
    if balancers:
        data["balancers"] = {"public": _balancer(balancers[0], ports)}
    data |= ballerina or {}
    if ballerina and (places := _single_hosts(hosts)):
        source = ballerina["defaults"]["pack_push"]["packages"][0]
        data["applications"][SINGLE] = _single(source, [{"host": host, "port": ports[f"{host}.{SINGLE}"]} for host in places])
        data["defaults"] = {**data["defaults"], "decentralized": {"application": SINGLE}}
    data["artifacts"] = f"file://{lab}/artifacts"
    data["registry"] = {"url": f"file://{lab}/registry"}
    data["records"] = _records(lab)
    return HEADING + yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def machines(count: int) -> tuple[str, ...]:
    """The names of `count` hosts: applications' first of all, a balancer for two of them, a build host beside that.

    >>> machines(5)
    ('build1', 'app1', 'app2', 'app3', 'lb1')
    """
    if not 1 <= count <= MOST_HOSTS:
        raise BadInput(f"a lab of {count} hosts cannot be", advice=f"Between 1 and {MOST_HOSTS}.")
    others = (count >= 4) + (count >= 2)
    apps = tuple(f"app{number}" for number in range(1, count - others + 1))
    return (("build1",) if count >= 4 else ()) + apps + (("lb1",) if count >= 2 else ())


def machines_inventory_text(
    lab: Path,
    hosts: Sequence[str],
    addresses: Mapping[str, str],
    user: str,
    ballerina: Mapping[str, Any] | None = None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """The `inventory.yaml` of a lab whose hosts are machines: each its own address, the ports as in production.

    `ballerina` is added as it stands; `changes` by host.
    """
    data: dict[str, Any] = {"version": 1, "environment": "lab", "lab": True}
    data["hosts"] = {host: {**_machine(lab, host, addresses[host], user), **(changes or {}).get(host, {})} for host in hosts}
    balancers = [host for host in hosts if role(host) == "balancer"]
    instances = [{"host": host, "port": INSTANCE_PORT} for host in hosts if role(host) == "app"]
    if instances:
        hotel = _hotel(instances, has_balancer=bool(balancers))
        data["applications"] = {"hotel": hotel | {"requires": {"os_packages": [OS_PACKAGE]}}}
    if balancers:
        data["balancers"] = {"public": {"host": balancers[0], "kind": "nginx", "configuration": "include", "listen": LISTEN_PORT}}
    data |= ballerina or {}
    data["artifacts"] = f"file://{lab}/artifacts"
    data["records"] = _records(lab)
    return HEADING + yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _machine(lab: Path, host: str, address: str, user: str) -> dict[str, Any]:
    return {
        "address": address,
        "user": user,
        "roles": [role(host)],
        "become": "sudo",
        "identity": f"{lab}/client_key",
        "known_hosts": f"{lab}/known_hosts",
        "supervisor": "systemd",
        "drill": "allowed",
    }


def signers_text(user: str, public_key: str) -> str:
    """The lab's `allowed_signers`: whoever holds its key."""
    kind, key = public_key.split()[:2]
    return f"{user}@lab {kind} {key}\n"


def _records(lab: Path) -> dict[str, Any]:
    """Signed with the lab's own key; not with the user's, which signs what counts."""
    return {"path": f"{lab}/records", "sign_with": f"{lab}/client_key", "allowed_signers": f"{lab}/{SIGNERS}"}


def _host(lab: Path, host: str, port: int, user: str) -> dict[str, Any]:
    return {
        "address": "127.0.0.1",
        "port": port,
        "user": user,
        "roles": [role(host)],
        "identity": f"{lab}/client_key",
        "known_hosts": f"{lab}/known_hosts",
        "root": f"{lab}/hosts/{host}/home/balbook",
        "supervisor": "process",
        "drill": "allowed",
    }


def _hotel(instances: list[dict[str, Any]], *, has_balancer: bool) -> dict[str, Any]:
    return {
        "packages": ["acme/rooms", "acme/bookings", "acme/payments"],
        **({"balancer": "public"} if has_balancer else {}),
        "instances": instances,
        "health": {"path": "/health", "expect": 200},
        "probe": {
            "rate": 200,
            "requests": [
                {"method": "GET", "path": "/rooms"},
                {"method": "POST", "path": "/bookings", "body": '{"room":"101","guest":"{id}","nights":2}', "has_logged_id": True},
            ],
        },
    }


def _single_hosts(hosts: Sequence[str]) -> list[str]:
    has_builder = any(role(host) == "build" for host in hosts)
    return [host for host in hosts if role(host) == "app"][:2] if has_builder else []


def _single(source: str, instances: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "packages": ["acme/rooms"],
        "source": source,
        "instances": instances,
        "health": {"path": "/health", "expect": 200},
        "verify": {"requests": [{"path": "/rooms", "contains": '"package":"acme/rooms","version":"{version}"'}]},
    }


def _balancer(host: str, ports: Mapping[str, int]) -> dict[str, Any]:
    # The lab's folders may lie below a private one of root's, which no other account can enter.
    own = {"host": host, "kind": "nginx", "configuration": "own", "worker_user": "root"}
    return {**own, "listen": ports[f"{host}.listen"], "generation_port": ports[f"{host}.generation"]}
