"""A balancer's configuration from the inventory; pure.

`render_balancer` gives the file that carries an application: one for each (NGINX), or one for the whole balancer (HAProxy);
`render_main` the main file of a balancer that is balbook's own. Every template gets the same values and has its program's words
for them. Each file carries a generation: a hash of the rest of it, served on loopback, so that what is in force can be told
from what merely lies on the disk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from balbook.errors import BadInput, InventoryError, nearest
from balbook.inventory.consistency import refusals
from balbook.inventory.models import Application, Balancer, Inventory, Route
from balbook.local.digests import sha256_of
from balbook.local.rendering import render

State = Literal["up", "down"]
MARKER = "# balbook: "
NO_GENERATION = "0" * 16


@dataclass(frozen=True)
class Place:
    """The absolute paths of a balancer's files on its host. `is_own`: balbook's own instance, not the distribution's."""

    is_own: bool
    prefix: str
    main: str
    directory: str
    pid_file: str
    error_log: str = ""
    logs: str = ""
    temporary: str = ""
    socket: str = ""


_NGINX = Place(False, "/etc/nginx", "/etc/nginx/nginx.conf", "/etc/nginx/conf.d", "/run/nginx.pid")
_HAPROXY = Place(False, "/etc/haproxy", "/etc/haproxy/haproxy.cfg", "/etc/haproxy", "/run/haproxy.pid")
PACKAGED = {
    "nginx": replace(_NGINX, error_log="/var/log/nginx/error.log", logs="/var/log/nginx"),
    "haproxy": replace(_HAPROXY, socket="/run/haproxy/admin.sock"),
}
"""The places of each program as a distribution ships it."""


@dataclass(frozen=True)
class Server:
    """An instance as the balancer sees it: `address` is `host:port`."""

    name: str
    address: str
    is_up: bool
    is_backup: bool

    @property
    def word(self) -> str:
        """The instance's name inside a HAProxy configuration, which allows letters, digits and `_-.:`."""
        return re.sub(r"[^A-Za-z0-9_.:-]", "_", self.name)


def render_balancer(inventory: Inventory, application_name: str, states: Mapping[str, State]) -> str:
    """The configuration file that carries `application_name`; instances that `states` does not name are up."""
    balancer_name = _balanced(inventory, application_name)
    template = f"balancer/{inventory.balancers[balancer_name].traits.template}"
    values = _values(inventory, balancer_name, application_name, states)
    return render(template, **values, generation=_hash(render(template, **values, generation=NO_GENERATION)))


def render_main(inventory: Inventory, balancer_name: str, *, is_root: bool) -> str:
    """The main file of a balancer of balbook's own; `is_root`: it is started as root, so its workers need a user."""
    if _balancer(inventory, balancer_name).traits.is_one_file:
        return render_balancer(inventory, next(iter(applications_of(inventory, balancer_name))), {})
    user, timeout = inventory.balancers[balancer_name].worker_user if is_root else "", _duration(longest_s(inventory, balancer_name) + 5)
    return render("balancer/nginx.conf.j2", name=balancer_name, user=user, place=place(inventory, balancer_name), shutdown_timeout=timeout)


def place(inventory: Inventory, balancer_name: str) -> Place:
    """The paths of the balancer's files on its host."""
    balancer = _balancer(inventory, balancer_name)
    packaged, is_one_file = PACKAGED[balancer.traits.program], balancer.traits.is_one_file
    file = packaged.main.rpartition("/")[2]
    if balancer.configuration == "own":
        base = balancer.directory or f"{inventory.hosts[balancer.host].root}/balancers/{balancer_name}"
        directory, logs = base if is_one_file else f"{base}/conf.d", f"{base}/logs"
        others = (f"{logs}/error.log", logs, f"{base}/temporary", _socket(f"{base}/admin.sock"))
        return Place(True, base, f"{base}/{file}", directory, f"{base}/balancer.pid", *others)
    directory = balancer.directory or packaged.directory
    return replace(packaged, directory=directory, main=f"{directory}/{file}" if is_one_file else packaged.main)


def _socket(path: str) -> str:
    """The path, or a short one in its place: HAProxy refuses a socket's path beyond 97 characters."""
    return path if len(path) <= 97 else f"/tmp/balbook-{_hash(path)}.sock"


def configuration_path(inventory: Inventory, application_name: str) -> str:
    """The path, on the balancer's host, of the file that `render_balancer` renders."""
    balancer_name = _balanced(inventory, application_name)
    where = place(inventory, balancer_name)
    is_one_file = inventory.balancers[balancer_name].traits.is_one_file
    return where.main if is_one_file else f"{where.directory}/balbook-{application_name}.conf"


def generation_of(text: str) -> str:
    """The generation that a rendered configuration carries, checked against its text; BadInput where they disagree."""
    first = re.search(r'"([0-9a-f]{16})\\n"', text)
    if not first or _hash(text.replace(first[1], NO_GENERATION)) != first[1]:
        raise BadInput(
            "the generation in this configuration does not belong to its text", advice="Render the file again; do not edit it by hand."
        )
    return first[1]


def generation_host(application_name: str) -> str:
    """The Host under which the generation of an application's configuration is served on loopback."""
    return f"balbook-{host_name(application_name)}"


def host_name(application_name: str) -> str:
    """The Host by which an application is told from others on the same balancer."""
    return re.sub(r"[^a-z0-9.-]", "-", application_name.lower()).strip(".-")


def applications_of(inventory: Inventory, balancer_name: str) -> dict[str, Application]:
    """The applications behind a balancer, by name."""
    return {name: app for name, app in sorted(inventory.applications.items()) if app.balancer == balancer_name}


def longest_s(inventory: Inventory, balancer_name: str) -> float:
    """The longest time that a request may take, over all routes of all applications behind a balancer, with the routes added by balbook."""
    apps = applications_of(inventory, balancer_name).values()
    return max((route.timeout_s for app in apps for route in _routes(app).values()), default=60)


def servers_of(inventory: Inventory, application_name: str, states: Mapping[str, State]) -> list[Server]:
    """The instances as the balancer sees them, in the inventory's order; the first is the active one of active_passive."""
    application = inventory.applications[application_name]
    names = [instance.name for instance in application.instances]
    for unknown in sorted(set(states) - set(names)):
        raise BadInput(f"application {application_name} has no instance {unknown}", advice=nearest(unknown, names))
    return [
        Server(
            name=instance.name,
            address=f"{_bracketed(inventory.hosts[instance.host].address)}:{instance.port}",
            is_up=states.get(instance.name, "up") == "up",
            is_backup=application.strategy == "active_passive" and number > 0,
        )
        for number, instance in enumerate(application.instances)
    ]


def _balanced(inventory: Inventory, application_name: str) -> str:
    """The name of the application's balancer, which can keep its strategy."""
    if application_name not in inventory.applications:
        raise BadInput(f"the inventory has no application {application_name!r}", advice=nearest(application_name, inventory.applications))
    application = inventory.applications[application_name]
    if application.balancer is None:
        raise InventoryError(f"application {application_name} has no balancer", advice="Name one: applications.NAME.balancer.")
    for reason, advice in refusals(application, _balancer(inventory, application.balancer)):  # a parameter may have changed the strategy
        raise InventoryError(f"application {application_name}: {reason}", advice=advice)
    return application.balancer


def _balancer(inventory: Inventory, balancer_name: str) -> Balancer:
    if balancer_name not in inventory.balancers:
        raise InventoryError(f"the inventory has no balancer {balancer_name!r}", advice=nearest(balancer_name, inventory.balancers))
    return inventory.balancers[balancer_name]


def _values(inventory: Inventory, balancer_name: str, changed: str, states: Mapping[str, State]) -> dict[str, Any]:
    """The values that a template may use; `application` is the one whose instances `states` names."""
    balancer, longest = inventory.balancers[balancer_name], longest_s(inventory, balancer_name)
    address = balancer.address or inventory.hosts[balancer.host].address
    applications = {
        name: {
            "name": name,
            "id": identifier(name),
            "host_name": host_name(name),
            "health": app.health,
            "is_checked": app.strategy == "active_active_checked",
            "routes": _timed(_routes(app)),
            "locations": _timed(_locations(app)),
            "servers": servers_of(inventory, name, states if name == changed else {}),
        }
        for name, app in applications_of(inventory, balancer_name).items()
    }
    return {
        "name": balancer_name,
        "id": identifier(balancer_name),
        "place": place(inventory, balancer_name),
        "balancer": balancer,
        # What is reached over loopback, as a lab is, is not shown to the network.
        "listens_at": "127.0.0.1" if address == "localhost" or address.startswith("127.") else "",
        "client_timeout": _duration(max(60, longest)),
        "shutdown_timeout": _duration(longest + 5),
        "applications": list(applications.values()),
        "application": applications[changed],
    }


def _timed(routes: Mapping[str, Route]) -> list[dict[str, str]]:
    """Routes in the order of their paths: of two that fit a request the longer comes last."""
    return [
        {"path": path, "timeout": _duration(route.timeout_s), "passing_on": _duration(route.timeout_s * 1.5)}
        for path, route in sorted(routes.items())
    ]


def identifier(application_name: str) -> str:
    """A word for names inside the configuration: lower case letters, digits, `_`; different for different applications."""
    plain = re.sub(r"[^a-z0-9_]", "_", application_name.lower())
    return f"balbook_{plain}" if plain == application_name else f"balbook_{plain}_{_hash(application_name)[:6]}"


def _routes(application: Application) -> dict[str, Route]:
    return {"/": Route(), **application.routes}


def _locations(application: Application) -> dict[str, Route]:
    # NGINX answers `/a` with a redirect of its own where there is only a location `/a/`: say what happens to `/a`.
    routes = _routes(application)
    exact = {
        f"= {path[:-1]}": routes[max((other for other in routes if path[:-1].startswith(other)), key=len)]
        for path in routes
        if path.endswith("/") and path != "/" and path[:-1] not in routes
    }
    return {**routes, **exact}


def _hash(text: str) -> str:
    return sha256_of(text)[:16]


def _duration(seconds: float) -> str:
    return f"{round(seconds)}s" if float(seconds).is_integer() else f"{max(1, round(seconds * 1000))}ms"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
