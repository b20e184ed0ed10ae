"""Free ports of 127.0.0.1 for a lab that will listen on them later, again and again.

The ports are taken from below the range that outgoing connections use (32768 and up on Linux, 49152 on macOS): a connection
of the probe could hold an instance's port at the moment when the instance starts anew.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Collection, Sequence
from contextlib import ExitStack

from balbook.errors import Failed

FIRST, LAST = 20000, 29999


def reserve(names: Sequence[str], taken: Collection[int], chance: random.Random) -> dict[str, int]:
    """A free port for each name, all different, none of `taken`."""
    candidates = [port for port in range(FIRST, LAST + 1) if port not in taken]
    chance.shuffle(candidates)
    found: dict[str, int] = {}
    with ExitStack() as held:
        for port in candidates:
            if len(found) == len(names):
                break
            if _is_held(held, port):
                found[names[len(found)]] = port
    if len(found) < len(names):
        raise Failed(
            f"fewer than {len(names)} ports between {FIRST} and {LAST} are free", advice="Take a lab down: balbook lab down --name NAME."
        )
    return found


def _is_held(held: ExitStack, port: int) -> bool:
    """True where the port can be bound on all addresses; a listener on any of them makes that fail."""
    probe = held.enter_context(socket.socket())
    try:
        probe.bind(("0.0.0.0", port))
    except OSError:
        return False
    return True
