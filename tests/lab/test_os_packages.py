"""Installing with apt: no server starts meanwhile, and the machine's own policy is back in any case."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from balbook.errors import BadInput, Failed
from balbook.lab import os_packages as packages
from balbook.lab.needs import Log, Need

NEED = Need("balbook-absent", "nobody has it", ("first-deb", "second-deb"), "absent-brew", "absent-conda")
PRESENT = Need("sh", "always there", ("dash",), "dash", "dash")


class Machine:
    """Runs the small scripts for real, and answers for apt, sudo and systemctl."""

    def __init__(self, policy: Path, *, install: Callable[[], int] = lambda: 0, known: str = "second-deb", has_sudo: bool = True) -> None:
        self.policy, self.install, self.known, self.has_sudo = policy, install, known, has_sudo
        self.ran: list[list[str]] = []
        self.refusal: int | None = None

    def __call__(self, argv: Sequence[str], log: Log) -> int:
        words = list(argv)
        self.ran.append(words)
        text = " ".join(words)
        if "apt-cache" in text:
            return 0 if words[-1] == self.known else 100
        if "sudo -n true" in text:
            return 0 if self.has_sudo else 1
        if "command -v apt-get" in text or "systemctl" in text or "update" in words:
            return 0
        if "apt-get" in words:
            self.refusal = subprocess.run([self.policy, "nginx", "start"], check=False).returncode
            return self.install()
        return subprocess.run(words[2:] if words[0] == "sudo" else words, check=False).returncode

    @property
    def installed(self) -> list[list[str]]:
        return [words for words in self.ran if "install" in words]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return tmp_path / "policy-rc.d"


def silent(line: str) -> None:
    pass


def test_a_policy_that_refuses_stands_there_only_during_the_installation(policy: Path) -> None:
    machine = Machine(policy)
    packages.install([PRESENT], silent, run=machine, policy=policy, is_root=True)
    assert machine.refusal == 101
    assert list(policy.parent.iterdir()) == []


def test_a_policy_of_the_machines_own_comes_back_as_it_was(policy: Path) -> None:
    policy.write_text("#!/bin/sh\nexit 104\n")
    policy.chmod(0o750)
    machine = Machine(policy)
    packages.install([PRESENT], silent, run=machine, policy=policy, is_root=True)
    assert machine.refusal == 101
    assert policy.read_text() == "#!/bin/sh\nexit 104\n"
    assert stat.S_IMODE(policy.stat().st_mode) == 0o750
    assert list(policy.parent.iterdir()) == [policy]


def test_a_policy_left_by_a_killed_installation_is_not_taken_for_the_machines_own(policy: Path) -> None:
    subprocess.run(["sh", "-c", packages.PUT_POLICY, "sh", str(policy)], check=True)
    packages.install([PRESENT], silent, run=Machine(policy), policy=policy, is_root=True)
    assert list(policy.parent.iterdir()) == []


def test_a_failed_installation_takes_the_policy_away_and_says_so(policy: Path) -> None:
    with pytest.raises(Failed, match="second-deb"):
        packages.install([NEED], silent, run=Machine(policy, install=lambda: 100), policy=policy, is_root=True)
    assert list(policy.parent.iterdir()) == []


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_takes_the_policy_away(policy: Path, number: signal.Signals, error: type[BaseException]) -> None:
    def interrupted() -> int:
        os.kill(os.getpid(), number)
        return 0

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(error):
        packages.install([PRESENT], silent, run=Machine(policy, install=interrupted), policy=policy, is_root=True)
    assert list(policy.parent.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == before


def test_an_interrupted_command_is_waited_for(tmp_path: Path) -> None:
    script = f"""
import sys
from balbook.lab.os_packages import run_to_the_end
run_to_the_end(["sh", "-c", "kill -INT $PPID; sleep 0.3; touch {tmp_path}/ended"], lambda line: print(line, flush=True))
"""
    root = Path(packages.__file__).parents[2]
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=root, timeout=30)
    assert (tmp_path / "ended").exists()
    assert "waiting for sh to end" in shown.stdout
    assert "KeyboardInterrupt" in shown.stderr


def test_the_first_package_that_the_distribution_knows_is_installed(policy: Path) -> None:
    machine = Machine(policy)
    with pytest.raises(Failed, match="cannot be used, although"):  # the program is still missing
        packages.install([NEED], silent, run=machine, policy=policy, is_root=True)
    assert machine.installed[0][-1] == "second-deb"


def test_an_ordinary_user_installs_through_sudo_without_a_password(policy: Path) -> None:
    machine = Machine(policy)
    packages.install([PRESENT], silent, run=machine, policy=policy, is_root=False)
    assert [words[:2] for words in machine.installed] == [["sudo", "-n"]]


def test_without_privilege_nothing_is_touched_and_the_packages_are_named(policy: Path) -> None:
    machine = Machine(policy, has_sudo=False)
    with pytest.raises(BadInput, match="brew install absent-brew"):
        packages.install([NEED], silent, run=machine, policy=policy, is_root=False)
    assert machine.installed == []
    assert list(policy.parent.iterdir()) == []


def test_without_apt_the_packages_are_named() -> None:
    with pytest.raises(BadInput, match=r"This machine has no apt-get.*\n.*first-deb"):
        packages.install([NEED], silent, run=lambda argv, log: 1, is_root=True)


def test_it_says_what_it_installs_and_why(policy: Path) -> None:
    said: list[str] = []
    packages.install([PRESENT], said.append, run=Machine(policy), policy=policy, is_root=True)
    assert any("always there" in line for line in said)
    assert any("dash" in line for line in said)
