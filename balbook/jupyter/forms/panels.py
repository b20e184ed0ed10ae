"""Panels as HTML: a wait, a warning, an error, a verdict. Pure; no widget."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from balbook.jupyter.forms.style import CSS
from balbook.run.display import SIGNS
from balbook.show import table as tables
from balbook.show.markup import Markup, escape, joined, markup

BOX = {"succeeded": "bb-good", "planned": "bb-busy", "failed": "bb-bad", "inconclusive": "bb-note"}
FAILURE = "Failure"


@dataclass(frozen=True)
class Html:
    """HTML that a notebook shows; `text` is for front ends that show no HTML."""

    html: Markup
    text: str

    def __repr__(self) -> str:
        return self.text

    def bundle(self) -> dict[str, str]:
        """The formats that a front end chooses from."""
        return {"text/html": str(CSS + self.html), "text/plain": self.text}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return self.bundle()


@dataclass(frozen=True)
class Trouble:
    """An error as a person must know it. `log` has the last output; `commands` can be copied as they stand."""

    what: str
    where: str = ""
    log: str = ""
    state: Sequence[str] = ()
    advice: str = ""
    commands: Sequence[str] = ()
    traceback: str = ""
    heading: str = FAILURE


def waiting(message: str, advice: str = "", *, css: str = "bb-waiting", sign: str = "⏸") -> Html:
    """Nothing failed; the person has to do something first."""
    return _notice(f"bb-busy {css}", "status", sign, "WAITING", message, advice)


def warning(message: str, advice: str = "") -> Html:
    """The notebook or the view is out of order."""
    return _notice("bb-note bb-warning", "alert", "⚠", "WARNING", message, advice)


def _notice(css: str, role: str, sign: str, word: str, message: str, advice: str) -> Html:
    told = markup("<p>{}</p>", inline(advice)) if advice else ""
    html = markup("<div class='bb-box {}' role='{}'><h4>{} {}</h4>{}</div>", css, role, sign, inline(message), told)
    return Html(html, f"{word}: {message}\n{advice}".rstrip())


def error(trouble: Trouble) -> Html:
    """The failure, its place, the last lines, the state now, the next step; the traceback folded."""
    parts = [
        (trouble.heading, _paragraphs(trouble.what)),
        ("Place", inline(trouble.where)),
        ("Last lines", tables.folded_log(trouble.log)),
        ("State now", listed(trouble.state)),
        ("Next step", _paragraphs(trouble.advice) + joined(map(command, trouble.commands))),
    ]
    body = joined(markup("<h4>{}</h4>{}", title, html) for title, html in parts if html)
    if trouble.traceback:
        body += markup("<details class='bb-traceback'><summary>Traceback</summary><pre>{}</pre></details>", trouble.traceback)
    words = [trouble.what, *trouble.state, trouble.advice, *trouble.commands]
    html = markup("<div class='bb-box bb-bad bb-panel-error' role='alert'>{}</div>", body)
    return Html(html, "✘ " + "\n".join(w for w in words if w))


def verdict(word: str, why: str, runbook: str, run_id: str) -> Html:
    """The verdict, big: a sign, a word, and the reason."""
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
    """Sentences, one below the other; empty without sentences."""
    return markup("<ul>{}</ul>", joined(markup("<li>{}</li>", inline(line)) for line in lines)) if lines else Markup()
