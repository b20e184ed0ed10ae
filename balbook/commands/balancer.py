"""A balancer's configuration from the inventory; pure.

`render_balancer` gives the file of one application (NGINX) or of the whole balancer (HAProxy), `render_main` the main file
of an NGINX that is balbook's own. Each carries a generation: a hash of the rest of the file, served on loopback, so that
what is in force can be told from what merely lies on the disk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from balbook.errors import BadInput, InventoryError, nearest
from balbook.inventory.models import Application, Balancer, Inventory, Route
from balbook.local.rendering import render

State = Literal["up", "down"]
MARKER = "# balbook: "
NO_GENERATION = "0" * 16
NGINX_METHODS = {"least_conn": "least_conn", "round_robin": "", "ip_hash": "ip_hash"}
HAPROXY_METHODS = {"least_conn": "leastconn", "round_robin": "roundrobin", "ip_hash": "source"}


@dataclass(frozen=True)
class Place:
    """Where a balancer's files are on its host; all absolute. `is_own`: balbook's own instance, not the distribution's."""

    is_own: bool
    prefix: str
    main: str
    directory: str
    pid_file: str
    error_log: str
    logs: str
    temporary: str
    socket: str


@dataclass(frozen=True)
class Server:
    """An instance as the balancer sees it: `address` is `host:port`."""

    name: str
    address: str
    is_up: bool
    is_backup: bool

    @property
    def word(self) -> str:
        """Its name inside a HAProxy configuration, which knows letters, digits and `_-.:`."""
        return re.sub(r"[^A-Za-z0-9_.:-]", "_", self.name)


def render_balancer(inventory: Inventory, application_name: str, states: Mapping[str, State]) -> str:
    """The configuration file that carries `application_name`; instances that `states` does not name are up."""
    application, balancer_name = _balanced(inventory, application_name)
    balancer = inventory.balancers[balancer_name]
    if balancer.kind == "haproxy":
        return _with_generation("balancer/haproxy.cfg.j2", _haproxy_values(inventory, balancer_name, application_name, states))
    template = "nginx_app" if balancer.kind == "nginx" else "nginx_plus_app"
    values = _nginx_values(inventory, application_name, application, balancer, states)
    values["access_log"] = f"{place(inventory, balancer_name).logs}/balbook-{application_name}.log"
    return _with_generation(f"balancer/{template}.conf.j2", values)


def render_main(inventory: Inventory, balancer_name: str, *, is_root: bool) -> str:
    """The main file of an NGINX of balbook's own; `is_root`: it is started as root, so its workers need a user."""
    return render(
        "balancer/nginx.conf.j2",
        name=balancer_name,
        user=inventory.balancers[balancer_name].worker_user if is_root else "",
        place=place(inventory, balancer_name),
        shutdown_timeout=_duration(longest_s(inventory, balancer_name) + 5),
    )


def place(inventory: Inventory, balancer_name: str) -> Place:
    """Where the balancer's files are on its host."""
    balancer = _balancer(inventory, balancer_name)
    if balancer.configuration == "own":
        base = balancer.directory or f"{inventory.hosts[balancer.host].root}/balancers/{balancer_name}"
        main = "haproxy.cfg" if balancer.kind == "haproxy" else "nginx.conf"
        return Place(
            is_own=True,
            prefix=base,
            main=f"{base}/{main}",
            directory=base if balancer.kind == "haproxy" else f"{base}/conf.d",
            pid_file=f"{base}/balancer.pid",
            error_log=f"{base}/logs/error.log",
            logs=f"{base}/logs",
            temporary=f"{base}/temporary",
            socket=_socket(f"{base}/admin.sock"),
        )
    if balancer.kind == "haproxy":
        directory = balancer.directory or "/etc/haproxy"
        run = "/run/haproxy"
        return Place(False, "/etc/haproxy", f"{directory}/haproxy.cfg", directory, f"{run}.pid", "", "", "", f"{run}/admin.sock")
    directory, logs = balancer.directory or "/etc/nginx/conf.d", "/var/log/nginx"
    return Place(False, "/etc/nginx", "/etc/nginx/nginx.conf", directory, "/run/nginx.pid", f"{logs}/error.log", logs, "", "")


def _socket(path: str) -> str:
    """HAProxy refuses a socket's path beyond 97 characters; a long one gets a short name that is always the same."""
    return path if len(path) <= 97 else f"/tmp/balbook-{_hash(path)}.sock"


def configuration_path(inventory: Inventory, application_name: str) -> str:
    """The path, on the balancer's host, of the file that `render_balancer` renders."""
    _, balancer_name = _balanced(inventory, application_name)
    where = place(inventory, balancer_name)
    is_haproxy = inventory.balancers[balancer_name].kind == "haproxy"
    return where.main if is_haproxy else f"{where.directory}/balbook-{application_name}.conf"


def generation_of(text: str) -> str:
    """The generation that a rendered configuration carries, checked against its text; BadInput where they disagree."""
    first = re.search(r'"([0-9a-f]{16})\\n"', text)
    if not first or _hash(text.replace(first[1], NO_GENERATION)) != first[1]:
        raise BadInput("this configuration's generation is not that of its text", advice="Render it again; do not edit it by hand.")
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
    """How long a request in hand may take, over all routes of all applications behind a balancer; those that are rendered unasked too."""
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


def _balanced(inventory: Inventory, application_name: str) -> tuple[Application, str]:
    if application_name not in inventory.applications:
        raise BadInput(f"the inventory has no application {application_name!r}", advice=nearest(application_name, inventory.applications))
    application = inventory.applications[application_name]
    if application.balancer is None:
        raise InventoryError(f"application {application_name} has no balancer", advice="Name one: applications.NAME.balancer.")
    balancer = _balancer(inventory, application.balancer)
    _check_combination(application_name, application, balancer)
    return application, application.balancer


def _balancer(inventory: Inventory, balancer_name: str) -> Balancer:
    if balancer_name not in inventory.balancers:
        raise InventoryError(f"the inventory has no balancer {balancer_name!r}", advice=nearest(balancer_name, inventory.balancers))
    return inventory.balancers[balancer_name]


def _check_combination(name: str, application: Application, balancer: Balancer) -> None:
    if application.strategy == "active_active_checked" and balancer.kind == "nginx":
        raise InventoryError(
            f"application {name}: strategy active_active_checked needs active checks, which the open-source NGINX does not have",
            advice="Use kind: haproxy or nginx_plus for its balancer, or strategy: active_active.",
        )
    if application.strategy == "active_passive" and balancer.method == "ip_hash" and balancer.kind != "haproxy":
        raise InventoryError(
            f"application {name}: NGINX has no backup servers with method ip_hash, which strategy active_passive needs",
            advice="Use method: least_conn or round_robin for its balancer.",
        )
    if application.strategy == "active_passive" and balancer.kind != "haproxy" and len(application.instances) > 2:
        raise InventoryError(
            f"application {name}: NGINX spreads requests over all its backups instead of taking the first that is available",
            advice="Use kind: haproxy for its balancer, or two instances.",
        )
    tls = balancer.tls
    if balancer.kind == "haproxy" and tls and tls.key not in (tls.certificate, f"{tls.certificate}.key"):
        raise InventoryError(
            f"balancer of application {name}: HAProxy does not read the key {tls.key}",
            advice=f"It reads the key from the certificate's own file or from {tls.certificate}.key; name one of these as tls.key.",
        )


def _nginx_values(
    inventory: Inventory, name: str, application: Application, balancer: Balancer, states: Mapping[str, State]
) -> dict[str, Any]:
    servers = servers_of(inventory, name, states)
    return {
        "application": name,
        "id": identifier(name),
        "host_name": host_name(name),
        "method": NGINX_METHODS[balancer.method],
        "servers": servers,
        "tries": len(servers),
        "max_fails": balancer.max_fails,
        "fail_timeout_s": balancer.fail_timeout_s,
        "listens": _listens(inventory, balancer),
        "tls": balancer.tls,
        "routes": [
            {"path": path, "timeout": _duration(route.timeout_s), "passing_on": _duration(route.timeout_s * 1.5)}
            for path, route in _locations(application)
        ],
        "health": application.health,
        "is_checked": application.strategy == "active_active_checked",
        "generation_port": balancer.generation_port,
    }


def _haproxy_values(inventory: Inventory, balancer_name: str, changed: str, states: Mapping[str, State]) -> dict[str, Any]:
    balancer, where = inventory.balancers[balancer_name], place(inventory, balancer_name)
    longest = longest_s(inventory, balancer_name)
    return {
        "name": balancer_name,
        "place": where,
        "state_file": f"{where.directory}/balbook-{balancer_name}.state",
        "frontend": f"{identifier(balancer_name)}_clients",
        "listens": _listens(inventory, balancer),
        "method": HAPROXY_METHODS[balancer.method],
        "generation_port": balancer.generation_port,
        "client_timeout": _duration(max(60, longest)),
        "shutdown_timeout": _duration(longest + 5),
        "applications": [
            {
                "id": identifier(name),
                "host_name": host_name(name),
                "health": app.health,
                # The last rule that fits counts, so the longest path comes last.
                "routes": [{"path": path, "timeout": _duration(route.timeout_s)} for path, route in sorted(_routes(app).items())],
                "servers": servers_of(inventory, name, states if name == changed else {}),
            }
            for name, app in applications_of(inventory, balancer_name).items()
        ],
    }


def identifier(application_name: str) -> str:
    """A word for names inside the configuration: lower case letters, digits, `_`; different for different applications."""
    plain = re.sub(r"[^a-z0-9_]", "_", application_name.lower())
    return f"balbook_{plain}" if plain == application_name else f"balbook_{plain}_{_hash(application_name)[:6]}"


def _routes(application: Application) -> dict[str, Route]:
    return {"/": Route(), **application.routes}


def _locations(application: Application) -> list[tuple[str, Route]]:
    # NGINX answers `/a` with a redirect of its own where there is only a location `/a/`: say what happens to `/a`.
    routes = _routes(application)
    exact = {
        f"= {path[:-1]}": routes[max((other for other in routes if path[:-1].startswith(other)), key=len)]
        for path in routes
        if path.endswith("/") and path != "/" and path[:-1] not in routes
    }
    return sorted({**routes, **exact}.items())


def _listens(inventory: Inventory, balancer: Balancer) -> list[str]:
    # What is reached over loopback, as a lab is, is not shown to the network.
    address = balancer.address or inventory.hosts[balancer.host].address
    is_loopback = address == "localhost" or address.startswith("127.")
    if balancer.kind == "haproxy":
        host = "127.0.0.1:" if is_loopback else ":"
        tls = [f"{host}{balancer.tls.listen} ssl crt {balancer.tls.certificate}"] if balancer.tls else []
    else:
        host = "127.0.0.1:" if is_loopback else ""
        tls = [f"{host}{balancer.tls.listen} ssl"] if balancer.tls else []
    return [f"{host}{balancer.listen}", *tls]


def _with_generation(template: str, values: Mapping[str, Any]) -> str:
    blank = render(template, **values, generation=NO_GENERATION)
    return render(template, **values, generation=_hash(blank))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _duration(seconds: float) -> str:
    return f"{round(seconds)}s" if float(seconds).is_integer() else f"{max(1, round(seconds * 1000))}ms"


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
