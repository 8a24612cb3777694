# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radar_camera_ssl.evaluation.timeline import POINTS, Timeline

START = 1_700_000_000_000_000_000


def filled(gaps_s: list[float], agreements: list[float]) -> dict[str, list[float]]:
    timeline = Timeline()
    for i, (gap_s, agreement) in enumerate(zip(gaps_s, agreements, strict=True)):
        timeline.add(START + i * 100_000_000, gap_s, agreement)
    return timeline.values()


def test_a_short_drive_is_told_pair_by_pair() -> None:
    values = filled([0.01, -0.02, 0.0], [0.5, 0.25, 1.0])
    assert json.loads(json.dumps(values)) == {
        'time_s': [0.0, 0.1, 0.2],
        'gap_ms': [10.0, -20.0, 0.0],
        'agreement': [0.5, 0.25, 1.0],
    }
    assert Timeline().values() == {'time_s': [], 'gap_ms': [], 'agreement': []}


@given(st.integers(1, 5000), st.integers(0, 4999), st.sampled_from([-0.049, 0.049]))
@settings(deadline=None)
def test_extremes_survive_in_few_points(count: int, bad: int, gap_s: float) -> None:
    bad %= count
    gaps, agreements = [0.001] * count, [0.9] * count
    gaps[bad], agreements[bad] = gap_s, 0.02
    values = filled(gaps, agreements)
    length = len(values['time_s'])
    assert min(count, POINTS // 2) <= length <= POINTS
    assert {len(column) for column in values.values()} == {length}
    place = int(np.argmin(values['agreement']))
    assert values['agreement'][place] == 0.02
    assert values['gap_ms'][place] == pytest.approx(gap_s * 1e3)
    assert max(np.abs(values['gap_ms'])) == pytest.approx(49)
    # Where it is told is where it was.
    ends = [*values['time_s'][1:], count * 0.1]
    assert values['time_s'][place] <= bad * 0.1 + 1e-6
    assert bad * 0.1 < ends[place] + 1e-6
    assert values['time_s'] == sorted(values['time_s'])
