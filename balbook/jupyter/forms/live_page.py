"""The live view as HTML: twice a second while it goes on, and once more as the static twin that stays in the notebook."""

from __future__ import annotations

from collections.abc import Sequence

from balbook.jupyter.forms.chart import instance_chart, instances_now, latency_chart
from balbook.jupyter.forms.durations import spoken
from balbook.jupyter.forms.live import NOT_STARTED, PENDING, RUNNING, TAKING_BACK, Live, StepView
from balbook.jupyter.forms.panels import Html, inline, table
from balbook.jupyter.forms.sample_bins import Samples
from balbook.show.markup import Markup, joined, markup

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
    return Html(_box(live, seen, parts), f"{live.doing} {live.done} of {len(live.steps)} steps are over.")


def static_page(live: Live, now_s: float) -> Html:
    """The same without pictures: all steps with their times, what became of each instance, what was measured."""
    parts = [_head(live, now_s), _notes(live), _table(live, list(live.steps.values()), now_s)]
    if live.instances:
        rows = [[name, *_history(live, name)] for name in live.instances]
        parts.append(table(("instance", "states", "in the end"), rows, css="bb-instances-table", caption="Instances"))
    measured = live.history.measured
    sent = measured.sent if measured and measured.sent is not None else 0
    if measured and measured.sent is not None:
        asked = "<p>Requests sent from outside meanwhile: {}, failed {}, closed by reload {}.</p>"
        parts.append(markup(asked, sent, measured.failed, measured.closed_by_reload))
    html = _box(live, sent, parts)
    return Html(html, f"{live.doing} {live.done} of {len(live.steps)} steps are over. {instances_now(live.instances)}".strip())


def _box(live: Live, samples: int, parts: Sequence[Markup]) -> Markup:
    return markup(
        "<div class='bb-box {} bb-live' data-samples='{}' data-events='{}' data-state='{}'>{}</div>",
        BOX.get(live.word, "bb-busy"), samples, live.history.count, live.word, joined(parts),
    )  # fmt: skip


def _head(live: Live, now_s: float) -> Markup:
    css = "bb-strong bb-outcome" if live.is_over else "bb-strong"
    word = live.outcome if live.is_over else live.word.capitalize()
    return markup(
        "<div class='bb-row'><span class='{}'>{}</span><span>{} of {} steps are over</span>"
        "<span>{}</span><span>plan <code>{}</code></span></div>",
        css, word, live.done, len(live.steps), spoken(now_s), live.plan.digest[:12],
    )  # fmt: skip


def _notes(live: Live) -> Markup:
    return joined(markup("<p>{}</p>", inline(note)) for note in live.notes)


def _instances(live: Live) -> Markup:
    return markup("<p class='bb-instances-now'>{}</p>", instances_now(live.instances))


def _table(live: Live, steps: Sequence[StepView], now_s: float) -> Markup:
    rows, host = [], ""
    for view in steps:
        where = markup("<b>{}</b>", view.step.host) if view.step.host != host else ""
        host = view.step.host
        mark = MARKS.get(view.state, view.state)
        state = markup("{}" if view.state in (PENDING, "changed", "already") else "<b>{}</b>", mark)
        rows.append([where, inline(view.step.title), state + f" {live.progress_of(view)}".rstrip(), _time(view, now_s)])
    return table(("host", "step", "state", "time"), rows, css="bb-steps") if rows else Markup()


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
    return [told, markup("<b>{}</b>", outcome) if outcome.startswith("NOT") else outcome]
