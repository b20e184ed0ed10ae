"""Tables for people: the same rows as text in a terminal and as HTML in a notebook."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from balbook.show.markup import Markup, joined, markup

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
"""On paper everything is unfolded."""
CSS = Markup(
    "<style>.bb{border-collapse:collapse;font-variant-numeric:tabular-nums}.bb caption{text-align:left;font-weight:600;padding:4px 0}"
    ".bb th,.bb td{text-align:left!important;padding:3px 12px 3px 0;border-bottom:1px solid rgba(128,128,128,.35);vertical-align:top;"
    "white-space:pre-wrap}.bb .bad{font-weight:700;background:rgba(213,94,0,.22)}" + PRINTED + "</style>"
)


@dataclass(frozen=True)
class Folded:
    """The output of a command, under a title: a notebook shows the lines that count and folds the rest, a terminal shows the last lines.

    Of a short text without an error only the title counts.
    """

    title: str
    text: str

    def __str__(self) -> str:
        return "\n".join([self.title, *(f"  {line}" for line in self.text.splitlines()[-SHOWN_LINES:])])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        if is_short(self.text) and not ERROR_LINE.search(self.text):
            return markup("<details><summary><b>{}</b></summary>{}</details>", self.title, _pre(self.text))
        return markup("<p><b>{}</b></p>{}", self.title, folded_log(self.text))


@dataclass(frozen=True)
class Link:
    """A cell that leads to a file: a link in a notebook, its text in a terminal. `target` is relative to the notebook."""

    text: str
    target: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Table:
    """Rows under columns. In HTML a cell with bad news stands out, except the first of a row, which names the row."""

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
        rows = [[_cell(cell, is_name=not number) for number, cell in enumerate(row)] for row in self.rows]
        return CSS + table(self.columns, rows, css="bb", caption=self.title) + (markup("<p>{}</p>", self.note) if self.note else "")


Shown = Table | Folded
"""The kinds of evidence in a notebook."""


def table(columns: Sequence[object], rows: Sequence[Sequence[Markup]], *, css: str = "", caption: str = "") -> Markup:
    """A table of `<td>` cells; without a head where no column has a name."""
    return markup(
        "<table class='{}'>{}{}<tbody>{}</tbody></table>",
        css,
        markup("<caption>{}</caption>", caption) if caption else "",
        markup("<thead><tr>{}</tr></thead>", joined(markup("<th scope='col'>{}</th>", c) for c in columns)) if any(columns) else "",
        joined(markup("<tr>{}</tr>", joined(row)) for row in rows),
    )


def folded_log(text: str) -> Markup:
    """The first and the last lines and every line about an error in view, the whole text below a fold; empty for no text."""
    lines = text.rstrip().splitlines()
    if not lines:
        return Markup()
    if is_short(text):
        return _pre(text)
    wrong = [i for i, line in enumerate(lines) if ERROR_LINE.search(line)]
    left_out = max(0, len(wrong) - ERROR_LINES)
    shown = sorted({*range(FIRST_LINES), *wrong[:ERROR_LINES], *range(len(lines) - LAST_LINES, len(lines))})
    view: list[str] = []
    for before, number in zip([-1, *shown], shown, strict=False):
        if number > before + 1:
            view.append(f"… {number - before - 1} lines …")
        view.append(lines[number])
    more = f"; above are the first {ERROR_LINES} lines about errors; {left_out} more lines are about errors" if left_out else ""
    return _pre("\n".join(view)) + markup("<details><summary>All {} lines{}</summary>{}</details>", len(lines), more, _pre(text))


def is_short(text: str) -> bool:
    """True where leaving lines out would save nothing."""
    return len(text.rstrip().splitlines()) <= FIRST_LINES + LAST_LINES + 2


def _pre(text: str) -> Markup:
    return markup("<pre style='white-space:pre-wrap'>{}</pre>", text.rstrip())


def _cell(value: object, is_name: bool) -> Markup:
    """A cell; one that names its row (`is_name`), with `failed` for instance, is neither good nor bad news."""
    text = str(value)
    shown = markup("<a href='{}'>{}</a>", quote(value.target), text) if isinstance(value, Link) else text
    return markup("<td class='bad'>{}</td>" if text in BAD and not is_name else "<td>{}</td>", shown)


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0]
