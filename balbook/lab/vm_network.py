"""The network of a lab of VMs: a namespace with the lab's bridge, one for each host, and one cable to this machine.

All names begin with the lab's word (see `word_of`), so that the rest of an interrupted start is found without a state.
The bridge stands in a namespace of its own: this machine's firewall and routes do not take part, and all interfaces go with
the namespaces.
"""

from __future__ import annotations

import ipaddress
import json
import os
import random
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from balbook.errors import Failed
from balbook.local.digests import sha256_of

NAMESPACES = Path("/run/netns")
INTERFACES = Path("/sys/class/net")
PRIVATE = ipaddress.ip_network("10.0.0.0/8")
FIRST_HOST = 11
SERVICES = 2
"""The number of the services in the network: the bridge's own address."""
WITHIN_S = 20
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
"""The folders of some programs; a plain `su` leaves them out of PATH."""
KERNEL = "Look whether the kernel of this machine lacks that part."
ADVICE = {
    "mount": "The end of `dmesg` has the reason of the kernel.",
    "umount": "`fuser -vm PLACE` names the processes that still use the place; end them.",
}
"""The advice by program; KERNEL for other programs."""


def word_of(folder: Path) -> str:
    """The name, or the beginning of the name, of the lab's namespaces, interface and control groups."""
    return "bb" + sha256_of(str(folder))[:8]


def namespace(word: str, host: str) -> str:
    """The name of the host's network namespace."""
    return f"{word}-{host}"


def addresses(hosts: Sequence[str], taken: Collection[str], chance: random.Random) -> dict[str, str]:
    """An address for each host, in a network that neither this machine's routes nor the `taken` addresses use."""
    known = [ipaddress.ip_network(word, strict=False) for word in {*_routes(), *taken}]
    for _ in range(1000):
        candidate = ipaddress.ip_network((int(PRIVATE.network_address) + (chance.randrange(1 << 16) << 8), 24))
        if not any(candidate.overlaps(network) for network in known if network.prefixlen):
            return {host: str(candidate[FIRST_HOST + number]) for number, host in enumerate(hosts)}
    raise Failed(f"no free network in {PRIVATE}", advice="`ip route` shows the networks that this machine uses.")


def network_of(hosts: Mapping[str, str]) -> ipaddress.IPv4Network:
    """The network of these hosts, given by address; the first address is this machine's."""
    return ipaddress.ip_network((next(iter(hosts.values())), 24), strict=False)  # type: ignore[return-value]  # of version 4


def connect(word: str, hosts: Mapping[str, str]) -> None:
    """Makes namespaces, bridge and cables for hosts, given by address; this machine gets the first address."""
    network = network_of(hosts)
    ip([f"netns add {name}" for name in (word, *(namespace(word, host) for host in hosts))])
    cables = [f"link add p{n} netns {word} type veth peer name host0 netns {namespace(word, host)}" for n, host in enumerate(hosts)]
    ip([f"link add {word} type veth peer name up0 netns {word}", *cables, f"addr add {network[1]}/24 dev {word}", f"link set {word} up"])
    ports = ["up0", *(f"p{number}" for number in range(len(hosts)))]
    plugged = [line for port in ports for line in (f"link set {port} master br0", f"link set {port} up")]
    services = f"addr add {network[SERVICES]}/24 dev br0"
    ip(["link add br0 type bridge", services, "link set lo up", "link set br0 up", *plugged], word)
    for host, address in hosts.items():
        ip([f"addr add {address}/24 dev host0", "link set lo up", "link set host0 up"], namespace(word, host))


def left_of(word: str) -> list[str]:
    """The names of the lab's namespaces and interface that exist."""
    spaces = [p.name for p in NAMESPACES.iterdir() if p.name == word or p.name.startswith(f"{word}-")] if NAMESPACES.is_dir() else []
    return sorted(spaces) + ([word] if (INTERFACES / word).exists() else [])


def disconnect(word: str) -> None:
    """Removes the lab's network; the lab's processes must have ended."""
    if (INTERFACES / word).exists():
        ip([f"link delete {word}"])
    ip([f"netns delete {name}" for name in left_of(word)])
    deadline = time.monotonic() + WITHIN_S
    while left := left_of(word):
        if time.monotonic() > deadline:
            raise Failed(
                f"the networks {', '.join(left)} stay", advice="`ip netns pids NAME` names the processes that still use one; end them."
            )
        time.sleep(0.02)


def ip(lines: Sequence[str], space: str = "") -> None:
    """Runs lines of `ip`, in the namespace `space` where one is given."""
    if lines:
        run(["ip", *(["-n", space] if space else []), "-batch", "-"], "".join(f"{line}\n" for line in lines))


def run(argv: Sequence[str], given: str = "") -> str:
    """Runs a program and returns its standard output. Raises Failed where the program fails, or does not end in time."""
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{SBIN}".lstrip(":")}
    try:
        done = subprocess.run(list(argv), input=given, capture_output=True, text=True, check=False, timeout=WITHIN_S, env=environment)
    except subprocess.TimeoutExpired as exc:
        raise Failed(
            f"`{' '.join(argv)}` did not end within {WITHIN_S} s", advice="Look whether this machine is too busy, then try again."
        ) from exc
    if done.returncode != 0:
        raise Failed(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}", advice=ADVICE.get(argv[0], KERNEL))
    return done.stdout


def _routes() -> list[str]:
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]) or "[]")
    return [str(route["dst"]) for route in routes if route.get("dst", "default") != "default"]
