"""An SSH server in this process, at the other end of a pair of sockets."""

from __future__ import annotations

import socket
import subprocess
import threading
from pathlib import Path

import paramiko


class Doorkeeper(paramiko.ServerInterface):
    """Takes whoever has this key."""

    def __init__(self, key: paramiko.PKey) -> None:
        self._key = key

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if key == self._key else paramiko.AUTH_FAILED


class Server:
    """One machine: its host key, and the key of the user that it takes, as files of `folder`."""

    def __init__(self, folder: Path) -> None:
        self.host_key, self.identity = folder / "host_key", folder / "identity"
        for file in (self.host_key, self.identity):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file], check=True)
        self._running: list[paramiko.Transport] = []

    @property
    def public(self) -> str:
        """The host key as `known_hosts` has it."""
        return self.host_key.with_suffix(".pub").read_text().strip()

    def connect(self) -> socket.socket:
        """A new connection's near end."""
        near, far = socket.socketpair()
        server = paramiko.Transport(far)
        server.add_server_key(paramiko.Ed25519Key.from_private_key_file(str(self.host_key)))
        server.start_server(threading.Event(), Doorkeeper(paramiko.Ed25519Key.from_private_key_file(str(self.identity))))
        self._running.append(server)
        return near

    def close(self) -> None:
        for server in self._running:
            server.close()
