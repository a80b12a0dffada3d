"""Two kinds of chart as SVG, written by hand: bars, and lines over an axis of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

INK, FAINT, OURS = "#24292f", "#d0d7de", "#0969da"
COLOURS = (OURS, "#bc4c00", "#57606a", "#8250df", "#1a7f37", "#9a6700")
WIDTH = 720
_STYLE = f"font-family:system-ui,sans-serif;font-size:13px;fill:{INK}"


@dataclass(frozen=True, slots=True)
class Line:
    """A named line through points."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Axes:
    """What the axes say, and whether they are logarithmic."""

    x: str
    y: str
    is_log_x: bool = False
    is_log_y: bool = False


def bars(title: str, values: dict[str, float], unit: str) -> str:
    """One bar for each name, its value beside it; the first one is ours."""
    left, room, step = 230, WIDTH - 330, 30
    parts = [text(12, 24, title, weight="bold")]
    for number, (name, value) in enumerate(values.items()):
        y = 44 + number * step
        length = max(1.5, room * value / max(values.values()))
        colour = OURS if number == 0 else COLOURS[2]
        parts.append(text(left - 10, y + 15, name, anchor="end"))
        parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="20" rx="3" fill="{colour}"/>')
        parts.append(text(left + length + 8, y + 15, f"{number_text(value)} {unit}"))
    return picture(54 + step * len(values), parts)


def lines(title: str, axes: Axes, shown: Sequence[Line]) -> str:
    """Lines over the same axes, named in a legend."""
    left, top, width, height = 64.0, 66.0, WIDTH - 84.0, 260.0
    xs = [x for line in shown for x, _ in line.points]
    ys = [y for line in shown for _, y in line.points]
    x_marks, y_marks = marks(xs, axes.is_log_x), marks([0.0, *ys] if not axes.is_log_y else ys, axes.is_log_y)

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = share(x, x_marks, axes.is_log_x), share(y, y_marks, axes.is_log_y)
        return left + width * across, top + height * (1 - up)

    parts = [text(12, 24, title, weight="bold"), text(12, 46, axes.y), text(left + width, top + height + 38, axes.x, anchor="end")]
    for mark in y_marks:
        x, y = at(x_marks[0], mark)
        parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x + width:.1f}" y2="{y:.1f}" stroke="{FAINT}"/>')
        parts.append(text(x - 8, y + 4, number_text(mark), anchor="end"))
    parts += [text(at(mark, y_marks[0])[0], top + height + 18, number_text(mark), anchor="middle") for mark in x_marks]
    for number, line in enumerate(shown):
        parts += drawn(line, [at(x, y) for x, y in line.points], number, len(shown))
    return picture(top + height + 54, parts)


def drawn(line: Line, points: Sequence[tuple[float, float]], number: int, count: int) -> list[str]:
    """The line, its points and its entry of the legend."""
    colour, path = COLOURS[number % len(COLOURS)], " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x = WIDTH - 20 - 175.0 * (count - number)
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points),
        f'<rect x="{x:.1f}" y="36" width="12" height="12" rx="2" fill="{colour}"/>',
        text(x + 18, 46, line.name),
    ]


def marks(values: Sequence[float], is_log: bool) -> list[float]:
    """Round numbers that hold the values between them."""
    low, high = min(values), max(values)
    if is_log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        return [10.0**power for power in range(first, max(last, first + 1) + 1)]
    step = 10.0 ** math.floor(math.log10(max(high, 1e-9)))
    step = next(step * part for part in (0.2, 0.25, 0.5, 1, 2) if high / (step * part) <= 6)
    return [step * number for number in range(math.ceil(high / step) + 1)]


def share(value: float, between: Sequence[float], is_log: bool) -> float:
    """How far along the axis."""
    low, high = between[0], between[-1]
    if is_log:
        return (math.log10(value) - math.log10(low)) / (math.log10(high) - math.log10(low))
    return (value - low) / (high - low)


def number_text(value: float) -> str:
    """As short as it can be read."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def text(x: float, y: float, content: str, *, anchor: str = "start", weight: str = "normal") -> str:
    """One line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(content)}</text>'


def picture(height: float, parts: Sequence[str]) -> str:
    """The whole file."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" style="{_STYLE}">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>', *parts, "</svg>", ""])
