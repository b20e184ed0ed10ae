"""The journal: a chain that several processes write and that nobody can edit unseen."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from balbook.errors import BadInput, Failed
from balbook.local.digests import canonical, sha256_of
from balbook.record.journal import START, Journal
from balbook.secrets.references import Scrubber
from tests.journals import made, verified, writer

AT = datetime(2026, 1, 31, 9, 8, 7, 123456, tzinfo=UTC)


def three_events(path: Path) -> list[bytes]:
    write = writer(Journal(path, now=lambda: AT))
    for name in ("run_opened", "planned", "concluded"):
        write(name, digest=f"about {name}")
    return path.read_bytes().splitlines()


def test_each_event_holds_the_hash_of_the_line_before(tmp_path: Path) -> None:
    written = three_events(tmp_path / "j")
    events = verified(tmp_path / "j")
    assert [e["prev"] for e in events] == [START, sha256_of(written[0]), sha256_of(written[1])]
    assert [(e["seq"], e["at"]) for e in events] == [(n, "2026-01-31T09:08:07.123Z") for n in (1, 2, 3)]


def test_a_journal_is_its_owners_alone(tmp_path: Path) -> None:
    three_events(tmp_path / "j")
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (b"not json", "j:2: this line is not JSON"),
        (b'{"at":"2026-01-31T09:0', "j:2: this line is not JSON; it was cut off or edited"),
        (b"[]", "j:2: this line is not an event"),
        (b'{"at":"","event":"flown","prev":"","seq":2}', "j:2: 'flown' is not a known kind of event"),
        (b'{"at":"","digest":"d","event":"planned","prev":"","seq":2,"steps":1,"unmet":0}', "j:2: the event planned has no changes"),
        (b'{"at":"","event":"stop_requested","prev":"","seq":2,"by":[1]}', "j:2: the event stop_requested has a wrong by"),
    ],
)
def test_a_line_that_is_no_event_is_named_with_file_and_line(tmp_path: Path, line: bytes, named: str) -> None:
    path = tmp_path / "j"
    first, _, third = three_events(path)
    path.write_bytes(b"\n".join([first, line, third, b""]))
    before = path.read_bytes()
    for read in (Journal(path).events, Journal(path).history, Journal(path).follow):
        with pytest.raises(BadInput, match=re.escape(named)) as caught:
            read()
        assert caught.value.advice
        assert caught.value.exit_status == 2
    assert path.read_bytes() == before


def test_a_cut_last_line_is_passed_over_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(b"\n".join(three_events(path))[:-20])
    journal = Journal(path)
    assert [e.event for e in journal.events()] == ["run_opened", "planned"]
    journal.append(made("resumed"))
    assert [e["event"] for e in verified(path)] == ["run_opened", "planned", "resumed"]


@pytest.mark.parametrize("is_cut", [False, True])
def test_what_a_full_disk_does_not_take_is_told_with_advice_and_leaves_a_whole_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_cut: bool
) -> None:
    path = tmp_path / "j"
    lines = three_events(path)
    write = os.pwrite

    def full(fd: int, data: bytes, at: int) -> int:
        if is_cut:
            return write(fd, data[:20], at)  # as much as there was room for
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("balbook.record.journal.os.pwrite", full)
        with pytest.raises(Failed, match="No space left on device") as caught:
            Journal(path).append(made("step_started"))
    assert "space" in caught.value.advice
    assert path.read_bytes().splitlines() == lines
    assert len(verified(path)) == 3


def test_a_journal_whose_folder_is_gone_is_told_as_well(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="No such file"):
        Journal(tmp_path / "gone" / "j").append(made("run_opened"))


def test_a_journal_that_is_nothing_but_a_cut_line_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b'{"at":"2026')
    Journal(tmp_path / "j").append(made("run_opened"))
    assert [e["seq"] for e in verified(tmp_path / "j")] == [1]


@pytest.mark.parametrize("size", [10, 4_000, 5_000, 70_000])
def test_lines_longer_than_a_block_are_followed_on(tmp_path: Path, size: int) -> None:
    journal = Journal(tmp_path / "j")
    for _ in range(3):
        journal.append(made("step_finished", tail="x" * size))
    assert len(verified(tmp_path / "j")) == 3


def test_a_follower_sees_each_event_once_and_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path)
    assert journal.follow() == ([], 0)
    journal.append(made("paused"))
    with path.open("ab") as file:
        file.write(b'{"half')
    events, position = journal.follow()
    assert [e.event for e in events] == ["paused"]
    journal.append(made("run_closed"))
    assert [e.event for e in journal.follow(position)[0]] == ["run_closed"]


def append_many(path: Path, writer: int) -> None:
    for number in range(25):
        Journal(path).append(made("step_finished", step=str(writer), status=number))


def test_processes_that_append_at_once_make_one_chain(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=append_many, args=(tmp_path / "j", n)) for n in range(4)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(60)
        assert process.exitcode == 0
    events = verified(tmp_path / "j")
    assert len(events) == 100
    assert all([e["status"] for e in events if e["step"] == str(n)] == list(range(25)) for n in range(4))


def test_what_is_written_is_cleaned_first_and_its_head_cannot_be_forged(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", clean=lambda fields: {**fields, "seq": 99, "tail": "[secret]"})
    journal.append(made("step_finished", tail="hunter2hunter2", more_of_it=tmp_path))
    event = verified(tmp_path / "j")[0]
    assert (event["tail"], event["seq"], event["more_of_it"]) == ("[secret]", 1, str(tmp_path))


def test_a_count_that_has_the_digits_of_a_secret_stays_a_count(tmp_path: Path) -> None:
    scrubber = Scrubber()
    scrubber.remember("env:PIN", "12345678")
    journal = Journal(tmp_path / "j", clean=scrubber.data)
    journal.append(made("progress", step="upload 12345678", bytes=12345678, total=99999999))
    (event,) = journal.events()
    assert (event.bytes, event.step) == (12345678, "upload [secret env:PIN]")


def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "j").append(made("run_opened", journal=2))
    with pytest.raises(BadInput, match=r"j:1: journal version 2 is newer") as caught:
        Journal(tmp_path / "j").events()
    assert caught.value.exit_status == 2


def test_a_line_is_canonical_json(tmp_path: Path) -> None:
    Journal(tmp_path / "j").append(made("stop_asked", by="ä\r\n\u2028", z=1, a=2))
    line = (tmp_path / "j").read_bytes().rstrip(b"\n")
    assert canonical(json.loads(line)) == line
    assert len(verified(tmp_path / "j")) == 1
