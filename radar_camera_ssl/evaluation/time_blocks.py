# SPDX-License-Identifier: Apache-2.0
"""Tallies kept apart by time, and the confidence intervals that follow from them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from radar_camera_ssl.evaluation.metrics import METRIC_KEYS, Tally

DRIVES_ENOUGH = 10
"""From so many drives on, intervals are drawn from drives, not from their time blocks."""


class BlockedTally:
    """Tallies of time blocks, at most `max_blocks`: when full, neighbours are merged."""

    def __init__(self, block_s: float = 2.0, max_blocks: int = 32) -> None:
        """Blocks start at block_s and double whenever max_blocks are full."""
        self._block_s = block_s
        self._max_blocks = max_blocks
        self._start: int | None = None
        self._blocks: dict[int, Tally] = {}

    def at(self, stamp: int) -> Tally:
        """Tally of the block that holds this stamp (ns)."""
        if self._start is None:
            self._start = stamp
        index = int((stamp - self._start) / 1e9 // self._block_s)
        while index not in self._blocks and len(self._blocks) >= self._max_blocks:
            halved: dict[int, Tally] = {}
            for old, tally in self._blocks.items():
                if old // 2 in halved:
                    halved[old // 2].merge(tally)
                else:
                    halved[old // 2] = tally
            self._blocks = halved
            self._block_s *= 2
            index //= 2
        return self._blocks.setdefault(index, Tally())

    @property
    def blocks(self) -> list[Tally]:
        """The blocks' tallies, in no particular order."""
        return list(self._blocks.values())


def total_of(blocks: Sequence[Tally]) -> Tally:
    """Sum of tallies."""
    total = Tally()
    for block in blocks:
        total.merge(block)
    return total


def resampled(drives: Sequence[Sequence[Tally]]) -> tuple[str, list[Tally]]:
    """What a confidence interval is drawn from, 'drive' or 'block', and their tallies.

    drives: the time blocks of each. Frames of one block repeat each other, and blocks of one drive
    share its road, light and traffic: what is independent is the drive, from DRIVES_ENOUGH of them
    on. With fewer a bootstrap over drives is too narrow by itself, for it knows too few, so all
    blocks are drawn from together: that interval is one for these drives, not for others.
    Source: Davison and Hinkley, "Bootstrap methods and their application", 1997, section 3.8.
    """
    if len(drives) >= DRIVES_ENOUGH:
        return 'drive', [total_of(blocks) for blocks in drives]
    return 'block', [block for blocks in drives for block in blocks]


def confidence_95(
    units: Sequence[Tally], resamples: int = 200, seed: int = 0
) -> dict[str, tuple[float, float] | None]:
    """95 % percentile bootstrap over time blocks or drives, which `resampled` gives.

    None with fewer than 5, or where the metric is undefined in a resample.
    Source: block bootstrap, Kuensch, Annals of Statistics 17 (1989).
    """
    if len(units) < 5:
        return dict.fromkeys(METRIC_KEYS)
    stacked = np.stack([unit.counts for unit in units])
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), resamples)
    draws = [Tally(w @ stacked).values() for w in weights.astype(np.float64)]
    intervals: dict[str, tuple[float, float] | None] = {}
    for key in METRIC_KEYS:
        drawn = [value for draw in draws if (value := draw[key]) is not None]
        if len(drawn) < resamples:
            intervals[key] = None
        else:
            low, high = np.quantile(drawn, [0.025, 0.975])
            intervals[key] = (float(low), float(high))
    return intervals
