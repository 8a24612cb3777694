# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element

import pytest
from report_sample import Sample, sample_metrics

from radar_camera_ssl.evaluation.comparison import Reference, compare
from radar_camera_ssl.evaluation.report.figures import against_blind, figures_section
from radar_camera_ssl.evaluation.summary import HEADLINES


def rows(section: Element) -> dict[str, Element]:
    """Rows of the table by the key that they name."""
    found = (row for row in section.iter('tr') if row.find('th/code') is not None)
    return {''.join(row.findall('th/code')[0].itertext()): row for row in found}


def cells(row: Element) -> dict[str, str]:
    return {cell.get('data-label', ''): ' '.join(cell.itertext()) for cell in row.findall('td')}


@pytest.mark.parametrize(
    ('key', 'interval', 'blind', 'said'),
    [
        ('pointing_accuracy', [0.8, 0.9], 0.7, 'beaten'),
        ('pointing_accuracy', [0.8, 0.9], 0.85, 'within the interval'),
        ('pointing_accuracy', [0.8, 0.9], 0.95, 'not reached'),
        ('column_error_deg', [0.1, 0.2], 0.3, 'beaten'),
        ('column_error_deg', [0.1, 0.2], 0.05, 'not reached'),
        ('column_error_deg', None, 0.05, None),
        ('ece', [0.1, 0.2], 0.3, None),
    ],
)
def test_the_model_stands_against_the_best_blind_baseline(
    key: str, interval: list[float] | None, blind: float, said: str | None
) -> None:
    metrics = {
        key: 0.5,
        'confidence_95': {key: interval},
        'baselines': {'centre': {key: blind}, 'rcs': {key: None}},
    }
    assert against_blind(key, metrics) == said


def test_every_headline_has_a_row_and_says_what_it_means() -> None:
    found = rows(figures_section(sample_metrics(), None))
    assert list(found) == list(HEADLINES)
    for key, row in found.items():
        meaning = row.find("th/p[@class='meaning']")
        assert meaning is not None, f'{key} has no sentence'
        assert meaning.text
        assert meaning.text.endswith('.')


def test_what_was_not_measured_says_why() -> None:
    metrics = sample_metrics()
    metrics['heatmap_ap'] = None
    metrics['null_because']['heatmap_ap'] = 'no ground truth'
    said = cells(rows(figures_section(metrics, None))['heatmap_ap'])
    assert 'not measured' in said['Model']
    assert 'no ground truth' in said['Model']


def test_a_figure_without_an_interval_says_so() -> None:
    metrics = sample_metrics()
    metrics['confidence_95']['ece'] = None
    assert 'no interval' in cells(rows(figures_section(metrics, None))['ece'])['Model']


def against(reference: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Element]:
    return rows(figures_section(metrics, compare(metrics, Reference('then', reference))))


def test_better_and_worse_are_words_not_only_colours() -> None:
    metrics, reference = sample_metrics(), sample_metrics()
    reference['ece'] = 0.5 * metrics['ece']
    reference['confidence_95']['ece'] = [0.4 * metrics['ece'], 0.6 * metrics['ece']]
    reference['heatmap_ap'] = reference['confidence_95']['heatmap_ap'] = None
    found = against(reference, metrics)
    assert 'worse' in cells(found['ece'])['Change']
    assert cells(found['ece'])['Change'].startswith('+')
    assert 'measured only now' in cells(found['heatmap_ap'])['Change']
    assert cells(found['ciou'])['Change'].startswith('±0.000')
    assert 'no change beyond the interval' in cells(found['ciou'])['Change']


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({}, 'Like with like'),
        ({'slop_s': 0.1}, 'Not like with like'),
        ({'bags': [{'bag': 'drive 0'}, {'bag': 'drive 1'}]}, 'nobody knows'),
    ],
)
def test_it_says_whether_like_is_compared_with_like(change: dict[str, Any], said: str) -> None:
    metrics = sample_metrics()
    comparison = compare(metrics, Reference('then', {**sample_metrics(), **change}))
    text = ' '.join(figures_section(metrics, comparison).itertext())
    assert said in text
    assert 'do not overlap' in text


def test_one_reference_without_a_figure_is_no_trouble() -> None:
    sample = Sample()
    reference = sample_metrics()
    del reference['ciou'], reference['by_range']
    assert cells(against(reference, sample.metrics)['ciou'])['Reference'].startswith('–')
