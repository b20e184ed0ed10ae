"""SSH by paramiko: one connection a host, `TCP_NODELAY`, strict host keys, deadlines, both streams drained.

Without `TCP_NODELAY` a command costs 44 ms on loopback, with it under 5: so the socket is ours. The remote side gets one
line, quoted by `Command.line`: in a shell that stays open (see `shell`), or in a channel of its own where it has an input (see
`streams.for_any_login`). Both leave out how a login greets, and neither asks what shell the account has.
"""

from __future__ import annotations

import contextlib
import getpass
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import paramiko

from balbook.commands import files
from balbook.commands.command import Command, Result
from balbook.errors import BadInput, CommandFailed, DeadlineExceeded, HostUnreachable, StoreError, nearest
from balbook.inventory.models import Host, Inventory
from balbook.local.atomic_files import replacing
from balbook.plan.model import Upload
from balbook.secrets.secret_ref import SecretRef
from balbook.transport import Progress, reveal_text, streams
from balbook.transport.login import CONNECT_S, Endpoint, log_in, split_address, ssh_config, way_to
from balbook.transport.shell import NoShell, Shell
from balbook.transport.silence import SILENT_S, watch
from balbook.transport.streams import LOST, Ended

STORED_WITHIN_S = 60
MOST_IDLE = 3
"""Shells that are kept on a host for the next commands; a server allows 10 sessions on a connection."""

logging.getLogger("paramiko").setLevel(logging.CRITICAL)


class SshTransport:
    """Runs commands on an inventory's hosts over SSH. Thread-safe; connections are opened when first needed."""

    def __init__(self, inventory: Inventory, on_contact: Callable[[], object] = lambda: None) -> None:
        self._inventory, self._on_contact = inventory, on_contact
        self._clients: dict[str, paramiko.SSHClient] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self._opening = threading.local()
        self._shells: dict[str, list[Shell]] = {}
        self._without_shell: set[str] = set()
        self._config = ssh_config(Path("~/.ssh/config").expanduser())

    def execute(self, host: str, command: Command) -> Result:
        """Run once, whatever the status; raises HostError or DeadlineExceeded. Its deadline is its own: logging in has another."""
        self._host(host)
        password = self._password(host, command)
        self._client(host)
        started = time.monotonic()
        if not command.stdin and not password and host not in self._without_shell:
            try:
                ended = self._in_shell(host, command, started)
            except NoShell:
                self._without_shell.add(host)
            else:
                return self._result(host, command, ended, started)
        return self._result(host, command, self._in_channel(host, command, password, started), started)

    def _in_shell(self, host: str, command: Command, started: float) -> Ended:
        """Run in a shell that is open on the host, or in a new one: several threads may need one at the same time."""
        shell = self._idle_shell(host) or Shell(self._session(host))
        ended: Ended = None, "", ""
        try:
            ended = shell.run(command.line(self._host(host).become), started + command.deadline_s)
        finally:
            if ended[0] in (None, -1) or not self._keep(host, shell):
                shell.close()
        return ended

    def _idle_shell(self, host: str) -> Shell | None:
        with self._guard:
            idle = self._shells.get(host, [])
            while idle:
                if (shell := idle.pop()).is_usable:
                    return shell
        return None

    def _keep(self, host: str, shell: Shell) -> bool:
        with self._guard:
            idle = self._shells.setdefault(host, [])
            if len(idle) < MOST_IDLE:
                idle.append(shell)
            return shell in idle

    def _in_channel(self, host: str, command: Command, password: bytes, started: float) -> Ended:
        """Run in a channel of its own."""
        with self._channel(host, command.line(self._host(host).become, asks_password=bool(password))) as channel:
            deadline = started + command.deadline_s
            try:
                if command.stdin or password:
                    channel.settimeout(command.deadline_s)
                    channel.sendall(password + reveal_text(command.stdin, self._inventory.secrets.reveal))
                channel.shutdown_write()
            except LOST:
                pass  # the command may have ended without reading its input; its status and output say why
            return streams.drain(channel, deadline)

    def _result(self, host: str, command: Command, ended: Ended, started: float) -> Result:
        """The result. Raises DeadlineExceeded, or HostUnreachable where the connection was lost."""
        status, out, err = ended
        if status is None:
            name = command.argv[3] if command.argv[:2] == ("sh", "-c") else command.argv[0]
            last = "\n".join(["The last lines were:", *(out + err).splitlines()[-5:]]) if out or err else "The command printed nothing."
            raise DeadlineExceeded(f"{host}: {name} did not end within {command.deadline_s:g} s", advice=last)
        if status == -1:
            raise HostUnreachable(host, "the connection was lost while a command ran", advice="Look at the host, then resume the run.")
        return Result(status, out, err, time.monotonic() - started)

    def upload(self, host: str, upload: Upload, progress: Progress | None = None) -> bool:
        """Stream a file to a temporary name beside `path`, check its sha256 there, move it into place."""
        if self.execute(host, files.is_there(upload.path, upload.sha256, is_privileged=upload.is_privileged)).status == 0:
            return False
        receive = files.receive_file(upload.path, upload.sha256, upload.mode, is_privileged=upload.is_privileged)
        try:
            with Path(upload.source).open("rb") as file:
                result = self._send(host, receive, file, progress)
        except FileNotFoundError as exc:
            raise StoreError(f"{upload.source}: the file to upload does not exist", advice="Build or publish the artifact again.") from exc
        if result.status != 0:
            why = f"{host}: {upload.path} could not be put in place: {result.stderr.strip() or result.stdout.strip()}"
            raise CommandFailed(why, advice="No half-written file was left on the host; mend the cause and apply again.")
        return True

    def download(self, host: str, path: str, destination: Path) -> str:
        """Stream a file to a private name beside `destination`, hold it against the host's sha256, move it into place."""
        listed = self.execute(host, Command(("sha256sum", "--", path)))
        if listed.status != 0:
            raise CommandFailed(f"{host}: {path} cannot be read: {listed.stderr.strip()}")
        expected = listed.stdout.lstrip("\\").split(" ", 1)[0]
        destination.parent.mkdir(parents=True, exist_ok=True)
        with replacing(destination) as file:
            found = self._receive(host, Command(("cat", "--", path), deadline_s=streams.STALLED_S), file)
            if found != expected:
                raise StoreError(f"{host}: {path} arrived with sha256 {found}, the host says {expected}", advice="Try again.")
        return found

    def close(self) -> None:
        """End all connections."""
        with self._guard:
            clients, self._clients = list(self._clients.values()), {}
            self._shells.clear()
        for client in clients:
            client.close()

    def _send(self, host: str, command: Command, file: BinaryIO, progress: Progress | None) -> Result:
        total = Path(file.name).stat().st_size
        password = self._password(host, command)
        with self._channel(host, command.line(self._host(host).become, asks_password=bool(password))) as channel:
            try:
                sent = streams.send(channel, password, file, lambda sent: progress(sent, total) if progress else None)
            except TimeoutError as exc:
                raise DeadlineExceeded(f"{host}: the upload stood still for {streams.STALLED_S:g} s after {exc.args[0]} bytes") from exc
            status, out, err = streams.drain(channel, time.monotonic() + STORED_WITHIN_S)
        if status in (None, -1):
            raise HostUnreachable(host, f"the connection was lost during an upload, after {sent} of {total} bytes", advice="Apply again.")
        return Result(status or 0, out, err)

    def _receive(self, host: str, command: Command, file: BinaryIO) -> str:
        """The command's standard output into `file`; its sha256."""
        with self._channel(host, command.line()) as channel:
            try:
                sha256, status = streams.receive(channel, file)
            except TimeoutError as exc:
                raise DeadlineExceeded(f"{host}: the download of {command.argv[-1]} stood still") from exc
        if status in (None, -1):
            raise HostUnreachable(host, f"the connection was lost during the download of {command.argv[-1]}", advice="Try again.")
        return sha256

    def _password(self, host: str, command: Command) -> bytes:
        """The first line of the command's input, for sudo; empty where sudo gets no password."""
        reference = self._host(host).become_password
        if not reference or not command.is_privileged or not self._host(host).become:
            return b""
        return reveal_text((SecretRef(reference), "\n"), self._inventory.secrets.reveal)

    def _host(self, name: str) -> Host:
        try:
            return self._inventory.hosts[name]
        except KeyError:
            raise BadInput(f"host {name!r} is not in the inventory", advice=nearest(name, self._inventory.hosts)) from None

    @contextlib.contextmanager
    def _channel(self, host: str, line: str) -> Iterator[paramiko.Channel]:
        """A channel of its own in which `/bin/sh` runs the line."""
        channel = self._session(host)
        try:
            try:
                channel.exec_command(streams.for_any_login(line))
            except LOST as exc:
                self._forget(host, self._clients.get(host))
                why = f"the connection was lost: {exc}".removesuffix(": ")
                raise HostUnreachable(host, why, advice="Look at the host, then try again.") from exc
            yield channel
        finally:
            channel.close()

    def _session(self, host: str) -> paramiko.Channel:
        """A new channel, on the host's connection or on a new one."""
        self._host(host)  # only a jump may be an address that the inventory does not know
        client = self._client(host)
        try:
            return _transport_of(client).open_session(timeout=CONNECT_S)
        except LOST as exc:
            self._forget(host, client)
            raise HostUnreachable(host, "the connection was lost", advice="Look at the host and the network, then try again.") from exc

    def _client(self, host: str, through: str = "") -> paramiko.SSHClient:
        """The connection to a host. `through`: the jump hosts that lead to it, in place of its own."""
        if host in self._hosts_being_opened():
            circle = " -> ".join([*self._hosts_being_opened(), host])
            raise HostUnreachable(host, f"its jump hosts lead in a circle: {circle}", advice="Mend `jump`, or ProxyJump in ~/.ssh/config.")
        key = f"{through},{host}" if through else host
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            client = self._clients.get(key)
            transport = client.get_transport() if client else None
            if client and transport and transport.is_active():
                return client
            self._opening.hosts = (*self._hosts_being_opened(), host)
            try:
                opened = self._open(host, through)
            finally:
                self._opening.hosts = self._opening.hosts[:-1]
            with self._guard:
                self._clients[key] = opened
            return opened

    def _hosts_being_opened(self) -> tuple[str, ...]:
        """The hosts that this thread is on its way to, through jump hosts."""
        return getattr(self._opening, "hosts", ())

    def _forget(self, host: str, client: paramiko.SSHClient | None) -> None:
        with self._guard:
            self._without_shell.discard(host)
            if client and self._clients.get(host) is client:
                del self._clients[host]
        if client:
            client.close()

    def _endpoint(self, name: str, through: str = "") -> Endpoint:
        """A host of the inventory, or (for a jump) an address that only `~/.ssh/config` knows."""
        host = self._inventory.hosts.get(name)
        user, address, port = split_address(name) if host is None else (host.user, host.address, host.port)
        known = self._config.lookup(address)
        known_hosts = [host.known_hosts] if host and host.known_hosts else known.get("userknownhostsfile", "~/.ssh/known_hosts").split()
        identities = [host.identity] if host and host.identity else known.get("identityfile", [])
        return Endpoint(
            name=name,
            hostname=known.get("hostname", address),
            port=port or int(known.get("port", 22)),
            user=user or known.get("user") or getpass.getuser(),
            identities=tuple(str(self._inventory.resolve(i)) for i in identities),
            known_hosts=tuple(str(self._inventory.resolve(f)) for f in known_hosts),
            jump=through or way_to(name, host.jump if host else None, known),
        )

    def _open(self, host: str, through: str = "") -> paramiko.SSHClient:
        endpoint = self._endpoint(host, through)
        self._on_contact()
        client = log_in(endpoint, lambda: self._socket(endpoint))
        if endpoint.jump and (connection := client.get_transport()):
            watch(connection)
        return client

    def _socket(self, endpoint: Endpoint) -> socket.socket | paramiko.Channel:
        if endpoint.jump:
            return self._through(endpoint)
        sock = endpoint.connect()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sys.platform == "linux":
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_S * 1000)
        return sock

    def _through(self, endpoint: Endpoint) -> paramiko.Channel:
        """A channel from the last of the jump hosts to the endpoint; each is reached through those before it."""
        before, _, last = endpoint.jump.rpartition(",")
        client = self._client(last.strip(), before)
        try:
            return _transport_of(client).open_channel(
                "direct-tcpip", (endpoint.hostname, endpoint.port), ("127.0.0.1", 0), timeout=CONNECT_S
            )
        except LOST as exc:
            raise HostUnreachable(endpoint.name, f"{endpoint.jump} cannot reach {endpoint.hostname}:{endpoint.port}: {exc}") from exc


def _transport_of(client: paramiko.SSHClient) -> paramiko.Transport:
    transport = client.get_transport()
    if transport is None:
        raise EOFError("the connection was closed")
    return transport
