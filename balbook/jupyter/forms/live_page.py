"""The live view as HTML: twice a second while the run goes on, and once more as the static twin that stays in the notebook."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from balbook.jupyter.forms.chart import instance_chart, instances_now, latency_chart
from balbook.jupyter.forms.durations import spoken
from balbook.jupyter.forms.live import NOT_STARTED, PENDING, RUNNING, TAKING_BACK, Live, noted
from balbook.jupyter.forms.panels import Html, inline, table
from balbook.jupyter.forms.sample_bins import Samples
from balbook.plan.model import Step
from balbook.show.markup import Markup, joined, markup

MOST_ROWS = 40
"""Rows of the live table: always the steps that run or failed, then their neighbours."""
MARKS = {
    PENDING: "· to do",
    RUNNING: "▶ running",
    TAKING_BACK: "↩ taking back",
    "changed": "✔ done",
    "already": "✔ already done",
    "failed": "✘ FAILED",
    "undone": "↩ taken back",
    "undo_failed": "✘ NOT taken back",
}
CALM = (PENDING, "changed", "already")
"""States of steps that need no attention."""
BOX = {"succeeded": "bb-good", "failed": "bb-bad", "lost": "bb-bad"} | dict.fromkeys(("inconclusive", "stopping", NOT_STARTED), "bb-note")


def live_page(live: Live, samples: Samples | None, now_s: float, probe_offset_s: float) -> Html:
    """The page for a person who watches the run."""
    end_s, parts = max(now_s, 5.0), []
    if live.instances:
        parts = [instance_chart(live.instances, end_s), markup("<p class='bb-instances-now'>{}</p>", instances_now(live.instances))]
    if samples and samples.sent:
        parts.append(latency_chart(samples, probe_offset_s, end_s))
    parts.append(_table(live, _worth_showing(live), now_s))
    return _page(live, now_s, samples.sent if samples else 0, parts)


def static_page(live: Live, now_s: float) -> Html:
    """The same without pictures: all steps with their times, the states of each instance, the measurement."""
    parts = [_table(live, list(live.steps.values()), now_s)]
    if live.instances:
        rows = [[name, *_history(live, name)] for name in live.instances]
        parts.append(table(("instance", "states", "in the end"), rows, css="bb-instances-table", caption="Instances"))
    measured, sent = live.history.measured, 0
    if measured and measured.sent is not None:
        sent = measured.sent
        asked = "<p>Requests sent from outside meanwhile: {}, failed {}, closed by reload {}.</p>"
        parts.append(markup(asked, sent, measured.failed, measured.closed_by_reload))
    return _page(live, now_s, sent, parts)


def _page(live: Live, now_s: float, samples: int, parts: Sequence[Markup]) -> Html:
    notes = joined(markup("<p>{}</p>", inline(noted(event))) for event in live.history.notes)
    over = f"{live.done} of {len(live.steps)} steps are over"
    html = markup(
        "<div class='bb-box {} bb-live' data-samples='{}' data-events='{}' data-state='{}'>"
        "<div class='bb-row'><span class='bb-strong{}'>{}</span><span>{}</span><span>{}</span><span>plan <code>{}</code></span></div>"
        "{}{}</div>",
        BOX.get(live.word, "bb-busy"), samples, live.history.count, live.word,
        " bb-outcome" if live.verdict else "", live.outcome if live.verdict else live.word.capitalize(), over, spoken(now_s),
        live.plan.digest[:12], notes, joined(parts),
    )  # fmt: skip
    return Html(html, f"{live.doing} {over}. {instances_now(live.instances)}".strip())


def _table(live: Live, steps: Sequence[Step], now_s: float) -> Markup:
    rows, host = [], ""
    for step in steps:
        where = markup("<b>{}</b>", step.host) if step.host != host else ""
        host, state = step.host, live.state_of(step)
        shown = markup("{}" if state in CALM else "<b>{}</b>", MARKS.get(state, state))
        progress, time = _progress(live, step, now_s)
        rows.append([where, inline(step.title), shown + progress, time])
    return table(("host", "step", "state", "time"), rows, css="bb-steps") if rows else Markup()


def _progress(live: Live, step: Step, now_s: float) -> tuple[str, str]:
    """How far the step's upload is, empty where no upload is under way; and the step's time."""
    seen = live.seen(step)
    if seen is None:
        return "", ""
    sent, total = seen.sent
    progress = f" {sent / 1e6:.1f} of {total / 1e6:.1f} MB" if total else ""
    if seen.state in (RUNNING, TAKING_BACK) and seen.started_at and live.began:
        started_s = (datetime.fromisoformat(seen.started_at) - live.began).total_seconds()
        return progress, f"{max(0.0, now_s - started_s):.0f} s"
    return progress, f"{seen.seconds:.1f} s" if seen.seconds is not None else ""


def _worth_showing(live: Live) -> list[Step]:
    """All steps where they are few; else the steps that run or failed, and the steps around them."""
    steps = list(live.steps.values())
    if len(steps) <= MOST_ROWS:
        return steps
    states = [live.state_of(step) for step in steps]
    hot = [n for n, state in enumerate(states) if state not in CALM]
    middle = hot[-1] if hot else states.index(PENDING) if PENDING in states else len(steps) - 1
    near = sorted(range(len(steps)), key=lambda n: abs(n - middle))
    kept = list(dict.fromkeys([*hot[-MOST_ROWS // 2 :], *near]))[:MOST_ROWS]
    return [steps[n] for n in sorted(kept)]


def _history(live: Live, name: str) -> list[str]:
    spans = live.instances[name]
    told = ", ".join(f"{s.state} from {s.start_s:.0f} s" if n else s.state for n, s in enumerate(spans))
    outcome = live.outcomes.get(name, spans[-1].state)
    return [told, markup("<b>{}</b>", outcome) if outcome.startswith("NOT") else outcome]
