# SPDX-License-Identifier: Apache-2.0
"""The headline figures, each with its interval and what it stands beside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from radar_camera_ssl.evaluation.comparison import RULE, Comparison, Verdict
from radar_camera_ssl.evaluation.report.markup import Node, add, h, key_name, scrolling, section
from radar_camera_ssl.evaluation.report.plots import axis_over
from radar_camera_ssl.evaluation.summary import (
    HEADLINES,
    best_baseline,
    format_figure,
    goodness,
    is_share,
    resolution,
)

# What each figure says, in one sentence. percent: the value times 100.
_SENTENCES = {
    'pointing_accuracy': '{percent:.1f} % of the true, visible returns are put on their own '
    'source, give or take one cell.',
    'pointing_accuracy_strict': '{percent:.1f} % are put exactly on it.',
    'column_error_deg': 'Half of the returns are put at most {value:.2f}° beside their source.',
    'heatmap_ap': 'How well the heatmap ranks pixels: 1 where every pixel of a source is above '
    'all others.',
    'heatmap_max_f1': 'Precision and recall of the lit area, balanced, at the best threshold for '
    'all frames.',
    'ciou': 'Lit area and sources share {percent:.0f} % of the area that either covers, in the '
    'mean over frames.',
    'ghost_auroc': 'Of a true return and a ghost, the true one has the higher likelihood in '
    '{percent:.1f} % of the cases.',
    'ece': 'A likelihood read from the heatmap is off by {percent:.1f} points of a hundred on '
    'average. An answer that always says the prevalence is off by none, so no baseline counts '
    'as beaten: read it beside the average precision.',
    'lit_area_empty_radar': '{percent:.2f} % of the image is lit when the radar sees nothing.',
    'mismatch_auroc': 'Of an aligned and a misaligned pair, the aligned one agrees better in '
    '{percent:.1f} % of the cases.',
    'mismatch_auroc_2s': 'The same for windows of 2 s: {percent:.1f} %.',
    'retrieval_recall_at_1': 'For {percent:.1f} % of the radar frames their own image agrees '
    'best among those of other moments.',
    'retrieval_recall_at_5': 'For {percent:.1f} % it is one of the best five.',
    'yaw_alarm_auroc': 'A window with the radar turned by 2° shows a larger angle than one '
    'without in {percent:.1f} % of the cases.',
    'projection_distance_px': 'Half of the returns are put within {value:.1f} px of where the '
    'recorded calibration projects them.',
}
# What an interval says, by what it is drawn from (`time_blocks.resampled`).
_INTERVALS = {
    'drive': 'Intervals are 95 %, by bootstrap over drives: they speak of drives like these.',
    'block': 'Intervals are 95 %, by bootstrap over time blocks: they speak of these drives.',
}
_WINDOWS = {
    'aligned_windows': 'aligned',
    'misaligned_windows': 'misaligned',
    'yaw_none': 'as mounted',
    'yaw_turned': 'turned by 2°',
}
_BESIDES = (
    'A blind baseline ignores the radar frame, the image or both; the oracle projects each return '
    'by the recorded calibration, which the model is not told.'
)
_CHART_WIDTH, _CHART_HEIGHT = 150, 24
_VERDICT_CLASSES = {
    Verdict.BETTER: 'good',
    Verdict.WORSE: 'bad',
    Verdict.LOST: 'bad',
}


def figures_section(metrics: Mapping[str, Any], comparison: Comparison | None) -> Element:
    """Headline figures as a table that becomes a list of blocks on a narrow screen.

    Its roles are spelt out: browsers forget those of a table that is not displayed as one.
    """
    head = ['Figure', 'Model', 'Best blind baseline', 'Projection oracle']
    if comparison is not None:
        head += ['Reference', 'Change']
    body = h('tbody', role='rowgroup')
    for key, meaning in HEADLINES.items():
        if key in metrics:
            body.append(_row(key, meaning, metrics, comparison, head))
    columns = (h('th', name, scope='col', role='columnheader') for name in head)
    table = h(
        'table',
        h('thead', h('tr', *columns, role='row'), role='rowgroup'),
        body,
        class_='figures numbers',
        role='table',
        aria_label='Figures',
    )
    notes = _comparison_notes(comparison), _chart_key(comparison is not None)
    said = _INTERVALS.get(metrics.get('confidence_unit', ''), '')
    reading = h('p', f'{_BESIDES} {said} {_windows(metrics)}')
    return section('figures', 'Figures', *notes, scrolling(table, 'Figures'), reading)


def _windows(metrics: Mapping[str, Any]) -> str:
    counts = metrics.get('windows') or {}
    told = ', '.join(f'{counts[name]} {said}' for name, said in _WINDOWS.items() if name in counts)
    return f'Figures over 2 s rest on windows: {told}.' if told else ''


def _row(
    key: str,
    meaning: str,
    metrics: Mapping[str, Any],
    comparison: Comparison | None,
    head: list[str],
) -> Element:
    value = metrics[key]
    cells = [_value(key, metrics, comparison), _blind(key, metrics)]
    cells.append(_text(format_figure(key, _oracle(key, metrics))))
    if comparison is not None:
        cells += _change(key, comparison)
    sentence = None
    if value is not None and key in _SENTENCES:
        said = _SENTENCES[key].format(value=value, percent=100 * value)
        sentence = h('p', said, class_='meaning')
    title = h('strong', meaning[0].upper() + meaning[1:])
    name = h('th', title, sentence, key_name(key), scope='row', role='rowheader')
    row = h('tr', name, role='row')
    for column, cell in zip(head[1:], cells, strict=True):
        cell.set('data-label', column)
        row.append(cell)
    return row


def _text(*children: Node) -> Element:
    return h('td', *children, role='cell')


def _value(key: str, metrics: Mapping[str, Any], comparison: Comparison | None) -> Element:
    value, interval = metrics[key], metrics['confidence_95'].get(key)
    if value is None:
        why = metrics['null_because'].get(key, '')
        return _text('not measured', h('small', why))
    shown = h('strong', format_figure(key, value), class_='value')
    ends = (format_figure(key, end) for end in interval) if interval else ('no interval',)
    said = h('small', ' to '.join(ends), class_='interval')
    return _text(shown, said, _chart(key, value, metrics, comparison))


def _blind(key: str, metrics: Mapping[str, Any]) -> Element:
    best = best_baseline(metrics['baselines'], key)
    if best is None:
        return _text(format_figure(key, None))
    name = h('small', best[0].replace('_', ' '))
    standing = against_blind(key, metrics)
    if standing is not None:
        classes = {'beaten': 'good', 'not reached': 'bad'}
        add(name, ': ', h('span', standing, class_=classes.get(standing)))
    return _text(format_figure(key, best[1]), name)


def against_blind(key: str, metrics: Mapping[str, Any]) -> str | None:
    """`beaten`, `not reached` or `within the interval`: the model and its best blind baseline.

    None where the figure, its interval or such a baseline is missing, and for the calibration
    error, which an answer that is always the prevalence does not have.
    """
    if key == 'ece':
        return None
    best = best_baseline(metrics['baselines'], key)
    interval = metrics['confidence_95'].get(key)
    if best is None or metrics.get(key) is None or not interval:
        return None
    low, high = goodness(key, interval)
    blind = goodness(key, (best[1], best[1]))[0]
    if low > blind:
        return 'beaten'
    return 'not reached' if high < blind else 'within the interval'


def _oracle(key: str, metrics: Mapping[str, Any]) -> float | None:
    oracle = metrics['oracle']
    return oracle.get(key) if oracle else None


def _change(key: str, comparison: Comparison) -> list[Element]:
    change = comparison.changes.get(key)
    if change is None:
        return [_text(format_figure(key, None)), _text(format_figure(key, None))]
    interval = comparison.reference.metrics['confidence_95'].get(key)
    range_ = None
    if interval and change.reference is not None:
        ends = (format_figure(key, end) for end in interval)
        range_ = h('small', ' to '.join(ends), class_='interval')
    class_ = f'verdict {_VERDICT_CLASSES.get(change.verdict, "")}'.strip()
    verdict = h('small', change.verdict.value, class_=class_)
    return [
        _text(format_figure(key, change.reference), range_),
        _text(change.shown_difference, verdict),
    ]


def _comparison_notes(comparison: Comparison | None) -> Node:
    if comparison is None:
        return None
    notes = h('div', class_='note')
    add(notes, h('p', h('strong', 'Compared with '), h('code', comparison.reference.name), '. '))
    add(notes[0], comparison.models, ' ', RULE)
    add(notes, h('p', h('strong', comparison.likeness)))
    if comparison.unlike:
        notes.set('class', 'note warn')
        add(notes, h('ul', *(h('li', why) for why in comparison.unlike)))
    return notes


def _chart_key(compared: bool) -> Element:
    """What the marks of the small charts stand for."""
    marks = {
        'model, with its 95 % interval': {'band': 'M4 12H20', 'dot': 'M12 12h0'},
        'best blind baseline': {'blind': 'M12 4V20'},
        'projection oracle': {'oracle': 'M12 4V20'},
    }
    if compared:
        marks['reference'] = {'reference': 'M12 4V20'}
    entries = []
    for name, drawn in marks.items():
        paths = [h('path', d=path, class_=class_) for class_, path in drawn.items()]
        picture = h('svg', *paths, viewBox='0 0 24 24', width=24, height=24, aria_hidden='true')
        entries.append(h('li', picture, ' ', name))
    return h('ul', *entries, class_='legend')


def _chart(
    key: str, value: float, metrics: Mapping[str, Any], comparison: Comparison | None
) -> Element:
    """Draw all columns on one line between the ends of its scale; the cells say them too."""
    best, oracle = best_baseline(metrics['baselines'], key), _oracle(key, metrics)
    interval = metrics['confidence_95'].get(key) or (value, value)
    reference = comparison.changes[key].reference if comparison else None
    low, high = _scale(key, [value, *interval, oracle, reference, best[1] if best else None])
    place = (_CHART_WIDTH - 12) / (high - low)
    middle = _CHART_HEIGHT / 2

    def at(of: float) -> str:
        return f'{6 + (of - low) * place:.1f}'

    tick = f'{middle - 8}V{middle + 8}'
    drawn = [h('path', d=f'M6 {middle}H{_CHART_WIDTH - 6}', class_='track')]
    drawn.append(h('path', d=f'M{at(interval[0])} {middle}H{at(interval[1])}', class_='band'))
    if best is not None:
        drawn.append(h('path', d=f'M{at(best[1])} {tick}', class_='blind'))
    if oracle is not None:
        drawn.append(h('path', d=f'M{at(oracle)} {tick}', class_='oracle'))
    if reference is not None:
        drawn.append(h('path', d=f'M{at(reference)} {tick}', class_='reference'))
    drawn.append(h('path', d=f'M{at(value)} {middle}h0', class_='dot'))
    box = f'0 0 {_CHART_WIDTH} {_CHART_HEIGHT}'
    chart = h('svg', *drawn, viewBox=box, class_='chart', aria_hidden='true')
    return h('small', f'{low:g}', chart, f'{high:g}', class_='scale')


def _scale(key: str, values: list[float | None]) -> tuple[float, float]:
    """0 to 1 for shares; else over all values, zero included."""
    if is_share(key):
        return 0.0, 1.0
    known = (value for value in values if value is not None)
    axis = axis_over('', [0.0, *known], least=10 * resolution(key))
    return axis.low, axis.high
