"""Each reference is read once for a command, however many processes ask; no value is where others could see it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from balbook.errors import BadInput
from balbook.secrets.references import MAX_FILE_BYTES
from balbook.secrets.secret_ref import SecretRef
from balbook.secrets.vault import Vault

CHILD = """
import os, sys
from pathlib import Path
from balbook.secrets.secret_ref import SecretRef
from balbook.secrets.vault import Vault
vault = Vault(tuple(sys.argv[3:]), Path("/nowhere"))
vault.take_over(int(sys.argv[2]))
"""
ASKS = CHILD + "print([len(vault.reveal(SecretRef(reference))) for reference in vault.references])"
WAITS = CHILD + "print('ready', flush=True); sys.stdin.read()"
NESTS = (
    CHILD
    + """
import subprocess
with vault.handed_over() as fd:
    subprocess.run([sys.executable, "-c", sys.argv[1], "", str(fd), *sys.argv[3:]], pass_fds=(fd,), check=True)
"""
)
SHOWS_ITS_CHILDS = CHILD + "import subprocess; subprocess.run(['ls', '-l', '/proc/self/fd'])"


@pytest.fixture
def counted(tmp_path: Path) -> tuple[str, Path]:
    """A `cmd:` reference, and the file that gets a line for each time that its command is run."""
    count = tmp_path / "count"
    return f"cmd:sh -c 'echo x >> {count}; echo canary-of-a-command'", count


def secret_file(path: Path, value: str) -> str:
    path.touch(mode=0o600)
    path.write_text(value)
    return f"file:{path}"


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def child(vault: Vault, source: str, *words: str, references: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    with vault.handed_over() as fd:
        argv = [sys.executable, "-c", source, *(words or ("",)), str(fd), *(references or vault.references)]
        return subprocess.run(argv, pass_fds=(fd,), capture_output=True, text=True, timeout=60, check=False)


def test_a_reference_is_read_when_it_is_first_needed_and_once(tmp_path: Path, counted: tuple[str, Path]) -> None:
    reference, count = counted
    vault = Vault((reference,), tmp_path)
    assert vault.scrubber.text("canary-of-a-command") == "canary-of-a-command"
    assert not count.exists()
    assert [vault.reveal(SecretRef(reference)) for _ in range(3)] == ["canary-of-a-command"] * 3
    vault.everything()
    assert count.read_text() == "x\n"
    assert "canary" not in vault.scrubber.text("it is canary-of-a-command").replace(reference, "")


def test_what_is_read_quietly_is_known_from_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "canary-of-a-variable")
    vault = Vault(("env:TOKEN", secret_file(tmp_path / "pw", "canary-of-a-file"), "env:MISSING"), tmp_path)
    assert vault.scrubber.text("canary-of-a-variable") == "[secret env:TOKEN]"
    assert vault.scrubber.text("canary-of-a-file").startswith("[secret file:")


def test_one_that_cannot_be_read_is_tried_once_and_refused_each_time(tmp_path: Path) -> None:
    count = tmp_path / "count"
    vault = Vault((f"cmd:sh -c 'echo x >> {count}; exit 3'",), tmp_path)
    vault.everything()
    for _ in range(2):
        with pytest.raises(BadInput, match="ended with status 3"):
            vault.reveal(SecretRef(vault.references[0]))
    assert count.read_text() == "x\n"


def test_a_command_of_a_reference_inherits_no_other_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "canary-of-a-variable")
    vault = Vault(("env:TOKEN", "cmd:sh -c 'echo has ${TOKEN:-no such variable}'"), tmp_path)
    assert vault.reveal(SecretRef(vault.references[1])) == "has no such variable"


def test_processes_below_ask_the_one_above_and_it_reads_once(tmp_path: Path, counted: tuple[str, Path]) -> None:
    reference, count = counted
    vault = Vault((reference,), tmp_path)
    for source, words in ((ASKS, ()), (NESTS, (ASKS,)), (ASKS, ())):
        done = child(vault, source, *words)
        assert done.stdout == f"[{len('canary-of-a-command')}]\n", done.stderr
    assert count.read_text() == "x\n"
    assert vault.scrubber.text("canary-of-a-command") != "canary-of-a-command", "what is read for a process below is not shown here"


def test_one_that_the_process_above_cannot_read_is_refused_below_for_the_same_reason(tmp_path: Path) -> None:
    done = child(Vault(("env:MISSING_FOR_SURE",), tmp_path), ASKS)
    assert "the secret env:MISSING_FOR_SURE is not set" in done.stderr


def test_values_larger_than_a_pipe_holds_arrive(tmp_path: Path) -> None:
    value = "".join(chr(33 + n % 90) for n in range(MAX_FILE_BYTES))
    vault = Vault(tuple(secret_file(tmp_path / f"pw{n}", value[n:]) for n in range(3)), tmp_path)
    # Not through a scrubber: patterns of such a length cost seconds.
    vault._scrubber.remember = lambda *_: None  # type: ignore[method-assign]
    quick = ASKS.replace("vault.take_over", "vault._scrubber.remember = lambda *_: None; vault.take_over")
    done = child(vault, quick)
    assert json.loads(done.stdout) == [MAX_FILE_BYTES - n for n in range(3)], done.stderr


def test_a_child_that_dies_before_it_has_read_holds_nobody_up(tmp_path: Path) -> None:
    vault = Vault((secret_file(tmp_path / "pw", "canary-of-a-file"),), tmp_path)
    asks_and_dies = "import os, sys; os.write(int(sys.argv[2]), b'[]\\n[]\\n[]\\n'); os.kill(os.getpid(), 9)"
    for source in ("raise SystemExit(7)", asks_and_dies):
        child(vault, source)
    done = child(vault, ASKS)
    assert done.stdout == "[16]\n", done.stderr


def test_below_a_process_that_has_ended_a_secret_is_refused(tmp_path: Path, counted: tuple[str, Path]) -> None:
    above, below = Vault((), tmp_path), Vault((counted[0],), tmp_path)
    with above.handed_over() as fd:
        below.take_over(fd)
    assert below._above is not None
    below._above.shutdown(2)
    with pytest.raises(BadInput, match="has ended"):
        below.reveal(SecretRef(counted[0]))


def test_an_interrupt_leaves_no_answer_for_the_next_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    above, below = Vault((), tmp_path), Vault(("file:nowhere",), tmp_path)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with above.handed_over() as fd:
        below.take_over(fd)
        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "makefile", interrupted)
            with pytest.raises(KeyboardInterrupt):
                below.everything()
    with pytest.raises(BadInput, match="has ended"):
        below.everything()


def test_a_number_that_is_no_such_descriptor_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as other, pytest.raises(BadInput, match="another process"):
        Vault((), tmp_path).take_over(other.fileno())
    with pytest.raises(BadInput, match="another process"):
        Vault((), tmp_path).take_over(987654)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_no_value_is_in_arguments_or_environment_and_no_grandchild_has_the_descriptor(tmp_path: Path) -> None:
    vault = Vault((secret_file(tmp_path / "pw", "canary-of-a-file"),), tmp_path)
    vault.everything()
    with vault.handed_over() as fd:
        argv = [sys.executable, "-c", WAITS, "", str(fd), *vault.references]
        with subprocess.Popen(argv, pass_fds=(fd,), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            place = Path("/proc") / str(process.pid)
            assert b"canary" not in (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
            process.kill()
    done = child(vault, SHOWS_ITS_CHILDS)
    assert done.stdout.count("->") > 2
    assert "socket" not in done.stdout


def test_nothing_is_left_open_once_a_child_has_ended(tmp_path: Path) -> None:
    vault = Vault((), tmp_path)
    child(vault, ASKS)
    before = open_files()
    for _ in range(5):
        child(vault, ASKS)
    deadline = time.monotonic() + 10
    while open_files() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert open_files() <= before
