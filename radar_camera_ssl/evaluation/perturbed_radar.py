# SPDX-License-Identifier: Apache-2.0
"""Radar frames as a radar that is turned, or measures at another time, would give them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation.replay import RadarFrame
from radar_camera_ssl.sensors.radar_cube import CubeAxes
from radar_camera_ssl.sensors.radar_points import RadarPoints

FloatArray = NDArray[np.float64]

# To the side of this no camera looks, and what is there passes ever faster.
_LEAST_COSINE = 0.35
_LEAST_AHEAD_M = 0.5


def perturbed(
    radar: RadarFrame, yaw_rad: float, later_s: float, axes: CubeAxes | None = None
) -> RadarFrame:
    """Turn a frame about the radar's z axis, to the left for positive yaw, and take it in time.

    What stands or drives along the road before a radar that looks forward moves by v / cos(a)
    along x, for its azimuth a and radial velocity v, whatever the car's own speed; the car's yaw
    rate, which a radar frame does not tell, is left out. Radial velocities stay as they are.

    axes: of a cube. Its content moves along the azimuth axis alone, by cubic interpolation in dB
    (Keys, IEEE Transactions on Acoustics, Speech, and Signal Processing 29, 1981); at the edges
    the outermost beam is repeated. Raises ValueError for a cube without axes.
    """
    if isinstance(radar, RadarPoints):
        return _perturbed_points(radar, yaw_rad, later_s)
    if axes is None:
        raise ValueError('the axes of the cube are needed')
    return _perturbed_cube(radar, yaw_rad, later_s, axes)


def _perturbed_points(radar: RadarPoints, yaw_rad: float, later_s: float) -> RadarPoints:
    x, y, z = radar.position.astype(np.float64).T
    turned = np.arctan2(y, x) + yaw_rad
    azimuth, reach = _later(turned, np.hypot(x, y), radar.velocity.astype(np.float64), later_s)
    moved = np.stack([reach * np.cos(azimuth), reach * np.sin(azimuth), z], axis=1)
    return replace(radar, position=moved.astype(np.float32))


def _perturbed_cube(
    cube: NDArray[np.float32], yaw_rad: float, later_s: float, axes: CubeAxes
) -> NDArray[np.float32]:
    count = cube.shape[1]
    range_m, azimuth, doppler = axes.centres((cube.shape[0], count, cube.shape[2]))
    # From where the content of each cell comes.
    before, _ = _later(azimuth[:, None], range_m[:, None, None], doppler, -later_s)
    width = (axes.azimuth_rad[1] - axes.azimuth_rad[0]) / count
    source = (before - yaw_rad - azimuth[0]) / width
    first = np.floor(source).astype(np.int64)
    t = (source - first).astype(np.float32)
    weights = (
        ((2.0 - t) * t - 1.0) * t / 2.0,
        ((3.0 * t - 5.0) * t * t + 2.0) / 2.0,
        ((4.0 - 3.0 * t) * t + 1.0) * t / 2.0,
        (t - 1.0) * t * t / 2.0,
    )
    total = np.zeros(cube.shape, np.float32)
    for k, weight in enumerate(weights):
        beam = np.clip(first + k - 1, 0, count - 1)
        total += weight * np.take_along_axis(cube, beam, axis=1)
    return total


def _later(
    azimuth: FloatArray, range_m: FloatArray, velocity: FloatArray, seconds: float
) -> tuple[FloatArray, FloatArray]:
    """Azimuths, rad, and ranges, m, after some time; unchanged far to the side."""
    cosine = np.cos(azimuth)
    moving = cosine > _LEAST_COSINE
    moved = seconds * velocity / np.where(moving, cosine, np.inf)
    x, y = range_m * cosine, range_m * np.sin(azimuth)
    # What is that near is not taken past the radar.
    x = np.where(moving, np.maximum(x + moved, np.minimum(x, _LEAST_AHEAD_M)), x)
    return np.arctan2(y, x), np.hypot(x, y)
