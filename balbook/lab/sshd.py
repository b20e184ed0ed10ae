"""One host of the loopback lab: an OpenSSH server of the user's own on a port of 127.0.0.1, with a home of its own.

sshd starts the account's login shell for every command, and bash then reads the account's `.bashrc` although it is not
interactive: 118 ms a command where that file is heavy, 10 ms with `HOME` set by the server, which is in force before the
shell starts, so that it looks into the host's home. A forced script then changes into that home, for commands and sftp
alike: sshd itself starts in the account's real one.
"""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from balbook.errors import BadInput, Failed
from balbook.lab import fleet
from balbook.lab.folders import LabFolder, tail
from balbook.lab.needs import find_program
from balbook.local.processes import MARKER, identity

START_WITHIN_S = 15.0
STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENTER = """# Every session of {name} begins here: in the host's own home.
cd {home} || exit 255
unset OLDPWD
command=$SSH_ORIGINAL_COMMAND
unset SSH_ORIGINAL_COMMAND
if [ -n "$command" ]; then exec /bin/sh -c "$command"; fi
exec /bin/sh
"""


TURNED_OFF = (
    *("PasswordAuthentication", "KbdInteractiveAuthentication", "StrictModes", "UsePAM", "UseDNS"),
    *("PermitUserRC", "PrintMotd", "PrintLastLog"),
)


@dataclass(frozen=True)
class Server:
    """The files of one host's server. `lab` is the lab's folder, `client_key` the key that may log in.

    `graalvm`: the `GRAALVM_HOME` of its sessions.
    """

    name: str
    lab: Path
    port: int
    client_key: Path
    graalvm: Path | None = None

    @property
    def folder(self) -> Path:
        return self.lab / "hosts" / self.name

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def host_key(self) -> Path:
        return self.folder / "host_key"

    @property
    def log(self) -> Path:
        return self.folder / "sshd.log"

    @property
    def pid_file(self) -> Path:
        return self.folder / "sshd.pid"


def prepare(server: Server, environ: Mapping[str, str]) -> str:
    """Writes the host's home, key and configuration; returns its line for `known_hosts`."""
    server.home.mkdir(parents=True, mode=0o700)
    make_key(server.host_key, f"balbook-lab-{server.name}")
    (server.folder / "enter").write_text(ENTER.format(name=server.name, home=shlex.quote(str(server.home))))
    _write_configuration(server, environ)
    kind, key = server.host_key.with_suffix(".pub").read_text().split()[:2]
    return f"[127.0.0.1]:{server.port} {kind} {key}\n"


def _write_configuration(server: Server, environ: Mapping[str, str]) -> None:
    """Turns the penalties of newer servers off: tests of refused logins would lock the lab's user out. An older sshd does not know them."""
    path = server.folder / "sshd_config"
    text = configuration(server, environ)
    path.write_text(text + "PerSourcePenalties no\n")
    if subprocess.run([_sshd(environ), "-t", "-f", path], capture_output=True, check=False, timeout=START_WITHIN_S).returncode != 0:
        path.write_text(text)


def configuration(server: Server, environ: Mapping[str, str]) -> str:
    """The host's `sshd_config`: keys only, no PAM, every path absolute, and an environment that all its processes carry."""
    environment = {
        "HOME": str(server.home),
        "PATH": session_path(server, environ),
        "BALLERINA_HOME_DIR": f"{server.home}/.ballerina",  # a JVM does not look at HOME
        MARKER: str(server.lab),
    }
    if server.graalvm:
        environment["GRAALVM_HOME"] = str(server.graalvm)
    sftp = find_program("sftp-server", environ)
    lines = [
        *("ListenAddress 127.0.0.1", f"Port {server.port}", f"HostKey {server.host_key}", f"PidFile {server.pid_file}"),
        *(f"AuthorizedKeysFile {server.client_key}.pub", "PubkeyAuthentication yes", "PermitRootLogin prohibit-password"),
        *("MaxStartups 500", "MaxSessions 500", "LogLevel INFO"),
        *(f"{option} no" for option in TURNED_OFF),
        # Only the first SetEnv counts, so all stand in one.
        "SetEnv " + " ".join(f'"{key}={value}"' for key, value in environment.items()),
        f"ForceCommand exec /bin/sh {server.folder / 'enter'}",
        *([f"Subsystem sftp {sftp} -d {server.home}"] if sftp else []),
    ]
    return "\n".join([*lines, ""])


def session_path(server: Server, environ: Mapping[str, str]) -> str:
    """The PATH of the host's commands: the host's own `bin`, the folders of the lab's programs, those of the system."""
    found = [find_program(name, environ) for name in ("javac", "nginx", "haproxy", "curl", "flock")]
    usual = STANDARD_PATH.split(":")
    special = [str(path.parent) for path in found if path and str(path.parent) not in usual and not set(str(path)) & set('":\n')]
    return ":".join(dict.fromkeys([str(server.home / "bin"), *special, *usual]))


def start(server: Server, environ: Mapping[str, str]) -> tuple[int, str]:
    """Starts the server and waits until it listens; its pid and identity. Raises Failed with the end of the log."""
    argv = [str(_sshd(environ)), "-f", str(server.folder / "sshd_config"), "-E", str(server.log)]
    environment = {"PATH": STANDARD_PATH, MARKER: str(server.lab)}
    started = subprocess.run(
        argv, env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=START_WITHIN_S
    )
    if started.returncode != 0:
        raise _not_started(server, started.stderr)
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline:
        text = server.pid_file.read_text().strip() if server.pid_file.is_file() else ""
        if text.isdigit() and (born := identity(int(text))):
            return int(text), born  # it writes the file once it listens
        time.sleep(0.01)
    raise _not_started(server, "")


def log_in(server: Server, known_hosts: Path, environ: Mapping[str, str]) -> None:
    """Proves that the host takes commands of this user. Raises Failed with the messages of both sides."""
    argv = ssh_argv(known_hosts, server.client_key, server.port, f"{login()}@127.0.0.1", "pwd", environ)
    tried = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=30)
    if tried.returncode != 0 or tried.stdout.strip() != str(server.home):
        raise Failed(
            f"{server.name}: the SSH server on port {server.port} runs but takes no commands of {login()}: "
            f"{tried.stderr.strip() or tried.stdout.strip()}\n{tail(server.log)}",
            advice="The account needs a working login shell and must not be locked (`!` in /etc/shadow).",
        )


def ssh_argv(known_hosts: Path, client_key: Path, port: int, to: str, line: str, environ: Mapping[str, str]) -> list[str]:
    """The argv of `ssh` that runs a line on a host of a lab; nothing of this user's own configuration counts."""
    options = ["BatchMode=yes", "IdentitiesOnly=yes", f"UserKnownHostsFile={known_hosts}", "GlobalKnownHostsFile=none"]
    options += ["StrictHostKeyChecking=yes", "ConnectTimeout=5", "LogLevel=ERROR"]
    ssh = str(find_program("ssh", environ))
    return [ssh, "-F", "none", *(f"-o{option}" for option in options), "-i", str(client_key), "-p", str(port), to, line]


def furnish(lab: LabFolder) -> None:
    """Makes the client's key, the list of signers, and the folders for artifacts and records."""
    make_key(lab.client_key, f"balbook-lab-{lab.name}")
    (lab.folder / fleet.SIGNERS).write_text(fleet.signers_text(login(), lab.client_key.with_suffix(".pub").read_text()))
    for store in ("artifacts", "records"):
        (lab.folder / store).mkdir(mode=0o700)


def make_key(path: Path, comment: str) -> None:
    """A new ed25519 key without a passphrase at `path`, readable by this user alone."""
    keygen = find_program("ssh-keygen")
    argv = [str(keygen), "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    made = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=30)
    if made.returncode != 0:
        raise Failed(f"ssh-keygen cannot make {path}: {made.stderr.strip()}", advice="Look whether the disk is full.")


def login() -> str:
    """The account of this process, the only one that its own sshd can let in."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise BadInput(
            f"user id {os.getuid()} has no account on this machine, and sshd lets only accounts in",
            advice="Run the lab as a user who is in /etc/passwd.",
        ) from None


def require_separation() -> None:
    """Makes `/run/sshd`, which sshd wants as root on Linux. Raises BadInput with advice where the account `sshd` is missing."""
    if os.geteuid() != 0 or not Path("/run").is_dir():
        return
    try:
        pwd.getpwnam("sshd")
    except KeyError:
        raise BadInput(
            "the account `sshd` is missing; without this account sshd does not start as root",
            advice="Add the account: useradd --system --no-create-home --home-dir /run/sshd --shell /usr/sbin/nologin sshd",
        ) from None
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)


def _sshd(environ: Mapping[str, str]) -> Path:
    """The absolute path of sshd, which sshd insists on."""
    found = find_program("sshd", environ)
    if found is None:
        raise BadInput("sshd is missing on this machine", advice="`python -m balbook.lab.needs` says how to install sshd.")
    return found


def _not_started(server: Server, message: str) -> Failed:
    return Failed(
        f"{server.name}: sshd does not start on port {server.port}: {message.strip()}\n{tail(server.log)}".rstrip(),
        advice="Try `balbook lab up` again; another program may have taken the port.",
    )
