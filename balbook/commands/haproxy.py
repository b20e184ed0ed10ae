"""Commands that change a HAProxy: put its configuration in force, drain and readmit a server through the runtime socket.

Exit statuses, beside 0 and a shell's own:

    20  a file that is not balbook's (nor the distribution's, untouched) stands there; nothing was changed
    21  HAProxy refuses the configuration or the command; nothing was changed
    22  HAProxy is not running
    23  the reload (or the start) failed, say for a port in use; the previous file is back
    24  drained, but the server still has requests in hand at the deadline
    26  the content arrived damaged; nothing was changed
    27  it does not stop
    28  ready, but the server's checks do not pass
    29  another change of the same balancer goes on

Needs curl, flock, and socat or perl on the host.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from balbook.commands import host_script
from balbook.commands.balancer import Place, Server, generation_of, identifier
from balbook.commands.command import Command, script
from balbook.commands.nginx import LINGERING, marker_of
from balbook.local.digests import sha256_of

SETTLED_S = 5
"""HAProxy tries for 2 s to bind a port in use; a master that is told to take the old file back meanwhile may not hear it."""


def apply_configuration(place: Place, content: str, *, generation_port: int, within_s: float = 15) -> Command:
    """Write `content` as the whole configuration and reload, or start where HAProxy does not run; wait until it is in force.

    Servers that are drained stay drained. Nothing is changed where `content` is in force already. `within_s` is at least
    SETTLED_S.
    """
    within = _whole(max(within_s, SETTLED_S))
    balancer = marker_of(content).removeprefix("# balbook: balancer ")
    return script(
        "balbook-haproxy-apply",
        host_script("haproxy_master", "haproxy_apply"),
        place.main,
        marker_of(content),
        sha256_of(content),
        generation_of(content),
        place.pid_file,
        place.socket,
        f"{place.directory}/balbook-{balancer}.state",
        "yes" if place.is_own else "",
        f"http://127.0.0.1:{generation_port}/generation",
        within,
        stdin=(content,),
        deadline_s=2 * within + 15,
        is_privileged=True,
    )


def drain(place: Place, application_name: str, server: Server, *, within_s: float = 60, is_lingering_allowed: bool = False) -> Command:
    """Give `server` no new requests and wait until it has none in hand; no reload, no connection is cut."""
    return script(
        "balbook-haproxy-drain",
        host_script("haproxy_master", "haproxy_drain"),
        place.socket,
        identifier(application_name),
        server.word,
        _whole(within_s),
        deadline_s=_whole(within_s) + 15,
        expect=(0, LINGERING) if is_lingering_allowed else (0,),
        is_privileged=True,
    )


def ready(place: Place, application_name: str, server: Server, *, within_s: float = 15) -> Command:
    """Readmit `server`, and wait until its checks pass."""
    return script(
        "balbook-haproxy-ready",
        host_script("haproxy_master", "haproxy_ready"),
        place.socket,
        identifier(application_name),
        server.word,
        _whole(within_s),
        deadline_s=_whole(within_s) + 15,
        is_privileged=True,
    )


def put_states(
    place: Place, content: str, application_name: str, states: Mapping[str, Literal["drain", "ready"]], *, within_s: float = 60
) -> Command:
    """Drain and readmit servers (by their `word`) without a reload, and keep that in the file for the next start.

    Waits until drained ones have no request in hand and the checks of readmitted ones pass. `content` is the whole
    configuration with the same states; HAProxy reads it when it is started or reloaded.
    """
    return script(
        "balbook-haproxy-states",
        host_script("haproxy_master", "haproxy_runtime", "haproxy_states"),
        place.main,
        marker_of(content),
        sha256_of(content),
        place.pid_file,
        place.socket,
        identifier(application_name),
        _whole(within_s),
        *_words(states),
        stdin=(content,),
        deadline_s=2 * _whole(within_s) + 15,
        is_privileged=True,
    )


def are_states(
    place: Place, content: str, application_name: str, states: Mapping[str, Literal["drain", "ready"]], *, generation_port: int = 0
) -> Command:
    """Exits 0 where the servers are in these states, drained ones with no request in hand, and `content` is the file for the next start.

    With `generation_port` only where the running HAProxy was started or reloaded with `content`, too.
    """
    return script(
        "balbook-haproxy-is-kept",
        host_script("haproxy_master", "haproxy_runtime", "haproxy_is_kept"),
        place.main,
        sha256_of(content),
        place.socket,
        identifier(application_name),
        generation_of(content) if generation_port else "",
        f"http://127.0.0.1:{generation_port}/generation",
        *_words(states),
        is_privileged=True,
    )


def is_running(place: Place, content: str) -> Command:
    """Exits 0 where HAProxy runs, with a file of balbook's for the same balancer as `content`."""
    text = host_script("haproxy_master", "haproxy_is_running")
    return script("balbook-haproxy-is-running", text, place.pid_file, place.main, marker_of(content), is_privileged=True)


def configuration(place: Place, application_name: str) -> Command:
    """Prints the file and the runtime states of the application's servers; exit 1 where there is no file."""
    text = host_script("haproxy_master", "haproxy_configuration")
    backend = identifier(application_name)
    return script("balbook-haproxy-configuration", text, place.main, place.socket, backend, expect=(0, 1), is_privileged=True)


def stop(place: Place, *, within_s: float = 60) -> Command:
    """Stop an own HAProxy once its clients are served; at once after `within_s`. One that does not run is no error."""
    text, wait_s = host_script("haproxy_master", "balancer_stop"), _whole(within_s)
    return script("balbook-haproxy-stop", text, place.pid_file, wait_s, "haproxy", "USR1", deadline_s=wait_s + 15, is_privileged=True)


def _words(states: Mapping[str, str]) -> list[str]:
    return [f"{name}={state}" for name, state in sorted(states.items())]


def _whole(seconds: float) -> int:
    return max(1, math.ceil(seconds))
