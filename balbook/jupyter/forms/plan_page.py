"""A plan as something that a person can judge: by host and step, with diffs, expected duration and digest."""

from __future__ import annotations

from balbook.jupyter.forms.panels import Html, inline, table
from balbook.plan.model import Plan
from balbook.plan.tables import diffs_by_text, subject
from balbook.show.markup import Markup, joined, markup

MOST_ROWS = 400


def plan_page(plan: Plan, expected: str, environment: str) -> Html:
    """The whole page: preconditions, steps, diffs, digest; `expected` is a sentence about the duration."""
    changes, hosts = len(plan.pending), len({step.host for step in plan.pending})
    todo = f"{changes} of {len(plan.steps)} steps to do, on {hosts} hosts" if changes else "Nothing to do: all steps are done already"
    html = markup(
        "<div class='bb-box {} bb-plan'><h3>Plan: {}</h3><div class='bb-row'><span class='bb-strong'>{}</span>"
        "<span>environment <b>{}</b></span><span class='bb-expected'>{}</span></div>{}{}{}"
        "<p>Digest <code class='bb-digest'>{}</code></p></div>",
        "bb-note" if plan.unmet else "bb-busy", subject(plan), todo, environment, expected,
        _preconditions(plan), _steps(plan), _diffs(plan), plan.digest,
    )  # fmt: skip
    return Html(html, f"Plan: {subject(plan)}. {todo}. {expected} Digest {plan.digest}")


def _preconditions(plan: Plan) -> Markup:
    if not plan.preconditions:
        return Markup()
    states = [markup("<b>✘ {}</b>" if p.state == "unmet" else "{}", inline(p.said)) for p in plan.preconditions]
    rows = [[inline(p.what), state, inline(p.found)] for p, state in zip(plan.preconditions, states, strict=True)]
    unmet = len(plan.unmet)
    title = f"Preconditions: {unmet} of {len(rows)} not met" if unmet else f"Preconditions: all {len(rows)} are met"
    shown = table(("precondition", "state", "found"), rows, css="bb-preconditions")
    return markup("<details{}><summary>{}</summary>{}</details>", " open" if unmet else "", title, shown)


def _steps(plan: Plan) -> Markup:
    """The steps in their order; a host is named once for the steps that follow each other on it."""
    rows, host = [], ""
    for number, step in enumerate(plan.steps[:MOST_ROWS], 1):
        where = markup("<b>{}</b>", step.host) if step.host != host else ""
        host = step.host
        undo = "–" if step.is_done else "taken back if its unit fails" if step.undo else "no"
        rows.append([number, where, inline(step.title), "✔ already done" if step.is_done else "● to do", undo])
    left_out = len(plan.steps) - MOST_ROWS
    more = markup("<p>… and {} more steps; the record's plan.json has all of them.</p>", left_out) if left_out > 0 else ""
    return table(("#", "host", "does", "state", "undo"), rows, css="bb-plan-steps") + more


def _diffs(plan: Plan) -> Markup:
    folded = "<details class='bb-diff'><summary>Diff on {}: {}</summary><pre>{}</pre></details>"
    return joined(markup(folded, ", ".join(hosts), _size(text), _coloured(text)) for text, hosts in diffs_by_text(plan).items())


def _size(text: str) -> str:
    lines = text.splitlines()
    name = next((line[4:].split("\t")[0] for line in lines if line.startswith("+++ ")), "")
    added = sum(line.startswith("+") and not line.startswith("+++") for line in lines)
    removed = sum(line.startswith("-") and not line.startswith("---") for line in lines)
    return f"{name} ".lstrip() + f"+{added} −{removed} lines"


def _coloured(text: str) -> Markup:
    """The lines of a diff, in colours that only repeat the signs."""
    css = {"+": "bb-add", "-": "bb-del"}
    return joined((markup("<span class='{}'>{}</span>", css.get(line[:1], ""), line) for line in text.splitlines()), "\n")
