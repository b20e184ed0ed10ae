"""Two pictures that are redrawn twice a second: latency with failures, and the state of each instance. SVG of a few kilobytes.

Nothing hangs on colour alone: failures are crosses with a count, states are words, and each picture says in words what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from balbook.jupyter.forms.live import Span
from balbook.jupyter.forms.sample_bins import Samples
from balbook.jupyter.forms.style import BAD, BUSY, GOOD, NOTE, QUIET

WIDTH, LEFT, RIGHT = 760, 100, 14
CHART_H, TOP, BOTTOM = 190, 22, 24
ROW_H = 22
STATE_COLOURS = {"serving": GOOD, "new": BUSY, "draining": NOTE, "down": BAD, "starting": "#56b4e9", "taking back": "#cc79a7"}
SIGNS = {"serving": "●", "new": "★", "draining": "◐", "down": "✕", "starting": "◔", "taking back": "↩", "not running": "○"}


def latency_chart(samples: Samples, offset_s: float, end_s: float) -> str:
    """p50 and p99 over time on a logarithmic scale, failures as crosses. `offset_s`: the probe's start on this time line."""
    low, high = _limits(samples)
    points = [(offset_s + (n + 0.5) * samples.bin_s, b) for n, b in enumerate(samples.bins)]
    p50 = [(at, b.figures_ms[0]) for at, b in points if b.latencies_ms]
    p99 = [(at, b.figures_ms[1]) for at, b in points if b.latencies_ms]
    label = f"Latency over time: {samples.sent} requests so far, {samples.failed} failed"
    if p99:
        label += f"; now p50 {p50[-1][1]:.1f} ms, p99 {p99[-1][1]:.1f} ms"
    parts = [f"<svg class='bb-svg bb-chart' role='img' aria-label='{escape(label)}' viewBox='0 0 {WIDTH} {CHART_H}'>"]
    parts.append(f"<text x='0' y='12'>{escape(label)}</text>")
    parts += _grid(low, high, end_s)
    parts += [_line(p99, low, high, end_s, NOTE, "6 3"), _line(p50, low, high, end_s, BUSY, "")]
    parts += [_cross(_x(at, end_s), b.failed) for at, b in points if b.failed]
    key = ((BUSY, "p50", ""), (NOTE, "p99", "6 3"), (BAD, "✕ failed", ""))
    for number, (colour, word, dash) in enumerate(key):
        x = WIDTH - 230 + number * 76
        drawn = f"<line x1='{x}' x2='{x + 22}' y1='8' y2='8' stroke='{colour}' stroke-width='2' stroke-dasharray='{dash}'/>"
        parts.append(("" if word.startswith("✕") else drawn) + f"<text x='{x + 27}' y='12'>{word}</text>")
    return "".join(parts) + "</svg>"


def instance_chart(instances: Mapping[str, Sequence[Span]], end_s: float) -> str:
    """A row an instance, a bar a state, the state's word in it where it fits and at its end in any case."""
    height = ROW_H * len(instances) + 18
    label = "State of each instance over time. Now: " + instances_now(instances)
    parts = [f"<svg class='bb-svg bb-instances' role='img' aria-label='{escape(label)}' viewBox='0 0 {WIDTH} {height}'>"]
    for row, (name, spans) in enumerate(instances.items()):
        y = row * ROW_H
        parts.append(f"<text x='0' y='{y + 15}'>{escape(name)}</text>")
        for span in spans:
            x, until = _x(span.start_s, end_s), _x(span.end_s if span.end_s is not None else end_s, end_s)
            parts.append(_bar(x, y + 3, until - x, span.state))
    parts += [f"<text x='{_x(s, end_s):.0f}' y='{height - 4}' text-anchor='middle'>{s:g} s</text>" for s in _ticks(end_s)]
    return "".join(parts) + "</svg>"


def instances_now(instances: Mapping[str, Sequence[Span]]) -> str:
    """`app1:9090 ● serving, app2:9090 ◐ draining`."""
    return ", ".join(f"{name} {SIGNS.get(spans[-1].state, '?')} {spans[-1].state}" for name, spans in instances.items())


def _bar(x: float, y: float, width: float, state: str) -> str:
    colour = STATE_COLOURS.get(state, QUIET)
    opacity = ".30" if state in ("serving", "not running") else ".55"
    rect = f"<rect x='{x:.1f}' y='{y}' width='{max(1.0, width):.1f}' height='{ROW_H - 6}' fill='{colour}' fill-opacity='{opacity}'/>"
    word = f"{SIGNS.get(state, '')} {state}".strip()
    shown = word if width > 7 * len(word) else word[:1] if width > 12 else ""
    return rect + (f"<text x='{x + 3:.1f}' y='{y + 12}'>{escape(shown)}</text>" if shown else "")


def _grid(low: float, high: float, end_s: float) -> Iterator[str]:
    value = 10 ** math.floor(math.log10(low))
    while value <= high * 1.001:
        for factor in (1, 2, 5):
            if low <= value * factor <= high:
                y = _y(value * factor, low, high)
                yield f"<line class='g' x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{y:.1f}' y2='{y:.1f}'/>"
                yield f"<text x='{LEFT - 6}' y='{y + 4:.1f}' text-anchor='end'>{value * factor:g} ms</text>"
        value *= 10
    for second in _ticks(end_s):
        yield f"<text x='{_x(second, end_s):.0f}' y='{CHART_H - 6}' text-anchor='middle'>{second:g} s</text>"


def _line(points: Sequence[tuple[float, float]], low: float, high: float, end_s: float, colour: str, dash: str) -> str:
    where = " ".join(f"{_x(at, end_s):.1f},{_y(value, low, high):.1f}" for at, value in points)
    return f"<polyline points='{where}' fill='none' stroke='{colour}' stroke-width='2' stroke-dasharray='{dash}'/>"


def _cross(x: float, count: int) -> str:
    return f"<text x='{x:.1f}' y='{TOP + 12}' style='fill:{BAD};font-weight:700' text-anchor='middle'>✕{count if count > 1 else ''}</text>"


def _limits(samples: Samples) -> tuple[float, float]:
    """Steps of 1, 2, 5, ten times apart at least, so that the scale jumps seldom."""
    found = [b.figures_ms for b in samples.bins if b.latencies_ms]
    if not found:
        return 1.0, 100.0
    low = 10 ** math.floor(math.log10(max(0.01, min(f[0] for f in found))))
    top = max(f[1] for f in found)
    high = 10 ** math.floor(math.log10(max(0.01, top)))
    high = next(high * factor for factor in (1, 2, 5, 10, 20) if high * factor >= top)
    return low, max(high, low * 10)


def _x(at_s: float, end_s: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, at_s / max(end_s, 1.0)))


def _y(value: float, low: float, high: float) -> float:
    share = (math.log10(max(value, low)) - math.log10(low)) / (math.log10(high) - math.log10(low))
    return CHART_H - BOTTOM - (CHART_H - BOTTOM - TOP - 16) * min(1.0, share)


def _ticks(end_s: float) -> list[float]:
    step = next(s for s in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600) if end_s / s <= 10 or s == 3600)
    return [float(s) for s in range(0, int(end_s) + 1, step)][:30]
