# SPDX-License-Identifier: Apache-2.0
"""Where a radar looks by its own Doppler: what tells a turned radar without any image.

What stands still comes nearer with V cos(a - h), V the car's speed, a the azimuth at which it is
seen, and h that of the car's way (Kellner et al. 2014, Instantaneous ego-motion estimation using
multiple Doppler radars). A radar that turns sees its h turn as far the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation import histograms
from radar_camera_ssl.sensors.ego_speed import ego_speed
from radar_camera_ssl.sensors.radar_points import RadarPoints

# Slower, and what Doppler has of the heading is noise.
_LEAST_MPS = 1.0
_FEWEST_RETURNS = 50
# Of a return's Doppler against one that stands still; what is further off moves.
_SCALE_MPS = 0.3
_ROUNDS = 20
_BIN_DEG = 0.02
_LIMIT_DEG = 20.0
_BINS = round(2 * _LIMIT_DEG / _BIN_DEG)


def heading(window: Sequence[RadarPoints]) -> float | None:
    """Azimuth h, rad, of the car's way as the radar's frames of a few seconds see it.

    Least squares over all returns, reweighted to forget what moves. None where the car stands or
    too few returns tell.
    """
    rows, speeds = [], []
    for returns in window:
        speed = ego_speed(returns.as_array(('x', 'y', 'velocity', 'rcs')))
        if speed >= _LEAST_MPS:
            azimuth = returns.azimuth.astype(np.float64)
            rows.append(speed * np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1))
            speeds.append(-returns.velocity.astype(np.float64))
    if sum(map(len, rows)) < _FEWEST_RETURNS:
        return None
    design, approach = np.concatenate(rows), np.concatenate(speeds)
    way = np.array([1.0, 0.0])
    for _ in range(_ROUNDS):
        weight = 1 / (1 + ((approach - design @ way) / _SCALE_MPS) ** 2)
        way = np.linalg.lstsq(weight[:, None] * design, weight * approach, rcond=None)[0]
    return float(np.arctan2(way[1], way[0]))


@dataclass
class HeadingCounts:
    """How many windows have which heading, as mounted and turned: counts that add up.

    Within 20 degrees, to 0.02. untold: (2,) windows that tell none, as mounted and turned.
    """

    mounted: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_BINS))
    turned: NDArray[np.float64] = field(default_factory=lambda: np.zeros(_BINS))
    untold: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))

    def add(self, window: Sequence[RadarPoints], is_turned: bool) -> None:
        """Count a window's heading."""
        found = heading(window)
        if found is None:
            self.untold[int(is_turned)] += 1
            return
        index = int(np.clip((np.rad2deg(found) + _LIMIT_DEG) / _BIN_DEG, 0, _BINS - 1))
        (self.turned if is_turned else self.mounted)[index] += 1

    def merge(self, other: HeadingCounts) -> None:
        """Add another drive's counts."""
        self.mounted += other.mounted
        self.turned += other.turned
        self.untold += other.untold

    def auroc(self, turn_deg: float) -> float | None:
        """AUROC of the angle to the median heading as mounted: turned windows above the others.

        turn_deg: by how much they are turned. A window that tells no heading counts as half of it.
        """
        total = self.mounted.sum()
        if not total:
            return None
        nominal = np.searchsorted(np.cumsum(self.mounted), 0.5 * total)
        bins = histograms.magnitude_bin(_BIN_DEG * np.abs(np.arange(_BINS) - nominal))
        untold = histograms.magnitude_counts([0.5 * turn_deg])
        mounted, turned = (
            np.bincount(bins, counts, histograms.MAGNITUDE_BINS) + unknown * untold
            for counts, unknown in zip((self.mounted, self.turned), self.untold, strict=True)
        )
        return histograms.auroc(turned, mounted)
