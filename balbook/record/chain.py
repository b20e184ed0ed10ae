"""The faults in a chain of hashes, each with its place: of a journal and of a ledger, from their bytes alone.

A broken link only shows that one of two neighbours was altered. The next link shows which one: an element is intact where its
successor has its hash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from balbook.local.digests import canonical, sha256_of
from balbook.record.journal import START
from balbook.record.ledger import FIELDS


def journal_faults(data: bytes, *, head: str, events: int, cut_bytes: int = 0) -> list[str]:
    """The differences from the sealed journal, which had `events` lines, the last with the sha256 `head`, then `cut_bytes`."""
    *lines, cut = data.split(b"\n")
    faults = []
    if len(cut) != cut_bytes:
        faults.append(f"event {len(lines) + 1} is cut off: {len(cut)} bytes follow the last whole event, {cut_bytes} were sealed")
    parsed = [_parsed(line) for line in lines]
    order = _order(parsed, events)
    own = {i: "is not written as balbook writes" for i, event in enumerate(parsed, 1) if event is None}
    links = [""] if not lines else [str((e or {}).get("prev", "")) for e in parsed]
    blamed = set(own) if order else _blamed([sha256_of(line) for line in lines], links, set(own), start=START, head=head)
    kinds = {i: str((event or {}).get("event", "?")) for i, event in enumerate(parsed, 1)}
    faults += [f"event {i} ({kinds[i]}): {own.get(i, 'was altered')}" for i in sorted(blamed)]
    return order + faults


def entry_faults(number: int, text: bytes) -> tuple[dict[str, Any], list[str]]:
    """An entry's data (empty: unreadable), and the faults of its own bytes."""
    data = _parsed(text.removesuffix(b"\n")) if text.endswith(b"\n") else None
    if data is None or set(data) != FIELDS or not all(isinstance(data[k], str) for k in FIELDS - {"number", "version"}):
        return {}, [f"entry {number}: is not written as balbook writes"]
    if data["version"] != 1:
        return data, [f"entry {number}: has version {data['version']}"]
    if data["number"] != number:
        return data, [f"entry {number}: entry {data['number']} stands in its place"]
    return data, []


def link_faults(entries: Mapping[int, tuple[str, str]], suspects: set[int]) -> dict[int, str]:
    """The faults of the entries that break the chain, by number; `entries` has sha256 and `previous` by number.

    `suspects` have faults of their own, or do not fit the record that they name.
    """
    faults = {n: f"entry {n}: is missing" for n in range(1, max(entries, default=0) + 1) if n not in entries}
    for _, neighbours in groupby(enumerate(sorted(entries)), lambda place: place[1] - place[0]):
        run = [number for _, number in neighbours]
        hashes, links = [entries[n][0] for n in run], [entries[n][1] for n in run]
        start = START if run[0] == 1 else links[0]
        suspected = {run.index(n) + 1 for n in suspects if n in run}
        for i in _blamed(hashes, links, suspected, start=start, head=None):
            if run[i - 1] not in suspects:
                faults[run[i - 1]] = f"entry {run[i - 1]}: was altered: it does not fit its neighbours in the chain"
    return faults


def _blamed(hashes: Sequence[str], links: Sequence[str], suspects: set[int], *, start: str, head: str | None) -> set[int]:
    """The altered elements (from 1). `links[i]` is the hash of the element before `i`, `head` the hash of the last."""
    count = len(hashes)
    # The next element's link vouches for an element, the sealed head for the last one.
    vouchers = [*links[1:], head]
    is_vouched = [vouchers[i] == hashes[i] for i in range(count)]
    blamed = set(suspects)
    if count and links[0] != start:
        blamed.add(1)
    for i in range(count):
        if is_vouched[i] or vouchers[i] is None:
            continue
        is_last = i == count - 1
        if is_last or is_vouched[i + 1]:
            blamed.add(i + 1)
        elif not blamed & {i + 1, i + 2}:
            blamed.add(i + 2)
    return blamed


def _order(parsed: Sequence[Mapping[str, Any] | None], sealed: int) -> list[str]:
    """The events that are missing, added, doubled or moved, by the places that the readable events say."""
    places = [event.get("seq") if event else None for event in parsed]
    if len(places) == sealed and sum(p != i for i, p in enumerate(places, 1)) <= 1:
        return []  # one changed place in a journal of the right length is an altered event, not a moved one
    faults, expected = [], 1
    for place in places:
        if not isinstance(place, int) or place == expected:
            expected += 1
        elif place > expected:
            gone = [n for n in range(expected, place) if n not in places]
            faults += [f"event {n}: is missing" for n in gone if n <= sealed]
            faults += [f"event {place}: stands too early, before event {expected}"] if not gone else []
            expected = place + 1
        else:
            doubled = places.count(place) > 1
            faults.append(f"event {place}: {'stands more than once' if doubled else 'stands too late'}")
    faults += [f"event {n}: is missing at the end" for n in range(expected, sealed + 1) if n not in places]
    faults += [f"event {n}: was added" for n in range(sealed + 1, expected)]
    return faults


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The object with this line as its canonical text; None for any other line."""
    try:
        value = json.loads(line)
        return value if isinstance(value, dict) and canonical(value) == line else None
    except (ValueError, RecursionError):
        return None
