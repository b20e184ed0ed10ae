"""Panels as HTML: what is waited for, what is out of order, what went wrong, what it came to. Pure; no widget."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from balbook.jupyter.forms.style import CSS
from balbook.run.display import SIGNS
from balbook.show import table as tables
from balbook.show.markup import Markup, escape, joined, markup

BOX = {"succeeded": "bb-good", "planned": "bb-busy", "failed": "bb-bad", "inconclusive": "bb-note"}


@dataclass(frozen=True)
class Html:
    """HTML that a notebook shows; `text` is for those that show none."""

    html: Markup
    text: str
    data: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return self.text

    def bundle(self) -> dict[str, str]:
        """The formats that a front end chooses from; `data` comes beside them."""
        return {"text/html": str(CSS + self.html), "text/plain": self.text, **self.data}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return self.bundle()


@dataclass(frozen=True)
class Trouble:
    """What a person must know of an error. `log` is what was said last; `commands` can be copied as they stand."""

    what: str
    where: str = ""
    log: str = ""
    state: Sequence[str] = ()
    advice: str = ""
    commands: Sequence[str] = ()
    traceback: str = ""
    heading: str = "What failed"


def waiting(message: str, advice: str = "", *, css: str = "bb-waiting", sign: str = "⏸") -> Html:
    """Nothing failed; something has to be done first."""
    return Html(_notice(f"bb-busy {css}", "status", sign, message, advice), f"WAITING: {message}\n{advice}".rstrip())


def warning(message: str, advice: str = "") -> Html:
    """Something is out of order; the verdict will say so."""
    return Html(_notice("bb-note bb-warning", "alert", "⚠", message, advice), f"WARNING: {message}\n{advice}".rstrip())


def _notice(css: str, role: str, sign: str, message: str, advice: str) -> Markup:
    told = markup("<p>{}</p>", inline(advice)) if advice else ""
    return markup("<div class='bb-box {}' role='{}'><h4>{} {}</h4>{}</div>", css, role, sign, inline(message), told)


def error(trouble: Trouble) -> Html:
    """What failed, where, the last lines, the state now, what to do next; the traceback folded."""
    parts = [(trouble.heading, _paragraphs(trouble.what)), ("Where", inline(trouble.where)), ("Last lines", tables.folded_log(trouble.log))]
    parts += [("State now", listed(trouble.state)), ("What to do next", _next(trouble))]
    body = joined(markup("<h4>{}</h4>{}", title, html) for title, html in parts if html)
    if trouble.traceback:
        body += markup("<details class='bb-traceback'><summary>Traceback</summary><pre>{}</pre></details>", trouble.traceback)
    words = [trouble.what, *trouble.state, trouble.advice, *trouble.commands]
    html = markup("<div class='bb-box bb-bad bb-panel-error' role='alert'>{}</div>", body)
    return Html(html, "✘ " + "\n".join(w for w in words if w))


def verdict(word: str, why: str, runbook: str, run_id: str) -> Html:
    """The verdict, big: a sign, a word, and why it is not better."""
    html = markup(
        "<div class='bb-box {} bb-verdict' role='status' data-verdict='{word}'><div class='bb-big'><b>{} {word}</b></div>"
        "<p>{}, run <code>{}</code></p>{}</div>",
        BOX[word], SIGNS[word], runbook, run_id, markup("<pre>{}</pre>", why) if why else "", word=word,
    )  # fmt: skip
    return Html(html, f"{SIGNS[word]} {word.upper()}: {runbook} (run {run_id})" + (f"\n{why}" if why else ""))


def table(columns: Sequence[object], rows: Sequence[Sequence[object]], *, css: str = "", caption: str = "") -> Markup:
    """A table; without a head where no column has a name."""
    return tables.table(columns, [[markup("<td>{}</td>", cell) for cell in row] for row in rows], css=css, caption=caption)


def command(line: str) -> Markup:
    """A command to copy."""
    return markup("<pre class='bb-command'><code>{}</code></pre>", line)


def of_table(shown: tables.Table) -> Html:
    """A table of balbook's own."""
    return Html(markup("<div class='bb-box bb-busy'>{}</div>", table(shown.columns, shown.rows, caption=shown.title)), str(shown))


def inline(text: str) -> Markup:
    """Text with `code` in backquotes, **strong** words, and lines kept."""
    marked = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"\*\*([^*\n]+)\*\*", r"<b>\1</b>", marked).replace("\n", "<br>"))


def _paragraphs(text: str) -> Markup:
    return joined(markup("<p>{}</p>", inline(line)) for line in text.splitlines() if line.strip())


def listed(lines: Sequence[str]) -> Markup:
    """Sentences, one below the other; empty for none."""
    return markup("<ul>{}</ul>", joined(markup("<li>{}</li>", inline(line)) for line in lines)) if lines else Markup()


def _next(trouble: Trouble) -> Markup:
    return _paragraphs(trouble.advice) + joined(command(line) for line in trouble.commands)
