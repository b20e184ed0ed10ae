"""A plan as something that a person can judge: by host and step, with diffs, expected duration and digest."""

from __future__ import annotations

from html import escape

from balbook.jupyter.forms.durations import Expected
from balbook.jupyter.forms.panels import Html, inline, table
from balbook.plan.model import Plan, Precondition, Step
from balbook.plan.tables import diffs_by_text, subject

MOST_ROWS = 400


def plan_page(plan: Plan, expected: Expected, environment: str) -> Html:
    """The whole page: preconditions, steps, diffs, duration, digest."""
    changes, hosts = len(plan.pending), len({step.host for step in plan.pending})
    todo = f"{changes} of {len(plan.steps)} steps to do, on {hosts} hosts" if changes else "Nothing to do: all of it is so already"
    head = (
        f"<h3>Plan: {escape(subject(plan))}</h3><div class='bb-row'><span class='bb-strong'>{todo}</span>"
        f"<span>environment <b>{escape(environment)}</b></span><span class='bb-expected'>{escape(str(expected))}</span></div>"
    )
    digest = f"<p>Digest <code class='bb-digest'>{plan.digest}</code></p>"
    html = head + _preconditions(plan) + _steps(plan) + _diffs(plan) + digest
    css = "bb-note" if plan.unmet else "bb-busy"
    return Html(f"<div class='bb-box {css} bb-plan'>{html}</div>", f"Plan: {subject(plan)}. {todo}. {expected} Digest {plan.digest}")


def _preconditions(plan: Plan) -> str:
    rows = [[inline(p.what), _state_of(p), inline(p.found)] for p in plan.preconditions]
    if not rows:
        return ""
    unmet = len(plan.unmet)
    title = f"Preconditions: {unmet} of {len(rows)} not met" if unmet else f"Preconditions: all {len(rows)} are met"
    shown = table(("precondition", "state", "found"), rows, css="bb-preconditions")
    return f"<details{' open' if unmet else ''}><summary>{title}</summary>{shown}</details>"


def _state_of(precondition: Precondition) -> str:
    return f"<b>✘ {inline(precondition.said)}</b>" if precondition.state == "unmet" else precondition.said


def _steps(plan: Plan) -> str:
    """In the order in which they are done; what is the same host as above is not said again."""
    rows, host = [], ""
    for number, step in enumerate(plan.steps[:MOST_ROWS], 1):
        where = f"<b>{escape(step.host)}</b>" if step.host != host else ""
        host = step.host
        rows.append([str(number), where, inline(step.title), "✔ already done" if step.is_done else "● to do", _undo(step)])
    left_out = len(plan.steps) - MOST_ROWS
    more = f"<p>… and {left_out} more steps; all of them stand in the record's plan.json.</p>" if left_out > 0 else ""
    return table(("#", "host", "does", "state", "undo"), rows, css="bb-plan-steps") + more


def _undo(step: Step) -> str:
    if step.is_done:
        return "–"
    return "taken back if its unit fails" if step.undo else "no"


def _diffs(plan: Plan) -> str:
    return "".join(
        f"<details class='bb-diff'><summary>Diff on {escape(', '.join(hosts))}: {_size(text)}</summary>"
        f"<pre>{_coloured(text)}</pre></details>"
        for text, hosts in diffs_by_text(plan).items()
    )


def _size(text: str) -> str:
    lines = text.splitlines()
    name = next((line[4:].split("\t")[0] for line in lines if line.startswith("+++ ")), "")
    added = sum(line.startswith("+") and not line.startswith("+++") for line in lines)
    removed = sum(line.startswith("-") and not line.startswith("---") for line in lines)
    return escape(f"{name} ".lstrip() + f"+{added} −{removed} lines")


def _coloured(text: str) -> str:
    """The signs say it all; the colours help."""
    css = {"+": "bb-add", "-": "bb-del"}
    lines = [(css.get(line[:1], ""), escape(line)) for line in text.splitlines()]
    return "\n".join(f"<span class='{c}'>{line}</span>" if c else line for c, line in lines)
