"""The gate of a kernel: what it sends has no secret in it, whatever kind of message it is."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from balbook.run.outputs import guard
from balbook.secrets.references import Scrubber

SECRET = 'Kanarie"1/x+%&\\e'


class Session:
    """Takes messages as a kernel's session does."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def send(self, stream: Any, message: Any, content: Any = None, parent: Any = None, ident: Any = None, **rest: Any) -> None:
        is_whole = isinstance(message, dict)
        self.sent.append((message["header"]["msg_type"], message["content"]) if is_whole else (message, content))


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"header": {"msg_type": "stream"}, "parent_header": {}, "content": {"name": name, "text": text}}


def guarded(*secrets: str) -> Session:
    session, scrubber = Session(), Scrubber()
    for secret in secrets:
        scrubber.remember("env:X", secret)
    guard(SimpleNamespace(kernel=SimpleNamespace(session=session)), scrubber)
    return session


def test_results_errors_and_replies_are_scrubbed() -> None:
    session = guarded(SECRET)
    session.send(None, "execute_result", {"data": {"text/plain": repr(SECRET)}, "metadata": {}})
    session.send(None, "error", {"ename": "E", "evalue": SECRET, "traceback": [f"raise E({SECRET})"]})
    session.send(None, {"header": {"msg_type": "execute_reply"}, "content": {"evalue": SECRET}})
    assert "Kanarie" not in json.dumps(session.sent)
    assert [kind for kind, _ in session.sent] == ["execute_result", "error", "execute_reply"]


def test_a_secret_in_two_writes_is_scrubbed_and_nothing_is_lost() -> None:
    session = guarded(SECRET)
    for text in ("it is ", SECRET[:4], SECRET[4:], " and no more: Kan"):
        session.send(None, stream(text))
    session.send(None, "status", {"execution_state": "idle"})
    written = "".join(content["text"] for kind, content in session.sent if kind == "stream")
    assert written == "it is [secret env:X] and no more: Kan"
    assert session.sent[-1][0] == "status"


def test_streams_are_joined_each_for_itself() -> None:
    session = guarded(SECRET)
    session.send(None, stream(SECRET[:6]))
    session.send(None, stream("a warning\n", "stderr"))
    session.send(None, stream(SECRET[6:] + "\n"))
    session.send(None, "status", {})
    text = {name: "".join(c["text"] for k, c in session.sent if k == "stream" and c["name"] == name) for name in ("stdout", "stderr")}
    assert text == {"stdout": "[secret env:X]\n", "stderr": "a warning\n"}


def test_a_second_run_in_a_kernel_adds_its_secrets() -> None:
    session, other = guarded(SECRET), Scrubber()
    other.remember("env:Y", "another-secret")
    guard(SimpleNamespace(kernel=SimpleNamespace(session=session)), other)
    session.send(None, "display_data", {"data": {"text/plain": f"{SECRET} another-secret"}})
    assert session.sent[-1][1]["data"]["text/plain"] == "[secret env:X] [secret env:Y]"


def test_without_a_kernel_nothing_is_done() -> None:
    guard(None, Scrubber())
