# SPDX-License-Identifier: Apache-2.0
"""From world points to pixels: a posed pinhole and clipping at its near plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radar_camera_ssl.sensors.geometry import OPTICAL_FROM_BODY, Intrinsics

from .config import Mounting
from .road import EgoPose

NEAR_M = 0.3
_FAR_PIXEL = 20000.0


@dataclass(frozen=True)
class View:
    """A camera at one time: rotation (3, 3) world to optical, its place in the world (3,)."""

    intrinsics: Intrinsics
    rotation: np.ndarray
    place: np.ndarray

    @classmethod
    def at(cls, intrinsics: Intrinsics, mounting: Mounting, ego: EgoPose) -> View:
        """Pose the camera on the ego vehicle."""
        mount = mounting.transform()
        body = ego.rotation @ mount.rotation
        return cls(
            intrinsics,
            OPTICAL_FROM_BODY @ body.T,
            ego.translation + ego.rotation @ mount.translation,
        )

    def optical(self, points: np.ndarray) -> np.ndarray:
        """Take world points (..., 3) to the optical frame."""
        return (points - self.place) @ self.rotation.T

    def pixels(self, points_optical: np.ndarray) -> np.ndarray:
        """Project (..., 3) points in front of the near plane to (..., 2) pixels."""
        k = self.intrinsics.matrix
        z = np.maximum(points_optical[..., 2], 1e-3)
        u = k[0, 0] * points_optical[..., 0] / z + k[0, 2]
        v = k[1, 1] * points_optical[..., 1] / z + k[1, 2]
        return np.clip(np.stack([u, v], axis=-1), -_FAR_PIXEL, _FAR_PIXEL)


def clip_near(polygon: np.ndarray) -> np.ndarray:
    """Cut a polygon (n, 3) in the optical frame at the near plane (Sutherland and Hodgman).

    Returns (m, 3), empty when all of it lies behind.
    """
    inside = polygon[:, 2] >= NEAR_M
    if inside.all():
        return polygon
    kept: list[np.ndarray] = []
    for i in range(len(polygon)):
        a, b = polygon[i - 1], polygon[i]
        inside_a, inside_b = inside[i - 1], inside[i]
        if inside_a:
            kept.append(a)
        if inside_a != inside_b:
            kept.append(a + (b - a) * ((NEAR_M - a[2]) / (b[2] - a[2])))
    return np.array(kept).reshape(-1, 3)
