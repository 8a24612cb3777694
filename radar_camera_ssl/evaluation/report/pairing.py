# SPDX-License-Identifier: Apache-2.0
"""Time in the report: what each stage takes, how far apart pairs are, what was dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from radar_camera_ssl.evaluation.comparison import Comparison
from radar_camera_ssl.evaluation.report.markup import Node, h, section, table
from radar_camera_ssl.evaluation.report.plots import Plot, axis_over, share_axis

# Of more drives than this, those whose pairs agree least are drawn.
_DRAWN_DRIVES = 6
_BAR_WIDTH, _BAR_HEIGHT = 200, 16


def latency_section(metrics: Mapping[str, Any], comparison: Comparison | None) -> Element:
    """Median and 99th percentile of each stage."""
    stages = {
        stage: (spread['median'], spread['p99'])
        for stage, spread in metrics['latency_ms'].items()
        if spread['median'] is not None and spread['p99'] is not None
    }
    if not stages:
        return section('latency', 'Latency', h('p', 'Not measured: no pair was evaluated.'))
    head: list[Node] = ['Stage', 'Median', '99th percentile', 'Bar: median; line: 99th']
    before = comparison.reference.metrics.get('latency_ms') if comparison else None
    if isinstance(before, dict):
        head.append('Reference, median')
    longest = max(p99 for _, p99 in stages.values()) or 1.0
    rows: list[list[Node]] = []
    for stage, (median, p99) in stages.items():
        row: list[Node] = [stage, f'{median:.1f} ms', f'{p99:.1f} ms', _bar(median, p99, longest)]
        if isinstance(before, dict):
            row.append(_median(before.get(stage)))
        rows.append(row)
    note = 'As measured while this report was made, on a machine that may have had other work.'
    return section(
        'latency', 'Latency', table('Latency per stage', head, rows, 'numbers'), h('p', note)
    )


def _median(spread: object) -> str:
    median = spread.get('median') if isinstance(spread, dict) else None
    return f'{median:.1f} ms' if isinstance(median, int | float) else '–'


def _bar(median: float, p99: float, longest: float) -> Element:
    middle = _BAR_HEIGHT / 2
    scale = _BAR_WIDTH / longest
    return h(
        'svg',
        h('path', d=f'M0 {middle}H{p99 * scale:.1f}', class_='whisker'),
        h('rect', x=0, y=3, width=f'{median * scale:.1f}', height=_BAR_HEIGHT - 6, class_='bar'),
        viewBox=f'0 0 {_BAR_WIDTH} {_BAR_HEIGHT}',
        class_='latency',
        aria_hidden='true',
    )


def pairing_section(metrics: Mapping[str, Any]) -> Element:
    """Gap and agreement over time, drive by drive, and what was dropped."""
    gap = metrics['gap_ms']
    said = f'{metrics["pairs"]} pairs, at most {metrics["slop_s"] * 1e3:g} ms apart.'
    if gap['median'] is not None:
        said += f' Half of them lie within {gap["median"]:.1f} ms'
        said += f', 95 % within {gap["p95"]:.1f} ms.' if gap['p95'] is not None else '.'
    drawn = [row for row in metrics['bags'] if _has_points(row.get('timeline'))]
    more = len(drawn) - _DRAWN_DRIVES
    if more > 0:
        said += f' Drawn are the {_DRAWN_DRIVES} drives that agree least, of {len(drawn)}.'
        drawn = sorted(drawn, key=lambda row: _least_agreement(row['timeline']))[:_DRAWN_DRIVES]
    plots = [plot for row in drawn for plot in _over_time(row['bag'], row['timeline'])]
    return section(
        'pairing',
        'Pairing over time',
        h('p', said),
        h('div', *plots, class_='plots') if plots else None,
        *_dropped(metrics['dropped']),
    )


def _has_points(timeline: object) -> bool:
    return isinstance(timeline, dict) and bool(timeline.get('time_s'))


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _least_agreement(timeline: Mapping[str, Any]) -> float:
    known = sorted(_known(timeline['agreement']))
    return known[len(known) // 2] if known else 2.0


def _over_time(bag: str, timeline: Mapping[str, Any]) -> list[Element]:
    time_s = timeline['time_s']
    x = axis_over('time in s since the first pair', time_s)
    gaps, agreements = _known(timeline['gap_ms']), _known(timeline['agreement'])
    gap = Plot(f'Gap, {bag}', x, axis_over('radar minus image in ms', [0.0, *gaps], least=1.0))
    gap.dots(time_s, timeline['gap_ms'])
    agreement = Plot(f'Agreement, {bag}', x, share_axis('agreement'))
    agreement.dots(time_s, timeline['agreement'])
    return [
        gap.figure(
            'The largest of each stretch of time; a hole is where no pair was found.',
            _range_of(gaps, 'ms'),
        ),
        agreement.figure(
            'The lowest of each stretch of time; low where a sensor is late, turned or covered.',
            _range_of(agreements, ''),
        ),
    ]


def _range_of(values: Sequence[float], unit: str) -> str:
    if not values:
        return 'Nothing measured.'
    return f'From {min(values):.2f} to {max(values):.2f} {unit}'.rstrip() + '.'


def _dropped(dropped: Mapping[str, Mapping[str, int]]) -> list[Element]:
    rows: list[list[Node]] = [
        [stream, h('code', reason), str(count)]
        for stream, reasons in dropped.items()
        for reason, count in sorted(reasons.items(), key=lambda item: -item[1])
    ]
    if not rows:
        return [h('h3', 'Drops'), h('p', 'Nothing was dropped.')]
    why = 'What each reason means is in docs/TROUBLESHOOTING.md.'
    return [
        h('h3', 'Drops'),
        table('Dropped, by reason', ('Of', 'Reason', 'Count'), rows, 'counts'),
        h('p', why),
    ]
