# SPDX-License-Identifier: Apache-2.0
"""How strong the returns are that a network found in a radar cube, which tells no RCS."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.model_metadata import CubeInput
from radar_camera_ssl.sensors.radar_points import RadarPoints

# A cell this far above the cube's median is as likely clutter as a target.
EVEN_POWER_DB = 15.0


def cell_power(
    cube: NDArray[np.float32], returns: RadarPoints, axes: CubeInput
) -> NDArray[np.float64]:
    """Power (N,) of the cells that hold the returns, dB above EVEN_POWER_DB over the median."""
    places = (
        (returns.range, axes.range_m),
        (returns.azimuth, axes.azimuth_rad),
        (returns.velocity, axes.doppler_mps),
    )
    cells = tuple(
        np.clip((value - first) / (last - first) * bins, 0, bins - 1).astype(np.int64)
        for (value, (first, last)), bins in zip(places, cube.shape, strict=True)
    )
    return np.asarray(cube[cells] - np.median(cube) - EVEN_POWER_DB, np.float64)


def apparent_rcs(
    power_db: NDArray[np.float64], range_m: NDArray[np.floating], axes: CubeInput
) -> NDArray[np.float32]:
    """RCS (N,) by the radar equation, dB: power times the fourth power of range.

    No cube is calibrated: zero is where `cell_power` is at half of the cube's range.
    """
    half = 0.5 * max(axes.range_m)
    spread = 40 * np.log10(np.maximum(range_m, 1.0) / half)
    return np.asarray(power_db + spread, np.float32)
