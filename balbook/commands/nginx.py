"""Commands that change an NGINX: put a configuration in force, start and stop an instance of balbook's own.

Exit statuses of `apply_configuration` and `start`, beside 0 and a shell's own:

    20  the file there is not balbook's; nothing was changed
    21  NGINX refuses the configuration; the previous one is back
    22  NGINX is not running; nothing was changed
    23  the reload (or the start) failed, say for a port in use; the previous file is back
    24  in force, but old workers still finish requests at the deadline
    25  the reload went through and another generation is served; the previous file is back
    26  the content arrived damaged; nothing was changed
    27  NGINX does not stop
    28  the workers cannot enter the folder of their temporary files; nothing was changed
    29  another run is changing the same balancer

Needs curl and flock on the host.
"""

from __future__ import annotations

import math
from typing import Any

from balbook.commands.balancer import Place, generation_of
from balbook.commands.command import Command, hosted, script
from balbook.local.digests import sha256_of

FOREIGN, INVALID, NOT_RUNNING, NOT_RELOADED, LINGERING, OTHER_GENERATION, DAMAGED, NOT_STOPPED, BUSY = 20, 21, 22, 23, 24, 25, 26, 27, 29
SHARED = ("balancer_shared", "nginx_master")
RELOAD_WITHIN_S = 10
"""How long NGINX may take to start new workers; it gives up a failing bind() after 2.5 s."""


def apply_configuration(
    place: Place,
    path: str,
    content: str,
    *,
    generation_port: int,
    generation_host: str,
    old_workers_within_s: float = 60,
    is_lingering_allowed: bool = False,
) -> Command:
    """Write `content` to `path`, reload, and wait until it is in force and every old worker is gone.

    Nothing is changed where it is in force already. `old_workers_within_s` bounds the wait for requests that old workers
    still finish; at its end the configuration stays and the status is LINGERING, which `is_lingering_allowed` expects.
    """
    within = whole(old_workers_within_s)
    served_at = (generation_url(generation_port), generation_host)
    files = (place.main if place.is_own else "", place.prefix, place.pid_file, place.error_log)
    values = (path, marker_of(content), sha256_of(content), generation_of(content), *files, *served_at, within, RELOAD_WITHIN_S)
    deadline_s = 2 * within + RELOAD_WITHIN_S + 10  # it may wait for the lock first
    return _nginx("apply", *values, stdin=(content,), deadline_s=deadline_s, expect=(0, LINGERING) if is_lingering_allowed else (0,))


def is_applied(path: str, content: str, *, generation_port: int, generation_host: str, pid_file: str = "") -> Command:
    """Exit 0 where `content` stands at `path` and the running balancer serves it.

    With `pid_file`, the master's, only where no old worker still finishes requests, too.
    """
    served_at = (generation_url(generation_port), generation_host)
    values = (path, sha256_of(content), generation_of(content), *served_at, pid_file)
    return hosted("balbook-is-applied", *values, file="is_applied", after=SHARED, is_privileged=True)


def start(place: Place, content: str, *, within_s: float = 15) -> Command:
    """Write the main file of an own NGINX and start it; where it runs it is reloaded if the file changed."""
    folders = (place.prefix, place.directory, place.logs, place.temporary)
    values = (place.main, marker_of(content), *folders, place.pid_file, place.error_log, whole(within_s), sha256_of(content))
    return _nginx("start", *values, stdin=(content,), deadline_s=2 * whole(within_s) + 10)


def is_running(place: Place, content: str) -> Command:
    """Exit 0 where an own NGINX runs and its main file is `content`."""
    return _nginx("is-running", place.pid_file, place.main, sha256_of(content))


def stop(place: Place, *, within_s: float = 60) -> Command:
    """Stop an own NGINX once its clients are served; at once after `within_s`. One that does not run is no error."""
    return stop_balancer(place, "nginx", "QUIT", within_s)


def stop_balancer(place: Place, program: str, gentle: str, within_s: float) -> Command:
    """Stop a balancer by the signal `gentle`; by SIGTERM after `within_s`."""
    values = (place.pid_file, whole(within_s), program, gentle)
    options: dict[str, Any] = {"file": "balancer_stop", "after": SHARED[:1], "deadline_s": whole(within_s) + 15}
    return hosted(f"balbook-{program}-stop", *values, is_privileged=True, **options)


def holds_port(place: Place, port: int) -> Command:
    """Exit 0 where this balancer, NGINX or HAProxy, listens on `port` already."""
    return hosted("balbook-holds-port", place.pid_file, port, file="holds_port", after=SHARED, is_privileged=True)


def version() -> Command:
    """Prints the version, as in `nginx version: nginx/1.25.5 (nginx-plus-r32-p1)`."""
    return script("balbook-nginx-version", 'PATH="$PATH:/usr/sbin:/sbin" nginx -v 2>&1', expect=(0, 127))


def through_balancer(
    url: str, address: str, port: int, *, expect: int = 200, host_name: str = "", requests: int = 20, timeout_s: float = 2
) -> Command:
    """Exit 0 once the instance at `address:port` answered `expect` through the balancer; read-only, for a Wait.

    `address` may be a name; it is resolved where this runs. `host_name` is the Host to ask for, where several
    applications share the balancer. A certificate is not checked: this asks who answers, over loopback mostly.
    """
    values = (url, host_name, address, port, expect, requests, timeout_s)
    return hosted("balbook-through-balancer", *values, file="through_balancer", deadline_s=requests * timeout_s + 10)


def marker_of(content: str) -> str:
    """The begin of the first line that a file must have for balbook to replace it by `content`."""
    return content.split("\n", 1)[0].split(";", 1)[0]


def generation_url(port: int) -> str:
    """The address where a balancer serves its generation."""
    return f"http://127.0.0.1:{port}/generation"


def whole(seconds: float) -> int:
    """Whole seconds, at least one: shells know no others."""
    return max(1, math.ceil(seconds))


def _nginx(what: str, *values: str | int, **options: Any) -> Command:
    return hosted(f"balbook-nginx-{what}", *values, file=f"nginx_{what.replace('-', '_')}", after=SHARED, is_privileged=True, **options)
