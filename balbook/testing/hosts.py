"""Hosts in memory: each of balbook's host scripts on a model of files, links, processes and a balancer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from balbook.commands import balancer as balancing
from balbook.commands.command import Command, Result
from balbook.commands.lease import HELD, NOT_OURS
from balbook.commands.nginx import INVALID, NOT_RUNNING
from balbook.facts.system import parse_system
from balbook.local.digests import sha256_of
from balbook.testing.transport import arguments_of, name_of, text_of

if TYPE_CHECKING:
    from balbook.testing.fake_fleet import FakeFleet

NOW = 1_700_000_000


@dataclass
class FakeHost:
    """A host in memory. `processes`: the release that each instance directory runs; `in_force`: the balancer's configuration in force.

    `offers`: the packages of Java that the host's package manager has.
    """

    files: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)
    processes: dict[str, str] = field(default_factory=dict)
    in_force: dict[str, str] = field(default_factory=dict)
    leases: dict[str, tuple[str, str]] = field(default_factory=dict)
    accounts: set[str] = field(default_factory=set)
    packages: set[str] = field(default_factory=set)
    offers: set[str] = field(default_factory=lambda: {"openjdk-17-jre-headless"})
    system: dict[str, str] = field(default_factory=dict)
    is_balancer_running: bool = False


Act = Callable[["FakeFleet", FakeHost, str, Command], Result | int | str]


def _file(fleet: FakeFleet, host: FakeHost, name: str, command: Command) -> int | str:
    path, *rest = arguments_of(command)
    match name_of(command):
        case "put-file":
            host.files[path] = text_of(command)
        case "is-there":
            return _exit(host.files.get(path) is not None and rest[0] in (host.files[path], sha256_of(host.files[path])))
        case "configuration":
            return host.files.get(path) or 1
        case "directory":
            host.directories.update(rest)
        case "are-directories":
            return _exit(all(_is_directory(host, place) for place in (path, *rest)))
    return 0


def _release(fleet: FakeFleet, host: FakeHost, name: str, command: Command) -> int | str:
    place, *rest = arguments_of(command)
    draft = f"{place}.draft"
    match name_of(command):
        case "begin-release":
            if rest[0] not in host.files:
                return 1
            _remove(host, draft)
            host.files[f"{draft}/{rest[1]}"] = host.files[rest[0]]
        case "finish-release":
            host.files[f"{draft}/REVISION"] = text_of(command)
            _remove(host, place)
            for path in [p for p in host.files if p.startswith(f"{draft}/")]:
                host.files[place + path.removeprefix(draft)] = host.files.pop(path)
        case "is-release":
            return _exit(f"{place}/REVISION" in host.files)
        case "switch":
            if not _is_directory(host, rest[0]):
                return 1
            host.links[place] = rest[0]
        case "points-to":
            return _exit(host.links.get(place) == rest[0])
        case "unlink":
            host.links.pop(place, None)
    return 0


def _mark_proven(fleet: FakeFleet, host: FakeHost, name: str, command: Command) -> int:
    action, place = arguments_of(command)
    if f"{place}/REVISION" not in host.files:
        return 1
    others = f"{PurePosixPath(place).parent}/"
    proven = {path: int(at) for path, at in host.files.items() if path.startswith(others) and path.endswith("/PROVEN")}
    own = proven.pop(f"{place}/PROVEN", 0)
    if own > max(proven.values(), default=0):
        return 0
    if action == "mark":
        host.files[f"{place}/PROVEN"] = str(max([NOW, *proven.values()]) + 1)
    return _exit(action == "mark")


def _prune(fleet: FakeFleet, host: FakeHost, name: str, command: Command) -> int:
    action, place, keep, *protected = arguments_of(command)
    releases = _names_below(host, f"{place}/releases")
    in_use = {PurePosixPath(target).name for link, target in host.links.items() if link.startswith(f"{place}/")}
    # The files of a release are written in one go, so the model's order is that of their making.
    surplus = [r for r in releases[: max(0, len(releases) - int(keep))] if r not in {*protected, *in_use}]
    if action == "check":
        return _exit(not surplus)
    for release in surplus:
        _remove(host, f"{place}/releases/{release}")
    return 0


def _inspect(fleet: FakeFleet, host: FakeHost, name: str, command: Command) -> str:
    place = arguments_of(command)[0]
    lines = []
    for release in _names_below(host, f"{place}/releases"):
        base = f"{place}/releases/{release}"
        if f"{base}/REVISION" in host.files:
            lines.append(f"release {release} {host.files.get(f'{base}/PROVEN', 'no')} {host.files[f'{base}/REVISION'].strip()}")
    instances = {PurePosixPath(p).parent for p in host.links} | {PurePosixPath(p) for p in host.processes}
    for instance in sorted(str(p) for p in instances if str(p).startswith(f"{place}/instances/")):
        current = PurePosixPath(host.links.get(f"{instance}/current", "-")).name
        running = host.processes.get(instance, "-")
        lines.append(f"instance {PurePosixPath(instance).name} {current} {running} " + ("- -" if running == "-" else f"4711 {NOW}"))
    lines += [f"artifact {PurePosixPath(p).name}" for p in host.files if p.startswith(f"{place}/artifacts/")]
    return "\n".join(lines) + "\n"


def _process(fleet: FakeFleet, host: FakeHost, name: str, command: Command) -> int | str:
    place, *rest = arguments_of(command)
    match name_of(command):
        case "process-start" | "systemd-start":
            target = host.links.get(f"{place}/current")
            if target is None or not _is_directory(host, target):
                return 1
            host.processes.setdefault(place, PurePosixPath(target).name)
        case "process-stop" | "systemd-stop":
            host.processes.pop(place, None)
        case "runs":
            return _exit(host.processes.get(place, "-") == rest[0])
    return 0


def _health(fleet: FakeFleet, host: FakeHost, name: str, command: Command) -> int:
    return _exit(fleet.is_healthy(name, arguments_of(command)[0]))


def _lease(fleet: FakeFleet, host: FakeHost, name: str, command: Command) -> Result | int | str:
    action, place, lease_id, _ = arguments_of(command)
    held = host.leases.get(place)
    match action:
        case "acquire" if held and held[0] != lease_id:
            return Result(HELD, f"0 {held[1]}")
        case "acquire":
            host.leases[place] = (lease_id, text_of(command))
        case "renew" | "release" if not held or held[0] != lease_id:
            return NOT_OURS
        case "show" | "break" if not held:
            return 1
    if action in ("release", "break"):
        host.leases.pop(place)
    return f"0 {held[1]}" if held and action in ("show", "break") else 0


def _nginx(fleet: FakeFleet, host: FakeHost, name: str, command: Command) -> Result | int:
    path, *rest = arguments_of(command)
    content = text_of(command)
    match name_of(command):
        case "balbook-nginx-start":
            host.files[path], host.is_balancer_running = content, True
        case "balbook-nginx-is-running":
            return _exit(host.is_balancer_running and sha256_of(host.files.get(rest[0], "")) == rest[1])
        case "balbook-nginx-stop":
            host.is_balancer_running = False
        case "balbook-nginx-apply":
            if not host.is_balancer_running:
                return Result(NOT_RUNNING, "", "nginx is not running; nothing was changed")
            if any(text in content for text in fleet.refusals):
                return Result(INVALID, "", "nginx refuses the configuration; the previous one is back and in force")
            host.files[path] = host.in_force[path] = content
        case "balbook-is-applied":
            return _exit(
                host.is_balancer_running and sha256_of(host.files.get(path, "")) == rest[0] == sha256_of(host.in_force.get(path, ""))
            )
    return 0


def _through_balancer(fleet: FakeFleet, host: FakeHost, name: str, command: Command) -> int:
    _, host_name, address, port, *_ = arguments_of(command)
    wanted = f"{address}:{port}"
    for application, app in fleet.inventory.applications.items():
        if balancing.host_name(application) == host_name and host.is_balancer_running:
            addresses = {i.name: f"{fleet.inventory.hosts[i.host].address}:{i.port}" for i in app.instances}
            return _exit(wanted in [addresses[instance] for instance in fleet.serving(application)])
    return 1


def _system(fleet: FakeFleet, host: FakeHost, name: str, command: Command) -> str:
    usual = {"cpus": 4, "memory_mb": 8192, "disk_mb": 65536, "root_writable": "yes", "os": "debian 12", "uid": 1000, "user": "ops"}
    usual |= {"java": "17.0.15", "nofile": 1048576, "tool.curl": "/usr/bin/curl", "tool.nginx": "/usr/sbin/nginx"}
    usual |= {"tool.python3": "/usr/bin/python3"}
    return "".join(f"{key} {value}\n" for key, value in {**usual, **host.system}.items())


def _operating_system(fleet: FakeFleet, host: FakeHost, name: str, command: Command) -> Result | int:
    words = arguments_of(command)
    match name_of(command):
        case "os-packages" if words[0] == "check":
            return _exit(set(words[1:]) <= host.packages)
        case "os-packages":
            host.packages.update(words[1:])
        case "java-package":
            offered = next((package for package in words[1:] if package in host.offers), "")
            if offered and words[0] == "install":
                host.system["java"] = "".join(c for c in offered if c.isdigit())
            return Result(_exit(bool(offered)), offered)
        case "has-java":
            return _exit((parse_system(_system(fleet, host, name, command)).java or 0) >= int(words[0]))
        case "make-account":
            host.accounts.add(words[0])
        case "systemd-has-unit":
            return _exit(all(sha256_of(host.files.get(path, "")) == sha256 for path, sha256 in zip(words[::2], words[1::2], strict=True)))
        case "has-account":
            return _exit(words[0] in host.accounts)
    return 0


def _exit(is_met: bool) -> int:
    return 0 if is_met else 1


def _is_directory(host: FakeHost, path: str) -> bool:
    return path in host.directories or any(known.startswith(f"{path}/") for known in (*host.files, *host.directories, *host.links))


def _names_below(host: FakeHost, place: str) -> list[str]:
    below = (p.removeprefix(f"{place}/").split("/", 1)[0] for p in host.files if p.startswith(f"{place}/"))
    return [name for name in dict.fromkeys(below) if not name.endswith(".draft")]


def _remove(host: FakeHost, place: str) -> None:
    host.files = {path: text for path, text in host.files.items() if not path.startswith(f"{place}/")}


ACTS: Mapping[str, Act] = {
    **dict.fromkeys(("put-file", "is-there", "configuration", "directory", "are-directories"), _file),
    **dict.fromkeys(("begin-release", "finish-release", "is-release"), _release),
    **dict.fromkeys(("switch", "points-to", "unlink"), _release),
    **dict.fromkeys(
        ("process-start", "process-stop", "systemd-start", "systemd-stop", "runs", "logs", "systemd-logs", "executed-ids"), _process
    ),
    **dict.fromkeys(
        ("os-packages", "java-package", "has-java", "make-account", "has-account", "systemd-has-unit", "systemd-is-enabled", "firewall"),
        _operating_system,
    ),
    **dict.fromkeys(
        ("balbook-nginx-start", "balbook-nginx-is-running", "balbook-nginx-stop", "balbook-nginx-apply", "balbook-is-applied"), _nginx
    ),
    "prune": _prune,
    "inspect": _inspect,
    "balbook-is-healthy": _health,
    **dict.fromkeys(("balbook-warm-up", "balbook-haproxy-stop", "is-private", "log-errors"), lambda *_: 0),
    "http-check": _health,
    "balbook-holds-port": lambda fleet, host, name, command: _exit(host.is_balancer_running),
    "watchdog-pending": lambda *_: "",
    "footprint": lambda *_: "rss_kb 51200\nready_s 0.75\n",
    "versions": lambda *_: "java 17.0.15\n",
    "balbook-nginx-version": lambda *_: "nginx version: nginx/1.26.0\n",
    "mark-proven": _mark_proven,
    "lease": _lease,
    "balbook-through-balancer": _through_balancer,
    "system": _system,
}
