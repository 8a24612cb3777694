# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

from radar_camera_ssl.evaluation.summary import HEADLINES, WITHOUT_RADAR, goodness, seeds_markdown


def metrics(pointing: float, radar_only: float, blind: float) -> dict[str, Any]:
    """What metrics.json would hold, with one figure measured."""
    nothing: dict[str, Any] = dict.fromkeys(HEADLINES)
    baselines = {name: {'pointing_accuracy': None} for name in WITHOUT_RADAR}
    baselines['centre'] = {'pointing_accuracy': blind}
    baselines['radar_only'] = {'pointing_accuracy': radar_only}
    return {
        **nothing,
        'pointing_accuracy': pointing,
        'confidence_95': {'pointing_accuracy': [pointing - 0.1, pointing + 0.1]},
        'baselines': baselines,
        'oracle': {'pointing_accuracy': 0.75},
    }


def test_seeds_are_told_as_their_median_each_with_its_interval():
    seeds = {
        2: metrics(0.9, 0.7, 0.2),
        0: metrics(0.8, 0.5, 0.1),
        1: metrics(0.5, 0.6, 0.3),
    }
    header, _, *rows = seeds_markdown(seeds).splitlines()
    assert header.count('seed') == 3
    assert len(rows) == 1
    cells = [cell.strip() for cell in rows[0].strip('|').split('|')]
    assert cells == [
        '`pointing_accuracy`',
        '0.800',
        '0.800 (0.700 to 0.900)',
        '0.500 (0.400 to 0.600)',
        '0.900 (0.800 to 1.000)',
        '0.200',
        '0.600',
        '0.750',
    ]


def test_a_figure_that_one_seed_lacks_is_left_out():
    lacking = metrics(0.5, 0.5, 0.1)
    lacking['pointing_accuracy'] = None
    assert len(seeds_markdown({0: metrics(0.8, 0.5, 0.1), 1: lacking}).splitlines()) == 2


def test_more_goodness_is_better_whatever_the_figure():
    assert goodness('yaw_error_deg', [-2.0, -1.0]) == (-2.0, -1.0)
    assert goodness('yaw_error_deg', [1.0, 2.0]) == (-2.0, -1.0)
    assert goodness('time_offset_ms', [-1.0, 3.0]) == (-3.0, 0.0)
    assert goodness('ece', [0.1, 0.2]) == (-0.2, -0.1)
    assert goodness('ciou', [0.1, 0.2]) == (0.1, 0.2)
