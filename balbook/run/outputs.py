"""The one gate through which everything leaves a kernel: no output, traceback or reply passes it with a secret in it.

A notebook's file is written by whoever executes it, from what the kernel sends. So what the kernel sends is scrubbed, before
JupyterLab, papermill or a log can see it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from balbook.secrets.references import Scrubber
from balbook.secrets.scrubbing import Pieces

Listener = Callable[[str, Any, Any], None]
"""Hears the kind, the content and the parent's header of every message that leaves, scrubbed."""


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
        """What `jupyter_client.session.Session.send` does, less the secrets."""
        with self._lock:
            kind = message["header"]["msg_type"] if isinstance(message, dict) else message
            given = message.get("content") if isinstance(message, dict) else content
            if kind == "stream" and isinstance(given, dict):
                self._last[given["name"]] = (stream, message.get("parent_header") if isinstance(message, dict) else parent, ident)
                given = {**given, "text": self._joined(given["name"]).feed(given["text"])}
                if not given["text"]:
                    return message if isinstance(message, dict) else None
            else:
                self._let_out()
                given = self.scrubber.data(given)
            self._tell(kind, given, message.get("parent_header") if isinstance(message, dict) else parent)
            if isinstance(message, dict):
                return self._send(stream, {**message, "content": given}, parent=parent, ident=ident, **rest)
            return self._send(stream, message, given, parent=parent, ident=ident, **rest)

    def _joined(self, name: str) -> Pieces:
        return self._pieces.setdefault(name, Pieces(self.scrubber))

    def _let_out(self) -> None:
        """What was held back of the streams: something else comes now, so nothing more joins it."""
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
    """From now on the kernel of `shell` (None: no kernel) sends nothing that holds a secret of `scrubber`; its gate."""
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
