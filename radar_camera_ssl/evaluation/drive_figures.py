# SPDX-License-Identifier: Apache-2.0
"""What is counted of a drive, and of drives merged into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation import baselines
from radar_camera_ssl.evaluation.by_bins import AZIMUTH_EDGES_DEG, RANGE_EDGES_M, ReturnsByBin
from radar_camera_ssl.evaluation.doppler_heading import HeadingCounts
from radar_camera_ssl.evaluation.histograms import bin_threshold, precision_recall
from radar_camera_ssl.evaluation.metrics import METRIC_KEYS, Tally
from radar_camera_ssl.evaluation.moments import Moments
from radar_camera_ssl.evaluation.time_blocks import (
    DRIVES_ENOUGH,
    BlockedTally,
    confidence_95,
    resampled,
    total_of,
)
from radar_camera_ssl.evaluation.windows import YAW_RAD, window_counts

_FRAMEWISE_BASELINES = (
    'centre',
    'image_only',
    'empty_radar',
    'radar_only',
    'another_image',
    'another_radar',
    'rcs',
)


@dataclass(frozen=True)
class Curves:
    """Points of the curves behind the figures, each in [0, 1]; None where not measured."""

    recall: NDArray[np.float64] | None = None
    precision: NDArray[np.float64] | None = None
    oracle_recall: NDArray[np.float64] | None = None
    oracle_precision: NDArray[np.float64] | None = None
    confidence: NDArray[np.float64] | None = None
    frequency: NDArray[np.float64] | None = None


class DriveFigures:
    """Counts of the model, of its baselines and of the oracle: they add up, and can be pickled.

    With them go the best and worst moments, which are merged by choosing among them.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.frames_with_truth = 0
        self.has_oracle = False
        self.blocks = BlockedTally()
        self.baselines = {name: Tally() for name in _FRAMEWISE_BASELINES}
        self.oracle_tally = Tally()
        self.fixed: baselines.FixedMaps | None = None
        self.headings = HeadingCounts()
        self.by_range = ReturnsByBin(RANGE_EDGES_M)
        self.by_azimuth = ReturnsByBin(AZIMUTH_EDGES_DEG)
        self.moments = Moments()
        self._merged: list[list[Tally]] = []

    def merge(self, other: DriveFigures) -> None:
        """Add another drive's counts; what confidence intervals are drawn from stays apart."""
        self._merged += other.drives
        if len(self.drives) >= DRIVES_ENOUGH:
            # Their blocks are not wanted any more, and are most of what is held.
            self._merged = [
                blocks if len(blocks) == 1 else [total_of(blocks)] for blocks in self._merged
            ]
        self.by_range.merge(other.by_range)
        self.by_azimuth.merge(other.by_azimuth)
        self.moments.merge(other.moments)
        for name, tally in self.baselines.items():
            tally.merge(other.baselines[name])
        self.oracle_tally.merge(other.oracle_tally)
        self.headings.merge(other.headings)
        self.has_oracle |= other.has_oracle
        if self.frames == 0:
            self.fixed = other.fixed
        elif self.fixed is not None and other.fixed is not None:
            if (self.fixed.grid, self.fixed.raster) == (other.fixed.grid, other.fixed.raster):
                self.fixed.merge(other.fixed)
            else:
                self.fixed = None
        self.frames += other.frames
        self.frames_with_truth += other.frames_with_truth

    @property
    def drives(self) -> list[list[Tally]]:
        """Tallies of the time blocks of this drive, and of each merged into it that has any."""
        own = self.blocks.blocks
        return [own, *self._merged] if own else list(self._merged)

    @property
    def total(self) -> Tally:
        """The model's counts over all drives."""
        return total_of([block for blocks in self.drives for block in blocks])

    def values(self) -> dict[str, Any]:
        """Metrics, and what stands beside them in metrics.json."""
        total = self.total
        result: dict[str, Any] = dict(total.values())
        result['heatmap_threshold'] = bin_threshold(total.threshold_bin())
        result['windows'] = window_counts(total)
        unit, units = resampled(self.drives)
        result['confidence_95'] = confidence_95(units)
        result['confidence_unit'] = unit
        figures = {name: tally.values() for name, tally in self.baselines.items()}
        if self.fixed is not None:
            figures['best_fixed'] = self.fixed.best_fixed()
            figures['mean_heatmap'] = self.fixed.mean_heatmap()
        doppler = {'yaw_alarm_auroc': self.headings.auroc(float(np.rad2deg(YAW_RAD)))}
        figures['doppler'] = {**dict.fromkeys(METRIC_KEYS), **doppler}
        figures['chance'] = baselines.chance(total.values())
        result['baselines'] = {
            name: figures[name] for name in baselines.BASELINES if name in figures
        }
        result['oracle'] = self.oracle_tally.values() if self.has_oracle else None
        result['by_range'] = self.by_range.values()
        result['by_azimuth'] = self.by_azimuth.values()
        return result

    def curves(self) -> Curves:
        """Precision over recall, and how often what has a likelihood is a source."""
        total = self.total
        recall = precision = oracle_recall = oracle_precision = confidence = frequency = None
        if total.heat_positive.sum() > 0:
            precision, recall = precision_recall(total.heat_positive, total.heat_negative)
            samples, likelihood, positives = total.reliability
            used = samples > 0
            confidence, frequency = (
                likelihood[used] / samples[used],
                positives[used] / samples[used],
            )
        held = self.oracle_tally
        if held.heat_positive.sum() > 0:
            oracle_precision, oracle_recall = precision_recall(
                held.heat_positive, held.heat_negative
            )
        return Curves(recall, precision, oracle_recall, oracle_precision, confidence, frequency)
