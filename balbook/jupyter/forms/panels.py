"""Panels as HTML: what is waited for, what is out of order, what went wrong, what it came to. Pure; no widget."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

from balbook.jupyter.forms.style import CSS
from balbook.run.display import SIGNS
from balbook.show.table import Table, folded_log

BOX = {"succeeded": "bb-good", "planned": "bb-busy", "failed": "bb-bad", "inconclusive": "bb-note"}


@dataclass(frozen=True)
class Html:
    """HTML that a notebook shows; `text` is for those that show none."""

    html: str
    text: str
    data: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return self.text

    def bundle(self) -> dict[str, str]:
        """The formats that a front end chooses from; `data` comes beside them."""
        return {"text/html": CSS + self.html, "text/plain": self.text, **self.data}

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
    told = f"<p>{inline(advice)}</p>" if advice else ""
    html = f"<div class='bb-box bb-busy {css}' role='status'><h4>{sign} {inline(message)}</h4>{told}</div>"
    return Html(html, f"WAITING: {message}\n{advice}".rstrip())


def warning(message: str, advice: str = "") -> Html:
    """Something is out of order; the verdict will say so."""
    told = f"<p>{inline(advice)}</p>" if advice else ""
    html = f"<div class='bb-box bb-note bb-warning' role='alert'><h4>⚠ {inline(message)}</h4>{told}</div>"
    return Html(html, f"WARNING: {message}\n{advice}".rstrip())


def error(trouble: Trouble) -> Html:
    """What failed, where, the last lines, the state now, what to do next; the traceback folded."""
    parts = [(trouble.heading, _paragraphs(trouble.what)), ("Where", inline(trouble.where)), ("Last lines", folded_log(trouble.log))]
    parts += [("State now", listed(trouble.state)), ("What to do next", _next(trouble))]
    body = "".join(f"<h4>{title}</h4>{html}" for title, html in parts if html)
    if trouble.traceback:
        body += f"<details class='bb-traceback'><summary>Traceback</summary><pre>{escape(trouble.traceback)}</pre></details>"
    words = [trouble.what, *trouble.state, trouble.advice, *trouble.commands]
    return Html(f"<div class='bb-box bb-bad bb-panel-error' role='alert'>{body}</div>", "✘ " + "\n".join(w for w in words if w))


def verdict(word: str, why: str, runbook: str, run_id: str) -> Html:
    """The verdict, big: a sign, a word, and why it is not better."""
    reason = f"<pre>{escape(why)}</pre>" if why else ""
    html = (
        f"<div class='bb-box {BOX[word]} bb-verdict' role='status' data-verdict='{word}'><div class='bb-big'>"
        f"<b>{SIGNS[word]} {word}</b></div><p>{escape(runbook)}, run <code>{escape(run_id)}</code></p>{reason}</div>"
    )
    return Html(html, f"{SIGNS[word]} {word.upper()}: {runbook} (run {run_id})" + (f"\n{why}" if why else ""))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, css: str = "", caption: str = "") -> str:
    """A table of cells that are HTML already; without a head where no column has a name."""
    heads = "".join(f"<th scope='col'>{escape(c)}</th>" for c in columns)
    head = f"<thead><tr>{heads}</tr></thead>" if any(columns) else ""
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table class='{css}'>{title}{head}<tbody>{body}</tbody></table>"


def command(line: str) -> str:
    """A command to copy."""
    return f"<pre class='bb-command'><code>{escape(line)}</code></pre>"


def of_table(shown: Table) -> Html:
    """A table of balbook's own."""
    rows = [[escape(str(cell)) for cell in row] for row in shown.rows]
    html = table([str(c) for c in shown.columns], rows, caption=shown.title)
    return Html(f"<div class='bb-box bb-busy'>{html}</div>", str(shown))


def inline(text: str) -> str:
    """Text with `code` in backquotes, **strong** words, and lines kept."""
    marked = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escape(text))
    return re.sub(r"\*\*([^*\n]+)\*\*", r"<b>\1</b>", marked).replace("\n", "<br>")


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{inline(line)}</p>" for line in text.splitlines() if line.strip())


def listed(lines: Sequence[str]) -> str:
    """Sentences, one below the other; empty for none."""
    return "<ul>" + "".join(f"<li>{inline(line)}</li>" for line in lines) + "</ul>" if lines else ""


def _next(trouble: Trouble) -> str:
    return _paragraphs(trouble.advice) + "".join(command(line) for line in trouble.commands)
