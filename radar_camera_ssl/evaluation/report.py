# SPDX-License-Identifier: Apache-2.0
"""The evaluation as one HTML file that needs nothing else: no network, no script."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation.drive_figures import Curves
from radar_camera_ssl.evaluation.summary import HEADLINES, best_baseline, format_figure

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --mark: #0b7285; --faint: #888; }
@media (prefers-color-scheme: dark) { :root { --mark: #66d9e8; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
td.value { font-weight: 600; color: var(--mark); } .faint { color: var(--faint); }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem; } svg { max-width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
.moments { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr));
  gap: .6rem; }
figure { margin: 0; break-inside: avoid; } img { width: 100%; display: block; }
figcaption { color: var(--faint); font-size: .9rem; }
"""


@dataclass(frozen=True)
class _Series:
    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    dashed: bool = False


def write_report(
    path: Path,
    metrics: dict[str, Any],
    curves: Curves,
    moments: Sequence[tuple[float, NDArray[np.uint8]]],
    video: bool,
) -> None:
    """Write the report of what `evaluate_bags` found; moments: (time in s, overlay BGR)."""
    bags = ', '.join(html.escape(row['bag']) for row in metrics['bags'])
    parts = [
        f'<h1>Radar reflections in the image</h1><p>{bags}<br><span class="faint">model '
        f'{metrics["model"]["sha256"][:12]} on {html.escape(metrics["model"]["provider"])}, '
        f'{metrics["pairs"]} pairs within {metrics["slop_s"] * 1e3:.0f} ms</span></p>',
        '<h2>Figures</h2>' + _figures(metrics),
        '<h2>Baselines</h2>' + _baselines(metrics),
        _plots(curves),
        '<h2>Pairing and time</h2>' + _pairing(metrics),
        _drives(metrics),
        _moments(moments, video),
        _notes(metrics),
    ]
    body = '\n'.join(parts)
    path.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f'<title>Evaluation: {bags}</title><style>{_STYLE}</style></head>'
        f'<body>{body}</body></html>\n',
        encoding='utf-8',
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    # Keys are long words: let them break where people would.
    header = ''.join(f'<th>{cell.replace("_", "_<wbr>")}</th>' for cell in head)
    lines = ''.join('<tr>' + ''.join(row) + '</tr>' for row in rows)
    return f'<div class="wide"><table><tr>{header}</tr>{lines}</table></div>'


def _cell(text: str, kind: str = '') -> str:
    return f'<td class="{kind}">{text}</td>' if kind else f'<td>{text}</td>'


def _figures(metrics: dict[str, Any]) -> str:
    rows = []
    for key, meaning in HEADLINES.items():
        value = metrics[key]
        interval = metrics['confidence_95'].get(key)
        best = best_baseline(metrics['baselines'], key)
        oracle = metrics['oracle'][key] if metrics['oracle'] else None
        shown = format_figure(key, value)
        if value is None:
            why = html.escape(metrics['null_because'].get(key, ''))
            shown = f'<span class="faint">{why}</span>'
        rows.append(
            [
                _cell(f'{meaning}<br><code class="faint">{key}</code>'),
                _cell(shown, 'value'),
                _cell(
                    f'{format_figure(key, interval[0])} to {format_figure(key, interval[1])}'
                    if interval
                    else '',
                    'faint',
                ),
                _cell(f'{format_figure(key, best[1])} ({best[0]})' if best else ''),
                _cell(format_figure(key, oracle)),
            ]
        )
    head = ('Figure', 'Model', '95 % interval', 'Best blind baseline', 'Projection oracle')
    return _table(head, rows)


def _baselines(metrics: dict[str, Any]) -> str:
    keys = [key for key in HEADLINES if best_baseline(metrics['baselines'], key)]
    rows = [
        [_cell(name), *(_cell(format_figure(key, row[key])) for key in keys)]
        for name, row in metrics['baselines'].items()
    ]
    return _table(('', *keys), rows) if keys else '<p>No ground truth to score them.</p>'


def _pairing(metrics: dict[str, Any]) -> str:
    rows = [
        [_cell('gap between radar and image'), _cell(_spread(metrics['gap_ms'], 'p95', 'ms'))],
        *(
            [_cell(stage), _cell(_spread(spread, 'p99', 'ms'))]
            for stage, spread in metrics['latency_ms'].items()
        ),
        *(
            [_cell(f'dropped {stream}: {html.escape(reason)}'), _cell(str(count))]
            for stream, reasons in metrics['dropped'].items()
            for reason, count in reasons.items()
        ),
    ]
    return _table(('', ''), rows)


def _spread(spread: dict[str, float | None], high: str, unit: str) -> str:
    if spread['median'] is None or spread[high] is None:
        return ''
    return f'median {spread["median"]:.1f} {unit}, {high} {spread[high]:.1f} {unit}'


def _drives(metrics: dict[str, Any]) -> str:
    if len(metrics['bags']) < 2:
        return ''
    rows = [
        [
            _cell(html.escape(row['bag'])),
            _cell(str(row['pairs'])),
            *(_cell(format_figure(key, row[key])) for key in HEADLINES),
        ]
        for row in metrics['bags']
    ]
    return '<h2>Drive by drive</h2>' + _table(('', 'pairs', *HEADLINES), rows)


def _moments(moments: Sequence[tuple[float, NDArray[np.uint8]]], video: bool) -> str:
    figures = []
    for time_s, image in moments:
        written, jpeg = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 85])
        if written:
            data = base64.b64encode(jpeg.tobytes()).decode('ascii')
            figures.append(
                f'<figure><img alt="overlay at {time_s:.1f} s" '
                f'src="data:image/jpeg;base64,{data}"><figcaption>{time_s:.1f} s</figcaption>'
                '</figure>'
            )
    link = '<p>The whole drive: <a href="overlay.mp4">overlay.mp4</a></p>' if video else ''
    return f'<h2>Moments</h2><div class="moments">{"".join(figures)}</div>{link}'


def _notes(metrics: dict[str, Any]) -> str:
    notes = [*metrics['notes']]
    for key, why in metrics['null_because'].items():
        notes.append(f'{key}: {why}')
    items = ''.join(f'<li>{html.escape(note)}</li>' for note in notes)
    return f'<h2>What is missing, and why</h2><ul>{items}</ul>' if items else ''


def _plots(curves: Curves) -> str:
    plots = []
    if curves.precision is not None and curves.recall is not None:
        series = [_Series('model', curves.recall, curves.precision)]
        if curves.oracle_precision is not None and curves.oracle_recall is not None:
            series.append(_Series('oracle', curves.oracle_recall, curves.oracle_precision, True))
        plots.append(_plot('Heatmap against the sources', 'recall', 'precision', series, 0.15))
    if curves.confidence is not None and curves.frequency is not None:
        unit = np.array([0.0, 1.0])
        plots.append(
            _plot(
                'Is the likelihood one?',
                'likelihood in the heatmap',
                'share on a source',
                [
                    _Series('model', curves.confidence, curves.frequency),
                    _Series('calibrated', unit, unit, True),
                ],
                names_at=0.93,
            )
        )
    return f'<h2>Curves</h2><div class="plots">{"".join(plots)}</div>' if plots else ''


def _plot(
    title: str, x_label: str, y_label: str, series: Sequence[_Series], names_at: float
) -> str:
    """Line plot over the unit square as inline SVG; names_at: height of the lines' names."""
    left, top, size = 44, 26, 240
    lines = [
        f'<text x="{left}" y="16">{html.escape(title)}</text>',
        f'<rect x="{left}" y="{top}" width="{size}" height="{size}" fill="none" '
        'stroke="currentColor" stroke-opacity=".4"/>',
    ]
    for tick in (0.0, 0.5, 1.0):
        x, y = left + tick * size, top + (1 - tick) * size
        lines.append(f'<text x="{x}" y="{top + size + 16}" text-anchor="middle">{tick:g}</text>')
        lines.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
    middle = left + size / 2
    lines.append(f'<text x="{middle}" y="{top + size + 32}" text-anchor="middle">{x_label}</text>')
    lines.append(
        f'<text x="12" y="{top + size / 2}" text-anchor="middle" '
        f'transform="rotate(-90 12 {top + size / 2})">{y_label}</text>'
    )
    for i, line in enumerate(series):
        points = ' '.join(
            f'{left + x * size:.1f},{top + (1 - y) * size:.1f}'
            for x, y in zip(line.x, line.y, strict=True)
        )
        stroke = 'stroke-dasharray="5 4" stroke-opacity=".7"' if line.dashed else ''
        colour = 'currentColor' if line.dashed else 'var(--mark)'
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" '
            f'stroke-width="2" {stroke}/>'
        )
        lines.append(
            f'<text x="{left + 10}" y="{top + (1 - names_at) * size + 16 * i}" '
            f'style="fill: {colour}">{"- " if line.dashed else ""}{line.name}</text>'
        )
    height, width = top + size + 40, left + size + 12
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{html.escape(title)}">{"".join(lines)}</svg>'
    )
