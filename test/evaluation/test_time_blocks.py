# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from radar_camera_ssl.evaluation.metrics import METRIC_KEYS, Tally
from radar_camera_ssl.evaluation.time_blocks import (
    DRIVES_ENOUGH,
    BlockedTally,
    confidence_95,
    resampled,
    total_of,
)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=200))
def test_time_blocks_stay_few_and_lose_nothing(stamps: list[int]) -> None:
    blocks = BlockedTally(block_s=1.0, max_blocks=8)
    for stamp in stamps:
        blocks.at(stamp).returns += 1
    assert len(blocks.blocks) <= 8
    assert total_of(blocks.blocks).returns[0] == len(stamps)


def test_a_backward_jump_of_time_is_another_block() -> None:
    blocks = BlockedTally()
    blocks.at(10**10).returns += 1
    blocks.at(0).returns += 1
    assert len(blocks.blocks) == 2


def block_of_hits(hits: NDArray[np.bool_]) -> Tally:
    tally = Tally()
    tally.returns += len(hits)
    tally.on_source_dilated += hits.sum()
    return tally


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        blocks = [block_of_hits(rng.random(20) < 0.7) for _ in range(20)]
        interval = confidence_95(blocks, resamples=100, seed=seed)['pointing_accuracy']
        assert interval is not None
        covered += interval[0] <= 0.7 <= interval[1]
    assert covered >= 33


def test_no_interval_from_too_few_blocks() -> None:
    blocks = [block_of_hits(np.ones(3, bool))] * 4
    assert confidence_95(blocks) == dict.fromkeys(METRIC_KEYS)


def drives_that_differ(seed: int, count: int) -> list[list[Tally]]:
    """Drives of five blocks; some are easy, some are hard, 0.6 on average."""
    rng = np.random.default_rng(seed)
    ease = rng.choice([0.4, 0.8], count)
    return [[block_of_hits(rng.random(20) < p) for _ in range(5)] for p in ease]


def test_many_drives_are_drawn_whole_for_their_blocks_share_a_road() -> None:
    covered = {'drive': 0, 'block': 0}
    for seed in range(25):
        drives = drives_that_differ(seed, 14)
        unit, units = resampled(drives)
        assert (unit, len(units)) == ('drive', 14)
        flat = [block for blocks in drives for block in blocks]
        for name, tallies in ((unit, units), ('block', flat)):
            interval = confidence_95(tallies, resamples=50)['pointing_accuracy']
            assert interval is not None
            covered[name] += interval[0] <= 0.6 <= interval[1]
    assert covered['block'] <= 19 < covered['drive']


def test_few_drives_give_all_their_blocks() -> None:
    drives = drives_that_differ(0, DRIVES_ENOUGH - 1)
    unit, units = resampled(drives)
    assert unit == 'block'
    assert len(units) == 5 * (DRIVES_ENOUGH - 1)
    assert total_of(units).values() == total_of([total_of(d) for d in drives]).values()
