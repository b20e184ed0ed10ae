"""The one gate through which everything leaves a kernel: no output, traceback or reply passes it with a secret in it.

The executor writes a notebook's file from the messages of the kernel. So these messages are scrubbed before
JupyterLab, papermill or a log can see them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from balbook.secrets.references import Scrubber
from balbook.secrets.scrubbing import Pieces

Listener = Callable[[str, Any, Any], None]
"""Takes the kind, the content and the parent's header of every message that leaves, scrubbed."""


class Gate:
    """Stands in for the `send` of a kernel's session. Streams are joined, since a secret may come in two writes."""

    def __init__(self, session: Any, scrubber: Scrubber) -> None:
        self.scrubber = scrubber
        self.listeners: list[Listener] = []
        self._session, self._send = session, session.send
        self._lock = threading.RLock()  # streams are sent by a thread of their own
        self._pieces: dict[str, Pieces] = {}
        self._last: dict[str, tuple[Any, Any, Any]] = {}

    def send(self, stream: Any, message: Any, content: Any = None, parent: Any = None, ident: Any = None, **rest: Any) -> Any:
        """Sends as `jupyter_client.session.Session.send` does, without the secrets."""
        with self._lock:
            is_whole = isinstance(message, dict)
            kind = message["header"]["msg_type"] if is_whole else message
            given, about = (message.get("content"), message.get("parent_header")) if is_whole else (content, parent)
            if kind == "stream" and isinstance(given, dict):
                name = given["name"]
                self._last[name] = (stream, about, ident)
                given = {**given, "text": self._pieces.setdefault(name, Pieces(self.scrubber)).feed(given["text"])}
                if not given["text"]:
                    return message if is_whole else None
            else:
                self._let_out()
                given = self.scrubber.data(given)
            self._tell(kind, given, about)
            sent = ({**message, "content": given},) if is_whole else (message, given)
            return self._send(stream, *sent, parent=parent, ident=ident, **rest)

    def _let_out(self) -> None:
        """Sends the held-back ends of the streams: another message comes now, so no text joins them any more."""
        for name, pieces in self._pieces.items():
            if held := pieces.end():
                stream, parent, ident = self._last[name]
                self._tell("stream", {"name": name, "text": held}, parent)
                self._send(stream, "stream", {"name": name, "text": held}, parent=parent, ident=ident)

    def _tell(self, kind: str, content: Any, parent: Any) -> None:
        header = parent.get("header", parent) if isinstance(parent, dict) else {}
        for listener in self.listeners:
            listener(kind, content, header)


def guard(shell: Any, scrubber: Scrubber) -> Gate | None:
    """Puts a gate on the kernel of `shell`, so that no secret of `scrubber` leaves; None where `shell` has no kernel."""
    session = getattr(getattr(shell, "kernel", None), "session", None)
    if session is None:
        return None
    gate = getattr(session.send, "__self__", None)
    if isinstance(gate, Gate):
        gate.scrubber.learn(scrubber)
        return gate
    gate = Gate(session, scrubber)
    session.send = gate.send
    return gate
