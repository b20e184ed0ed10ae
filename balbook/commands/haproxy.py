"""Commands that change a HAProxy: put its configuration in force, drain and readmit servers through the runtime socket.

Exit statuses, beside 0 and a shell's own:

    20  the file there is not balbook's (nor the distribution's, untouched); nothing was changed
    21  HAProxy refuses the configuration or the command; nothing was changed
    22  HAProxy is not running
    23  the reload (or the start) failed, say for a port in use; the previous file is back
    24  drained, but the server still has requests in hand at the deadline
    26  the content arrived damaged; nothing was changed
    27  HAProxy does not stop
    28  ready, but the checks of the server do not pass
    29  another run is changing the same balancer

Needs curl, flock, and socat or perl on the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from balbook.commands.balancer import Place, generation_of, identifier
from balbook.commands.command import Command, hosted
from balbook.commands.nginx import generation_url, marker_of, stop_balancer, whole
from balbook.local.digests import sha256_of

SETTLED_S = 5
"""HAProxy tries for 2 s to bind a port in use; a master that is told to take the old file back meanwhile may not hear it."""
States = Mapping[str, Literal["drain", "ready"]]
"""Server (its `word`) -> state."""


def apply_configuration(place: Place, content: str, *, generation_port: int, within_s: float = 15) -> Command:
    """Write `content` as the whole configuration and reload, or start where HAProxy does not run; wait until it is in force.

    Servers that are drained stay drained. Nothing is changed where `content` is in force already. `within_s` is at least
    SETTLED_S.
    """
    within = whole(max(within_s, SETTLED_S))
    state_file = f"{place.directory}/balbook-{marker_of(content).removeprefix('# balbook: balancer ')}.state"
    own = (place.pid_file, place.socket, state_file, "yes" if place.is_own else "")
    values = (place.main, marker_of(content), sha256_of(content), generation_of(content), *own, generation_url(generation_port), within)
    return _haproxy("apply", *values, stdin=(content,), deadline_s=2 * within + 15)


def put_states(place: Place, content: str, application_name: str, states: States, *, within_s: float = 60) -> Command:
    """Drain and readmit servers without a reload, and keep that in the file for the next start.

    Waits until drained servers have no request in hand and the checks of readmitted ones pass. `content` is the whole
    configuration with the same states; HAProxy reads it when it is started or reloaded.
    """
    own = (place.pid_file, place.socket, identifier(application_name), whole(within_s))
    values = (place.main, marker_of(content), sha256_of(content), *own)
    return _haproxy("states", *values, *_words(states), stdin=(content,), deadline_s=2 * whole(within_s) + 15)


def are_states(place: Place, content: str, application_name: str, states: States, *, generation_port: int = 0) -> Command:
    """Exit 0 where the servers are in these states, drained ones with no request in hand, and `content` is the file for the next start.

    With `generation_port` only where the running HAProxy was started or reloaded with `content`, too.
    """
    generation = generation_of(content) if generation_port else ""
    values = (place.main, sha256_of(content), place.socket, identifier(application_name), generation, generation_url(generation_port))
    return _haproxy("is-kept", *values, *_words(states))


def is_running(place: Place, content: str) -> Command:
    """Exit 0 where HAProxy runs, with a file of balbook's for the same balancer as `content`."""
    return _haproxy("is-running", place.pid_file, place.main, marker_of(content))


def configuration(place: Place, application_name: str) -> Command:
    """Prints the file and the runtime states of the application's servers; exit 1 where the file is missing."""
    return _haproxy("configuration", place.main, place.socket, identifier(application_name), expect=(0, 1))


def stop(place: Place, *, within_s: float = 60) -> Command:
    """Stop an own HAProxy once its clients are served; at once after `within_s`. One that does not run is no error."""
    return stop_balancer(place, "haproxy", "USR1", within_s)


def _haproxy(what: str, *values: str | int, **options: Any) -> Command:
    after = ("balancer_shared", "haproxy_master")
    return hosted(f"balbook-haproxy-{what}", *values, file=f"haproxy_{what.replace('-', '_')}", after=after, is_privileged=True, **options)


def _words(states: Mapping[str, str]) -> list[str]:
    return [f"{name}={state}" for name, state in sorted(states.items())]
