"""The loopback lab with real SSH servers."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import balbook
from balbook.errors import BadInput, ParameterError, Refused
from balbook.inventory.load import read_inventory
from balbook.lab import faults, loopback
from balbook.lab.loopback import Lab
from balbook.local import lab_place as place
from balbook.local import processes

pytestmark = pytest.mark.integration
ROOT = Path(balbook.__file__).parents[1]
LISTEN = """
import http.server, sys
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.BaseHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def environ(tmp_path: Path) -> Iterator[dict[str, str]]:
    settings = {**os.environ, place.VARIABLE: str(tmp_path / "labs")}
    yield settings
    for name in ("default", "blue", "green"):
        loopback.down(name, environ=settings)


def connection(lab: Lab, host: str) -> list[str]:
    options = ["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes"]
    user = pwd.getpwuid(os.getuid()).pw_name
    known = ["-o", f"UserKnownHostsFile={lab.known_hosts}", "-i", str(lab.client_key), "-o", f"User={user}"]
    return [*options, *known, "-o", f"Port={lab.servers[host].port}", "127.0.0.1"]


def ssh(lab: Lab, host: str, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    argv = ["ssh", *connection(lab, host), command]
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=30, check=False)


def until(is_so: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_each_host_runs_commands_in_a_home_of_its_own(environ: dict[str, str]) -> None:
    lab = loopback.up(environ=environ)
    for host, server in lab.servers.items():
        shown = ssh(lab, host, "pwd; echo $HOME; echo ~; cat; exit 3", stdin="from standard input\n")
        assert shown.stdout.splitlines() == [str(server.home)] * 3 + ["from standard input"], shown.stderr
        assert shown.returncode == 3


def test_quoting_of_a_command_arrives_as_it_was_sent(environ: dict[str, str]) -> None:
    lab = loopback.up(environ=environ, hosts=("app1",))
    assert ssh(lab, "app1", r"""printf '%s|' 'a  b' "it's" '$HOME' '\n' '*'""").stdout == r"a  b|it's|$HOME|\n|*|"


@pytest.mark.skipif(not Path("/etc/debian_version").exists(), reason="other builds of bash read no login file under sshd")
def test_the_accounts_login_files_are_not_read(environ: dict[str, str]) -> None:
    if not pwd.getpwuid(os.getuid()).pw_shell.endswith("/bash"):
        pytest.skip("the account's shell is not bash")
    lab = loopback.up(environ=environ, hosts=("app1",))
    # bash reads one `.bashrc`, of the home that is in force when it starts: that of the host.
    (lab.servers["app1"].home / ".bashrc").write_text("export READ_FROM=$HOME\n")
    assert ssh(lab, "app1", 'echo "$READ_FROM"').stdout.strip() == str(lab.servers["app1"].home)


def test_sftp_works_and_starts_in_the_hosts_home(environ: dict[str, str], tmp_path: Path) -> None:
    lab = loopback.up(environ=environ, hosts=("app1",))
    (tmp_path / "sent").write_text("content")
    batch = f"put {tmp_path / 'sent'} arrived\npwd\n"
    argv = ["sftp", "-b", "-", *connection(lab, "app1")]
    shown = subprocess.run(argv, input=batch, capture_output=True, text=True, timeout=30, check=False)
    assert shown.returncode == 0, shown.stderr
    assert (lab.servers["app1"].home / "arrived").read_text() == "content"
    assert str(lab.servers["app1"].home) in shown.stdout


def test_another_key_and_another_host_key_are_refused(environ: dict[str, str], tmp_path: Path) -> None:
    lab = loopback.up(environ=environ, hosts=("app1", "app2"))
    keys = {host: server.host_key.with_suffix(".pub").read_text() for host, server in lab.servers.items()}
    assert keys["app1"] != keys["app2"]
    stranger = tmp_path / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], check=True)
    words = [str(stranger) if word == str(lab.client_key) else word for word in connection(lab, "app1")]
    shown = subprocess.run(["ssh", *words, "true"], capture_output=True, text=True, timeout=30, check=False)
    assert "Permission denied" in shown.stderr
    lab.known_hosts.write_text(lab.known_hosts.read_text().replace(keys["app1"].split()[1], keys["app2"].split()[1]))
    assert "HOST IDENTIFICATION HAS CHANGED" in ssh(lab, "app1", "true").stderr


def test_the_inventory_is_valid_and_found_while_the_lab_runs(environ: dict[str, str]) -> None:
    lab = loopback.up(environ=environ)
    inventory = read_inventory(lab.inventory)
    assert inventory.lab
    assert inventory.hosts["app1"].port == lab.servers["app1"].port
    assert place.running_inventory(environ) == lab.inventory
    loopback.down(environ=environ)
    assert place.running_inventory(environ) is None


def test_its_files_are_private(environ: dict[str, str]) -> None:
    lab = loopback.up(environ=environ, hosts=("app1",))
    assert lab.folder.stat().st_mode & 0o77 == 0
    assert lab.client_key.stat().st_mode & 0o77 == 0


def test_up_twice_is_the_same_lab_and_says_so(environ: dict[str, str]) -> None:
    said: list[str] = []
    first = loopback.up(environ=environ)
    before = place.read_state(first.folder)
    assert loopback.up(environ=environ, say=said.append) == first
    assert place.read_state(first.folder) == before
    assert any("is kept" in line for line in said)


def test_a_server_that_died_is_started_again_with_its_host_as_it_was(environ: dict[str, str]) -> None:
    lab = loopback.up(environ=environ, hosts=("app1", "app2"))
    (lab.servers["app1"].home / "deployed").touch()
    state = place.read_state(lab.folder)
    assert state
    os.kill(state.servers["app1"][0], signal.SIGKILL)
    until(lambda: not loopback.status(environ=environ).hosts[0].is_alive)
    loopback.up(environ=environ)
    assert all(host.is_alive for host in loopback.status(environ=environ).hosts)
    assert "deployed" in ssh(lab, "app1", "ls").stdout


def test_down_leaves_no_process_and_no_folder(environ: dict[str, str]) -> None:
    lab = loopback.up(environ=environ)
    assert ssh(lab, "app1", "nohup sleep 300 >/dev/null 2>&1 </dev/null & echo $!").returncode == 0
    assert ssh(lab, "app2", "setsid sh -c 'sleep 300 & wait' >/dev/null 2>&1 </dev/null &").returncode == 0
    (lab.folder / "artifacts" / "sealed").mkdir(mode=0o500)
    session = subprocess.Popen(["ssh", *connection(lab, "lb1"), "echo ready; sleep 300"], stdout=subprocess.PIPE, text=True)
    with session:
        assert session.stdout
        assert session.stdout.readline() == "ready\n"
        assert len(processes.of_lab(lab.folder)) >= 8
        assert loopback.down(environ=environ)
        assert session.wait(20) != 0
    assert processes.of_lab(lab.folder) == []
    assert not lab.folder.exists()
    assert not loopback.down(environ=environ)


def test_down_ends_an_nginx_that_hides_its_environment(environ: dict[str, str]) -> None:
    lab = loopback.up(environ=environ, hosts=("lb1",))
    home = lab.servers["lb1"].home
    (home / "nginx.conf").write_text(
        f"pid {home}/nginx.pid; error_log {home}/error.log; events {{}}\n"
        f"http {{ access_log off; server {{ listen 127.0.0.1:{lab.ports['lb1.listen']}; }} }}\n"
    )
    shown = ssh(lab, "lb1", f"nginx -p {home} -e {home}/error.log -c {home}/nginx.conf")
    assert shown.returncode == 0, shown.stderr
    until(lambda: loopback.status(environ=environ).balancers[0].is_alive)
    pid = int((home / "nginx.pid").read_text())
    born = processes.identity(pid)
    loopback.down(environ=environ)
    assert processes.identity(pid) != born


@pytest.mark.parametrize("moment", ["balbook.lab.sshd.prepare", "balbook.lab.sshd.log_in", "balbook.lab.fleet.inventory_text"])
@pytest.mark.parametrize("then", ["up", "down"])
def test_an_interrupted_start_is_cleaned_by_the_next_command(environ: dict[str, str], moment: str, then: str) -> None:
    module, _, name = moment.rpartition(".")
    code = f"""
import os, signal
import {module} as module
from balbook.lab import loopback
module.{name} = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
loopback.up()
"""
    killed = subprocess.run([sys.executable, "-c", code], env=environ, cwd=ROOT, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    folder = place.lab_folder("default", environ)
    assert loopback.status(environ=environ).is_left_over
    assert place.running_inventory(environ) is None
    left = {p.pid for p in processes.of_lab(folder)}
    assert bool(left) == (name != "prepare")
    if then == "up":
        lab = loopback.up(environ=environ, hosts=("app1",))
        assert ssh(lab, "app1", "true").returncode == 0
        assert list(loopback.lab_of(environ=environ).servers) == ["app1"]
    else:
        assert loopback.down(environ=environ)
        assert not folder.exists()
    assert not left & {p.pid for p in processes.of_lab(folder)}


def test_a_start_that_fails_leaves_nothing(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("balbook.lab.sshd.log_in", fail)
    with pytest.raises(KeyboardInterrupt):
        loopback.up(environ=environ)
    folder = place.lab_folder("default", environ)
    assert not folder.exists()
    assert processes.of_lab(folder) == []


def test_two_labs_run_at_once_and_end_one_by_one(environ: dict[str, str]) -> None:
    blue, green = (loopback.up(name, environ=environ) for name in ("blue", "green"))
    assert not set(blue.ports.values()) & set(green.ports.values())
    loopback.down("blue", environ=environ)
    assert ssh(green, "app1", "pwd").stdout.strip() == str(green.servers["app1"].home)
    assert place.running_inventory(environ) == green.inventory


def test_a_folder_of_somebody_elses_is_never_removed(environ: dict[str, str]) -> None:
    folder = place.lab_folder("thesis", environ)
    folder.mkdir(parents=True)
    (folder / "chapter1.tex").touch()
    for command in (loopback.up, loopback.down):
        with pytest.raises(Refused, match="not the folder of a lab"):
            command("thesis", environ=environ)
    assert (folder / "chapter1.tex").exists()


def test_an_instance_can_be_hung_resumed_and_killed(environ: dict[str, str]) -> None:
    lab = loopback.up(environ=environ, hosts=("app1", "app2"))
    for host in ("app1", "app2"):
        (lab.servers[host].home / "listen.py").write_text(LISTEN)
    port = lab.ports["app1.instance"]
    ssh(lab, "app1", f"nohup {sys.executable} listen.py {port} >/dev/null 2>&1 </dev/null &")
    until(lambda: loopback.status(environ=environ).instances[0].is_alive)
    process = faults.inject("hang", f"app1:{port}", environ=environ)
    until(lambda: " (" in state_of(process.pid) and state_of(process.pid).rpartition(")")[2].split()[0] == "T")
    assert faults.inject("resume", "app1", environ=environ).pid == process.pid
    until(lambda: state_of(process.pid).rpartition(")")[2].split()[0] != "T")
    faults.inject("kill", "app1", environ=environ)
    until(lambda: not loopback.status(environ=environ).instances[0].is_alive)
    with pytest.raises(Refused, match="no process of lab default listens"):
        faults.inject("kill", "app1", environ=environ)
    with pytest.raises(ParameterError, match="Did you mean"):
        faults.inject("kil", "app1", environ=environ)
    with pytest.raises(ParameterError, match="no instance"):
        faults.inject("kill", "app9", environ=environ)


def state_of(pid: int) -> str:
    if sys.platform != "linux":
        pytest.skip("reads /proc")
    return Path(f"/proc/{pid}/stat").read_text()


def test_a_machine_that_lacks_a_program_is_told_what_to_install(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("balbook.lab.needs.find_program", lambda name, environ=None: None)
    with pytest.raises(BadInput, match="apt-get install"):
        loopback.up(environ=environ)
    assert not place.lab_folder("default", environ).exists()


def test_an_ordinary_user_can_have_a_lab() -> None:
    story = """
import os
from balbook.local import processes
from balbook.lab import loopback
lab = loopback.up(hosts=("app1", "lb1"))
status = loopback.status()
assert all(host.is_alive for host in status.hosts), status
loopback.down()
assert not lab.folder.exists() and processes.of_lab(lab.folder) == []
print("uid", os.getuid())
"""
    account, become = ordinary_account()
    with tempfile.TemporaryDirectory(prefix="balbook-") as home:
        shutil.chown(home, account.pw_uid, account.pw_gid)
        environment = {"PATH": "/usr/bin:/bin", "HOME": home, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        argv = [*become, sys.executable, "-c", story]
        shown = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.split()[-2:] == ["uid", str(account.pw_uid)]


def ordinary_account() -> tuple[pwd.struct_passwd, list[str]]:
    """This user, or where that is root another account with a login shell, and the command that becomes it."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid()), []
    shells = ("/bash", "/sh", "/dash", "/zsh")
    found = [a for a in pwd.getpwall() if 1000 <= a.pw_uid < 60000 and a.pw_shell.endswith(shells)]
    if not found or not shutil.which("setpriv"):
        if os.environ.get("CI") == "true":
            pytest.fail("no ordinary account, or no setpriv")
        pytest.skip("no ordinary account, or no setpriv")
    account = found[0]
    return account, ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
