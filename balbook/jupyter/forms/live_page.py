"""The live view as HTML: twice a second while it goes on, and once more as the static twin that stays in the notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from balbook.jupyter.forms.chart import instance_chart, instances_now, latency_chart
from balbook.jupyter.forms.durations import spoken
from balbook.jupyter.forms.live import NOT_STARTED, PENDING, RUNNING, TAKING_BACK, Live, StepView
from balbook.jupyter.forms.panels import Html, inline, table
from balbook.jupyter.forms.sample_bins import Samples

MOST_ROWS = 40
"""Rows of the live table: what runs and what failed always, then the neighbours of what runs."""
MARKS = {
    PENDING: "· to do",
    RUNNING: "▶ running",
    TAKING_BACK: "↩ taking back",
    "changed": "✔ done",
    "already": "✔ already so",
    "failed": "✘ FAILED",
    "undone": "↩ taken back",
    "undo_failed": "✘ NOT taken back",
}
BOX = {
    "succeeded": "bb-good",
    "failed": "bb-bad",
    "lost": "bb-bad",
    "inconclusive": "bb-note",
    "stopping": "bb-note",
    NOT_STARTED: "bb-note",
}


def live_page(live: Live, samples: Samples | None, now_s: float, probe_offset_s: float) -> Html:
    """What a person looks at while the run goes on."""
    end_s = max(now_s, 5.0)
    seen = samples.sent if samples else 0
    parts = [_head(live, now_s), _notes(live)]
    if live.instances:
        parts += [instance_chart(live.instances, end_s), _instances(live)]
    if samples and samples.sent:
        parts.append(latency_chart(samples, probe_offset_s, end_s))
    parts.append(_table(live, _worth_showing(list(live.steps.values())), now_s))
    attributes = f"data-samples='{seen}' data-events='{live.history.count}' data-state='{live.word}'"
    html = f"<div class='bb-box {BOX.get(live.word, 'bb-busy')} bb-live' {attributes}>{''.join(parts)}</div>"
    return Html(html, f"{live.doing} {live.done} of {len(live.steps)} steps are over.")


def static_page(live: Live, now_s: float) -> Html:
    """The same without pictures: all steps with their times, what became of each instance, what was measured."""
    parts = [_head(live, now_s), _notes(live), _table(live, list(live.steps.values()), now_s)]
    if live.instances:
        rows = [[escape(name), *_history(live, name)] for name in live.instances]
        parts.append(table(("instance", "states", "in the end"), rows, css="bb-instances-table", caption="Instances"))
    measured = live.history.measured
    sent = measured.sent if measured and measured.sent is not None else 0
    if measured and measured.sent is not None:
        told = f"{sent}, failed {measured.failed}, closed by reload {measured.closed_by_reload}"
        parts.append(f"<p>Requests sent from outside meanwhile: {told}.</p>")
    attributes = f"data-samples='{sent}' data-events='{live.history.count}' data-state='{live.word}'"
    html = f"<div class='bb-box {BOX.get(live.word, 'bb-busy')} bb-live' {attributes}>{''.join(parts)}</div>"
    return Html(html, f"{live.doing} {live.done} of {len(live.steps)} steps are over. {instances_now(live.instances)}".strip())


def _head(live: Live, now_s: float) -> str:
    css = "bb-strong bb-outcome" if live.is_over else "bb-strong"
    word = live.outcome if live.is_over else live.word.capitalize()
    return (
        f"<div class='bb-row'><span class='{css}'>{escape(word)}</span><span>{live.done} of {len(live.steps)} steps are over</span>"
        f"<span>{spoken(now_s)}</span><span>plan <code>{live.plan.digest[:12]}</code></span></div>"
    )


def _notes(live: Live) -> str:
    return "".join(f"<p>{inline(note)}</p>" for note in live.notes)


def _instances(live: Live) -> str:
    return f"<p class='bb-instances-now'>{escape(instances_now(live.instances))}</p>"


def _table(live: Live, steps: Sequence[StepView], now_s: float) -> str:
    rows, host = [], ""
    for view in steps:
        where = f"<b>{escape(view.step.host)}</b>" if view.step.host != host else ""
        host = view.step.host
        mark = MARKS.get(view.state, view.state)
        state = f"<b>{escape(mark)}</b>" if view.state not in (PENDING, "changed", "already") else escape(mark)
        rows.append([where, inline(view.step.title), f"{state} {live.progress_of(view)}".strip(), _time(view, now_s)])
    return table(("host", "step", "state", "time"), rows, css="bb-steps") if rows else ""


def _time(view: StepView, now_s: float) -> str:
    if view.state in (RUNNING, TAKING_BACK) and view.started_s is not None:
        return f"{max(0.0, now_s - view.started_s):.0f} s"
    return f"{view.seconds:.1f} s" if view.seconds is not None else ""


def _worth_showing(steps: Sequence[StepView]) -> list[StepView]:
    """All where they are few; else what runs or failed, and the steps around it."""
    if len(steps) <= MOST_ROWS:
        return list(steps)
    hot = [n for n, v in enumerate(steps) if v.state not in (PENDING, "changed", "already")]
    first = next((n for n, v in enumerate(steps) if v.state == PENDING), len(steps) - 1)
    kept = set(hot[-MOST_ROWS // 2 :])
    for n in sorted(range(len(steps)), key=lambda n: abs(n - (hot[-1] if hot else first))):
        if len(kept) >= MOST_ROWS:
            break
        kept.add(n)
    return [steps[n] for n in sorted(kept)]


def _history(live: Live, name: str) -> list[str]:
    spans = live.instances[name]
    told = ", ".join(f"{s.state} from {s.start_s:.0f} s" if n else s.state for n, s in enumerate(spans))
    outcome = live.outcomes.get(name, spans[-1].state)
    return [escape(told), f"<b>{escape(outcome)}</b>" if outcome.startswith("NOT") else escape(outcome)]
