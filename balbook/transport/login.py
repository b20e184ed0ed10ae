"""Logging in to one host, with a check of its key; the library's errors become balbook's."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko

from balbook.errors import BadInput, HostKeyError, HostUnreachable, LoginRefused
from balbook.transport.includes import with_includes
from balbook.transport.known_hosts import KnownHost, known_host

CONNECT_S = 10.0
KEEPALIVE_S = 10
"""A packet for the host to acknowledge, also while a long command prints nothing."""
FAST = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
"""Ciphers that need no pass of their own for the checksum of a packet; the library asks for them last."""


@dataclass(frozen=True)
class Endpoint:
    """The address and the login of a host, after `~/.ssh/config` has filled the gaps."""

    name: str
    hostname: str
    port: int
    user: str
    identities: tuple[str, ...] = ()
    known_hosts: tuple[str, ...] = ()
    jump: str = ""

    @property
    def command(self) -> str:
        """The shell line that logs in there by hand."""
        return f"ssh -p {self.port} {self.user}@{self.hostname}"

    def connect(self) -> socket.socket:
        """A socket to the SSH server. Raises HostUnreachable."""
        try:
            return socket.create_connection((self.hostname, self.port), timeout=CONNECT_S)
        except OSError as exc:
            raise unreachable(self, exc) from exc


def ssh_config(path: Path) -> paramiko.SSHConfig:
    """The user's `~/.ssh/config`; an empty one where there is none. BadInput where it cannot be read."""
    try:
        return paramiko.SSHConfig.from_text(with_includes(path)) if path.exists() else paramiko.SSHConfig()
    except (paramiko.ConfigParseError, OSError, ValueError) as exc:
        raise BadInput(f"{path} cannot be read: {exc}", advice="Mend the file; `ssh -G HOST` shows how OpenSSH reads it.") from exc


def split_address(address: str) -> tuple[str | None, str, int | None]:
    """`user@host:port`, as ProxyJump writes it."""
    user, _, rest = address.rpartition("@")
    host, _, port = rest.partition(":")
    return user or None, host, int(port) if port.isdigit() else None


def way_to(name: str, jump: str | None, known: Mapping[str, Any]) -> str:
    """The jump hosts of a host: the inventory's, else `~/.ssh/config`'s, where the first of ProxyJump and ProxyCommand counts."""
    first = next((setting for setting in known if setting in ("proxyjump", "proxycommand")), "")
    way = jump or known.get(first) or "none"
    if way.lower() == "none":
        return ""
    if first == "proxycommand" and not jump:
        advice = "Name the jump host by `jump` in the inventory, or by ProxyJump before ProxyCommand in ~/.ssh/config."
        raise HostUnreachable(name, f"~/.ssh/config has a ProxyCommand for this host, which balbook does not run: {way}", advice=advice)
    return str(way)


def log_in(endpoint: Endpoint, way: Callable[[], socket.socket | paramiko.Channel]) -> paramiko.SSHClient:
    """A connection over the socket that `way` opens. Raises HostKeyError, LoginRefused or HostUnreachable."""
    client = paramiko.SSHClient()
    try:
        _connect(client, endpoint, way)
    except BaseException:
        client.close()
        raise
    return client


def _connect(client: paramiko.SSHClient, endpoint: Endpoint, way: Callable[[], socket.socket | paramiko.Channel]) -> None:
    name, missing = endpoint.name, [identity for identity in endpoint.identities if not Path(identity).exists()]
    try:
        known = known_host(endpoint.hostname, endpoint.port, endpoint.known_hosts)
        known.teach(client.get_host_keys())
        client.set_missing_host_key_policy(_Refuse(endpoint, known))
        client.connect(
            endpoint.hostname,
            port=endpoint.port,
            username=endpoint.user,
            key_filename=[i for i in endpoint.identities if i not in missing] or None,  # type: ignore[arg-type]  # a list is documented
            sock=way(),
            allow_agent=not endpoint.identities or bool(missing),
            look_for_keys=not endpoint.identities,
            timeout=CONNECT_S,
            banner_timeout=CONNECT_S,
            auth_timeout=CONNECT_S,
            transport_factory=_transport,  # type: ignore[arg-type]  # a class or a function that makes one
        )
    except paramiko.hostkeys.InvalidHostKey as exc:
        raise HostKeyError(name, f"a line of its known_hosts is damaged: {exc.line!r}", advice="Remove that line.") from exc
    except paramiko.BadHostKeyException as exc:
        if known.is_revoked(exc.key):
            raise _revoked(endpoint, exc.key) from exc
        why = f"its host key has changed: expected {exc.expected_key.fingerprint}, got {exc.key.fingerprint}"
        advice = f"If the machine was made anew, remove the old key with {known.forgetting}; if not, somebody may be in between."
        raise HostKeyError(name, why, advice=advice) from exc
    except paramiko.PasswordRequiredException as exc:
        raise LoginRefused(name, "the private key is encrypted", advice="Add the key to the agent: ssh-add.") from exc
    except (paramiko.SSHException, OSError, EOFError) as exc:
        opened = client.get_transport()
        is_refused = isinstance(exc, paramiko.AuthenticationException)
        if opened and opened.is_active() and (is_refused or (missing and opened.initial_kex_done)):  # else no key was left to try
            raise _refused(endpoint, missing) from exc
        if not is_refused:
            raise unreachable(endpoint, exc) from exc
        advice = "Try again. A server also ends the connection after too many keys: then name the right key by `identity`."
        raise HostUnreachable(name, f"the connection ended during the login as {endpoint.user}", advice=advice) from exc


def _refused(endpoint: Endpoint, missing: list[str]) -> LoginRefused:
    without = f"; these keys do not exist: {', '.join(missing)}" if missing else ""
    advice = f"Is the right key in the agent, or named by `identity`? Try: {endpoint.command}"
    return LoginRefused(endpoint.name, f"login as {endpoint.user} was refused{without}", advice=advice)


def _transport(sock: socket.socket, **options: Any) -> paramiko.Transport:
    made = paramiko.Transport(sock, **options)
    ciphers = made.get_security_options().ciphers
    made.get_security_options().ciphers = sorted(ciphers, key=lambda cipher: cipher not in FAST)
    made.set_keepalive(KEEPALIVE_S)
    return made


def unreachable(endpoint: Endpoint, exc: BaseException) -> HostUnreachable:
    """The error for a host that does not answer as an SSH server."""
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc) or type(exc).__name__
    advice = f"Is the machine up, and is this the right address? Try: {endpoint.command}"
    return HostUnreachable(endpoint.name, f"{endpoint.hostname}:{endpoint.port} cannot be reached: {reason}", advice=advice)


class _Refuse(paramiko.MissingHostKeyPolicy):
    """Refuses unknown host keys with an error of balbook's, so that no code reads message texts."""

    def __init__(self, endpoint: Endpoint, known: KnownHost) -> None:
        self.endpoint, self.known = endpoint, known

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        if self.known.is_revoked(key):
            raise _revoked(self.endpoint, key)
        place, files = self.endpoint, ", ".join(self.endpoint.known_hosts)
        advice = f"ssh-keyscan -p {place.port} {place.hostname} >> {place.known_hosts[0]}"
        advice = f"Compare the fingerprint with the machine's own, then: {advice}"
        raise HostKeyError(place.name, f"its host key ({key.get_name()} {key.fingerprint}) is not in {files}", advice=advice)


def _revoked(endpoint: Endpoint, key: paramiko.PKey) -> HostKeyError:
    why = f"its host key ({key.get_name()} {key.fingerprint}) is marked as revoked in {', '.join(endpoint.known_hosts)}"
    advice = "Somebody else may have that key: give the machine another key, and compare its fingerprint with the machine's own."
    return HostKeyError(endpoint.name, why, advice=advice)
