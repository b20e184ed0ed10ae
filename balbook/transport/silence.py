"""Questions to a host behind a jump host: the jump host's sockets do not tell that the host has gone silent."""

from __future__ import annotations

import contextlib
import threading

import paramiko

from balbook.transport.login import KEEPALIVE_S
from balbook.transport.streams import LOST

SILENT_S = 30
"""A host that acknowledges nothing for so long is gone; without this, a build's deadline of half an hour would tell."""
QUESTION = "keepalive@openssh.com"
"""A request that no server knows, and that every server answers."""


def watch(connection: paramiko.Transport, every_s: float = KEEPALIVE_S, silent_s: float = SILENT_S) -> threading.Thread:
    """Asks the host again and again, on a thread that ends with the connection; closes the connection where no answer comes in time."""
    asking = threading.Thread(target=_ask, args=(connection, every_s, silent_s), daemon=True)
    asking.start()
    return asking


def _ask(connection: paramiko.Transport, every_s: float, silent_s: float) -> None:
    while connection.is_active():
        giving_up = threading.Timer(silent_s, connection.close)
        giving_up.daemon = True
        giving_up.start()
        with contextlib.suppress(*LOST):
            connection.global_request(QUESTION, wait=True)
        giving_up.cancel()
        connection.join(every_s)
