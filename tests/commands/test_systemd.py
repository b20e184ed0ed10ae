"""What a unit of systemd starts, and what is asked of systemd; with stand-ins for its programs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from balbook.commands import firewall, process, system, systemd
from balbook.commands.command import Command

RULESET = """table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
	}
	chain output {
		type filter hook output priority filter; policy accept;
	}
}
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of stand-ins that comes first on the path of `run`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def stand_in(programs: Path, name: str, text: str) -> None:
    """A program that notes its arguments in `<name>.said`, then does `text`."""
    (programs / name).write_text(f'#!/bin/sh\necho "$*" >> "{programs}/{name}.said"\n{text}\n')
    (programs / name).chmod(0o755)


def said(programs: Path, name: str) -> list[str]:
    file = programs / f"{name}.said"
    return file.read_text().splitlines() if file.exists() else []


def run(programs: Path, command: Command | list[str], environment: Mapping[str, str] = os.environ) -> subprocess.CompletedProcess[str]:
    argv = list(command.argv) if isinstance(command, Command) else command
    environ = {**environment, "PATH": f"{programs}:/usr/bin:/bin"}
    return subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, timeout=30)


def test_a_unit_that_a_drill_keeps_down_is_as_before_once_it_is_started_again(programs: Path, tmp_path: Path) -> None:
    stand_in(programs, "systemctl", "")
    unit, units, instance = "balbook-hotel@9090.service", tmp_path / "units", tmp_path / "9090"
    (instance / "1.0.0").mkdir(parents=True)
    (instance / "current").symlink_to(instance / "1.0.0")
    done = run(programs, systemd.keep_down(unit, str(units)))
    assert done.returncode == 0, done.stderr
    assert [file.read_text() for file in units.glob(f"{unit}.d/*.conf")] == ["[Service]\nRestart=no\n"]
    done = run(programs, systemd.start_again(str(instance), unit, 60, str(units)))
    assert done.returncode == 0, done.stderr
    assert list(units.iterdir()) == []
    assert said(programs, "systemctl") == [
        *("daemon-reload", "daemon-reload"),
        *(f"enable --quiet {unit}", f"reset-failed {unit}", f"start {unit}"),
    ]
    assert run(programs, systemd.keep_down(unit, str(units))).returncode == 0
    assert run(programs, systemd.let_up(str(instance), unit, str(units))).returncode == 0
    assert list(units.iterdir()) == []
    assert said(programs, "systemctl")[-1] == "daemon-reload"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An application's directory with a launcher and a release that an instance points to."""
    release = tmp_path / "hotel" / "releases" / "1.0.0-abc"
    (release / "9090").mkdir(parents=True)
    (release / "app.jar").touch()
    (release / "9090" / "environment").write_text("RATE=1 $(x) 'y'\nrelease_dir=mine\n")
    (release / "9090" / "java_options").write_text("-Xmx64m\n-Dname=a b\n")
    instance = tmp_path / "hotel" / "instances" / "9090"
    instance.mkdir(parents=True)
    (instance / "current").symlink_to(release)
    (tmp_path / "hotel" / "launch").write_text(systemd.launcher())
    return tmp_path / "hotel"


def test_the_launcher_becomes_the_application_with_its_environment_and_options(place: Path, programs: Path) -> None:
    stand_in(programs, "java", 'for word in "$@"; do echo "<$word>"; done; echo "$RATE"; echo "$release_dir"; echo "$BAL_CONFIG_FILES"')
    done = run(programs, ["sh", str(place / "launch"), "run", "9090"], {})
    release = place / "releases" / "1.0.0-abc"
    expected = ["<-Xmx64m>", "<-Dname=a b>", "<-jar>", f"<{release}/app.jar>", "1 $(x) 'y'", "mine", f"{release}/9090/Config.toml"]
    assert done.stdout.splitlines() == expected, done.stderr


def test_a_native_release_is_run_itself(place: Path, programs: Path) -> None:
    release = place / "releases" / "1.0.0-abc"
    (release / "app.jar").unlink()
    (release / "app").write_text('#!/bin/sh\necho "native $#"\n')
    (release / "app").chmod(0o755)
    assert run(programs, ["sh", str(place / "launch"), "run", "9090"]).stdout == "native 0\n"


def test_what_was_started_is_noted_as_balbooks_own_supervision_does(place: Path, programs: Path) -> None:
    instance = place / "instances" / "9090"
    noted = ["sh", str(place / "launch"), "started", "9090"]
    assert run(programs, [*noted, str(os.getpid())]).returncode == 0
    assert run(programs, process.runs(str(instance), "1.0.0-abc")).returncode == 0
    assert run(programs, [*noted, "4999999"]).returncode == 0
    assert (instance / "pid").read_text() == "4999999 0 1.0.0-abc\n", "it had ended before it was noted"
    assert run(programs, process.runs(str(instance), "-")).returncode == 0


def test_ids_are_counted_over_files_and_journals(tmp_path: Path, programs: Path) -> None:
    log = tmp_path / "instance" / "log" / "current.log"
    log.parent.mkdir(parents=True)
    log.write_text("executed POST /x id=run-1\n")
    stand_in(
        programs, "journalctl", 'echo "executed POST /x id=run-1"; echo "executed POST /x id=run-2"; echo "executed POST /x id=else-1"'
    )
    found = run(programs, process.executed_ids("run", [str(tmp_path / "instance"), "balbook-hotel@9090.service"]))
    assert [line.split() for line in found.stdout.splitlines()] == [["2", "run-1"], ["1", "run-2"]]
    assert "--unit=balbook-hotel@9090.service" in said(programs, "journalctl")[0]


def test_errors_are_looked_for_in_what_systemd_has_of_this_start(programs: Path) -> None:
    stand_in(programs, "systemctl", "echo 0a1b2c")
    stand_in(programs, "journalctl", 'echo "level=INFO fine"; echo "level=ERROR no rooms"')
    unit = systemd.unit_name("hotel", 9090)
    found = run(programs, process.log_errors("/x", unit, []))
    assert (found.returncode, found.stdout) == (1, "level=ERROR no rooms\n")
    assert run(programs, process.log_errors("/x", unit, ["no rooms"])).returncode == 0
    assert said(programs, "systemctl")[0] == f"show --property=InvocationID --value {unit}"
    assert "_SYSTEMD_INVOCATION_ID=0a1b2c" in said(programs, "journalctl")[0]


@pytest.mark.parametrize(
    ("systemctl", "journalctl", "why"),
    [
        ("echo", "true", "systemd knows no start of balbook-hotel@9090.service"),
        ("echo no bus >&2; exit 1", "true", "no bus"),
        ("echo 0a1b2c", "echo No journal files were opened >&2; exit 1", "journalctl: No journal files were opened"),
    ],
)
def test_a_journal_that_cannot_be_read_is_no_log_without_errors(programs: Path, systemctl: str, journalctl: str, why: str) -> None:
    stand_in(programs, "systemctl", systemctl)
    stand_in(programs, "journalctl", journalctl)
    found = run(programs, process.log_errors("/x", systemd.unit_name("hotel", 9090), []))
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("the log cannot be read: ")
    assert why in found.stderr


def test_what_journalctl_says_beside_the_log_is_no_trouble(programs: Path) -> None:
    stand_in(programs, "systemctl", "echo 0a1b2c")
    stand_in(programs, "journalctl", "echo a hint >&2; echo level=INFO fine")
    assert run(programs, process.log_errors("/x", "balbook-hotel@9090.service", [])).returncode == 0


def test_an_instance_that_serves_nobody_is_killed_once_systemd_has_been_asked_to_stop_it(programs: Path) -> None:
    stand_in(programs, "systemctl", "case $1 in show) echo loaded; echo active ;; esac")
    unit = systemd.unit_name("hotel", 9090)
    assert run(programs, systemd.stop("/x", unit, 0)).returncode == 0
    changes = [line for line in said(programs, "systemctl") if not line.startswith(("show", "reset"))]
    assert changes == [f"stop --no-block {unit}", f"kill --signal=SIGKILL {unit}", f"stop {unit}"]


@pytest.mark.parametrize("state", ["not-found inactive", "loaded inactive"])
def test_where_nothing_runs_nothing_is_stopped(programs: Path, state: str) -> None:
    stand_in(programs, "systemctl", f"printf '%s\\n' {state}")
    assert run(programs, systemd.stop("/x", "u.service", 10)).stdout == "nothing runs\n"
    assert [line.split()[0] for line in said(programs, "systemctl")] == ["show"]


def test_a_unit_is_there_where_both_files_are_and_systemd_has_read_them(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "UNITS", str(tmp_path))
    launch, unit = tmp_path / "launch", tmp_path / "balbook-hotel@.service"
    stand_in(programs, "systemctl", "echo no")
    check = systemd.has_unit("hotel", "text\n", str(launch))
    assert run(programs, check).returncode == 1
    unit.write_text("text\n")
    assert run(programs, check).returncode == 1
    launch.write_text(systemd.launcher())
    assert run(programs, check).returncode == 0
    unit.write_text("another\n")
    assert run(programs, check).returncode == 1
    unit.write_text("text\n")
    stand_in(programs, "systemctl", "echo yes")
    assert run(programs, check).returncode == 1


def test_without_an_active_firewall_nothing_is_opened(programs: Path) -> None:
    stand_in(programs, "systemctl", "exit 3")
    stand_in(programs, "nft", "")
    assert run(programs, firewall.is_open([80])).returncode == 0
    assert said(programs, "nft") == []


def test_a_firewall_that_drops_is_closed_until_its_chain_has_a_rule_for_each_port(programs: Path) -> None:
    stand_in(programs, "systemctl", "")
    stand_in(programs, "nft", f'case "$*" in "list chains") cat <<\'END\'\n{RULESET}END\n;; esac')
    found = run(programs, firewall.is_open([80, 443]))
    assert found.returncode == 1
    for port in (80, 443):
        assert f'insert rule inet filter input tcp dport {port} accept comment "balbook"' in found.stdout


def accepting_but(programs: Path, last: str) -> None:
    """An active firewall whose chain accepts by its policy, with `last` as its last rule."""
    chains = RULESET.replace("policy drop", "policy accept")
    chain = f"table inet filter {{\n\tchain input {{\n\t\ttype filter hook input priority filter; policy accept;\n\t\t{last}\n\t}}\n}}\n"
    stand_in(programs, "systemctl", "")
    stand_in(
        programs,
        "nft",
        f"case \"$*\" in \"list chains\") cat <<'END'\n{chains}END\n;; 'list chain inet filter input') cat <<'END'\n{chain}END\n;; esac",
    )


@pytest.mark.parametrize(
    "last",
    [
        "drop",
        "reject",
        "reject with icmpx admin-prohibited",
        "reject with icmpx type admin-prohibited",
        "counter packets 0 bytes 0 reject with icmpx port-unreachable",
        'log prefix "dropped: " level info flags all counter packets 12 bytes 720 drop comment "the rest"',
        "log group 0 drop",
    ],
)
def test_a_firewall_whose_last_rule_drops_the_rest_is_closed_too(programs: Path, last: str) -> None:
    accepting_but(programs, last)
    found = run(programs, firewall.is_open([80]))
    assert (found.returncode, found.stdout) == (1, 'closed: insert rule inet filter input tcp dport 80 accept comment "balbook"\n')


@pytest.mark.parametrize(
    "last",
    [
        "tcp dport 25 drop",
        "ip saddr 10.0.0.0/8 counter packets 0 bytes 0 drop",
        "limit rate over 10/second drop",
        'log prefix "drop" accept',
        'tcp dport 22 accept comment "drop"',
        "counter packets 0 bytes 0",
        "ct state vmap { invalid : drop, established : accept }",
    ],
)
def test_a_firewall_that_drops_only_some_is_left_alone(programs: Path, last: str) -> None:
    accepting_but(programs, last)
    assert run(programs, firewall.is_open([80])).returncode == 0


def test_a_firewall_that_accepts_by_itself_is_left_alone(programs: Path) -> None:
    stand_in(programs, "systemctl", "")
    accepting = RULESET.replace("policy drop", "policy accept")
    stand_in(programs, "nft", f'case "$*" in "list chains") cat <<\'END\'\n{accepting}END\n;; esac')
    assert run(programs, firewall.is_open([80])).returncode == 0


def test_packages_are_installed_once_another_installation_has_let_go(programs: Path) -> None:
    stand_in(programs, "dpkg-query", "exit 1")
    stand_in(programs, "apt-get", "")
    assert run(programs, system.install_os_packages(["libpq5"])).returncode == 0
    waiting = "-o DPkg::Lock::Timeout=120"
    assert said(programs, "apt-get") == [f"{waiting} update -q", f"{waiting} install -q -y --no-install-recommends libpq5"]
