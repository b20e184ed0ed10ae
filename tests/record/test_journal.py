"""The journal: a chain that several processes write and that nobody can edit unseen."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from balbook.errors import BadInput, Failed
from balbook.plan.model import canonical
from balbook.record.journal import START, Journal, digest
from tests.journals import made, verified

AT = datetime(2026, 1, 31, 9, 8, 7, 123456, tzinfo=UTC)


def three_events(path: Path) -> list[bytes]:
    journal = Journal(path, now=lambda: AT)
    for name in ("run_opened", "planned", "concluded"):
        journal.append(name, note=f"about {name}")
    return path.read_bytes().splitlines()


def test_each_event_holds_the_hash_of_the_line_before(tmp_path: Path) -> None:
    lines = three_events(tmp_path / "j")
    events = verified(tmp_path / "j")
    assert [e["prev"] for e in events] == [START, digest(lines[0]), digest(lines[1])]
    assert [(e["seq"], e["at"]) for e in events] == [(n, "2026-01-31T09:08:07.123Z") for n in (1, 2, 3)]


def test_a_journal_is_its_owners_alone(tmp_path: Path) -> None:
    three_events(tmp_path / "j")
    assert (tmp_path / "j").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("number", "change", "named"),
    [
        (2, lambda line: line.replace(b"about planned", b"about nothing"), "event 3"),
        (3, lambda line: line.replace(b'"seq":3', b'"seq":4'), "event 3: seq is 4"),
        (2, lambda line: line.replace(b'{"at"', b'{ "at"'), "event 2"),
        (2, lambda line: b"not json", "event 2 is not JSON"),
        (2, lambda line: b"[]", "event 2 is not an object"),
        (2, lambda line: None, "event 2: seq is 3"),
    ],
)
def test_verify_names_the_first_event_that_does_not_fit(tmp_path: Path, number: int, change: object, named: str) -> None:
    path = tmp_path / "j"
    lines: list[bytes | None] = [*three_events(path)]
    lines[number - 1] = change(lines[number - 1])  # type: ignore[operator]
    path.write_bytes(b"".join(line + b"\n" for line in lines if line is not None))
    with pytest.raises(Failed, match=named):
        verified(path)


def test_a_cut_last_line_is_seen_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "j"
    lines = three_events(path)
    path.write_bytes(b"\n".join(lines)[:-20])
    with pytest.raises(Failed, match="cut off"):
        verified(path)
    journal = Journal(path)
    assert [e["event"] for e in lines(journal)] == ["run_opened", "planned"]
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
    journal.append("one")
    with path.open("ab") as file:
        file.write(b'{"half')
    events, position = journal.follow()
    assert [e["event"] for e in events] == ["one"]
    journal.append("two")
    assert [e["event"] for e in journal.follow(position)[0]] == ["two"]


def append_many(path: Path, writer: int) -> None:
    for number in range(25):
        Journal(path).append("note", writer=writer, number=number)


def test_processes_that_append_at_once_make_one_chain(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=append_many, args=(tmp_path / "j", n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    events = verified(tmp_path / "j")
    assert len(events) == 100
    assert all([e["number"] for e in events if e["writer"] == n] == list(range(25)) for n in range(4))


def test_what_is_written_is_cleaned_first_and_its_head_cannot_be_forged(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", clean=lambda fields: {**fields, "seq": 99, "secret": "[secret]"})
    journal.append("note", secret="hunter2hunter2", path=tmp_path)
    event = verified(tmp_path / "j")[0]
    assert (event["secret"], event["seq"], event["path"]) == ("[secret]", 1, str(tmp_path))


def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "j").append(made("run_opened", journal=2))
    with pytest.raises(BadInput, match="newer"):
        verified(tmp_path / "j")


def test_a_line_is_canonical_json(tmp_path: Path) -> None:
    Journal(tmp_path / "j").append("note", text="ä\r\n\u2028", z=1, a=2)
    line = (tmp_path / "j").read_bytes().rstrip(b"\n")
    assert canonical(json.loads(line)) == line
    assert len(verified(tmp_path / "j")) == 1
