# SPDX-License-Identifier: Apache-2.0
"""The plot of a soak as a self-contained SVG: memory, CPU, threads and files over driving time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from radar_camera_ssl.evaluation.report.plots import Axis, axis_over

WIDTH, PANEL, LEFT, RIGHT, TOP = 720, 130, 60, 20, 26


def svg(samples: Sequence[dict[str, float]]) -> str:
    """Return the plot of the samples that benchmarks/soak.py takes."""
    hours = np.array([sample['hours_of_driving'] for sample in samples])
    times = np.array([sample['s'] for sample in samples])
    cpu = np.array([sample['cpu_s'] for sample in samples])
    panels: list[tuple[str, Any]] = [
        ('resident memory, MB', [sample['rss_mb'] for sample in samples]),
        ('CPU, cores', np.r_[np.nan, np.diff(cpu) / np.diff(times)]),
        ('threads', [sample['threads'] for sample in samples]),
        ('open files', [sample['files'] for sample in samples]),
    ]
    height = TOP + PANEL * len(panels) + 30
    x = axis_over('hours of driving', [0.0, float(hours[-1])])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
    ]
    for index, (label, values) in enumerate(panels):
        parts += _panel(label, x, hours, np.asarray(values, float), TOP + index * PANEL)
    parts += [
        _text(LEFT + (WIDTH - LEFT - RIGHT) * (tick - x.low) / (x.high - x.low), height - 22,
              f'{tick:g}', 'middle')
        for tick in _ticks(x)
    ]  # fmt: skip
    parts += [_text((LEFT + WIDTH - RIGHT) / 2, height - 6, x.label, 'middle'), '</svg>']
    return '\n'.join(parts) + '\n'


def _panel(label: str, x: Axis, hours: Any, values: Any, top: float) -> list[str]:
    y = axis_over(label, [0.0, float(np.nanmax(values))], ticks=4)
    height = PANEL - 30

    def at(value: float) -> float:
        return top + height * (1 - (value - y.low) / (y.high - y.low))

    width = WIDTH - LEFT - RIGHT
    parts = [_text(LEFT, top - 6, label, 'start')]
    for tick in _ticks(y):
        parts.append(
            f'<path d="M{LEFT} {at(tick):.1f}H{WIDTH - RIGHT}" stroke="#ddd" fill="none"/>'
        )
        parts.append(_text(LEFT - 6, at(tick) + 4, f'{tick:g}', 'end'))
    # More points than pixels say nothing.
    step = max(1, len(hours) // width)
    points = [
        f'{LEFT + width * (hour - x.low) / (x.high - x.low):.1f},{at(value):.1f}'
        for hour, value in zip(hours[::step], values[::step], strict=True)
        if np.isfinite(value)
    ]
    parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="#1f6feb"/>')
    return parts


def _ticks(axis: Axis) -> list[float]:
    return [round(tick * axis.step, 9) for tick in range(axis.first, axis.last + 1)]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
