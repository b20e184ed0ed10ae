"""What a host is, and its OS packages."""

from __future__ import annotations

from balbook.commands import host_script
from balbook.commands.command import Command, script

UNKNOWN = 3


def describe_system(root: str) -> Command:
    """Prints CPUs, memory, disk, OS, clock, tools and listening ports; parsed by `facts.system`."""
    return script("system", host_script("java_version", "system"), root, is_privileged=True)


def describe_versions(bal: str = "") -> Command:
    """Prints the versions of Java, the balancers and, where its path is given, `bal`; parsed by `facts.versions`."""
    return script("versions", host_script("java_version", "versions"), bal)


def has_java(major: int) -> Command:
    """Exit 0 where a Java runtime of this major version, or later, is on the path."""
    return script("has-java", host_script("java_version", "has_java"), major)


def find_java(packages: list[str]) -> Command:
    """Prints the first of these packages that the host's package manager offers; exit UNKNOWN where it has no package lists yet."""
    return script("java-package", host_script("java_package"), "find", *packages, is_privileged=True, deadline_s=120)


def install_java(packages: list[str]) -> Command:
    """Fetches the package lists and installs the first of these packages that is offered."""
    return script("java-package", host_script("java_package"), "install", *packages, is_privileged=True, deadline_s=900)


def has_os_packages(names: list[str]) -> Command:
    """Exit 0 where all are installed; else it names those that are missing."""
    return script("os-packages", host_script("os_packages"), "check", *names)


def install_os_packages(names: list[str]) -> Command:
    """Installs those that are missing, with the host's package manager."""
    return script("os-packages", host_script("os_packages"), "install", *names, is_privileged=True, deadline_s=900)


def make_account(name: str) -> Command:
    """A system account without a shell; nothing where it exists."""
    text = 'id -u "$1" >/dev/null 2>&1 || useradd --system --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin "$1"'
    return script("make-account", text, name, is_privileged=True)


def has_account(name: str) -> Command:
    """Exit 0 where the account exists."""
    return script("has-account", 'id -u "$1" >/dev/null 2>&1', name)
