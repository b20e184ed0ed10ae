"""Two pictures that are redrawn twice a second: latency with failures, and the state of each instance. SVG of a few kilobytes.

No meaning hangs on colour alone: failures are crosses with a count, states are words, and each picture has a label in words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from balbook.jupyter.forms.live import Span
from balbook.jupyter.forms.sample_bins import Samples
from balbook.jupyter.forms.style import BAD, BUSY, GOOD, NOTE, QUIET
from balbook.show.markup import Markup, joined, markup

WIDTH, LEFT, RIGHT = 760, 100, 14
CHART_H, TOP, BOTTOM = 190, 22, 24
ROW_H = 22
STATE_COLOURS = {"serving": GOOD, "new": BUSY, "draining": NOTE, "down": BAD, "starting": "#56b4e9", "taking back": "#cc79a7"}
SIGNS = {"serving": "●", "new": "★", "draining": "◐", "down": "✕", "starting": "◔", "taking back": "↩", "not running": "○"}
LINE = "<polyline points='{}' fill='none' stroke='{}' stroke-width='2' stroke-dasharray='{}'/>"
CROSS = "<text x='{:.1f}' y='{}' style='fill:{};font-weight:700' text-anchor='middle'>✕{}</text>"


def latency_chart(samples: Samples, offset_s: float, end_s: float) -> Markup:
    """p50 and p99 over time on a logarithmic scale, failures as crosses. `offset_s`: the probe's start on this time line."""
    low, high = _limits(samples)
    points = [(_x(offset_s + (n + 0.5) * samples.bin_s, end_s), b) for n, b in enumerate(samples.bins)]
    label = f"Latency over time: {samples.sent} requests so far, {samples.failed} failed"
    if figures := [b.figures_ms for b in samples.bins if b.latencies_ms]:
        label += f"; now p50 {figures[-1][0]:.1f} ms, p99 {figures[-1][1]:.1f} ms"
    parts = [markup("<text x='0' y='12'>{}</text>", label), *_grid(low, high, end_s)]
    for number, (colour, word, dash) in enumerate(((BUSY, "p50", ""), (NOTE, "p99", "6 3"))):
        line = " ".join(f"{x:.1f},{_y(b.figures_ms[number], low, high):.1f}" for x, b in points if b.latencies_ms)
        left = WIDTH - 230 + number * 76
        parts += [markup(LINE, where, colour, dash) for where in (line, f"{left},8 {left + 22},8")]
        parts.append(markup("<text x='{}' y='12'>{}</text>", left + 27, word))
    parts.append(markup("<text x='{}' y='12'>✕ failed</text>", WIDTH - 51))
    parts += [markup(CROSS, x, TOP + 12, BAD, b.failed if b.failed > 1 else "") for x, b in points if b.failed]
    return _svg("bb-chart", label, CHART_H, parts)


def instance_chart(instances: Mapping[str, Sequence[Span]], end_s: float) -> Markup:
    """A row for each instance with a bar for each state; the bar has the state's word where the word fits."""
    height = ROW_H * len(instances) + 18
    label = "State of each instance over time. Now: " + instances_now(instances)
    parts: list[Markup] = []
    for row, (name, spans) in enumerate(instances.items()):
        y = row * ROW_H
        parts.append(markup("<text x='0' y='{}'>{}</text>", y + 15, name))
        for span in spans:
            x, until = _x(span.start_s, end_s), _x(span.end_s if span.end_s is not None else end_s, end_s)
            parts.append(_bar(x, y + 3, until - x, span.state))
    parts += _seconds(height - 4, end_s)
    return _svg("bb-instances", label, height, parts)


def instances_now(instances: Mapping[str, Sequence[Span]]) -> str:
    """`app1:9090 ● serving, app2:9090 ◐ draining`."""
    return ", ".join(f"{name} {SIGNS.get(spans[-1].state, '?')} {spans[-1].state}" for name, spans in instances.items())


def _svg(css: str, label: str, height: int, parts: Iterable[Markup]) -> Markup:
    svg = "<svg class='bb-svg {}' role='img' aria-label='{}' viewBox='0 0 {} {}'>{}</svg>"
    return markup(svg, css, label, WIDTH, height, joined(parts))


def _bar(x: float, y: float, width: float, state: str) -> Markup:
    colour = STATE_COLOURS.get(state, QUIET)
    opacity = ".30" if state in ("serving", "not running") else ".55"
    bar = "<rect x='{:.1f}' y='{}' width='{:.1f}' height='{}' fill='{}' fill-opacity='{}'/>"
    rect = markup(bar, x, y, max(1.0, width), ROW_H - 6, colour, opacity)
    word = f"{SIGNS.get(state, '')} {state}".strip()
    shown = word if width > 7 * len(word) else word[:1] if width > 12 else ""
    return rect + (markup("<text x='{:.1f}' y='{}'>{}</text>", x + 3, y + 12, shown) if shown else "")


def _grid(low: float, high: float, end_s: float) -> Iterator[Markup]:
    value = 10 ** math.floor(math.log10(low))
    while value <= high * 1.001:
        for factor in (1, 2, 5):
            if low <= value * factor <= high:
                y = _y(value * factor, low, high)
                yield markup("<line class='g' x1='{}' x2='{}' y1='{y:.1f}' y2='{y:.1f}'/>", LEFT, WIDTH - RIGHT, y=y)
                yield markup("<text x='{}' y='{:.1f}' text-anchor='end'>{:g} ms</text>", LEFT - 6, y + 4, value * factor)
        value *= 10
    yield from _seconds(CHART_H - 6, end_s)


def _seconds(y: float, end_s: float) -> Iterator[Markup]:
    step = next(s for s in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600) if end_s / s <= 10 or s == 3600)
    for s in range(0, int(end_s) + 1, step)[:30]:
        yield markup("<text x='{:.0f}' y='{}' text-anchor='middle'>{} s</text>", _x(s, end_s), y, s)


def _limits(samples: Samples) -> tuple[float, float]:
    """The ends of the scale: a power of ten, and 1, 2 or 5 times a power of ten, so that the scale jumps seldom."""
    found = [b.figures_ms for b in samples.bins if b.latencies_ms] or [(1.0, 100.0)]
    low, top = min(p50 for p50, _ in found), max(p99 for _, p99 in found)
    low, high = (10 ** math.floor(math.log10(max(0.01, end))) for end in (low, top))
    return low, max(low * 10, next(high * factor for factor in (1, 2, 5, 10, 20) if high * factor >= top))


def _x(at_s: float, end_s: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, at_s / max(end_s, 1.0)))


def _y(value: float, low: float, high: float) -> float:
    share = (math.log10(max(value, low)) - math.log10(low)) / (math.log10(high) - math.log10(low))
    return CHART_H - BOTTOM - (CHART_H - BOTTOM - TOP - 16) * min(1.0, share)
