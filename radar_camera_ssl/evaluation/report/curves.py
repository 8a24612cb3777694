# SPDX-License-Identifier: Apache-2.0
"""Which plots the report has: the heatmap's curves, and where in the field of view errors are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from radar_camera_ssl.evaluation.comparison import Comparison
from radar_camera_ssl.evaluation.drive_figures import Curves
from radar_camera_ssl.evaluation.report.markup import h, section
from radar_camera_ssl.evaluation.report.plots import Plot, axis_over, share_axis

_NEEDS_TRUTH = 'Not measured: this needs ground truth.'
_WHERE = (
    ('by_range', 'range', 'range in m'),
    ('by_azimuth', 'azimuth', 'azimuth in degrees, left is positive'),
)


def curves_section(curves: Curves) -> Element:
    """Precision over recall, and reliability; says so where neither was measured."""
    plots = _precision_recall(curves), _reliability(curves)
    if not any(plot is not None for plot in plots):
        return section('curves', 'Curves', h('p', _NEEDS_TRUTH))
    return section('curves', 'Curves', h('div', *plots, class_='plots'))


def _precision_recall(curves: Curves) -> Element | None:
    if curves.precision is None or curves.recall is None:
        return None
    plot = Plot('Heatmap against the sources', share_axis('recall'), share_axis('precision'))
    plot.line('model', curves.recall.tolist(), curves.precision.tolist(), 'model')
    if curves.oracle_precision is not None and curves.oracle_recall is not None:
        oracle = curves.oracle_recall.tolist(), curves.oracle_precision.tolist()
        plot.line('projection oracle', *oracle, 'other')
    both = curves.precision + curves.recall
    f1 = 2 * curves.precision * curves.recall / np.where(both > 0, both, 1.0)
    best = int(np.argmax(f1))
    precision, recall = float(curves.precision[best]), float(curves.recall[best])
    said = f'Best F1 {f1[best]:.3f}: precision {precision:.3f}, recall {recall:.3f}.'
    plot.mark(recall, precision, said)
    reading = f'Over all thresholds, pixel by pixel; up and right is better. Ring: {_lower(said)}'
    return plot.figure(reading, said)


def _reliability(curves: Curves) -> Element | None:
    if curves.confidence is None or curves.frequency is None:
        return None
    confidence, frequency = curves.confidence.tolist(), curves.frequency.tolist()
    plot = Plot(
        'Is the likelihood one?',
        share_axis('likelihood in the heatmap'),
        share_axis('share on a source'),
    )
    plot.line('calibrated', [0.0, 1.0], [0.0, 1.0], 'other')
    plot.line('model', confidence, frequency, 'model')
    pairs = zip(confidence, frequency, strict=True)
    said = '; '.join(f'{frequency:.2f} at {confidence:.2f}' for confidence, frequency in pairs)
    reading = (
        'Of all pixels given one likelihood, how many lie on a source. Below the dashed line the '
        'heatmap promises too much.'
    )
    return plot.figure(reading, f'Share on a source: {said}.')


def where_section(metrics: Mapping[str, Any], comparison: Comparison | None) -> Element:
    """Pointing accuracy and column error over range and azimuth; says so where not measured."""
    plots = []
    for key, name, label in _WHERE:
        rows = metrics.get(key) or []
        before = (comparison.reference.metrics.get(key) or []) if comparison else []
        if any(row['returns'] for row in rows):
            plots += [
                _over(f'Pointing accuracy over {name}', label, 'pointing_accuracy', rows, before),
                _over(f'Column error over {name}', label, 'column_error_deg', rows, before),
            ]
    shown = h('div', *plots, class_='plots') if plots else h('p', _NEEDS_TRUTH)
    return section('where', 'Error over range and azimuth', shown)


def _over(
    title: str,
    label: str,
    key: str,
    rows: Sequence[Mapping[str, Any]],
    before: Sequence[Mapping[str, Any]],
) -> Element:
    bins, bins_before = ([(row['from'], row['to']) for row in each] for each in (rows, before))
    values, values_before = ([row.get(key) for row in each] for each in (rows, before))
    known = [value for value in (*values, *values_before) if value is not None]
    if key == 'pointing_accuracy':
        y, unit = share_axis('share on their own source'), ''
        reading = (
            'Share of the true, visible returns put on their own source, give or take a cell.'
        )
    else:
        y, unit = axis_over('median error in degrees', [0.0, *known], least=0.1), '°'
        reading = 'Median horizontal error of the same returns.'
    ends = [end for pair in (*bins, *bins_before) for end in pair]
    plot = Plot(title, axis_over(label, ends), y)
    plot.counts('returns', bins, [row['returns'] for row in rows])
    if any(value is not None for value in values_before):
        plot.steps('reference', bins_before, values_before, 'other')
    plot.steps('model', bins, values, 'model')
    said = '; '.join(
        f'{value:.2f}{unit} from {start:g} to {end:g}'
        for (start, end), value in zip(bins, values, strict=True)
        if value is not None
    )
    return plot.figure(reading, f'{key.replace("_", " ")}: {said or "nothing measured"}.')


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]
