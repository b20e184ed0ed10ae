"""Tables for people: the same rows as text in a terminal and as HTML in a notebook."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

BAD = ("failed", "NOT taken back", "unmet", "no", "unreachable", "undo_failed", "lost", "inconclusive")
SHOWN_LINES = 12
FIRST_LINES, LAST_LINES, ERROR_LINES = 3, 8, 20
ERROR_LINE = re.compile(
    r"(errors?|exceptions?|failures?|failed)\b|\b(fail|fatal|panic|refused|denied|cannot|traceback)\b|^\s*at \S+\(", re.IGNORECASE
)
PRINTED = (
    "@media print{details:not([open])::details-content{content-visibility:visible;display:block}"
    "details:not([open])>:not(summary){display:block}}"
)
"""On paper nobody can unfold anything."""
CSS = (
    "<style>.bb{border-collapse:collapse;font-variant-numeric:tabular-nums}.bb caption{text-align:left;font-weight:600;padding:4px 0}"
    ".bb th,.bb td{text-align:left!important;padding:3px 12px 3px 0;border-bottom:1px solid rgba(128,128,128,.35);vertical-align:top;"
    "white-space:pre-wrap}.bb .bad{font-weight:700;background:rgba(213,94,0,.22)}" + PRINTED + "</style>"
)


@dataclass(frozen=True)
class Folded:
    """What a command said, under a title: in a notebook what counts is in view and the rest folded, in a terminal it is its last lines.

    Of a short text without an error nothing but the title counts.
    """

    title: str
    text: str

    def __str__(self) -> str:
        return "\n".join([self.title, *(f"  {line}" for line in self.text.splitlines()[-SHOWN_LINES:])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if is_short(self.text) and not ERROR_LINE.search(self.text):
            return f"<details><summary><b>{escape(self.title)}</b></summary>{_pre(self.text.rstrip())}</details>"
        return f"<p><b>{escape(self.title)}</b></p>{folded_log(self.text)}"


@dataclass(frozen=True)
class Link:
    """A cell that leads to a file: a link in a notebook, its text in a terminal. `target` is relative to the notebook."""

    text: str
    target: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Table:
    """Rows under columns. In HTML a cell that says something bad stands out, but for the first of a row, which names it."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""
    note: str = ""

    def __str__(self) -> str:
        cells = [[str(c) for c in self.columns], *([str(c) for c in row] for row in self.rows)]
        widths = [max(len(_first_line(row[i])) for row in cells) for i in range(len(self.columns))]
        lines = [self.title] if self.title else []
        for number, row in enumerate(cells):
            lines.append("  ".join(_first_line(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
            if number == 0:
                lines.append("  ".join("-" * min(width, 80) for width in widths))
        return "\n".join([*lines, *([self.note] if self.note else [])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th scope='col'>{escape(str(c))}</th>" for c in self.columns)
        body = "".join("<tr>" + "".join(_cell(c, is_name=not number) for number, c in enumerate(row)) + "</tr>" for row in self.rows)
        caption = f"<caption>{escape(self.title)}</caption>" if self.title else ""
        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        return f"{CSS}<table class='bb'>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}"


Shown = Table | Folded
"""What a notebook shows as evidence."""


def folded_log(text: str) -> str:
    """The first and the last lines and every line that speaks of an error in view, all of it below a fold; empty for no text."""
    lines = text.rstrip().splitlines()
    if not lines:
        return ""
    if is_short(text):
        return _pre(text.rstrip())
    wrong = [i for i, line in enumerate(lines) if ERROR_LINE.search(line)]
    left_out = max(0, len(wrong) - ERROR_LINES)
    shown = sorted({*range(FIRST_LINES), *wrong[:ERROR_LINES], *range(len(lines) - LAST_LINES, len(lines))})
    view: list[str] = []
    for before, number in zip([-1, *shown], shown, strict=False):
        if number > before + 1:
            view.append(f"… {number - before - 1} lines …")
        view.append(lines[number])
    more = f"; above are the first {ERROR_LINES} that speak of errors, {left_out} more lines speak of errors" if left_out else ""
    whole = f"<details><summary>All {len(lines)} lines{more}</summary>{_pre(text.rstrip())}</details>"
    return _pre("\n".join(view)) + whole


def is_short(text: str) -> bool:
    """Whether leaving lines out would save nothing."""
    return len(text.rstrip().splitlines()) <= FIRST_LINES + LAST_LINES + 2


def _pre(text: str) -> str:
    return f"<pre style='white-space:pre-wrap'>{escape(text)}</pre>"


def _cell(value: object, is_name: bool) -> str:
    """`is_name`: the first of its row says what the row is about, `failed` say, and is neither good nor bad."""
    text = str(value)
    mark = " class='bad'" if text in BAD and not is_name else ""
    shown = f"<a href='{escape(quote(value.target))}'>{escape(text)}</a>" if isinstance(value, Link) else escape(text)
    return f"<td{mark}>{shown}</td>"


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0]
