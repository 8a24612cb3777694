# SPDX-License-Identifier: Apache-2.0
"""How the error of pointing grows with range, and over azimuth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation import histograms
from radar_camera_ssl.evaluation.scoring import Pointing

RANGE_EDGES_M = (0, 10, 20, 30, 40, 50, 60, 80, 100, 150, 200, 300)
# To the left positive, as REP 103 has it.
AZIMUTH_EDGES_DEG = tuple(range(-90, 91, 10))


class ReturnsByBin:
    """Counts of true, visible returns by where they are: they add up, in bins that are fixed."""

    def __init__(self, edges: Sequence[int]) -> None:
        """Start from nothing.

        edges: growing; a value on an edge belongs to the bin above it, one beyond the last or the
        first edge to the bin there.
        """
        self.edges = edges
        bins = len(edges) - 1
        self.returns = np.zeros(bins)
        self.on_source = np.zeros(bins)
        self.column_error = np.zeros((bins, histograms.MAGNITUDE_BINS))

    def add(self, place: NDArray[np.floating[Any]], pointing: Pointing) -> None:
        """Count the returns of one frame; place: (V,) where they are, in the unit of the edges."""
        bins = len(self.returns)
        index = np.clip(np.searchsorted(self.edges, place, side='right') - 1, 0, bins - 1)
        self.returns += np.bincount(index, minlength=bins)
        self.on_source += np.bincount(index[pointing.on_source_dilated], minlength=bins)
        if pointing.column_error is not None:
            error = histograms.magnitude_bin(np.rad2deg(pointing.column_error))
            np.add.at(self.column_error, (index, error), 1)

    def merge(self, other: ReturnsByBin) -> None:
        """Add another drive's counts."""
        self.returns += other.returns
        self.on_source += other.on_source
        self.column_error += other.column_error

    def values(self) -> list[dict[str, float | None]]:
        """Bins that have a return: from, to, returns, pointing_accuracy, column_error_deg.

        The figures are those of `Tally.values`; column_error_deg is None without camera_info.
        """
        return [
            {
                'from': self.edges[i],
                'to': self.edges[i + 1],
                'returns': int(self.returns[i]),
                'pointing_accuracy': float(self.on_source[i] / self.returns[i]),
                'column_error_deg': histograms.magnitude_quantile(self.column_error[i], 0.5),
            }
            for i in np.flatnonzero(self.returns)
        ]
