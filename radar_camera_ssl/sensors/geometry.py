# SPDX-License-Identifier: Apache-2.0
"""Camera intrinsics, rigid transforms and the static transform tree."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import SensorDataError

# Body frame (REP 103: x forward, y left, z up) to camera optical frame (z forward, x right,
# y down): optical = OPTICAL_FROM_BODY @ body.
OPTICAL_FROM_BODY: NDArray[np.float64] = np.array(
    [[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]
)
OPTICAL_FROM_BODY.setflags(write=False)

# Number of coefficients that OpenCV knows for the polynomial models.
POLYNOMIAL_COEFFICIENTS = (4, 5, 8, 12, 14)
FISHEYE_MODELS = ('equidistant', 'fisheye')
# Aspect ratios of one view differ by less, relatively: sizes are rounded.
SAME_SHAPE = 0.02


def same_shape(one: tuple[int, int], other: tuple[int, int], within: float = SAME_SHAPE) -> bool:
    """Whether images of two sizes (height, width) may be one view, resized.

    within: how much their aspect ratios may differ, relatively.
    """
    return abs(math.log(one[1] * other[0] / (one[0] * other[1]))) <= within


@dataclass(frozen=True, eq=False)
class Intrinsics:
    """A pinhole camera with lens distortion.

    matrix: (3, 3) float64 K in pixels, pixel centres at integer coordinates.
    distortion: (n,) float64 in OpenCV's order, empty for none.
    distortion_model: `plumb_bob`, `rational_polynomial`, `equidistant` or `` (none).
    """

    width: int
    height: int
    matrix: NDArray[np.float64]
    distortion: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    distortion_model: str = ''

    def scaled(self, width: int, height: int) -> Intrinsics:
        """Return the intrinsics of the same image resized to `width` x `height`."""
        scale = np.array([width / self.width, height / self.height])
        matrix = np.array(self.matrix, np.float64)
        matrix[:2, :2] *= scale[:, None]
        matrix[:2, 2] = (matrix[:2, 2] + 0.5) * scale - 0.5
        return Intrinsics(width, height, matrix, self.distortion, self.distortion_model)

    def project(
        self, points_optical: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Project (N, 3) points, m, optical frame, to pixels.

        Returns uv (N, 2) float64, and (N,) bool: in front of the camera and within the field in
        which the distortion model is one to one. Outside that field a polynomial folds far
        points back into the image; they, and points behind the camera, get NaN.
        """
        points = np.asarray(points_optical, np.float64).reshape(-1, 3)
        uv = np.full((len(points), 2), np.nan)
        with np.errstate(all='ignore'):
            in_front = np.isfinite(points).all(1) & (points[:, 2] > 1e-6)
            radius = np.hypot(points[:, 0], points[:, 1]) / points[:, 2]
            in_front &= radius <= self._valid_radius()
        if not in_front.any():
            return uv, in_front
        visible = points[in_front][:, None, :]
        zero = np.zeros(3)
        distortion = self.distortion if self.distortion.any() else np.zeros(4)
        if self.distortion_model in FISHEYE_MODELS and self.distortion.any():
            pixels, _ = cv2.fisheye.projectPoints(visible, zero, zero, self.matrix, distortion[:4])
        else:
            pixels, _ = cv2.projectPoints(visible, zero, zero, self.matrix, distortion)
        uv[in_front] = np.asarray(pixels).reshape(-1, 2)
        return uv, in_front

    def _valid_radius(self) -> float:
        """Largest undistorted radius (tangent of the angle) up to which the model is monotonic."""
        if self.distortion_model in FISHEYE_MODELS or not self.distortion.any():
            return np.inf
        k = np.zeros(8)
        k[: min(8, self.distortion.size)] = self.distortion[:8]
        radius = np.linspace(0.0, 10.0, 2001)
        square = radius**2
        with np.errstate(all='ignore'):
            numerator = 1 + square * (k[0] + square * (k[1] + square * k[4]))
            denominator = 1 + square * (k[5] + square * (k[6] + square * k[7]))
            folded = np.flatnonzero(~(np.diff(radius * numerator / denominator) > 0))
        return float(radius[folded[0]]) if folded.size else np.inf


def decode_camera_info(msg: Any) -> Intrinsics:
    """Decode a CameraInfo (ROS 1 or 2 field names) to the intrinsics of the image as published.

    K of a CameraInfo is that of the full image; region of interest and binning are applied.
    Raises SensorDataError(`camera_info_invalid`), for one when K is zero: uncalibrated.
    """
    values = msg.k if hasattr(msg, 'k') else msg.K
    matrix = np.array(values, np.float64).reshape(3, 3)
    distortion = np.array(msg.d if hasattr(msg, 'd') else msg.D, np.float64).ravel()
    projection = _projection(msg)
    model = str(msg.distortion_model)
    width, height = int(msg.width), int(msg.height)
    problem = ''
    if width <= 0 or height <= 0:
        problem = f'image size {width}x{height}'
    elif not np.isfinite(matrix).all() or matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        problem = f'K {matrix.ravel().tolist()} (an uncalibrated camera publishes zeros)'
    elif np.abs(np.tril(matrix, -1)).max() > 1e-6 * matrix[0, 0]:
        problem = f'K {matrix.ravel().tolist()} (below its diagonal are zeros, row by row)'
    elif not np.isfinite(projection).all():
        problem = f'P {projection.ravel().tolist()}'
    elif not np.isfinite(distortion).all():
        problem = f'distortion {distortion.tolist()}'
    elif distortion.any() and model in FISHEYE_MODELS and distortion.size < 4:
        problem = f'{distortion.size} coefficients for {model}'
    elif (
        distortion.any()
        and model not in FISHEYE_MODELS
        and distortion.size not in POLYNOMIAL_COEFFICIENTS
    ):
        problem = f'{distortion.size} coefficients for {model!r}'
    if problem:
        raise SensorDataError('camera_info_invalid', f'camera_info is not usable: {problem}')
    matrix[2] = 0.0, 0.0, 1.0
    roi = getattr(msg, 'roi', None)
    if roi is not None and roi.width and roi.height:
        matrix[:2, 2] -= roi.x_offset, roi.y_offset
        width, height = int(roi.width), int(roi.height)
    full = Intrinsics(width, height, matrix, distortion, model)
    binning = [max(1, int(getattr(msg, name, 1))) for name in ('binning_x', 'binning_y')]
    if binning == [1, 1]:
        return full
    if binning[0] > width or binning[1] > height:
        raise SensorDataError(
            'camera_info_invalid',
            f'camera_info is not usable: binning {binning} of an image of {width}x{height}',
        )
    return full.scaled(width // binning[0], height // binning[1])


def scaled_camera(msg: Any, width: int, height: int) -> tuple[Intrinsics, NDArray[np.float64]]:
    """Return intrinsics and P (3, 4) of a CameraInfo's view sampled at `width` x `height`.

    Pixel centres: u' = (u + 0.5) * W'/W - 0.5, for K and P. Distortion acts on normalised
    coordinates and stays. Region of interest and binning are worked into both. Raises
    SensorDataError(`camera_info_invalid`).
    """
    scaled = decode_camera_info(msg).scaled(width, height)
    # P takes the affine map of pixels that took K to its scaled self, baseline column included.
    unscaled = np.array(msg.k if hasattr(msg, 'k') else msg.K, np.float64).reshape(3, 3)
    unscaled[2] = 0.0, 0.0, 1.0
    return scaled, scaled.matrix @ np.linalg.inv(unscaled) @ _projection(msg)


def _projection(msg: Any) -> NDArray[np.float64]:
    return np.array(msg.p if hasattr(msg, 'p') else msg.P, np.float64).reshape(3, 4)


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """T_target_source: maps points of the source frame to the target frame.

    rotation: (3, 3) float64; translation: (3,) float64, m.
    """

    rotation: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    translation: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))

    @classmethod
    def from_quaternion(cls, xyzw: ArrayLike, translation: ArrayLike) -> RigidTransform:
        """Make one of a quaternion (x, y, z, w), which is normalised, and a translation, m.

        Raises SensorDataError(`transform_invalid`) for a zero or non-finite one.
        """
        quaternion = np.asarray(xyzw, np.float64)
        offset = np.asarray(translation, np.float64)
        norm = float(np.linalg.norm(quaternion))
        if not np.isfinite(norm) or norm < 1e-9 or not np.isfinite(offset).all():
            raise SensorDataError(
                'transform_invalid', f'quaternion {quaternion}, translation {offset}'
            )
        x, y, z, w = quaternion / norm
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        return cls(rotation, offset)

    @property
    def quaternion(self) -> NDArray[np.float64]:
        """(4,) float64 x, y, z, w with w >= 0.

        The eigenvector method of Bar-Itzhack (2000), which has no singular case.
        """
        r = self.rotation
        k = np.zeros((4, 4))
        k[0] = r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0
        k[1] = r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], 0, 0
        k[2] = r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], 0
        k[3] = r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], np.trace(r)
        quaternion = np.linalg.eigh(k / 3.0, UPLO='L')[1][:, -1]
        return quaternion if quaternion[3] >= 0 else -quaternion

    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        """Map (..., 3) points of the source frame to the target frame."""
        moved = np.asarray(points, np.float64) @ self.rotation.T + self.translation
        return np.asarray(moved, np.float64)

    def inverse(self) -> RigidTransform:
        """Return T_source_target."""
        return RigidTransform(self.rotation.T, -self.rotation.T @ self.translation)

    def compose(self, other: RigidTransform) -> RigidTransform:
        """Return the transform that applies `other` first, then this one."""
        return RigidTransform(
            self.rotation @ other.rotation, self.rotation @ other.translation + self.translation
        )


def transform_chain(
    static_transforms: Mapping[tuple[str, str], RigidTransform], target: str, source: str
) -> RigidTransform | None:
    """Return T_target_source along the static tree, None when the frames are not connected.

    `static_transforms` maps (parent, child) to T_parent_child, as in tf2. Leading slashes of
    frame names are ignored, as tf2 does.
    """
    neighbours: dict[str, list[tuple[str, RigidTransform]]] = {}
    for (parent, child), transform in static_transforms.items():
        parent, child = parent.lstrip('/'), child.lstrip('/')
        neighbours.setdefault(parent, []).append((child, transform))
        neighbours.setdefault(child, []).append((parent, transform.inverse()))
    target, source = target.lstrip('/'), source.lstrip('/')
    reached = {target: RigidTransform()}
    queue = deque([target])
    while queue and source not in reached:
        frame = queue.popleft()
        for neighbour, frame_from_neighbour in neighbours.get(frame, ()):
            if neighbour not in reached:
                reached[neighbour] = reached[frame].compose(frame_from_neighbour)
                queue.append(neighbour)
    return reached.get(source)


def yaw_pitch_roll(angles_rad: Sequence[float]) -> NDArray[np.float64]:
    """Rotation matrix (3, 3) of yaw, pitch, roll, rad: Rz(yaw) Ry(pitch) Rx(roll), REP 103."""
    (cy, cp, cr), (sy, sp, sr) = np.cos(angles_rad), np.sin(angles_rad)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
