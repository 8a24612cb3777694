# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

from radar_camera_ssl.evaluation.summary import HEADLINES, goodness, seeds_markdown


def metrics(pointing: float | None) -> dict[str, Any]:
    """What metrics.json would hold, with one figure measured."""
    nothing: dict[str, Any] = dict.fromkeys(HEADLINES)
    interval = pointing and [pointing - 0.1, pointing + 0.1]
    return {
        **nothing,
        'pointing_accuracy': pointing,
        'confidence_95': {'pointing_accuracy': interval},
    }


def test_seeds_are_told_as_their_median_each_with_its_interval():
    seeds = {
        2: metrics(0.9),
        0: metrics(0.8),
        1: metrics(0.5),
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
    ]


def test_a_figure_that_one_seed_lacks_is_left_out():
    assert len(seeds_markdown({0: metrics(0.8), 1: metrics(None)}).splitlines()) == 2


def test_more_goodness_is_better_whatever_the_figure():
    assert goodness('yaw_error_deg', [-2.0, -1.0]) == (-2.0, -1.0)
    assert goodness('yaw_error_deg', [1.0, 2.0]) == (-2.0, -1.0)
    assert goodness('time_offset_ms', [-1.0, 3.0]) == (-3.0, 0.0)
    assert goodness('ece', [0.1, 0.2]) == (-0.2, -0.1)
    assert goodness('ciou', [0.1, 0.2]) == (0.1, 0.2)
