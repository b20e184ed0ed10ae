"""Facts about a host, and its OS packages."""

from __future__ import annotations

from balbook.commands.command import Command, hosted, script

UNKNOWN = 3


def describe_system(root: str) -> Command:
    """Prints CPUs, memory, disk, OS, clock, tools and listening ports; parsed by `facts.system`."""
    return hosted("system", root, is_privileged=True, after=("java_version",))


def describe_versions(bal: str = "") -> Command:
    """Prints the versions of Java, the balancers and, where its path is given, `bal`; parsed by `facts.versions`."""
    return hosted("versions", bal, after=("java_version",))


def has_java(major: int) -> Command:
    """Exit 0 where a Java runtime of this major version, or later, is on the path."""
    return hosted("has-java", major, after=("java_version",))


def find_java(packages: list[str]) -> Command:
    """Prints the first of these packages that the host's package manager offers; exit UNKNOWN where the host has no package lists yet."""
    return hosted("java-package", "find", *packages, is_privileged=True, deadline_s=120)


def install_java(packages: list[str]) -> Command:
    """Fetches the package lists and installs the first of these packages that is offered."""
    return hosted("java-package", "install", *packages, is_privileged=True, deadline_s=900)


def has_os_packages(names: list[str]) -> Command:
    """Exit 0 where all packages are installed; else prints the missing ones."""
    return hosted("os-packages", "check", *names)


def install_os_packages(names: list[str]) -> Command:
    """Installs the missing ones of these packages, with the host's package manager."""
    return hosted("os-packages", "install", *names, is_privileged=True, deadline_s=900)


def make_account(name: str) -> Command:
    """Makes a system account without a shell, unless the account exists."""
    text = 'id -u "$1" >/dev/null 2>&1 || useradd --system --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin "$1"'
    return script("make-account", text, name, is_privileged=True)


def has_account(name: str) -> Command:
    """Exit 0 where the account exists."""
    return script("has-account", 'id -u "$1" >/dev/null 2>&1', name)
