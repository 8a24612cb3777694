# SPDX-License-Identifier: Apache-2.0
"""Line plots as inline SVG: text stays text, colours are the page's, light or dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from radar_camera_ssl.evaluation.report.markup import add, h

_WIDTH, _HEIGHT = 360, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 10, 42
_COLUMNS, _ROWS = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
# Counts are context: they take this share of the height, at the bottom.
_COUNT_SHARE = 0.22
# A curve has a thousand points; on paper none shows that is nearer than this to the last.
_NEAR = 0.6

Values = Sequence[float | None]


@dataclass(frozen=True)
class Axis:
    """One axis, from its first to its last tick, counted in steps from zero."""

    label: str
    first: int
    last: int
    step: float

    @property
    def low(self) -> float:
        """Value at the lower end."""
        return self.first * self.step

    @property
    def high(self) -> float:
        """Value at the upper end."""
        return self.last * self.step

    def place(self, value: float) -> float:
        """Position in [0, 1]; what lies outside is put on the edge."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def ticks(self) -> list[float]:
        """Where the labels stand."""
        return [tick * self.step for tick in range(self.first, self.last + 1)]


def share_axis(label: str) -> Axis:
    """Axis from 0 to 1."""
    return Axis(label, 0, 5, 0.2)


def axis_over(label: str, values: Iterable[float], least: float = 1e-3, ticks: int = 5) -> Axis:
    """Axis over all values, to whole ticks, whose distance is 1, 2 or 5 times a power of ten.

    least: the smallest span, for values that do not differ.
    """
    known = list(values) or [0.0]
    low = min(known)
    high = max(*known, low + least)
    raw = (high - low) / ticks
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    # A value that is a whole tick but for its rounding needs no tick beyond.
    return Axis(label, math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9), step)


class Plot:
    """One plot; series are drawn in the order in which they are added."""

    def __init__(self, title: str, x: Axis, y: Axis) -> None:
        self._title = title
        self._x, self._y = x, y
        self._series: list[tuple[str, str]] = []
        self._svg = h('svg', viewBox=f'0 0 {_WIDTH} {_HEIGHT}', role='img', class_='plot')
        self._draw_axes()

    def line(self, name: str, x: Sequence[float], y: Sequence[float], style: str) -> None:
        """Add a line. style: `model`, or dashed `other`."""
        points: list[tuple[float, float]] = []
        placed = [self._at(*point) for point in zip(x, y, strict=True)]
        for i, (u, v) in enumerate(placed):
            last = i == len(placed) - 1
            if not points or last or math.dist((u, v), points[-1]) >= _NEAR:
                points.append((u, v))
        path = ' '.join(f'{u:.1f},{v:.1f}' for u, v in points)
        add(self._svg, h('polyline', points=path, class_=f'line {style}'))
        self._series.append((name, style))

    def dots(self, x: Sequence[float], y: Values) -> None:
        """Add one dot for each y that is known; a hole in the data stays one."""
        placed = [self._at(a, b) for a, b in zip(x, y, strict=True) if b is not None]
        path = ''.join(f'M{u:.1f} {v:.1f}h0' for u, v in placed)
        add(self._svg, h('path', d=path, class_='dots model'))

    def mark(self, x: float, y: float, said: str) -> None:
        """Ring one point; said: what it is, as a tooltip."""
        u, v = self._at(x, y)
        ring = h('circle', h('title', said), cx=f'{u:.1f}', cy=f'{v:.1f}', r=4.5, class_='ring')
        add(self._svg, ring)

    def steps(self, name: str, bins: Sequence[tuple[float, float]], y: Values, style: str) -> None:
        """Add a level for each bin (from, to) whose y is known."""
        for (start, end), value in zip(bins, y, strict=True):
            if value is None:
                continue
            (left, v), (right, _) = self._at(start, value), self._at(end, value)
            tip = h('title', f'{name}: {value:.3g}, {start:g} to {end:g} {self._x.label}')
            path = f'M{left + 1:.1f} {v:.1f}H{right - 1:.1f}'
            add(self._svg, h('path', tip, d=path, class_=f'line step {style}'))
        self._series.append((name, style))

    def counts(self, name: str, bins: Sequence[tuple[float, float]], counts: Values) -> None:
        """Add faint bars for how much each bin rests on; to a scale of their own."""
        most = max((count for count in counts if count is not None), default=0) or 1
        for (start, end), count in zip(bins, counts, strict=True):
            left, right = self._at(start, self._y.low)[0], self._at(end, self._y.low)[0]
            height = (count or 0) / most * _COUNT_SHARE * _ROWS
            bar = h(
                'rect',
                h('title', f'{count or 0:g} {name}, {start:g} to {end:g} {self._x.label}'),
                x=f'{left:.1f}',
                y=f'{_TOP + _ROWS - height:.1f}',
                width=f'{right - left:.1f}',
                height=f'{height:.1f}',
                class_='count',
            )
            add(self._svg, bar)
        self._series.append((f'{name} (at most {most:g})', 'count'))

    def figure(self, reading: str, said: str) -> Element:
        """Plot with title and legend. reading: how to read it; said: what a listener hears."""
        self._svg.set('aria-label', f'{self._title}. {said}')
        legend = None
        if len(self._series) > 1:
            entries = [h('li', _swatch(style), ' ', name) for name, style in self._series]
            legend = h('ul', *entries, class_='legend')
        caption = h('figcaption', h('strong', self._title), ' ', reading)
        return h('figure', caption, legend, self._svg, class_='plot')

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return _LEFT + self._x.place(x) * _COLUMNS, _TOP + (1 - self._y.place(y)) * _ROWS

    def _draw_axes(self) -> None:
        bottom, right = _TOP + _ROWS, _LEFT + _COLUMNS
        for tick in self._x.ticks():
            u = self._at(tick, self._y.low)[0]
            text = h('text', _number(tick), x=f'{u:.1f}', y=bottom + 16, text_anchor='middle')
            add(self._svg, h('path', d=f'M{u:.1f} {_TOP}V{bottom}', class_='grid'), text)
        for tick in self._y.ticks():
            v = self._at(self._x.low, tick)[1]
            text = h('text', _number(tick), x=_LEFT - 6, y=f'{v + 4:.1f}', text_anchor='end')
            add(self._svg, h('path', d=f'M{_LEFT} {v:.1f}H{right}', class_='grid'), text)
        middle = _TOP + _ROWS / 2
        add(
            self._svg,
            h(
                'text',
                self._x.label,
                x=_LEFT + _COLUMNS / 2,
                y=_HEIGHT - 6,
                text_anchor='middle',
            ),
            h(
                'text',
                self._y.label,
                x=11,
                y=middle,
                text_anchor='middle',
                transform=f'rotate(-90 11 {middle})',
            ),
        )


def _swatch(style: str) -> Element:
    drawn = (
        h('rect', x=4, y=2, width=16, height=8, class_='count')
        if style == 'count'
        else h('path', d='M1 6H23', class_=f'line {style}')
    )
    return h('svg', drawn, viewBox='0 0 24 12', width=24, height=12, aria_hidden='true')


def _number(value: float) -> str:
    # Ticks are products of binary fractions: 0.30000000000000004.
    return f'{round(value, 9):.10g}'.replace('-', '\N{MINUS SIGN}')
