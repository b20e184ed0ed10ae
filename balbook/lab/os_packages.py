"""Installs the lab's needs with apt; starts and enables no service.

Debian's packages start their servers when they are installed. `policy-rc.d` forbids that: balbook puts its own file there
during the installation and removes it in any case; an earlier file comes back. An interruption does not cut apt off: apt ends
first, since its dpkg would go on alone and start the servers after the policy is removed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from balbook.errors import Failed
from balbook.lab.needs import Log, Need, missing, not_met
from balbook.local.signals import answered

Runner = Callable[[Sequence[str], Log], int]
"""Runs an argv to its end and returns its exit status; its output is shown, not returned."""

POLICY = Path("/usr/sbin/policy-rc.d")
INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PUT_POLICY = """set -eu
mark='balbook: no server is started while the lab is installed'
if [ -e "$1" ] || [ -L "$1" ]; then
  grep -qs "$mark" "$1" || mv -f "$1" "$1.balbook-kept"
fi
printf '#!/bin/sh\\n# %s\\nexit 101\\n' "$mark" > "$1.balbook-new"
chmod 755 "$1.balbook-new"
mv -f "$1.balbook-new" "$1"
"""
TAKE_POLICY = """set -eu
mark='balbook: no server is started while the lab is installed'
rm -f "$1.balbook-new"
if grep -qs "$mark" "$1"; then rm -f "$1"; fi
if [ -e "$1.balbook-kept" ] || [ -L "$1.balbook-kept" ]; then
  [ -e "$1" ] || mv -f "$1.balbook-kept" "$1"
fi
"""


def run_to_the_end(argv: Sequence[str], log: Log) -> int:
    """Runs a command in a session of its own and waits for its end, even when interrupted; then the interruption goes on.

    A second interruption asks the command to end.
    """
    # An interruption in the middle of the start would leave a command without a parent that waits.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTIONS)
    unblocked = partial(signal.pthread_sigmask, signal.SIG_SETMASK, blocked)
    try:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True, preexec_fn=unblocked)
    except BaseException:
        unblocked()
        raise
    interruption: BaseException | None = None
    is_blocked = True
    while True:
        try:
            if is_blocked:
                is_blocked = False
                unblocked()
            status = process.wait()
            break
        except BaseException as exc:
            if interruption is None:
                log(f"Interrupted: waiting for {argv[0]} to end. Interrupt again to stop {argv[0]}.")
            else:
                with suppress(OSError):
                    os.killpg(process.pid, signal.SIGTERM)
            interruption = exc
    if interruption is not None:
        raise interruption
    return status


def install(needed: Sequence[Need], log: Log, *, run: Runner = run_to_the_end, policy: Path = POLICY, is_root: bool | None = None) -> None:
    """Installs the packages as root or through passwordless sudo. Raises BadInput with the packages on a machine without apt."""
    if not needed:
        return
    become = _privilege(needed, log, run, os.geteuid() == 0 if is_root is None else is_root)
    for need in needed:
        log(f"{need.program} is missing: {need.why}.")
    with _interruptible(), _no_service_starts(become, policy, log, run):
        if run([*become, "apt-get", "update", "-q"], log) != 0:
            log("apt-get update failed; trying with the package lists as they are.")
        packages = list(dict.fromkeys(_known_package(need, log, run) for need in needed))
        log(f"Installing {', '.join(packages)}; no service is started or enabled.")
        quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "-q", "--no-install-recommends"]
        status = run([*become, *quiet, *packages], log)
        _disable_services(needed, become, log, run)
    if status != 0:
        raise Failed(
            f"apt-get could not install {', '.join(packages)} (status {status})", advice="The output of apt-get above has the reason."
        )
    if left := missing(sorted({need.group for need in needed}), needs=needed):
        raise Failed(
            f"{', '.join(need.program for need in left)} cannot be used, although apt-get succeeded",
            advice="Look whether an older version comes first on PATH.",
        )


def _privilege(needed: Sequence[Need], log: Log, run: Runner, is_root: bool) -> list[str]:
    if run(["sh", "-c", "command -v apt-get >/dev/null"], log) != 0:
        raise not_met(needed, "This machine has no apt-get. ")
    if is_root:
        return []
    if run(["sh", "-c", "command -v sudo >/dev/null && sudo -n true 2>/dev/null"], log) == 0:
        return ["sudo", "-n"]
    raise not_met(needed, "apt-get needs root, or sudo without a password. ")


def _known_package(need: Need, log: Log, run: Runner) -> str:
    """The first package that apt knows; the first one where apt knows no package, so that apt reports the name."""
    if len(need.apt) > 1:
        for name in need.apt:
            if run(["sh", "-c", 'apt-cache show --no-all-versions "$1" >/dev/null 2>&1', "sh", name], log) == 0:
                return name
    return need.apt[0]


@contextmanager
def _no_service_starts(become: Sequence[str], policy: Path, log: Log, run: Runner) -> Iterator[None]:
    """Keeps packages from starting servers; in any case the earlier policy is back at the end."""
    try:
        if run([*become, "sh", "-c", PUT_POLICY, "put-policy", str(policy)], log) != 0:
            raise Failed(
                f"cannot write {policy}, which keeps packages from starting their servers", advice="The output above has the reason."
            )
        yield
    finally:
        if run([*become, "sh", "-c", TAKE_POLICY, "take-policy", str(policy)], log) != 0:
            log(f"{policy} could not be removed, and keeps all packages from starting their servers. Remove this file by hand.")


def _disable_services(needed: Sequence[Need], become: Sequence[str], log: Log, run: Runner) -> None:
    """Disables the services of programs that were missing before; else they would start at the next boot."""
    units = [unit for need in needed for unit in need.units]
    if units and shutil.which("systemctl"):
        for unit in units:
            run([*become, "sh", "-c", 'systemctl disable "$1" >/dev/null 2>&1 || true', "disable", unit], log)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM unwinds the stack as SIGINT does."""
    with answered((signal.SIGTERM,), _leave):
        yield


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
