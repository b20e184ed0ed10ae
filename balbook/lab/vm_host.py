"""One host of the lab's VMs: a Debian booted by `systemd-nspawn` over an overlay, in a namespace and a control group of its own.

Processes and mounts are found again without a state: the control groups named by the lab's word hold all processes, the mounts lie
below the lab's folder.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from balbook.errors import Failed
from balbook.lab import sshd, vm_network
from balbook.lab.folders import tail
from balbook.lab.vm_image import LOGIN, LOGIN_ID
from balbook.local.processes import MARKER, identity

GROUPS = Path("/sys/fs/cgroup")
LOCKS = Path("/run/systemd/nspawn/locks")
PROPAGATE = Path("/run/systemd/nspawn/propagate")
KEEP = """enter() { for group in $groups; do echo "$1" > "$group$2/cgroup.procs" || exit 1; done; }
groups=$1
shift
enter $$ /keeper
while :; do
  status=0
  (enter "$(exec sh -c 'echo $PPID')" ''; exec "$@") || status=$?
  [ "$status" -eq 133 ] || exit "$status"
done
"""
"""Runs nspawn in the host's control groups ($1), and again after a reboot of the host (status 133); stays out of nspawn's own groups."""
BOOT_WITHIN_S = 60.0
END_WITHIN_S = 15.0
TRY_AGAIN = "Look whether this machine is short of memory, then try `balbook lab up --backend vm` again."


@dataclass(frozen=True)
class Machine:
    """One host and its files: `lab` is the lab's folder, `image` the root of the base image."""

    name: str
    lab: Path
    image: Path
    address: str
    odd: tuple[str, ...] = ()
    port: int = 22

    @property
    def folder(self) -> Path:
        return self.lab / "hosts" / self.name

    @property
    def root(self) -> Path:
        """The host's file system while it is mounted."""
        return self.folder / "root"

    @property
    def log(self) -> Path:
        return self.folder / "console.log"

    @property
    def word(self) -> str:
        """The name of the host's namespace, control group and container."""
        return vm_network.namespace(vm_network.word_of(self.lab), self.name)


def prepare(machine: Machine, client_key: Path, packages: str) -> str:
    """Mounts the host's overlay and writes name, keys and identity there; returns the line for `known_hosts`.

    `packages`: the text of the host's `sources.list`.
    """
    changes, work = machine.folder / "changes", machine.folder / "work"
    for folder in (changes, work, machine.root):
        folder.mkdir(parents=True, mode=0o755)
    layers = f"lowerdir={machine.image},upperdir={changes},workdir={work}"
    vm_network.run(["mount", "-t", "overlay", machine.word, "-o", layers, str(machine.root)])
    etc = machine.root / "etc"
    (etc / "hostname").write_text(f"{machine.name}\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n{machine.address} {machine.name}\n")
    (etc / "apt" / "sources.list").write_text(packages)
    (etc / "machine-id").write_text(os.urandom(16).hex() + "\n")
    sshd.make_key(etc / "ssh" / "ssh_host_ed25519_key", f"balbook-lab-{machine.name}")
    keys = machine.root / "home" / LOGIN / ".ssh"
    keys.mkdir(mode=0o700)
    shutil.copyfile(client_key.with_suffix(".pub"), keys / "authorized_keys")
    for path in (keys, keys / "authorized_keys"):
        os.chown(path, LOGIN_ID, LOGIN_ID)
    kind, key = (etc / "ssh" / "ssh_host_ed25519_key.pub").read_text().split()[:2]
    known = machine.address if machine.port == 22 else f"[{machine.address}]:{machine.port}"
    return f"{known} {kind} {key}\n"


def boot(machine: Machine) -> tuple[int, str]:
    """Starts the host; pid and identity of the process that holds the host and outlives this process."""
    groups = [hierarchy / machine.word for hierarchy in hierarchies()]
    for group in groups:
        (group / "keeper").mkdir(parents=True, exist_ok=True)
    nspawn = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", f"--directory={machine.root}"]
    nspawn += [f"--machine={machine.word}", f"--hostname={machine.name}", "--console=pipe", "--capability=CAP_NET_ADMIN"]
    nspawn += [f"--network-namespace-path={vm_network.NAMESPACES / machine.word}"]
    nspawn += ["--resolv-conf=off", "--timezone=off", "--link-journal=no"]
    # nspawn mounts a /tmp of its own before any fstab is read.
    nspawn += ["--tmpfs=/tmp:mode=1777,noexec"] if "noexec" in machine.odd else []
    with machine.log.open("ab") as log:
        process = subprocess.Popen(
            ["sh", "-c", KEEP, "keep", " ".join(map(str, groups)), *nspawn],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={"PATH": sshd.STANDARD_PATH, MARKER: str(machine.lab)},
            start_new_session=True,
        )
    return process.pid, identity(process.pid)


def wait_until_up(machine: Machine, known_hosts: Path, client_key: Path, environ: Mapping[str, str]) -> None:
    """Waits until the host takes commands of its login, gives privilege, and has started all its services."""
    asked = "sudo -n systemctl is-system-running --wait"
    deadline = time.monotonic() + BOOT_WITHIN_S
    while True:
        tried = ssh(machine, known_hosts, client_key, asked, environ)
        state = "".join(tried.stdout.split()[-1:])  # a login shell may greet before
        if state == "running":
            return
        if state == "degraded" or time.monotonic() > deadline:
            failed = ssh(machine, known_hosts, client_key, "systemctl --failed --plain --no-legend", environ).stdout
            raise Failed(
                f"{machine.name} does not come up: {tried.stdout.strip() or tried.stderr.strip()}\n{failed}{tail(machine.log)}".rstrip(),
                advice=TRY_AGAIN,
            )
        time.sleep(0.1)


def ssh(machine: Machine, known_hosts: Path, client_key: Path, line: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs a line on the host as its login, from the network of the lab's bridge, which every host lets in.

    Raises Failed with the console's last lines where the line does not end.
    """
    inside = ["nsenter", f"--net={vm_network.NAMESPACES / vm_network.word_of(machine.lab)}", "--"]
    argv = [*inside, *sshd.ssh_argv(known_hosts, client_key, machine.port, f"{LOGIN}@{machine.address}", line, environ)]
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=BOOT_WITHIN_S)
    except subprocess.TimeoutExpired as exc:
        said = f"{machine.name}: `{line}` did not end within {BOOT_WITHIN_S:g} s\n{tail(machine.log)}"
        raise Failed(said.rstrip(), advice=TRY_AGAIN) from exc


def hierarchies() -> list[Path]:
    """The control group trees that a host's processes enter: the unified one, and in older layouts systemd's own."""
    found = [GROUPS / "unified", GROUPS / "systemd"] if (GROUPS / "unified").is_dir() else [GROUPS]
    return [tree for tree in found if (tree / "cgroup.procs").exists()]


def pids(word: str) -> list[int]:
    """All processes in the control groups of a lab or a host; the first process of a host comes before the others."""
    found: list[int] = []
    for group in _groups(word):
        for folder, _, _ in os.walk(group):
            with suppress(OSError):
                inside = [int(line) for line in Path(folder, "cgroup.procs").read_text().split()]
                found = inside + found if folder.endswith("/init.scope") else found + inside
    return list(dict.fromkeys(found))


def first_pid(word: str) -> int | None:
    """The pid of the host's systemd on this machine."""
    for group in _groups(word):
        with suppress(OSError, IndexError):
            return int((group / "payload" / "init.scope" / "cgroup.procs").read_text().split()[0])
    return None


def end(word: str) -> list[int]:
    """Ends all processes of these hosts at once, a host's systemd first so that nspawn tidies up; returns the processes that remain."""
    deadline = time.monotonic() + END_WITHIN_S
    is_first = True
    while left := pids(word):
        if time.monotonic() > deadline:
            return left
        inits = [pid for pid in left if _is_systemd(pid)]
        for pid in inits if is_first and inits else left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.3 if is_first else 0.05)
        is_first = False
    return []


def _is_systemd(pid: int) -> bool:
    with suppress(OSError):  # the process may end meanwhile
        return Path(f"/proc/{pid}/comm").read_text() == "systemd\n"
    return False


def clear(lab: Path, word: str) -> None:
    """Removes mounts and control groups of the lab's hosts; their processes must have ended."""
    for place in reversed(mounts_below(lab)):
        seen = Path(place).stat()
        vm_network.run(["umount", place])
        (LOCKS / f"inode-{seen.st_dev}:{seen.st_ino}").unlink(missing_ok=True)  # left by nspawn where nspawn was killed
    for group in _groups(word):
        for folder, _, _ in os.walk(group, topdown=False):
            Path(folder).rmdir()
    for left in PROPAGATE.glob(f"{word}-*") if PROPAGATE.is_dir() else []:
        left.rmdir()


def mounts_below(folder: Path) -> list[str]:
    """The mounts below `folder`, in the order of mounting."""
    lines = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [words[1] for words in lines if words[1].startswith(f"{folder}/")]


def has_groups(word: str) -> bool:
    """True where a lab or a host has control groups."""
    return bool(_groups(word))


def _groups(word: str) -> list[Path]:
    """The control groups named `word` or `word-…`: app1 does not match app10."""
    return [group for tree in hierarchies() for name in (word, f"{word}-*") for group in sorted(tree.glob(name)) if group.is_dir()]
