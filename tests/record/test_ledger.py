"""The ledger: entries are created once, whole, in one chain, by any number of controllers at once."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from balbook.errors import BadInput, RecordError
from balbook.local.digests import sha256_of
from balbook.record.journal import START
from balbook.record.ledger import Head, Ledger, head_from, number_of, open_ledger
from balbook.record.seal import seal
from balbook.record.verify import verify_records
from tests.registry_servers import s3_bucket
from tests.run_folders import run_folder

FIELDS = {
    "at": "2026-03-01T08:00:00.000Z",
    "name": "build",
    "record": "r",
    "signature_sha256": "",
    "statement_sha256": "ab" * 32,
    "unsigned": "no key",
    "verdict": "succeeded",
}


def fields(record: str) -> dict[str, str]:
    return {**FIELDS, "record": record}


def chain(ledger: Ledger) -> list[str]:
    """The records in order, after looking at every link."""
    before, records = START, []
    for number in ledger.numbers():
        entry = ledger.entry(number)
        assert (entry.number, entry.data["number"], entry.data["previous"]) == (number, number, before)
        before = sha256_of(ledger.read(number))
        records.append(entry.data["record"])
    assert ledger.numbers() == list(range(1, len(records) + 1))
    return records


def append_many(location: str, name: str, number: int) -> None:
    ledger = open_ledger(location)
    for i in range(number):
        ledger.append(fields(f"{name}-{i}"))


def test_entries_form_a_chain(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger")
    made = [ledger.append(fields(f"r{i}")) for i in range(3)]
    assert chain(ledger) == ["r0", "r1", "r2"]
    assert sorted(p.name for p in (tmp_path / "ledger").iterdir()) == ["00000001.json", "00000002.json", "00000003.json"]
    assert ledger.head() == made[-1].head


def test_several_controllers_append_at_once_and_all_get_in(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=append_many, args=(str(tmp_path / "ledger"), name, 12)) for name in ("a", "b", "c")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    records = chain(open_ledger(tmp_path / "ledger"))
    assert sorted(records) == sorted(f"{name}-{i}" for name in "abc" for i in range(12))


def test_appending_reads_names_and_one_entry_only(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger")
    append_many(ledger.location, "r", 10)
    read: list[str] = []
    genuine = ledger.store.read
    ledger.store.read = lambda name: read.append(name) or genuine(name)  # type: ignore[method-assign, func-returns-value]
    ledger.append(fields("last"))
    assert read == ["00000010.json"]


def test_another_controller_that_always_wins_is_given_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = open_ledger(tmp_path / "ledger")
    monkeypatch.setattr("balbook.record.ledger.MOST_ATTEMPTS", 3)
    monkeypatch.setattr(ledger.store, "create", lambda name, data: False)
    with pytest.raises(RecordError, match="came first"):
        ledger.append(fields("r"))


def test_an_entry_is_never_written_over(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger")
    ledger.append(fields("first"))
    before = ledger.read(1)
    assert ledger.store.create("00000001.json", b"other") is False
    assert ledger.read(1) == before
    assert [p.name for p in (tmp_path / "ledger").iterdir()] == ["00000001.json"]


def test_a_record_is_found_from_the_end(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger")
    append_many(ledger.location, "r", 4)
    found = ledger.find("r-1")
    assert found
    assert found.number == 2
    assert ledger.find("none") is None
    assert open_ledger(tmp_path / "none").head() is None


def test_an_unreadable_and_a_newer_entry_are_named(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "ledger")
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "00000001.json").write_text("{")
    with pytest.raises(RecordError, match="entry 1 cannot be read"):
        ledger.entry(1)
    (tmp_path / "ledger" / "00000001.json").write_text(json.dumps({"version": 2}))
    with pytest.raises(BadInput, match="version 2"):
        ledger.entry(1)


def test_a_head_is_one_line() -> None:
    head = Head(7, "0a" * 32)
    assert head.line().count(b"\n") == 1
    assert head_from(head.line()) == head
    for wrong in ("", "{}", '{"entry_sha256":"x","ledger":1,"number":7}', "[1]", '{"entry_sha256":1,"ledger":1,"number":1}'):
        with pytest.raises(BadInput, match="not the head"):
            head_from(wrong)


@pytest.mark.parametrize(
    ("name", "number"), [("00000012.json", 12), ("123456789.json", 123456789), ("12.json", 0), ("00000012.json~", 0), ("000000012.json", 0)]
)
def test_only_one_name_is_a_numbers_name(name: str, number: int) -> None:
    assert number_of(name) == number


def test_a_ledger_that_cannot_be_opened_is_bad_input() -> None:
    with pytest.raises(BadInput, match="cannot be opened"):
        open_ledger("nosuchstore://bucket/prefix")


class Unreliable:
    """Object storage whose answers get lost: `fails` says when, and whether the object was made all the same."""

    def __init__(self, fails: str) -> None:
        self.fails, self.objects = fails, dict[str, bytes]()

    def ls(self, path: str, **options: object) -> list[str]:
        return [] if self.fails != "always" else self.fail()

    def cat_file(self, path: str) -> bytes:
        if self.fails == "always":
            self.fail()
        if path not in self.objects:
            raise FileNotFoundError(path)
        return self.objects[path]

    def pipe_file(self, path: str, data: bytes, mode: str) -> None:
        if self.fails == "after":
            self.objects[path] = data
        if self.fails == "taken":
            self.objects[path] = b"another's"
        if self.fails == "retried":
            self.objects[path] = data
            raise FileExistsError(path)
        self.fail()

    def fail(self) -> NoReturn:
        raise RuntimeError("no credentials")  # as botocore does it: none of its errors is an OSError


def unreliable(fails: str) -> Ledger:
    pytest.importorskip("fsspec")
    ledger = open_ledger("memory://ledger")
    ledger.store._files = Unreliable(fails)  # type: ignore[attr-defined]
    return ledger


@pytest.mark.parametrize("fails", ["after", "retried"])
def test_an_entry_that_was_made_although_the_answer_was_lost_is_made_once(fails: str) -> None:
    ledger = unreliable(fails)
    assert ledger.append(fields("r")).number == 1
    assert ledger.read(1).startswith(b'{"at"')


def test_a_name_with_other_bytes_is_taken() -> None:
    assert unreliable("taken").store.create("00000001.json", b"ours") is False


@pytest.mark.parametrize("fails", ["before", "always"])
def test_storage_that_cannot_be_reached_keeps_the_verdict_and_says_where_all_of_it_is(fails: str, tmp_path: Path) -> None:
    folder = run_folder(tmp_path, verdict="failed")
    with pytest.raises(OSError, match="no credentials"):
        unreliable(fails).append(fields("r"))
    with pytest.raises(RecordError, match=r"the run has ended \(failed\), but its record could not be written: .*no credentials") as said:
        seal(folder, unreliable(fails))
    assert str(folder) in said.value.advice
    with pytest.raises(RecordError, match=r"cannot be read: .*no credentials"):
        verify_records(tmp_path, ledger=unreliable("always"))


needs_s3 = pytest.mark.skipif(not all(map(importlib.util.find_spec, ("s3fs", "moto", "flask"))), reason="s3fs or moto is not installed")


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with s3_bucket("ledgers") as url:
        yield url


@needs_s3
@pytest.mark.integration
def test_an_s3_ledger_is_a_chain(s3: str) -> None:
    ledger = open_ledger(f"{s3}/one")
    assert ledger.head() is None
    append_many(ledger.location, "r", 3)
    assert chain(open_ledger(ledger.location)) == ["r-0", "r-1", "r-2"]
    assert ledger.store.create("00000003.json", b"other") is False


@needs_s3
@pytest.mark.integration
def test_two_controllers_append_to_an_s3_ledger_at_once(s3: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=append_many, args=(f"{s3}/two", name, 5)) for name in ("a", "b")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(90)
    assert [process.exitcode for process in processes] == [0, 0]
    assert sorted(chain(open_ledger(f"{s3}/two"))) == sorted(f"{name}-{i}" for name in "ab" for i in range(5))


@needs_s3
@pytest.mark.integration
def test_a_bucket_that_is_missing_is_an_os_error(s3: str) -> None:
    with pytest.raises(OSError, match="bucket"):
        open_ledger("s3://no-such-bucket-here/x").append(fields("r"))
