"""Commands and uploads on a fleet of VMs, beside ssh and scp in parallel, Ansible and pyinfra: `fleet.py [ROUNDS]`.

Each side is a program of its own that connects anew, so that start-up counts for all: 20 times `true` one after the other on
every host, all hosts side by side, and one file of 50 MB to every host. Ansible and pyinfra are installed into an environment
that is thrown away; their fastest way is taken: one operation with all commands for pyinfra, raw commands for Ansible, whose
other modules want a Python on the hosts: so it uploads nothing. Rounds alternate and medians are compared. Exits 1 naming the
row that missed; 2 where this machine cannot have VMs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from balbook.errors import BadInput  # noqa: E402 - a script finds its parts itself
from balbook.lab import vm  # noqa: E402
from balbook.lab.vm_image import LOGIN  # noqa: E402
from tests.vm.watches import watches_for  # noqa: E402

HOSTS = tuple(f"app{number}" for number in range(1, 21))
COMMANDS = 20
DISK = "/var/tmp"
"""Overlays cannot stand on a file system in memory, which /tmp may be."""
UPLOAD_MB = 50
UPLOAD_HOSTS = 10
TIMES_PYINFRA, TIMES_SCP = 2.0, 1.2
OURS = """
import hashlib, sys
from pathlib import Path
from balbook import transport as transports
from balbook.commands.command import Command
from balbook.inventory import read_inventory
from balbook.plan.model import Upload
from balbook.transport import fan_out
inventory, what, count, *hosts = sys.argv[1:]
transport = transports.connect(read_inventory(Path(inventory)))
if what == "commands":
    work = lambda host: [transports.run(transport, host, Command(("true",))) for _ in range(int(count))]
else:
    upload = Upload(what, hashlib.sha256(Path(what).read_bytes()).hexdigest(), count)
    work = lambda host: transport.upload(host, upload)
fan_out(hosts, work).require()
transport.close()
"""
Side = Callable[[], None]


def main() -> int:
    rounds = int((sys.argv[1:] or ["3"])[0])
    with tempfile.TemporaryDirectory(prefix="balbook-bench-", dir=DISK) as folder, watches_for(len(HOSTS)):
        home = os.environ.get("BALBOOK_LAB_HOME", folder)  # with its base image, where there is one
        environ = {**os.environ, "BALBOOK_LAB_HOME": home}
        try:
            lab = vm.up("bench-fleet", HOSTS, environ=environ, say=lambda line: print(line, file=sys.stderr))
        except BadInput as exc:
            print(exc, file=sys.stderr)
            return 2
        try:
            others = install(Path(folder) / "others")
            bench = Bench(lab, Path(folder), others)
            rows = {f"{COMMANDS} commands on {count} hosts": bench.commands(HOSTS[:count], rounds) for count in (10, 20)}
            uploads = f"{UPLOAD_MB} MB to {UPLOAD_HOSTS} hosts"
            rows[uploads] = bench.uploads(HOSTS[:UPLOAD_HOSTS], rounds)
        finally:
            vm.down("bench-fleet", environ=environ)
    return report(rows, uploads)


def report(rows: dict[str, dict[str, float]], uploads: str) -> int:
    """Prints the table; 1 where a row missed."""
    sides = ("balbook", "ssh/scp", "ansible", "pyinfra")
    print(f"{'medians, seconds':<24}" + "".join(f"{side:>12}" for side in sides))
    missed = []
    for name, times in rows.items():
        print(f"{name:<24}" + "".join(f"{times[side]:>12.2f}" if side in times else f"{'-':>12}" for side in sides))
        if name == uploads and times["balbook"] > TIMES_SCP * times["ssh/scp"]:
            missed.append(f"{name}: {times['balbook'] / times['ssh/scp']:.2f} times scp in parallel, {TIMES_SCP} may be")
        if name != uploads and times["pyinfra"] < TIMES_PYINFRA * times["balbook"]:
            missed.append(f"{name}: {times['pyinfra'] / times['balbook']:.2f} times as fast as pyinfra, {TIMES_PYINFRA} should be")
    for row in missed:
        print(f"missed: {row}")
    return 1 if missed else 0


def install(folder: Path) -> Path:
    """An environment with Ansible and pyinfra; the folder of its programs."""
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin" / "pip", "install", "-qq", "ansible-core", "pyinfra"], check=True, timeout=600)
    return folder / "bin"


class Bench:
    """The sides of each comparison. `others`: where Ansible and pyinfra are."""

    def __init__(self, lab: vm.Lab, folder: Path, others: Path) -> None:
        self.lab, self.folder, self.others = lab, folder, others
        self.options = ["-F", "none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={lab.known_hosts}"]
        self.options += ["-o", "IdentitiesOnly=yes", "-i", str(lab.client_key)]  # an agent's keys would be tried first
        self.file = folder / "artifact"
        self.file.write_bytes(os.urandom(1 << 20) * UPLOAD_MB)
        self.uploads_made = 0

    def commands(self, hosts: Sequence[str], rounds: int) -> dict[str, float]:
        """Medians of all sides for the commands."""
        shared = ["-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", f"ControlPath={self.folder}/%C"]

        def ssh(host: str) -> None:
            place = f"{LOGIN}@{self.lab.machines[host].address}"
            for _ in range(COMMANDS):
                subprocess.run(
                    ["ssh", *self.options, *shared, place, "true"], check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            subprocess.run(["ssh", *self.options, *shared, "-O", "exit", place], check=False, capture_output=True)

        tasks = "".join("    - ansible.builtin.raw: 'true'\n" for _ in range(COMMANDS))
        (self.folder / "deploy.py").write_text(f"from pyinfra.operations import server\nserver.shell(commands=['true'] * {COMMANDS})\n")
        return self._medians(
            rounds,
            {
                "balbook": lambda: self._ours("commands", str(COMMANDS), hosts),
                "ssh/scp": lambda: self._side_by_side(ssh, hosts),
                "ansible": lambda: self._ansible(tasks, hosts),
                "pyinfra": lambda: self._pyinfra(hosts),
            },
        )

    def uploads(self, hosts: Sequence[str], rounds: int) -> dict[str, float]:
        """Medians of all sides for the upload, each time to a new name."""

        def scp(host: str) -> None:
            place = f"{LOGIN}@{self.lab.machines[host].address}:{self._new_name()}"
            subprocess.run(["scp", "-q", *self.options, str(self.file), place], check=True, stdin=subprocess.DEVNULL)

        def pyinfra() -> None:
            text = f"from pyinfra.operations import files\nfiles.put(src={str(self.file)!r}, dest={self._new_name()!r})\n"
            (self.folder / "deploy.py").write_text(text)
            self._pyinfra(hosts)

        sides: dict[str, Side] = {
            "balbook": lambda: self._ours(str(self.file), self._new_name(), hosts),
            "ssh/scp": lambda: self._side_by_side(scp, hosts),
            "pyinfra": pyinfra,
        }
        return self._medians(rounds, sides, lambda: self._side_by_side(self._tidy, hosts))

    def _medians(self, rounds: int, sides: dict[str, Side], after: Side = lambda: None) -> dict[str, float]:
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, side in sides.items():
                began = time.monotonic()
                side()
                seconds[name].append(time.monotonic() - began)
                after()
        return {name: median(times) for name, times in seconds.items()}

    def _ours(self, what: str, argument: str, hosts: Sequence[str]) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", OURS, str(self.lab.inventory), what, argument, *hosts], check=True, env=environment)

    def _ansible(self, tasks: str, hosts: Sequence[str]) -> None:
        (self.folder / "play.yaml").write_text(f"- hosts: all\n  gather_facts: false\n  strategy: free\n  tasks:\n{tasks}")
        lines = [f"{h} ansible_host={self.lab.machines[h].address}" for h in hosts]
        (self.folder / "hosts.ini").write_text("\n".join(lines) + "\n")
        environment = {
            **os.environ,
            "ANSIBLE_FORKS": str(len(hosts)),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_SSH_ARGS": " ".join(self.options[2:]) + " -o ControlMaster=auto -o ControlPersist=60s",
        }
        argv = [self.others / "ansible-playbook", "-i", self.folder / "hosts.ini", "-u", LOGIN, self.folder / "play.yaml"]
        subprocess.run(argv, check=True, env=environment, stdout=subprocess.DEVNULL)

    def _pyinfra(self, hosts: Sequence[str]) -> None:
        known = {"ssh_user": LOGIN, "ssh_key": str(self.lab.client_key), "ssh_known_hosts_file": str(self.lab.known_hosts)}
        rows = [(self.lab.machines[host].address, known) for host in hosts]
        (self.folder / "hosts.py").write_text(f"hosts = {rows!r}\n")
        argv = [self.others / "pyinfra", "-y", "--parallel", str(len(hosts)), "hosts.py", "deploy.py"]
        subprocess.run(argv, check=True, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _side_by_side(self, work: Callable[[str], None], hosts: Sequence[str]) -> None:
        with ThreadPoolExecutor(len(hosts)) as pool:
            list(pool.map(work, hosts))

    def _new_name(self) -> str:
        self.uploads_made += 1
        return f"/home/{LOGIN}/artifact-{self.uploads_made}"

    def _tidy(self, host: str) -> None:
        place = f"{LOGIN}@{self.lab.machines[host].address}"
        subprocess.run(["ssh", *self.options, place, "rm -f artifact-*"], check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
