"""Odd hosts, as production has them: `balbook lab up --backend vm --odd app2:clock`. A host is made odd before it boots.

All hosts share this machine's kernel, which has one clock, and time namespaces leave out the time of day; so a host with a wrong
clock loads a library before all of its programs (libfaketime) that adds an hour to the time of the kernel. Only its systemd and its
journal, which start before that, and its logind, which ends at once with it, know the right time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from balbook.errors import BadInput, nearest
from balbook.lab import sshd, vm_network
from balbook.lab.vm_host import Machine
from balbook.lab.vm_image import LOGIN, LOGIN_ID

ODD = {
    "banner": "the login shell prints a greeting",
    "clock": "the clock is an hour fast",
    "host-key": "the host key is not the one in known_hosts, as after a new installation",
    "jump": "this machine reaches the host through another host only",
    "locale": "the locale is German",
    "noexec": "programs in /tmp cannot be run",
    "port": "SSH listens on port 2222",
    "shell": "the login shell is tcsh",
    "small-home": "the home of the login has 16 MB",
}
PORT = 2222
Kinds = Mapping[str, Sequence[str]]
"""The kinds of each odd host."""
CLOCK_OFF = "+1h"
PRELOAD = "/run/ld.so.preload"
LOCALE = "de_DE.UTF-8"
HOME_MB = 16
SHELL = "/usr/local/bin/odd-shell"
KNOWN_BEFORE = "known_hosts.before"
"""The file in the lab's folder with the wrong host keys, which the inventory names for hosts of the kind `host-key`."""


def read_odd(words: Sequence[str], hosts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The kinds by host, from `HOST:KIND` words. Raises BadInput for an unknown host or kind.

    >>> read_odd(["app1:port", "app1:clock"], ["app1"])
    {'app1': ('clock', 'port')}
    """
    found: dict[str, set[str]] = {}
    for word in words:
        host, _, kind = word.partition(":")
        if host not in hosts:
            raise BadInput(f"--odd {word}: the lab has no host {host!r}", advice=nearest(host, hosts))
        if kind not in ODD:
            raise BadInput(f"--odd {word}: {kind!r} is not a known kind", advice=nearest(kind, ODD))
        found.setdefault(host, set()).add(kind)
    if len(hosts) == 1 and any("jump" in kinds for kinds in found.values()):
        raise BadInput("--odd: `jump` needs a second host to go through", advice="Ask for at least two hosts: --hosts 2.")
    return {host: tuple(sorted(kinds)) for host, kinds in found.items()}


def port_of(odd: Sequence[str]) -> int:
    """The SSH port of a host of these kinds."""
    return PORT if "port" in odd else 22


def inventory_changes(odd: Kinds, hosts: Sequence[str], lab: Path) -> dict[str, dict[str, Any]]:
    """The fields of the inventory that differ for odd hosts, by host. `lab`: the lab's folder."""
    changes: dict[str, dict[str, Any]] = {host: {} for host in odd}
    for host, kinds in odd.items():
        if "port" in kinds:
            changes[host]["port"] = PORT
        if "host-key" in kinds:
            changes[host]["known_hosts"] = str(lab / KNOWN_BEFORE)
        if "jump" in kinds:
            changes[host]["jump"] = next(other for other in reversed(hosts) if other != host and "jump" not in odd.get(other, ()))
    return changes


def known_before(lab: Path, known_hosts: str) -> None:
    """Writes `known_hosts.before`: for each host in `known_hosts` a key that the host does not have."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        sshd.make_key(key, "balbook-lab-before")
        kind, other = key.with_suffix(".pub").read_text().split()[:2]
    lines = [f"{line.split()[0]} {kind} {other}\n" for line in known_hosts.splitlines()]
    (lab / KNOWN_BEFORE).write_text("".join(lines))


def dress(machine: Machine) -> None:
    """Makes a host odd; its file system must be mounted, and the host must not have booted yet."""
    root, kinds = machine.root, machine.odd
    if "banner" in kinds or "shell" in kinds:
        greeting = "echo 'Welcome to an odd host'\n" if "banner" in kinds else ""
        _write(root, SHELL, f'#!/bin/sh\n{greeting}exec {"/bin/tcsh" if "shell" in kinds else "/bin/bash"} "$@"\n', 0o755)
        passwd = (root / "etc" / "passwd").read_text()
        line = next(line for line in passwd.splitlines() if line.startswith(f"{LOGIN}:"))
        _write(root, "/etc/passwd", passwd.replace(line, f"{line.rpartition(':')[0]}:{SHELL}"))
    if "port" in kinds:
        _write(root, "/etc/ssh/sshd_config.d/odd-port.conf", f"Port {PORT}\n")
    if "small-home" in kinds:
        _small_home(root)
    if "locale" in kinds:
        for place in ("/etc/default/locale", "/etc/locale.conf"):
            _write(root, place, f"LANG={LOCALE}\nLC_ALL={LOCALE}\n")
    if "clock" in kinds:
        _set_clock(root)
    if "jump" in kinds:
        _cut_off(machine)


def _small_home(root: Path) -> None:
    """Mounts a home that is empty after each boot, and puts the key of the login elsewhere."""
    keys = root / "home" / LOGIN / ".ssh" / "authorized_keys"
    _write(root, f"/etc/ssh/keys/{LOGIN}", keys.read_text())
    _write(root, "/etc/ssh/sshd_config.d/odd-keys.conf", "AuthorizedKeysFile /etc/ssh/keys/%u\n")
    _mount(root, f"/home/{LOGIN}", f"uid={LOGIN_ID},gid={LOGIN_ID},mode=755,size={HOME_MB}m")


def _set_clock(root: Path) -> None:
    """Makes the clock wrong for all programs after systemd: a systemd with a wrong clock would not boot."""
    (library,) = sorted(root.glob("usr/lib/*/faketime/libfaketime.so.1"))
    _write(root, "/usr/local/share/odd-preload", f"/{library.relative_to(root)}\n")
    _write(root, "/etc/tmpfiles.d/odd-clock.conf", f"C {PRELOAD} 0644 root root - /usr/local/share/odd-preload\n")
    (root / "etc" / "ld.so.preload").symlink_to(PRELOAD)
    _write(root, "/etc/faketimerc", f"{CLOCK_OFF}\n")
    _write(root, "/etc/systemd/system/systemd-logind.service.d/odd-clock.conf", f"[Service]\nBindReadOnlyPaths=/dev/null:{PRELOAD}\n")
    # The monotonic clock stays right: a JVM with two wrong clocks sleeps for ever.
    _write(root, "/etc/systemd/system.conf.d/odd-clock.conf", "[Manager]\nDefaultEnvironment=FAKETIME_DONT_FAKE_MONOTONIC=1\n")
    with (root / "etc" / "environment").open("a") as file:
        file.write("FAKETIME_DONT_FAKE_MONOTONIC=1\n")


def _cut_off(machine: Machine) -> None:
    gateway = vm_network.network_of({machine.name: machine.address})[1]
    rules = f"table inet balbook_lab_jump {{ chain c {{ type filter hook input priority -300; ip saddr {gateway} drop; }}; }}\n"
    vm_network.run(["ip", "netns", "exec", machine.word, "nft", "-f", "-"], rules)


def _mount(root: Path, place: str, options: str) -> None:
    with (root / "etc" / "fstab").open("a") as file:
        file.write(f"tmpfs {place} tmpfs {options} 0 0\n")


def _write(root: Path, path: str, text: str, mode: int = 0o644) -> None:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    place.chmod(mode)
