"""SSH to the hosts of a lab: what goes wrong has the right type, names the host, and says what to do."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from balbook import transport as transports
from balbook.commands.command import Command, script
from balbook.errors import (
    BadInput,
    BalbookError,
    CommandFailed,
    DeadlineExceeded,
    HostKeyError,
    HostUnreachable,
    LoginRefused,
    StoreError,
)
from balbook.inventory import Inventory
from balbook.local.digests import sha256_of_file
from balbook.plan.model import Upload
from balbook.transport import Transport, fan_out
from tests.integration.hotel import Hotel

pytestmark = pytest.mark.integration
HELLO = Command(("echo", "hello"))
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def transport(deployed: Hotel) -> Iterator[Transport]:
    made = transports.connect(deployed.inventory)
    yield made
    made.close()


@pytest.fixture
def changed(deployed: Hotel, tmp_path: Path) -> Iterator[Callable[[Change], Transport]]:
    """A transport for the lab's inventory with a change."""
    made: list[Transport] = []

    def make(change: Change) -> Transport:
        made.append(transports.connect(deployed.edited(tmp_path / "inventory.yaml", change)))
        return made[-1]

    yield make
    for transport in made:
        transport.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "artifact"
    path.write_bytes(os.urandom(400_000))
    return path


def upload(file: Path, path: str | Path, sha256: str = "", mode: str = "0640") -> Upload:
    return Upload(str(file), sha256 or sha256_of_file(file), str(path), mode)


def test_both_streams_of_much_output_arrive_whole(transport: Transport) -> None:
    text = 'i=0; while [ $i -lt 30000 ]; do echo "out $i 0123456789012345678901234567890"; echo "err $i" >&2; i=$((i+1)); done; exit 7'
    result = transport.execute("app1", script("much", text))
    assert result.status == 7
    assert result.stdout.splitlines()[-1].startswith("out 29999 ")
    assert [len(stream.splitlines()) for stream in (result.stdout, result.stderr)] == [30000, 30000]


def test_standard_input_arrives_whole_and_need_not_be_read(transport: Transport) -> None:
    text = "0123456789abcde\n" * 60_000
    assert transport.execute("app1", Command(("wc", "-c"), stdin=(text,))).stdout.strip() == str(len(text))
    assert transport.execute("app1", Command(("true",), stdin=(text,))).status == 0


def test_every_word_arrives_as_it_was_given(transport: Transport) -> None:
    words = ["a  b", "$(touch x)", "`id`", ";", "'", '"', "\\", "*", "~", "\n", "-n", "", "ü"]
    result = transport.execute("app1", Command(("printf", "%s|", *words), environment={"A": "$(x) 'y'"}))
    assert result.stdout == "".join(f"{word}|" for word in words)


def test_commands_without_input_share_a_shell_and_leave_nothing_to_one_another(transport: Transport) -> None:
    def shell_of(text: str) -> str:
        return transport.execute("app1", script("shell", f"{text} cut -d' ' -f4 /proc/$$/stat")).stdout

    assert len({shell_of("cd /; A=1; umask 0;") for _ in range(5)}) == 1, "the same parent"
    shown = transport.execute("app1", script("left", 'umask; echo "${A:-none}"; pwd; cat')).stdout.splitlines()
    assert shown[1] == "none"
    assert shown[2] != "/"
    assert len(shown) == 3, "its input is empty"
    assert transport.execute("app1", script("ends", "exit 9")).status == 9
    assert transport.execute("app1", script("killed", "kill -9 $$")).status == 137
    assert transport.execute("app1", script("no-newline", "printf out; printf err >&2; exit 3")).stdout == "out"
    assert transport.execute("app1", HELLO).stdout == "hello\n"


def test_many_commands_at_once_on_one_host_do_not_mix(transport: Transport) -> None:
    text = 'i=0; while [ $i -lt 200 ]; do echo "$1"; echo "$1" >&2; i=$((i+1)); done'
    outcomes = fan_out([str(n) for n in range(8)], lambda n: transport.execute("app1", script("many", text, n)), at_once=8).require()
    for number, result in outcomes.items():
        assert (set(result.stdout.split()), set(result.stderr.split())) == ({number}, {number})
        assert len(result.stdout.split()) == len(result.stderr.split()) == 200


@pytest.fixture
def entering(deployed: Hotel) -> Iterator[Callable[[str], None]]:
    """Sets what comes before that which a login to app1 does."""
    enter = deployed.lab.servers["app1"].folder / "enter"
    usual = enter.read_text()
    yield lambda text: enter.write_text(f"{text}\n{usual}") and None
    enter.write_text(usual)


def test_a_login_that_greets_is_not_taken_for_a_commands_words(
    transport: Transport, deployed: Hotel, entering: Callable[[str], None], file: Path, tmp_path: Path
) -> None:
    entering("echo Welcome; echo 'mind your step' >&2")
    result = transport.execute("app1", HELLO)
    assert (result.stdout, result.stderr) == ("hello\n", "")
    result = transport.execute("app1", Command(("sh", "-c", "cat; echo off >&2; exit 3"), stdin=("an input",)))
    assert (result.status, result.stdout, result.stderr) == (3, "an input", "off\n")
    place = deployed.lab.servers["app1"].home / "greeted"
    assert transport.upload("app1", upload(file, place))
    transport.download("app1", str(place), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    place.unlink()


def test_a_login_that_runs_something_else_is_not_taken_for_a_success(
    transport: Transport, entering: Callable[[str], None], file: Path
) -> None:
    entering("echo 'This account is closed.'; exit 0")
    for command in (HELLO, Command(("cat",), stdin=("an input",))):
        result = transport.execute("app1", command)
        assert (result.status, result.stdout) == (127, "")
        assert "is a command forced on this key?" in result.stderr
    with pytest.raises(CommandFailed, match="the login ran another program"):
        transport.upload("app1", upload(file, "/tmp/never"))


def test_a_login_that_gives_no_shell_is_served_command_by_command(transport: Transport, entering: Callable[[str], None]) -> None:
    entering('[ "$SSH_ORIGINAL_COMMAND" != "exec /bin/sh" ] || exit 1')
    assert [transport.execute("app1", script("n", "exit 5")).status for _ in range(2)] == [5, 5]


def test_a_command_has_a_deadline_and_the_next_one_runs(transport: Transport) -> None:
    with pytest.raises(DeadlineExceeded, match=r"app1: slow did not end within 0\.5 s") as raised:
        transport.execute("app1", script("slow", "echo begun; exec sleep 30", deadline_s=0.5))
    assert "begun" in raised.value.advice
    assert transport.execute("app1", HELLO).stdout == "hello\n"


def test_a_command_that_goes_on_printing_has_a_deadline_too(transport: Transport) -> None:
    with pytest.raises(DeadlineExceeded):
        transport.execute("app1", script("chatter", "while :; do echo x; sleep 0.05; done", deadline_s=0.6))


def test_a_lost_connection_is_opened_anew(transport: Transport, deployed: Hotel) -> None:
    assert transport.execute("app1", HELLO).stdout == "hello\n"
    with pytest.raises(HostUnreachable, match="app1"):
        transport.execute("app1", script("cut", 'kill -9 "$(cut -d" " -f4 "/proc/$(cut -d" " -f4 /proc/$$/stat)/stat")" "$PPID"; sleep 5'))
    assert transport.execute("app1", HELLO).stdout == "hello\n"


class Cut:
    """A way to a port that ends, by a reset, after so many bytes in both directions; 0 for never."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self._guard = threading.Lock()
        self.port = int(self._server.getsockname()[1])
        self.after = 0
        self.passed = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                near = self._server.accept()[0]
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._port))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 14):
                with self._guard:
                    self.passed += len(data)
                    left = self.after - self.passed if self.after else 0
                other.sendall(data if left >= 0 else data[:left])
                if left < 0:
                    break
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
                end.close()


@pytest.fixture
def cut(deployed: Hotel) -> Iterator[Cut]:
    way = Cut(deployed.lab.servers["app1"].port)
    yield way
    way.close()


def test_wherever_a_connection_is_cut_the_host_is_named_and_nothing_else_goes_wrong(
    changed: Callable[[Change], Transport], deployed: Hotel, cut: Cut, file: Path, tmp_path: Path
) -> None:
    known = tmp_path / "known_hosts"
    server = deployed.lab.servers["app1"]
    known.write_text(deployed.lab.known_hosts.read_text().replace(f":{server.port} ", f":{cut.port} "))
    place = server.home / "cut"

    def session(after: int) -> BalbookError | None:
        place.unlink(missing_ok=True)
        cut.after, cut.passed = after, 0
        transport = changed(lambda d: d["hosts"]["app1"].update(port=cut.port, known_hosts=str(known)))
        try:
            transport.execute("app1", HELLO)
            transport.execute("app1", Command(("wc", "-c"), stdin=("words\n" * 20_000,)))
            transport.upload("app1", upload(file, place))
            transport.download("app1", str(place), tmp_path / "back")
        except BalbookError as error:
            return error
        finally:
            transport.close()
        return None

    assert session(0) is None
    whole = cut.passed
    assert whole > 2 * file.stat().st_size
    for after in [*range(1, 6_000, 397), *range(6_000, int(whole * 0.98), whole // 30)]:
        error = session(after)
        assert isinstance(error, HostUnreachable), (after, whole, error)
        assert error.message.startswith("app1: "), error
        assert not list(tmp_path.glob(".back*")), "half a file"


@pytest.mark.parametrize("what", ["unknown", "changed"])
def test_a_host_key_that_is_not_the_known_one_is_refused(
    changed: Callable[[Change], Transport], deployed: Hotel, tmp_path: Path, what: str
) -> None:
    lines = deployed.lab.known_hosts.read_text().splitlines()
    ours = next(line for line in lines if f":{deployed.lab.servers['app1'].port} " in line)
    theirs = next(line for line in lines if f":{deployed.lab.servers['app2'].port} " in line)
    place, key = ours.split(" ", 1)[0], theirs.split(" ", 1)[1]
    known = tmp_path / "known_hosts"
    known.write_text("\n".join([*(line for line in lines if line != ours), *([f"{place} {key}"] if what == "changed" else [])]) + "\n")
    transport = changed(lambda d: [host.update(known_hosts=str(known)) for host in d["hosts"].values()])
    outcomes = fan_out(["app1", "app2", "lb1"], lambda host: transport.execute(host, HELLO).stdout)
    assert outcomes.succeeded == {"app2": "hello\n", "lb1": "hello\n"}
    error = outcomes.failed["app1"]
    assert isinstance(error, HostKeyError)
    assert error.host == "app1"
    assert ("has changed: expected SHA256:" if what == "changed" else f"is not in {known}") in error.message
    assert ("ssh-keygen -R" if what == "changed" else "ssh-keyscan -p") in error.advice


def test_a_login_that_is_refused_says_as_whom_and_other_hosts_answer(changed: Callable[[Change], Transport], tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", stranger], check=True)
    transport = changed(lambda d: d["hosts"]["app2"].update(identity=str(stranger)))
    outcomes = fan_out(["app1", "app2"], lambda host: transport.execute(host, HELLO).stdout)
    assert list(outcomes.succeeded) == ["app1"]
    error = outcomes.failed["app2"]
    assert isinstance(error, LoginRefused)
    assert f"app2: login as {pwd.getpwuid(os.getuid()).pw_name} was refused" in error.message
    assert "identity" in error.advice


def test_an_encrypted_key_without_an_agent_is_told(
    changed: Callable[[Change], Transport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", tmp_path / "locked"], check=True)
    transport = changed(lambda d: d["hosts"]["app1"].update(identity=str(tmp_path / "locked")))
    with pytest.raises(LoginRefused, match="app1: the private key is encrypted") as raised:
        transport.execute("app1", HELLO)
    assert "ssh-add" in raised.value.advice


@pytest.fixture
def mute_port() -> Iterator[int]:
    """A port that takes connections and closes them without a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_close_all, args=(server,), daemon=True).start()
        yield int(server.getsockname()[1])


def _close_all(server: socket.socket) -> None:
    while True:
        try:
            server.accept()[0].close()
        except OSError:
            return


def test_hosts_that_cannot_be_reached_are_all_named_with_the_reason(changed: Callable[[Change], Transport], mute_port: int) -> None:
    def change(data: dict[str, Any]) -> None:
        data["hosts"]["app1"]["port"] = 1
        data["hosts"]["app2"]["address"] = "no-such-host.invalid"
        data["hosts"]["build1"]["port"] = mute_port

    transport = changed(change)
    outcomes = fan_out(["app1", "app2", "build1", "lb1"], lambda host: transport.execute(host, HELLO).stdout)
    assert list(outcomes.succeeded) == ["lb1"]
    assert all(isinstance(error, HostUnreachable) and "Is the machine up" in error.advice for error in outcomes.failed.values())
    assert "app1: 127.0.0.1:1 cannot be reached: Connection refused" in outcomes.failed["app1"].message
    with pytest.raises(BalbookError) as raised:
        outcomes.require()
    assert all(host in raised.value.message for host in ("3 of 4 hosts", "app1:", "app2: no-such-host.invalid", "build1:"))


def test_a_host_behind_another_is_reached_through_it(changed: Callable[[Change], Transport], deployed: Hotel) -> None:
    transport = changed(lambda d: d["hosts"]["app1"].update(jump="lb1"))
    shown = transport.execute("app1", script("where", 'pwd; echo "$SSH_CONNECTION"')).stdout.splitlines()
    assert shown[0] == str(deployed.lab.servers["app1"].home)
    assert shown[1].endswith(f" {deployed.lab.servers['app1'].port}")
    blocked = changed(lambda d: d["hosts"]["app1"].update(jump="lb1", port=1))
    with pytest.raises(HostUnreachable, match=r"app1: lb1 cannot reach 127\.0\.0\.1:1"):
        blocked.execute("app1", HELLO)


@pytest.fixture
def ssh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return folder


def bare(data: dict[str, Any]) -> None:
    """All that `~/.ssh/config` can say is left to it."""
    host = data["hosts"]["app1"]
    for key in ("port", "user", "identity", "known_hosts"):
        del host[key]
    host["address"] = "the-first"


def test_the_users_ssh_config_fills_what_the_inventory_leaves_open(
    changed: Callable[[Change], Transport], deployed: Hotel, ssh_home: Path
) -> None:
    server, jump = deployed.lab.servers["app1"], deployed.lab.servers["lb1"]
    shutil.copy(deployed.lab.client_key, ssh_home / "lab_key")
    shutil.copy(deployed.lab.known_hosts, ssh_home / "lab_known")
    user = pwd.getpwuid(os.getuid()).pw_name
    (ssh_home / "config").write_text(
        f"Host the-first\n  Port {server.port}\n  ProxyJump the-jump\nHost the-jump\n  Port {jump.port}\n"
        f"Host the-*\n  HostName 127.0.0.1\n  User {user}\n  IdentityFile ~/.ssh/lab_key\n  UserKnownHostsFile ~/.ssh/lab_known\n"
    )
    transport = changed(bare)
    assert transport.execute("app1", Command(("pwd",))).stdout.strip() == str(server.home)


def test_a_way_that_leads_in_a_circle_is_told(changed: Callable[[Change], Transport], ssh_home: Path) -> None:
    (ssh_home / "config").write_text("Host *\n  ProxyJump the-jump\n")
    with pytest.raises(HostUnreachable, match="in a circle: app1 -> the-jump -> the-jump"):
        changed(bare).execute("app1", HELLO)


def test_an_ssh_config_that_cannot_be_read_is_named(changed: Callable[[Change], Transport], ssh_home: Path) -> None:
    (ssh_home / "config").write_text('Host "the-first\n')
    with pytest.raises(BadInput, match=r"\.ssh/config cannot be read"):
        changed(bare)


def test_a_file_is_uploaded_once_and_left_alone_when_it_is_there(transport: Transport, deployed: Hotel, file: Path) -> None:
    place = deployed.lab.servers["app1"].home / "new folder" / "it's here"
    said: list[tuple[int, int]] = []
    assert transport.upload("app1", upload(file, place), lambda sent, total: said.append((sent, total)))
    assert said[-1] == (400_000, 400_000)
    assert place.read_bytes() == file.read_bytes()
    assert place.stat().st_mode & 0o777 == 0o640
    before = place.stat()
    assert not transport.upload("app1", upload(file, place))
    assert (place.stat().st_ino, place.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    shutil.rmtree(place.parent)


def test_a_file_with_another_sha256_is_refused_and_nothing_is_left(transport: Transport, deployed: Hotel, file: Path) -> None:
    place = deployed.lab.servers["app1"].home / "refused" / "artifact"
    place.parent.mkdir()
    place.write_text("the old one")
    with pytest.raises(CommandFailed, match=r"app1: .* could not be put in place: sha256 is [0-9a-f]{64}, expected 0{64}"):
        transport.upload("app1", upload(file, place, "0" * 64))
    assert [p.name for p in place.parent.iterdir()] == ["artifact"]
    assert place.read_text() == "the old one"
    shutil.rmtree(place.parent)


def test_a_file_that_is_not_here_is_a_store_error(transport: Transport, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="the file to upload does not exist"):
        transport.upload("app1", Upload(str(tmp_path / "gone"), "0" * 64, "/tmp/never-made"))


@pytest.fixture
def full_place(deployed: Hotel) -> Iterator[Path]:
    """A folder of app1 where 64 kB fit: a small file system as root, else a limit that the host's sessions set."""
    server = deployed.lab.servers["app1"]
    place = server.home / "full"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "balbook-test", place], capture_output=True, check=False)
    enter = (server.folder / "enter").read_text()
    if mounted.returncode != 0:
        (server.folder / "enter").write_text("trap '' XFSZ\nulimit -f 64\n" + enter)
    yield place
    (server.folder / "enter").write_text(enter)
    if mounted.returncode == 0:
        subprocess.run(["umount", place], check=True)
    shutil.rmtree(place)


def test_a_disk_that_is_full_is_told_and_nothing_half_written_stays(transport: Transport, full_place: Path, file: Path) -> None:
    (full_place / "artifact").write_text("the old one")
    with pytest.raises(CommandFailed, match=r"(No space left|File too large)") as raised:
        transport.upload("app1", upload(file, full_place / "artifact"))
    assert raised.value.message.startswith(f"app1: {full_place}/artifact could not be put in place:")
    assert [p.name for p in full_place.iterdir()] == ["artifact"]
    assert (full_place / "artifact").read_text() == "the old one"


def test_a_place_that_cannot_be_written_is_told(transport: Transport, deployed: Hotel, file: Path) -> None:
    blocker = deployed.lab.servers["app1"].home / "blocker"
    blocker.write_text("a file where a folder should be")
    with pytest.raises(CommandFailed, match=r"app1: .*/blocker/artifact could not be put in place: mkdir: .*blocker"):
        transport.upload("app1", upload(file, blocker / "artifact"))
    blocker.unlink()


def test_a_host_that_is_not_in_the_inventory_names_the_nearest(deployed: Hotel, transport: Transport) -> None:
    inventory: Inventory = deployed.inventory
    assert "app1" in inventory.hosts
    with pytest.raises(BadInput, match="host 'ap1' is not in the inventory") as raised:
        transport.execute("ap1", HELLO)
    assert "Did you mean 'app1'?" in raised.value.advice
