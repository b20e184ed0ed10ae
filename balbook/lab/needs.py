"""The needs of the lab and of the tests from the operating system, and the packages that meet them.

    python -m balbook.lab.needs [--balancers] [--browser] [--vm] [--install]

This module imports only the standard library and `balbook.errors`, so that it runs before anything else is installed. Exit
statuses: 0 nothing is missing, 1 an installation failed, 2 something is missing.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from balbook.errors import BadInput, BalbookError, ExitStatus

JAVA = 17
Log = Callable[[str], None]


@dataclass(frozen=True)
class Need:
    """A program and the packages that have it; of `apt`, the first one that the distribution knows.

    `group` is empty for a need of every lab. `units` are the services that the package of Debian enables.
    """

    program: str
    why: str
    apt: tuple[str, ...]
    brew: str
    conda: str
    group: str = ""
    units: tuple[str, ...] = ()


NEEDS = (
    Need("sshd", "each host of the lab is an SSH server", ("openssh-server",), "openssh", "openssh", units=("ssh.service", "ssh.socket")),
    Need("ssh", "tests the login to each host", ("openssh-client",), "openssh", "openssh"),
    Need("ssh-keygen", "makes the lab's keys, signs records", ("openssh-client",), "openssh", "openssh"),
    Need("sftp-server", "file transfer to the lab's hosts", ("openssh-sftp-server",), "openssh", "openssh"),
    Need("nginx", "the lab's balancer", ("nginx",), "nginx", "nginx", units=("nginx.service",)),
    Need(
        "javac",
        f"a JDK, {JAVA} or newer, runs the instances",
        ("openjdk-17-jdk-headless", "openjdk-21-jdk-headless", "default-jdk-headless"),
        "openjdk",
        "openjdk>=17",
    ),
    Need("curl", "health checks on the hosts", ("curl",), "curl", "curl"),
    Need("flock", "locks on the hosts", ("util-linux",), "flock", "util-linux"),
    Need("haproxy", "tests of the second balancer", ("haproxy",), "haproxy", "haproxy", "balancers", ("haproxy.service",)),
    Need("chromium", "opens JupyterLab in tests", ("chromium",), "", "", "browser"),
    Need("debootstrap", "makes the base image of the lab's VMs", ("debootstrap",), "", "", "vm"),
    Need("systemd-nspawn", "boots the lab's VMs", ("systemd-container",), "", "", "vm"),
    Need("ip", "gives the lab's VMs their network", ("iproute2",), "", "", "vm"),
    Need("nft", "injects network faults", ("nftables",), "", "", "vm"),
)

ELSEWHERE = (
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/openssh:/usr/libexec/openssh:/usr/libexec:/usr/lib/ssh:"
    "/opt/homebrew/opt/openjdk/bin:/opt/homebrew/sbin:/opt/homebrew/bin:/opt/homebrew/opt/openssh/libexec:/usr/local/opt/openjdk/bin"
)
"""The folders of servers that are not on a user's PATH, on Debian, Red Hat and with Homebrew."""


def missing(groups: Sequence[str] = ("",), *, needs: Sequence[Need] = NEEDS, environ: Mapping[str, str] = os.environ) -> list[Need]:
    """The needs of these groups that are not met. A JDK that is too old does not meet its need."""
    return [need for need in needs if need.group in groups and not _is_met(need, environ)]


def find_program(name: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The absolute path of a program: on PATH, in JAVA_HOME, beside this Python (conda), or among the servers; else None."""
    java = environ.get("JAVA_HOME")
    places = [environ.get("PATH", ""), f"{java}/bin" if java else "", *(f"{sys.prefix}/{d}" for d in ("bin", "sbin", "libexec")), ELSEWHERE]
    found = shutil.which(name, path=":".join(place for place in places if place))
    return Path(found).absolute() if found else None


def require(groups: Sequence[str] = ("",), *, environ: Mapping[str, str] = os.environ) -> None:
    """Raises BadInput with the missing programs, and their packages for apt, brew and conda."""
    if needed := missing(groups, environ=environ):
        raise not_met(needed)


def not_met(needed: Sequence[Need], reason: str = "") -> BadInput:
    """The error for these needs."""
    names = ", ".join(f"{need.program} ({need.why})" for need in needed)
    ways = [f"  apt-get install --no-install-recommends {_words(need.apt[0] for need in needed)}"]
    if all(need.brew for need in needed):  # the lab's VMs are Linux's alone
        ways.append(f"  brew install {_words(need.brew for need in needed)}")
        ways.append(f"  conda install -c conda-forge {_words(need.conda for need in needed)}")
    advice = "\n".join([f"{reason}Install these packages, by the command that fits:", *ways])
    return BadInput(f"missing on this machine: {names}", advice=advice)


def main(arguments: Sequence[str] | None = None) -> int:
    """Names the missing programs; with `--install` installs them. `--balancers`, `--browser`, `--vm`: with the needs of such tests."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if set(words) - {"--install", "--balancers", "--browser", "--vm"}:
        print(__doc__, file=sys.stderr)
        return ExitStatus.BAD_INPUT
    try:
        needed = missing(("", *(group for group in ("balancers", "browser", "vm") if f"--{group}" in words)))
        if needed and "--install" in words:
            from balbook.lab.os_packages import install  # imports this module

            install(needed, lambda line: print(line, file=sys.stderr, flush=True))
        elif needed:
            raise not_met(needed)
    except BalbookError as exc:
        print(exc, file=sys.stderr)
        return exc.exit_status
    print("Nothing that the lab needs from the operating system is missing.")
    return 0


def _is_met(need: Need, environ: Mapping[str, str]) -> bool:
    program = find_program(need.program, environ)
    if program is None:
        return False
    return need.program != "javac" or java_version(program) >= JAVA


def java_version(javac: Path) -> int:
    """The major version of this JDK; 0 for the placeholder of a JDK on macOS."""
    try:
        # The JDK's own description: starting a JVM to ask takes a third of a second.
        text = (javac.resolve().parent.parent / "release").read_text()
    except OSError:
        text = ""
    if found := re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.MULTILINE):
        return int(found[1])
    try:
        asked = subprocess.run([javac, "-version"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.match(r"javac (?:1\.)?(\d+)", asked.stdout + asked.stderr)
    return int(found[1]) if found and asked.returncode == 0 else 0


def _words(names: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(names))


if __name__ == "__main__":
    sys.exit(main())
