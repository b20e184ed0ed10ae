"""The inventory of a lab: its hosts, its applications and their ports. Pure."""

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
"""The stand-in for Ballerina Central; a lab with a build host has one."""
SINGLE = "rooms"
"""An application of one package, beside the hotel: on the first two app hosts of a loopback lab that has a build host."""
INSTANCE_PORT, LISTEN_PORT = 9090, 80
"""Of hosts that are machines of their own."""
MOST_HOSTS = 64
OS_PACKAGE = "lab-database-driver"
"""The package of the operating system that the application needs on machines; the lab serves the package."""
SIGNERS = "allowed_signers"
HEADING = "# The inventory of a lab on this machine. `balbook lab down` removes this file.\n"


def role(host: str) -> str:
    """The role of a host: `build`, `app` or `balancer`. Raises BadInput for any other name."""
    word = require_word(host, "the lab host's name").rstrip("0123456789")
    if word not in ROLES or word == host:
        raise BadInput(f"{host!r} is not a valid name for a lab host", advice="Name hosts build1, app1, app2, …, lb1.")
    return ROLES[word]


def ports_wanted(hosts: Sequence[str]) -> list[str]:
    """The names of the ports of a lab: SSH of each host, each instance, the balancer's listener and generation port, Central.

    Raises BadInput where hosts are named twice or have no role, or where there are two balancers.
    """
    roles = [role(host) for host in hosts]
    if len(set(hosts)) != len(hosts) or not hosts:
        raise BadInput(
            f"each host of a lab needs a name of its own; got: {', '.join(hosts)}", advice="Leave --hosts out for the usual four."
        )
    if roles.count("balancer") > 1:
        raise BadInput(f"a lab has one balancer at most; got {roles.count('balancer')}", advice="Name one balancer alone: lb1.")
    names = [f"{host}.ssh" for host in hosts]
    names += [f"{host}.instance" for host in hosts if role(host) == "app"]
    names += [f"{host}.{SINGLE}" for host in _single_hosts(hosts)]
    names += [f"{host}.{use}" for host in hosts if role(host) == "balancer" for use in ("listen", "generation")]
    return names + ([CENTRAL_PORT] if "build" in roles else [])


def inventory_text(lab: Path, hosts: Sequence[str], ports: Mapping[str, int], user: str, ballerina: Mapping[str, Any] | None = None) -> str:
    """The `inventory.yaml` of a lab whose hosts share 127.0.0.1, so each port differs. `ballerina` is added unchanged."""
    entries = {
        host: {
            "address": "127.0.0.1",
            "port": ports[f"{host}.ssh"],
            "user": user,
            "root": f"{lab}/hosts/{host}/home/balbook",
            "supervisor": "process",
        }
        for host in hosts
    }
    instances = [{"host": host, "port": ports[f"{host}.instance"]} for host in hosts if role(host) == "app"]
    # The worker is root, since the lab's folders can lie below a private folder of root, which no other account can enter.
    own = [
        {"configuration": "own", "worker_user": "root", "listen": ports[f"{host}.listen"], "generation_port": ports[f"{host}.generation"]}
        for host in hosts
        if role(host) == "balancer"
    ]
    data = _inventory(lab, entries, instances, *own) | dict(ballerina or {})
    if ballerina and (places := _single_hosts(hosts)):
        source = ballerina["defaults"]["pack_push"]["packages"][0]
        data["applications"][SINGLE] = _single(source, [{"host": host, "port": ports[f"{host}.{SINGLE}"]} for host in places])
        data["defaults"] = {**data["defaults"], "decentralized": {"application": SINGLE}}
    data["registry"] = {"url": f"file://{lab}/registry"}
    return HEADING + yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def machines(count: int) -> tuple[str, ...]:
    """The names of `count` hosts: the first is an app host; a balancer comes with the second, a build host with the fourth.

    >>> machines(5)
    ('build1', 'app1', 'app2', 'app3', 'lb1')
    """
    if not 1 <= count <= MOST_HOSTS:
        raise BadInput(f"a lab cannot have {count} hosts", advice=f"Give a number between 1 and {MOST_HOSTS}.")
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
    """The `inventory.yaml` of a lab whose hosts are machines: each has its own address, the ports are those of production.

    `ballerina` is added unchanged; `changes` by host.
    """
    entries = {host: {"address": addresses[host], "user": user, "become": "sudo", "supervisor": "systemd"} for host in hosts}
    instances = [{"host": host, "port": INSTANCE_PORT} for host in hosts if role(host) == "app"]
    data = _inventory(lab, entries, instances, {"configuration": "include", "listen": LISTEN_PORT}) | dict(ballerina or {})
    for host, change in (changes or {}).items():
        data["hosts"][host] |= change
    if instances:
        data["applications"]["hotel"]["requires"] = {"os_packages": [OS_PACKAGE]}
    return HEADING + yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _inventory(
    lab: Path, entries: Mapping[str, dict[str, Any]], instances: list[dict[str, Any]], *balancer: dict[str, Any]
) -> dict[str, Any]:
    """The inventory that all labs share. `entries`: by host, the fields that differ between labs; `balancer`: those of the balancer.

    Records are signed with the lab's own key; not with the user's, which signs the records that count.
    """
    login = {"identity": f"{lab}/client_key", "known_hosts": f"{lab}/known_hosts", "drill": "allowed"}
    data: dict[str, Any] = {"version": 1, "environment": "lab", "lab": True}
    data["hosts"] = {host: {**entry, "roles": [role(host)], **login} for host, entry in entries.items()}
    front = next((host for host in entries if role(host) == "balancer"), None)
    if instances:
        data["applications"] = {"hotel": _hotel(instances, has_balancer=front is not None)}
    if front:
        data["balancers"] = {"public": {"host": front, "kind": "nginx", **balancer[0]}}
    data["artifacts"] = f"file://{lab}/artifacts"
    data["records"] = {"path": f"{lab}/records", "sign_with": f"{lab}/client_key", "allowed_signers": f"{lab}/{SIGNERS}"}
    return data


def signers_text(user: str, public_key: str) -> str:
    """The text of the lab's `allowed_signers`: the one key of the lab."""
    kind, key = public_key.split()[:2]
    return f"{user}@lab {kind} {key}\n"


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
