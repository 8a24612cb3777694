# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radar_camera_ssl.evaluation.by_bins import AZIMUTH_EDGES_DEG, RANGE_EDGES_M, ReturnsByBin
from radar_camera_ssl.evaluation.scoring import Pointing

EDGES = (0, 10, 20, 50)
returns = st.lists(
    st.tuples(st.floats(-5, 60), st.booleans(), st.floats(0.01, 10)), min_size=1, max_size=40
)


def pointing(hits: list[bool], degrees: list[float] | None) -> Pointing:
    hit = np.array(hits, bool)
    return Pointing(hit, hit, None if degrees is None else np.deg2rad(degrees))


@given(returns)
def test_each_bin_holds_the_figures_of_its_returns(
    seen: list[tuple[float, bool, float]],
) -> None:
    places, hits, degrees = (list(column) for column in zip(*seen, strict=True))
    counts = ReturnsByBin(EDGES)
    counts.add(np.array(places), pointing(hits, degrees))
    rows = {row['from']: row for row in counts.values()}
    for start, end in ((0, 10), (10, 20), (20, 50)):
        low = -np.inf if start == 0 else start
        high = np.inf if end == 50 else end
        here = [i for i, place in enumerate(places) if low <= place < high]
        if not here:
            assert start not in rows
            continue
        row = rows[start]
        assert (row['to'], row['returns']) == (end, len(here))
        assert row['pointing_accuracy'] == pytest.approx(np.mean([hits[i] for i in here]))
        median = np.quantile([degrees[i] for i in here], 0.5, method='inverted_cdf')
        assert row['column_error_deg'] == pytest.approx(float(median), rel=0.013)


def test_merged_counts_are_those_of_all_frames() -> None:
    rng = np.random.default_rng(0)
    whole, parts = ReturnsByBin(RANGE_EDGES_M), [ReturnsByBin(RANGE_EDGES_M) for _ in range(3)]
    for i in range(12):
        place = rng.uniform(0, 200, 7)
        score = pointing(list(rng.random(7) < 0.5), list(rng.exponential(size=7)))
        whole.add(place, score)
        parts[i % 3].add(place, score)
    parts[0].merge(parts[1])
    parts[0].merge(parts[2])
    assert parts[0].values() == whole.values()


def test_without_camera_info_there_is_no_angle() -> None:
    counts = ReturnsByBin(AZIMUTH_EDGES_DEG)
    counts.add(np.array([-3.0]), pointing([True], None))
    assert json.loads(json.dumps(counts.values())) == [
        {'from': -10, 'to': 0, 'returns': 1, 'pointing_accuracy': 1.0, 'column_error_deg': None}
    ]


def test_nothing_seen_gives_no_bin() -> None:
    counts = ReturnsByBin(RANGE_EDGES_M)
    counts.add(np.zeros(0), pointing([], []))
    assert counts.values() == []
