"""Whatever is altered in a sealed record or in the ledger is found, and the right place is named."""

from __future__ import annotations

import itertools
import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from balbook.local.digests import canonical, sha256_of
from balbook.record import signatures as signing
from balbook.record.ledger import Head, open_ledger
from balbook.record.seal import Record, seal
from balbook.record.verify import Report, verify_records
from tests.run_folders import Keys, make_keys, rechain, run_folder, sealed

ENTRIES = 20
MIDDLE = 10
MASKS = (0x01, 0x20, 0x80)


class Sealed:
    """Records that all tests share, each putting back what it alters."""

    def __init__(self, records: Path, keys: Keys, made: list[Record]) -> None:
        self.records, self.keys, self.made = records, keys, made
        self.head = made[-1].entry.head if made[-1].entry else Head(0, "")

    def entry(self, number: int) -> Path:
        return self.records / "ledger" / f"{number:08}.json"

    def record(self, number: int) -> Path:
        return self.made[number - 1].folder

    def verify(self, number: int | None = None) -> Report:
        path = self.record(number) if number else self.records
        return verify_records(path, trust=self.keys.trust, anchors=[self.head])

    def verify_without_anchor(self) -> Report:
        return verify_records(self.records, trust=self.keys.trust)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sealed]:
    folder = tmp_path_factory.mktemp("tampering")
    keys = make_keys(folder)
    book = Sealed(folder / "records", keys, sealed(folder / "records", keys, ENTRIES))
    yield book
    assert book.verify().verdict == "succeeded", "a test has left something altered"


@pytest.fixture(autouse=True)
def _remembered_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same signature of the same bytes is looked at by ssh-keygen once."""
    for name in ("verify", "check"):
        genuine, seen = getattr(signing, name), {}

        def remembered(
            *args: object, genuine: Callable[..., object] = genuine, seen: dict[str, object] = seen, **options: object
        ) -> object:
            key = repr((args, {k: v for k, v in options.items() if k != "principal"}))
            if key not in seen:
                try:
                    seen[key] = genuine(*args, **options)
                except signing.SignatureError as exc:
                    seen[key] = exc
            if isinstance(found := seen[key], signing.SignatureError):
                raise found
            return found

        monkeypatch.setattr(signing, name, remembered)


@contextmanager
def altered(path: Path, data: bytes) -> Iterator[None]:
    before = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data)
    try:
        yield
    finally:
        path.write_bytes(before)


def flipped(data: bytes, position: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= MASKS[position % len(MASKS)]
    return bytes(changed)


def told(report: Report) -> str:
    assert report.exit_status == 1, f"not found: {report}"
    return "\n".join(f"{f.place}: {f.text}" for check in report.checks for f in check.findings if not f.is_open)


def missed(book: Sealed, number: int, path: Path, places: list[int], expected: Callable[[int], str]) -> list[tuple[int, str]]:
    """The positions whose flip is not found, or not with `expected` in what is said."""
    data, wrong = path.read_bytes(), []
    for position in places:
        with altered(path, flipped(data, position)):
            report = book.verify(number)
        text = "\n".join(f"{f.place}: {f.text}" for check in report.checks for f in check.findings if not f.is_open)
        if report.exit_status != 1 or expected(position) not in text:
            wrong.append((position, text))
    return wrong


@pytest.mark.parametrize("name", ["statement.json", "statement.json.sig", "journal.jsonl", "hot_deploy.ipynb"])
def test_some_flipped_bytes_of_each_file_are_found(book: Sealed, name: str) -> None:
    """All of them are in the tests marked `integration`, which take longer."""
    path = book.record(MIDDLE) / name
    assert missed(book, MIDDLE, path, list(range(0, path.stat().st_size, 211)), lambda _: "") == []


def test_every_bit_of_the_version_and_what_stands_around_it_is_found(book: Sealed) -> None:
    path = book.record(MIDDLE) / "statement.json"
    data, expected = path.read_bytes(), f"{book.record(MIDDLE).name}: statement.json is not the one of entry {MIDDLE}"
    place = data.index(b'"version": 1')
    for position, bit in itertools.product([0, 1, *range(place - 2, place + 14)], range(8)):
        changed = bytearray(data)
        changed[position] ^= 1 << bit
        with altered(path, bytes(changed)):
            assert expected in told(book.verify(MIDDLE)), (position - place, bit)


def test_untouched_records_verify(book: Sealed) -> None:
    assert [check.state for check in book.verify().checks] == ["ok"] * 7


@pytest.mark.integration
@pytest.mark.parametrize(("number", "every"), [(MIDDLE, 1), (ENTRIES, 5)])
def test_every_flipped_byte_of_a_statement_is_found(book: Sealed, number: int, every: int) -> None:
    path = book.record(number) / "statement.json"
    positions = list(range(0, path.stat().st_size, every))
    expected = f"{book.record(number).name}: statement.json is not the one of entry {number}"
    assert missed(book, number, path, positions, lambda _: expected) == []


@pytest.mark.integration
@pytest.mark.parametrize("number", [MIDDLE, ENTRIES])
def test_every_flipped_byte_of_a_signature_is_found(book: Sealed, number: int) -> None:
    path = book.record(number) / "statement.json.sig"
    expected = f"{book.record(number).name}: statement.json.sig is not the one of entry {number}"
    assert missed(book, number, path, list(range(path.stat().st_size)), lambda _: expected) == []


@pytest.mark.integration
@pytest.mark.parametrize("number", [1, MIDDLE, ENTRIES - 1, ENTRIES])
def test_every_flipped_byte_of_a_ledger_entry_is_found(book: Sealed, number: int) -> None:
    path = book.entry(number)
    assert missed(book, number, path, list(range(path.stat().st_size)), lambda _: f"entry {number}: ") == []


@pytest.mark.integration
def test_every_flipped_byte_of_a_journal_is_found_with_its_event(book: Sealed) -> None:
    path = book.record(MIDDLE) / "journal.jsonl"
    data = path.read_bytes()

    def event(position: int) -> str:
        number = data.count(b"\n", 0, position) + 1
        return f"event {number} "

    assert missed(book, MIDDLE, path, list(range(len(data))), event) == []


@pytest.mark.integration
def test_flipped_bytes_of_a_notebook_are_found(book: Sealed) -> None:
    path = book.record(MIDDLE) / "hot_deploy.ipynb"
    positions = random.Random(7).sample(range(path.stat().st_size), 500)
    expected = f"{book.record(MIDDLE).name}: hot_deploy.ipynb was altered"
    assert missed(book, MIDDLE, path, positions, lambda _: expected) == []


@pytest.mark.parametrize("place", [0, 4, 20, 21])
def test_a_dropped_event_is_found(book: Sealed, place: int) -> None:
    path = book.record(3) / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    with altered(path, b"".join(lines[:place] + lines[place + 1 :])):
        assert f"event {place + 1}: is missing" in told(book.verify(3))


def test_reordered_events_are_found(book: Sealed) -> None:
    path = book.record(3) / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4], lines[5] = lines[5], lines[4]
    with altered(path, b"".join(lines)):
        text = told(book.verify(3))
    assert "event 6: stands too early, before event 5" in text
    assert "event 5: stands too late" in text


def test_a_doubled_event_is_found(book: Sealed) -> None:
    path = book.record(3) / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    with altered(path, b"".join([*lines[:5], lines[4], *lines[5:]])):
        assert "event 5: stands more than once" in told(book.verify(3))


def test_a_truncated_journal_is_found(book: Sealed) -> None:
    path = book.record(3) / "journal.jsonl"
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    with altered(path, b"".join(lines[:-2])):
        text = told(book.verify(3))
    assert f"event {len(lines) - 1}: is missing at the end" in text
    assert f"event {len(lines)}: is missing at the end" in text
    with altered(path, data[:-9]):
        assert f"event {len(lines)}: " in told(book.verify(3))


def test_an_added_event_is_found(book: Sealed) -> None:
    path = book.record(3) / "journal.jsonl"
    data = path.read_bytes()
    event = json.dumps({"at": "2026-03-01T08:10:00.000Z", "event": "note", "prev": "00", "seq": 23}, sort_keys=True, separators=(",", ":"))
    with altered(path, data + event.encode() + b"\n"):
        assert "event 23: was added" in told(book.verify(3))


@pytest.mark.parametrize("number", [1, 7, ENTRIES])
def test_a_dropped_entry_is_found(book: Sealed, number: int) -> None:
    with altered(book.entry(number), b""):
        book.entry(number).unlink()
        text = told(book.verify())
    assert f"entry {number}" in text
    assert f"{book.record(number).name}: has no entry in the ledger" in text


def test_reordered_entries_are_found(book: Sealed) -> None:
    fifth, sixth = book.entry(5).read_bytes(), book.entry(6).read_bytes()
    with altered(book.entry(5), sixth), altered(book.entry(6), fifth):
        text = told(book.verify())
    assert "entry 5: entry 6 stands in its place" in text
    assert "entry 6: entry 5 stands in its place" in text


def rewritten(book: Sealed, tmp_path: Path, order: list[int]) -> Report:
    """What is said, without an anchor, of a ledger that was written anew with these of its entries; the other records are gone."""
    texts = {number: book.entry(number).read_bytes() for number in range(1, ENTRIES + 1)}
    gone = [book.record(number) for number in texts if number not in order]
    for folder in gone:
        folder.rename(tmp_path / folder.name)
    try:
        rechain(book.records / "ledger", [texts[number] for number in order])
        return book.verify_without_anchor()
    finally:
        rechain(book.records / "ledger", list(texts.values()))
        for folder in gone:
            (tmp_path / folder.name).rename(folder)


@pytest.mark.parametrize("number", [1, MIDDLE, ENTRIES - 1])
def test_a_record_that_was_dropped_from_a_ledger_chained_anew_is_found_without_an_anchor(book: Sealed, tmp_path: Path, number: int) -> None:
    text = told(rewritten(book, tmp_path, [n for n in range(1, ENTRIES + 1) if n != number]))
    assert f"{book.record(number + 1).name}: when it was signed, entry {number} was another one" in text


def test_records_in_another_order_in_a_ledger_chained_anew_are_found_without_an_anchor(book: Sealed, tmp_path: Path) -> None:
    text = told(rewritten(book, tmp_path, [*range(1, ENTRIES - 1), ENTRIES, ENTRIES - 1]))
    assert f"{book.record(ENTRIES).name}: when it was signed, entry {ENTRIES - 1} was another one" in text


def test_a_record_that_knows_nothing_of_the_ledger_is_as_good_as_before(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    folder = sealed(tmp_path / "records", keys, 1)[0].folder
    statement = json.loads((folder / "statement.json").read_bytes())
    del statement["predicate"]["ledger_head"]
    text = json.dumps(statement).encode()
    signature = signing.sign(text, keys.key)
    (folder / "statement.json").write_bytes(text)
    (folder / "statement.json.sig").write_bytes(signature)
    entry = json.loads((tmp_path / "records" / "ledger" / "00000001.json").read_bytes())
    rechain(
        tmp_path / "records" / "ledger",
        [canonical({**entry, "statement_sha256": sha256_of(text), "signature_sha256": sha256_of(signature)})],
    )
    assert [c.state for c in verify_records(tmp_path / "records", trust=keys.trust).checks] == ["ok"] * 6 + ["open"]


def test_records_that_were_sealed_at_once_have_no_order_to_show(tmp_path: Path) -> None:
    keys = make_keys(tmp_path)
    ledger = open_ledger(tmp_path / "records" / "ledger")
    sealed(tmp_path / "records", keys, 1)
    head = ledger.head()
    ledger.head = lambda: head  # type: ignore[method-assign]
    for run_id in ("left", "right"):
        seal(run_folder(tmp_path / "records", run_id), ledger, sign_with=keys.key)
    assert verify_records(tmp_path / "records", trust=keys.trust).exit_status == 3


def test_a_doubled_entry_is_found(book: Sealed) -> None:
    copy = book.entry(ENTRIES + 1)
    try:
        shutil.copy(book.entry(9), copy)
        text = told(book.verify())
    finally:
        copy.unlink()
    assert f"entry {ENTRIES + 1}: entry 9 stands in its place" in text
    assert f"{book.record(9).name}: has 2 entries in the ledger: 9, {ENTRIES + 1}" in text


def test_a_truncated_ledger_is_found_against_an_anchor(book: Sealed, tmp_path: Path) -> None:
    gone = [*(book.entry(n) for n in (19, 20)), *(book.record(n) for n in (19, 20))]
    for path in gone:
        path.rename(tmp_path / path.name)
    try:
        anchored, unanchored = book.verify(), book.verify_without_anchor()
    finally:
        for path in gone:
            (tmp_path / path.name).rename(path)
    assert "entries 19 to 20 are missing at the end: the anchor has entry 20, the ledger ends with entry 18" in told(anchored)
    assert unanchored.exit_status == 3, "without an anchor a cut end cannot be seen, and that is said"


def test_a_ledger_rewritten_as_a_whole_is_found_against_an_anchor(book: Sealed) -> None:
    other = Head(12, "0" * 64)
    report = verify_records(book.records, trust=book.keys.trust, anchors=[other, book.head])
    assert "entry 12 is not the one that was anchored" in told(report)


def test_records_behind_the_last_anchor_are_inconclusive(book: Sealed) -> None:
    entry = book.made[11].entry
    assert entry
    report = verify_records(book.records, trust=book.keys.trust, anchors=[entry.head])
    assert report.exit_status == 3
    assert "not anchored since 12" in report.checks[6].findings[0].text


@pytest.mark.parametrize("name", ["hot_deploy.ipynb", "journal.jsonl", "latency.png", "statement.json", "statement.json.sig"])
def test_files_swapped_between_records_are_found_on_both_sides(book: Sealed, name: str) -> None:
    one, other = book.record(4) / name, book.record(8) / name
    a, b = one.read_bytes(), other.read_bytes()
    with altered(one, b), altered(other, a):
        text = told(book.verify())
    for here, there in ((4, 8), (8, 4)):
        said = {
            "statement.json": f"statement.json is that of {book.record(there).name}",
            "statement.json.sig": f"statement.json.sig is not the one of entry {here}",
        }
        assert f"{book.record(here).name}: " + said.get(name, f"{name} was exchanged: it is {book.record(there).name}/{name}") in text


def test_swapped_record_folders_are_found(book: Sealed, tmp_path: Path) -> None:
    one, other = book.record(4), book.record(8)

    def swap() -> None:
        one.rename(tmp_path / "aside")
        other.rename(one)
        (tmp_path / "aside").rename(other)

    swap()
    try:
        text = told(book.verify())
    finally:
        swap()
    assert f"{one.name}: statement.json is that of {other.name}" in text


def test_a_missing_and_an_added_file_are_found(book: Sealed, tmp_path: Path) -> None:
    plan, extra = book.record(2) / "plan.json", book.record(2) / "extra.txt"
    plan.rename(tmp_path / "plan.json")
    extra.write_text("x")
    try:
        text = told(book.verify(2))
    finally:
        (tmp_path / "plan.json").rename(plan)
        extra.unlink()
    assert "plan.json is missing" in text
    assert "extra.txt was added after the seal" in text


def test_a_removed_record_is_found(book: Sealed, tmp_path: Path) -> None:
    book.record(6).rename(tmp_path / "gone")
    try:
        text = told(book.verify())
    finally:
        (tmp_path / "gone").rename(book.record(6))
    assert f"{book.record(6).name}: the record's folder is missing; entry 6 is intact" in text


def test_a_removed_signature_is_found(book: Sealed) -> None:
    path = book.record(5) / "statement.json.sig"
    with altered(path, b""):
        assert "statement.json.sig is missing; entry 5 is intact" in told(book.verify(5))


def test_a_name_that_is_no_entry_is_found(book: Sealed) -> None:
    stray = book.records / "ledger" / "3.json"
    stray.write_text("{}")
    try:
        assert "ledger/3.json: is not an entry" in told(book.verify())
    finally:
        stray.unlink()
