"""The keys of a host in `known_hosts` files: those that the host may have, and revoked ones.

Lines with `@cert-authority` are passed over: the library knows no certificates of hosts.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko
from paramiko.hostkeys import HostKeyEntry, HostKeys

REVOKED = "@revoked"
SSH_PORT = 22


@dataclass(frozen=True)
class KnownHost:
    """`name` as the files have it. `keys`: the host's, by file; `revoked`: keys in base64, revoked for any host."""

    name: str
    keys: Mapping[str, Sequence[paramiko.PKey]]
    revoked: frozenset[str]

    def teach(self, store: HostKeys) -> None:
        """Adds the host to the library's store: of each kind its first key that is not revoked."""
        for key in (key for keys in self.keys.values() for key in keys):
            if not self.is_revoked(key) and key.get_name() not in (store.lookup(self.name) or {}):
                store.add(self.name, key.get_name(), key)

    def is_revoked(self, key: paramiko.PKey) -> bool:
        """True for a key that a file marks as revoked."""
        return key.get_base64() in self.revoked

    @property
    def forgetting(self) -> str:
        """The shell line that takes the host out of every file that knows it."""
        return " && ".join(shlex.join(["ssh-keygen", "-R", self.name, "-f", file]) for file, keys in self.keys.items() if keys)


def known_host(hostname: str, port: int, files: Sequence[str]) -> KnownHost:
    """The host in those of the files that exist. Raises paramiko's InvalidHostKey for a damaged line."""
    name = hostname if port == SSH_PORT else f"[{hostname}]:{port}"
    lines = {file: _lines(Path(file)) for file in files if Path(file).exists()}
    marked = [line.split() for of_file in lines.values() for line in of_file if line.startswith(REVOKED)]
    keys = {file: list(_keys(name, of_file)) for file, of_file in lines.items()}
    return KnownHost(name, keys, frozenset(words[3] for words in marked if len(words) > 3))


def _lines(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text(errors="replace").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _keys(name: str, lines: Sequence[str]) -> Iterator[paramiko.PKey]:
    for line in lines:
        if line.startswith("@"):
            continue
        with contextlib.suppress(paramiko.SSHException):  # a key that the library cannot read
            entry = HostKeyEntry.from_line(line)
            if entry and any(_is_of(name, host) for host in entry.hostnames):
                yield entry.key


def _is_of(name: str, host: str) -> bool:
    """True where the line's host is this one, also where the file has only the host's hash."""
    return host == name or (host.startswith("|1|") and HostKeys.hash_host(name, host) == host)
