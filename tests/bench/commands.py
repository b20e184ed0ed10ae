"""20 commands on each of 10 hosts, beside plain paramiko in threads with `TCP_NODELAY`: `commands.py [ROUNDS]`.

The hosts are those of a loopback lab. Both sides connect anew in each round, run `true` one after the other on every host,
all hosts side by side, and read output and status; then the same once more over the connections that are open. The rounds
alternate and medians are compared. Exits 1 naming the row that took more than 1.1 times plain paramiko's time.
"""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import paramiko  # noqa: E402 - a script finds its parts itself

from balbook import transport as transports  # noqa: E402
from balbook.commands.command import Command  # noqa: E402
from balbook.inventory import Inventory, read_inventory  # noqa: E402
from balbook.lab import loopback  # noqa: E402
from balbook.transport import Transport, fan_out  # noqa: E402

HOSTS = tuple(f"app{number}" for number in range(1, 11))
COMMANDS = 20
MOST = 1.1


def main() -> int:
    rounds = int((sys.argv[1:] or ["9"])[0])
    with tempfile.TemporaryDirectory(prefix="balbook-bench-") as folder:
        environ = {**os.environ, "BALBOOK_LAB_HOME": folder}
        lab = loopback.up("bench", HOSTS, environ=environ)
        try:
            rows = measure(read_inventory(lab.inventory), rounds)
        finally:
            loopback.down("bench", environ=environ)
    print(f"{COMMANDS} commands on {len(HOSTS)} hosts, medians of {rounds} rounds")
    print(f"{'what':<28}{'paramiko s':>11}{'balbook s':>11}{'ratio':>8}")
    missed = []
    for name, (plain, ours) in rows.items():
        print(f"{name:<28}{plain:>11.3f}{ours:>11.3f}{ours / plain:>8.2f}")
        if ours > MOST * plain:
            missed.append(f"{name}: {ours / plain:.2f} times plain paramiko's {plain:.3f} s, {MOST} may be")
    for row in missed:
        print(f"missed: {row}")
    return 1 if missed else 0


def measure(inventory: Inventory, rounds: int) -> dict[str, tuple[float, float]]:
    """Medians of plain paramiko and of balbook, by row."""
    plain_s: list[tuple[float, float]] = []
    ours_s: list[tuple[float, float]] = []
    for number in range(rounds):
        sides: list[tuple[list[tuple[float, float]], Callable[[Inventory], tuple[float, float]]]] = [(plain_s, plain), (ours_s, ours)]
        for seconds, side in sides if number % 2 else reversed(sides):  # neither always goes first
            seconds.append(side(inventory))
    names = ("login and the commands", "once logged in")
    return {name: (median(s[i] for s in plain_s), median(s[i] for s in ours_s)) for i, name in enumerate(names)}


def plain(inventory: Inventory) -> tuple[float, float]:
    """Seconds of both rows, with plain paramiko."""
    started = time.monotonic()
    with ThreadPoolExecutor(len(HOSTS)) as pool:
        clients = list(pool.map(lambda host: run_plainly(log_in(inventory, host)), HOSTS))
        connected = time.monotonic()
        list(pool.map(run_plainly, clients))
    ended = time.monotonic()
    for client in clients:
        client.close()
    return connected - started, ended - connected


def log_in(inventory: Inventory, name: str) -> paramiko.SSHClient:
    host = inventory.hosts[name]
    assert host.port is not None
    sock = socket.create_connection((host.address, host.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = paramiko.SSHClient()
    client.load_host_keys(str(host.known_hosts))
    client.connect(
        host.address, host.port, host.user, key_filename=host.identity, sock=sock, allow_agent=False, look_for_keys=False, timeout=10
    )
    return client


def run_plainly(client: paramiko.SSHClient) -> paramiko.SSHClient:
    for _ in range(COMMANDS):
        _, out, err = client.exec_command("true")
        out.read()
        err.read()
        assert out.channel.recv_exit_status() == 0
    return client


def ours(inventory: Inventory) -> tuple[float, float]:
    """Seconds of both rows, with balbook's transport, whose connections open with the first command."""
    started = time.monotonic()
    transport = transports.connect(inventory)
    fan_out(HOSTS, lambda host: run_all(transport, host)).require()
    connected = time.monotonic()
    fan_out(HOSTS, lambda host: run_all(transport, host)).require()
    ended = time.monotonic()
    transport.close()
    return connected - started, ended - connected


def run_all(transport: Transport, host: str) -> None:
    for _ in range(COMMANDS):
        assert transport.execute(host, Command(("true",))).status == 0


if __name__ == "__main__":
    sys.exit(main())
