# SPDX-License-Identifier: Apache-2.0
"""What a calibrated rig would say: each return projected into the image by known extrinsics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation.scoring import Answer
from radar_camera_ssl.sensors.geometry import Intrinsics, RigidTransform
from radar_camera_ssl.sensors.radar_points import RadarPoints

# Half extents of what usually reflects, m: a Gaussian's standard deviations.
HALF_WIDTH_M = 0.9
HALF_HEIGHT_M = 0.8
# Its middle lies above where a bumper-high radar sees it; chosen on simulated development drives.
RISE_M = 0.25
# A return of this radar cross-section is as likely clutter as a target; one step of the logit.
EVEN_RCS_DBSM = 0.0
RCS_STEP_DB = 5.0


def splat(
    pixel: NDArray[np.floating[Any]],
    sigma: NDArray[np.floating[Any]],
    weight: NDArray[np.floating[Any]],
    image_size: tuple[int, int],
    grid: tuple[int, int],
) -> NDArray[np.float32]:
    """Heatmap (rows, columns): the largest weight x Gaussian of all returns at each cell's centre.

    pixel, sigma: (N, 2) u, v in image pixels; weight: (N,); image_size: (height, width); grid:
    (rows, columns). Returns with a NaN pixel do not count. A Gaussian is never narrower than half
    a cell, or it could fall between the cells' centres.
    """
    rows, columns = grid
    height, width = image_size
    cell = np.array([width / columns, height / rows])
    seen = np.isfinite(pixel).all(axis=1)
    if not seen.any():
        return np.zeros(grid, np.float32)
    centre, spread = pixel[seen], np.maximum(sigma[seen], cell / 2)
    u = (np.arange(columns) + 0.5) * cell[0] - 0.5
    v = (np.arange(rows) + 0.5) * cell[1] - 0.5
    across = np.exp(-0.5 * ((u - centre[:, :1]) / spread[:, :1]) ** 2)
    down = np.exp(-0.5 * ((v - centre[:, 1:]) / spread[:, 1:]) ** 2) * weight[seen][:, None]
    return np.asarray((down[:, :, None] * across[:, None, :]).max(axis=0), np.float32)


def sources_about(
    pixel: NDArray[np.floating[Any]],
    distance: NDArray[np.floating[Any]],
    weight: NDArray[np.floating[Any]],
    camera: Intrinsics,
    grid: tuple[int, int],
) -> NDArray[np.float32]:
    """Heatmap (rows, columns): `splat` of what usually reflects, about each return.

    pixel: (N, 2) u, v of the returns in the camera's image; distance: (N,) m; weight: (N,).
    """
    pixel_per_m = camera.matrix[[0, 1], [0, 1]] / np.maximum(distance, 0.5)[:, None]
    middle = pixel - pixel_per_m * [0.0, RISE_M]
    sigma = pixel_per_m * [HALF_WIDTH_M, HALF_HEIGHT_M]
    return splat(middle, sigma, weight, (camera.height, camera.width), grid)


def rcs_likelihood(rcs: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Likelihood (N,) that a return is a target by its strength alone: a logistic of dBsm."""
    return 1 / (1 + np.exp(-(np.asarray(rcs, np.float64) - EVEN_RCS_DBSM) / RCS_STEP_DB))


@dataclass(frozen=True)
class ProjectionOracle:
    """Projects returns with the recording's own calibration.

    It knows the mounting and the lens, and nothing else: no ground truth, no depth beyond the
    return's own measured position, no appearance.
    """

    intrinsics: Intrinsics
    optical_from_radar: RigidTransform

    def answer(
        self, returns: RadarPoints, image_size: tuple[int, int], grid: tuple[int, int]
    ) -> Answer:
        """Prediction for these returns in an image of (height, width).

        pixel: the projection of x, y, z, NaN behind the camera. likelihood: `rcs_likelihood`, 0
        where the projection leaves the image. heatmap: `sources_about` these pixels.
        """
        height, width = image_size
        camera = self.intrinsics.scaled(width, height)
        optical = self.optical_from_radar.apply(returns.position)
        pixel, _ = camera.project(optical)
        with np.errstate(invalid='ignore'):
            inside = (
                (pixel >= -0.5).all(axis=1)
                & (pixel[:, 0] < width - 0.5)
                & (pixel[:, 1] < height - 0.5)
            )
        likelihood = np.where(inside, rcs_likelihood(returns.rcs), 0.0)
        weight = rcs_likelihood(returns.rcs)
        heatmap = sources_about(pixel, optical[:, 2], weight, camera, grid)
        return Answer(heatmap, pixel, likelihood)
