"""Commands that change an NGINX: put a configuration in force, start and stop an instance of balbook's own.

Exit statuses of `apply_configuration` and `start`, beside 0 and a shell's own:

    20  a file that is not balbook's stands there; nothing was changed
    21  NGINX refuses the configuration; the previous one is back
    22  NGINX is not running; nothing was changed
    23  the reload (or the start) failed, say for a port in use; the previous file is back
    24  in force, but old workers still finish requests at the deadline
    25  the reload went through and another generation is served; the previous file is back
    26  the content arrived damaged; nothing was changed
    27  it does not stop
    28  the workers cannot enter the folder of their temporary files; nothing was changed
    29  another change of the same balancer goes on

Needs curl and flock on the host.
"""

from __future__ import annotations

import math

from balbook.commands import host_script
from balbook.commands.balancer import Place, generation_of
from balbook.commands.command import Command, script
from balbook.local.digests import sha256_of

FOREIGN, INVALID, NOT_RUNNING, NOT_RELOADED, LINGERING, OTHER_GENERATION, DAMAGED, NOT_STOPPED, BUSY = 20, 21, 22, 23, 24, 25, 26, 27, 29
RELOAD_WITHIN_S = 10
"""How long new workers may take to appear; a bind that fails is given up by NGINX after 2.5 s."""


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
    return script(
        "balbook-nginx-apply",
        host_script("nginx_master", "nginx_apply"),
        path,
        marker_of(content),
        sha256_of(content),
        generation_of(content),
        place.main if place.is_own else "",
        place.prefix,
        place.pid_file,
        place.error_log,
        _generation_url(generation_port),
        generation_host,
        _whole(old_workers_within_s),
        RELOAD_WITHIN_S,
        stdin=(content,),
        deadline_s=2 * _whole(old_workers_within_s) + RELOAD_WITHIN_S + 10,  # it may wait for the lock first
        expect=(0, LINGERING) if is_lingering_allowed else (0,),
        is_privileged=True,
    )


def is_applied(path: str, content: str, *, generation_port: int, generation_host: str, pid_file: str = "") -> Command:
    """Exits 0 where `content` stands at `path` and is what the running balancer serves.

    With `pid_file`, the master's, only where no old worker still finishes requests, too.
    """
    return script(
        "balbook-is-applied",
        host_script("nginx_master", "is_applied"),
        path,
        sha256_of(content),
        generation_of(content),
        _generation_url(generation_port),
        generation_host,
        pid_file,
        is_privileged=True,
    )


def start(place: Place, content: str, *, within_s: float = 15) -> Command:
    """Write the main file of an own NGINX and start it; where it runs it is reloaded if the file changed."""
    return script(
        "balbook-nginx-start",
        host_script("nginx_master", "nginx_start"),
        place.main,
        marker_of(content),
        place.prefix,
        place.directory,
        place.logs,
        place.temporary,
        place.pid_file,
        place.error_log,
        _whole(within_s),
        stdin=(content,),
        deadline_s=2 * _whole(within_s) + 10,
        is_privileged=True,
    )


def is_running(place: Place, content: str) -> Command:
    """Exits 0 where an own NGINX runs and its main file is `content`."""
    text = host_script("nginx_master", "nginx_is_running")
    return script("balbook-nginx-is-running", text, place.pid_file, place.main, sha256_of(content), is_privileged=True)


def stop(place: Place, *, within_s: float = 60) -> Command:
    """Stop an own NGINX once its clients are served; at once after `within_s`. One that does not run is no error."""
    text, wait_s = host_script("nginx_master", "balancer_stop"), _whole(within_s)
    return script("balbook-nginx-stop", text, place.pid_file, wait_s, "nginx", "QUIT", deadline_s=wait_s + 15, is_privileged=True)


def holds_port(place: Place, port: int) -> Command:
    """Exits 0 where this balancer, NGINX or HAProxy, listens on `port` already."""
    text = host_script("nginx_master", "holds_port")
    return script("balbook-holds-port", text, place.pid_file, port, is_privileged=True)


def version() -> Command:
    """Prints the version, as in `nginx version: nginx/1.25.5 (nginx-plus-r32-p1)`."""
    return script("balbook-nginx-version", 'PATH="$PATH:/usr/sbin:/sbin" nginx -v 2>&1', expect=(0, 127))


def through_balancer(
    url: str, address: str, port: int, *, expect: int = 200, host_name: str = "", requests: int = 20, timeout_s: float = 2
) -> Command:
    """Exits 0 once the instance at `address:port` answered `expect` through the balancer; read-only, for a Wait.

    `address` may be a name; it is resolved where this runs. `host_name` is the Host to ask for, where several
    applications share the balancer. A certificate is not checked: this asks who answers, over loopback mostly.
    """
    return script(
        "balbook-through-balancer",
        host_script("through_balancer"),
        url,
        host_name,
        address,
        port,
        expect,
        requests,
        timeout_s,
        deadline_s=requests * timeout_s + 10,
    )


def marker_of(content: str) -> str:
    """What the first line of a file must begin with for balbook to replace it by `content`."""
    return content.split("\n", 1)[0].split(";", 1)[0]


def _generation_url(port: int) -> str:
    return f"http://127.0.0.1:{port}/generation"


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))
