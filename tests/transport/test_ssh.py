"""The way to a host, as the inventory and `~/.ssh/config` have it; no connection is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from balbook.errors import HostUnreachable
from balbook.inventory import read_inventory
from balbook.transport import ssh
from balbook.transport.login import Endpoint
from balbook.transport.ssh import SshTransport

INVENTORY = "version: 1\nhosts:\n  app1: {address: the-first, roles: [app]%s}\n"


class Passage:
    """A connection that only leads on; it tells where to."""

    def __init__(self, name: str, led: list[tuple[str, str]]) -> None:
        self.name, self._led = name, led

    def get_transport(self) -> Passage:
        return self

    def is_active(self) -> bool:
        return True

    def open_channel(self, kind: str, to: tuple[str, int], *_: Any, **__: Any) -> str:
        self._led.append((self.name, to[0]))
        return kind


@pytest.fixture
def led(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """From where to where each connection led; `-` is this machine."""
    found: list[tuple[str, str]] = []

    def log_in(endpoint: Endpoint, way: Any) -> Any:
        way()
        return Passage(endpoint.hostname, found)

    def create_connection(to: tuple[str, int], timeout: float) -> Any:
        found.append(("-", to[0]))
        raise PassedOn

    class PassedOn(Exception):
        """Nothing is connected."""

    def direct(self: SshTransport, endpoint: Endpoint) -> Any:
        try:
            return usual(self, endpoint)
        except PassedOn:
            return None

    usual = SshTransport._socket
    monkeypatch.setattr(SshTransport, "_socket", direct)
    monkeypatch.setattr(ssh, "log_in", log_in)
    monkeypatch.setattr(ssh, "watch", lambda connection: None)
    monkeypatch.setattr(ssh.socket, "create_connection", create_connection)
    return found


def connect(folder: Path, monkeypatch: pytest.MonkeyPatch, config: str, jump: str = "") -> None:
    monkeypatch.setenv("HOME", str(folder))
    (folder / ".ssh").mkdir()
    (folder / ".ssh" / "config").write_text(config)
    (folder / "inventory.yaml").write_text(INVENTORY % (f", jump: {jump}" if jump else ""))
    SshTransport(read_inventory(folder / "inventory.yaml"))._client("app1")


@pytest.mark.parametrize(
    ("config", "jump", "ways"),
    [
        ("", "", ["- the-first"]),
        ("Host the-first\nProxyJump a,ops@b:2222\n", "", ["- a", "a b", "b the-first"]),
        ("Host the-first\nProxyJump a,b\nHost b\nProxyJump c\nHost a\nProxyJump d\n", "", ["- d", "d a", "a b", "b the-first"]),
        ("Host the-first\nProxyJump nonesuch\n", "", ["- nonesuch", "nonesuch the-first"]),
        ("Host the-first\nProxyJump none\nHost *\nProxyCommand nc %h %p\n", "", ["- the-first"]),
        ("Host the-first\nProxyCommand none\nHost *\nProxyJump a\n", "", ["- the-first"]),
        ("Host the-first\nProxyJump a\nProxyCommand nc %h %p\n", "", ["- a", "a the-first"]),
        ("Host the-first\nProxyCommand nc %h %p\n", "c", ["- c", "c the-first"]),
        ("Host the-first\nProxyJump a\n", "none", ["- the-first"]),
    ],
)
def test_the_way_to_a_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, led: list[tuple[str, str]], config: str, jump: str, ways: list[str]
) -> None:
    connect(tmp_path, monkeypatch, config, jump)
    assert [" ".join(way) for way in led] == ways


def test_a_proxy_command_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, led: list[tuple[str, str]]) -> None:
    with pytest.raises(HostUnreachable, match=r"app1: .* has a ProxyCommand .*: nc the-first 22") as caught:
        connect(tmp_path, monkeypatch, "Host the-*\nProxyCommand nc %h %p\n")
    assert "ProxyJump" in caught.value.advice
    assert led == []


def test_hosts_behind_a_jump_host_are_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, led: list[tuple[str, str]]) -> None:
    watched: list[str] = []
    monkeypatch.setattr(ssh, "watch", lambda connection: watched.append(connection.name))
    connect(tmp_path, monkeypatch, "Host the-first\nProxyJump a,b\n")
    assert watched == ["b", "the-first"]
