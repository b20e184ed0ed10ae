"""Marks on the probe's time line: the phases before, during, after, and the states of instances.

A mark's name is a phase (`before`, `during`, `after`), or an instance and its state (`app1:9090 draining`). An instance
is out of service from its first mark on (`draining` where a balancer sends it no more) until one that says `serving`,
`readmitted`, `up`, or `new` (it serves the new release). Other marks (`stage`, `settle`) are kept, and belong to no instance.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

PHASES = ("before", "during", "after")
LEAVING = "draining"
IN_SERVICE = ("serving", "readmitted", "up", "new")
FILE = "phases.json"


@dataclass(frozen=True)
class Mark:
    """`name` holds from `at_s`, in seconds since the probe's start."""

    at_s: float
    name: str


@dataclass(frozen=True)
class Span:
    """From `start_s` to `end_s`: a phase (`subject` empty), or an instance in a state."""

    start_s: float
    end_s: float
    subject: str
    state: str


def mark_name(instances: Sequence[str], state: str) -> str:
    """The name of the mark that tells the state of these instances; empty without a state."""
    return f"{'+'.join(instances)} {state}".lstrip() if state else ""


def phase_spans(marks: Iterable[Mark], end_s: float) -> tuple[Span, ...]:
    """The phases in order, each up to the next one; the last up to `end_s`. The time ahead of `during` is `before`."""
    phases = [mark for mark in _in_order(marks) if mark.name in PHASES]
    if phases and phases[0].name != PHASES[0]:
        phases.insert(0, Mark(0.0, PHASES[0]))
    ends = [mark.at_s for mark in phases[1:]] + [end_s]
    return tuple(Span(mark.at_s, max(mark.at_s, end), "", mark.name) for mark, end in zip(phases, ends, strict=False))


def instance_spans(marks: Iterable[Mark], end_s: float) -> tuple[Span, ...]:
    """The times when an instance was out of service, one span a state."""
    is_open: dict[str, Mark] = {}
    spans: list[Span] = []
    for mark in _in_order(marks):
        subject, _, state = mark.name.partition(" ")
        if mark.name in PHASES or not state or (subject in is_open and is_open[subject].name == mark.name):
            continue
        if earlier := is_open.pop(subject, None):
            spans.append(Span(earlier.at_s, mark.at_s, subject, earlier.name.partition(" ")[2]))
        if state not in IN_SERVICE:
            is_open[subject] = mark
    spans += [Span(mark.at_s, max(mark.at_s, end_s), subject, mark.name.partition(" ")[2]) for subject, mark in is_open.items()]
    return tuple(sorted(spans, key=lambda span: (span.start_s, span.subject)))


def phase_at(spans: Sequence[Span], at_s: float) -> str:
    """The phase at a time; empty before the first."""
    return next((span.state for span in reversed(spans) if at_s >= span.start_s), "")


def read_marks(out_dir: Path) -> tuple[Mark, ...]:
    """The marks of a probe; empty where the probe got no mark."""
    path = out_dir / FILE
    if not path.exists():
        return ()
    return tuple(Mark(float(m["at_s"]), str(m["name"])) for m in json.loads(path.read_text(encoding="utf-8")))


def _in_order(marks: Iterable[Mark]) -> list[Mark]:
    return sorted(marks, key=lambda mark: mark.at_s)
