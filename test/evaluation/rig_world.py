# SPDX-License-Identifier: Apache-2.0
"""A car that drives past posts, and a model that sees each of them where it is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation.oracle import ProjectionOracle
from radar_camera_ssl.evaluation.replay import RadarFrame, ReplayFrame
from radar_camera_ssl.inference.model import Correspondence
from radar_camera_ssl.sensors.geometry import (
    OPTICAL_FROM_BODY,
    Intrinsics,
    RigidTransform,
    yaw_pitch_roll,
)
from radar_camera_ssl.sensors.radar_points import RadarPoints

HEIGHT, WIDTH, FOCAL = 120, 160, 140.0
CAMERA_M = 1.4
PERIOD_S = 0.1
_START_NS = 1_700_000_000_000_000_000
# How sharply the model sees.
_AZIMUTH_RAD, _ROWS = np.deg2rad(2.0), 1.5


class World:
    """10 Hz of image and radar, driving straight ahead.

    yaw_rad: of the radar, to the left, since the model learnt the mounting; late_s: by how much
    the radar's stamps are late; rows: by how many things appear lower in the image than the model
    expects, for a camera that has tilted; frames: how many pairs.
    """

    def __init__(
        self,
        yaw_rad: float = 0.0,
        late_s: float = 0.0,
        speed_mps: float = 10.0,
        rows: int = 0,
        frames: int = 150,
    ) -> None:
        self.yaw_rad, self.late_s, self.speed_mps = yaw_rad, late_s, speed_mps
        self.rows, self.count = rows, frames
        rng = np.random.default_rng(0)
        ahead = rng.uniform(0.0, 60.0 + speed_mps * frames * PERIOD_S, 40 + frames)
        side = rng.choice([-1, 1], len(ahead)) * rng.uniform(3.0, 12.0, len(ahead))
        self._posts = np.stack([ahead, side], axis=1)

    def posts(self, seconds: float) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Where the posts are (n, 2), m, from the sensors, and their numbers (n,)."""
        place = self._posts - [self.speed_mps * seconds, 0.0]
        near = np.hypot(*place.T) < 50.0
        seen = near & (place[:, 0] > 8.0) & (np.abs(np.arctan2(place[:, 1], place[:, 0])) < 0.7)
        return place[seen], np.flatnonzero(seen)

    def frames(self) -> Iterator[ReplayFrame]:
        """The pairs; an image shows its number and rows, the rcs of a return is its post's."""
        for index in range(self.count):
            stamp = _START_NS + round(index * PERIOD_S * 1e9)
            image = np.full((HEIGHT, WIDTH, 3), (index % 256, index // 256, 0), np.uint8)
            image[..., 2] = np.clip(2 * (np.arange(HEIGHT) - self.rows), 0, 255)[:, None]
            # Stamped with the image's time, it was measured earlier by what stamps are late.
            radar = self._measure(index * PERIOD_S - self.late_s)
            answer = Correspondence(_NOTHING, _NOTHING, _NOTHING, 0.5, radar, 0)
            yield ReplayFrame(stamp, stamp, image, radar, answer, 'camera', 'radar', 0, 0, None)

    def _measure(self, seconds: float) -> RadarPoints:
        place, number = self.posts(seconds)
        reach, azimuth = np.hypot(*place.T), np.arctan2(place[:, 1], place[:, 0])
        velocity = -self.speed_mps * np.cos(azimuth)
        azimuth = azimuth - self.yaw_rad
        position = np.stack([reach * np.cos(azimuth), reach * np.sin(azimuth), 0 * reach], axis=1)
        return RadarPoints(
            position.astype(np.float32),
            velocity.astype(np.float32),
            number.astype(np.float32),
            np.arange(len(number), dtype=np.int32),
        )


class Seer:
    """A model that knows each return's post and sees it in the image of any moment.

    Its log-odds fall from `best` down with the mean squared error of azimuths and rows.
    """

    def __init__(self, world: World, best: float = 4.0) -> None:
        self.world, self.best = world, best
        self.calls = 0

    def __call__(self, image: NDArray[np.uint8], radar: RadarFrame) -> Correspondence:
        assert isinstance(radar, RadarPoints)
        self.calls += 1
        index = int(image[0, 0, 0]) + 256 * int(image[0, 0, 1])
        place, number = self.world.posts(index * PERIOD_S)
        _, shown, own = np.intersect1d(number, radar.rcs, return_indices=True)
        azimuth = np.arctan2(place[shown, 1], place[shown, 0])
        lower = HEIGHT / 2 - image[HEIGHT // 2, 0, 2] / 2
        row = FOCAL * CAMERA_M / np.hypot(*place[shown].T) + lower
        error = np.stack(
            [
                (azimuth - radar.azimuth[own]) / _AZIMUTH_RAD,
                (row - FOCAL * CAMERA_M / radar.range[own]) / _ROWS,
            ]
        )
        squares = np.minimum((error**2).sum(axis=0), 8.0)
        odds = self.best - float(squares.mean()) if squares.size else -self.best
        column = (WIDTH - 1) / 2 - FOCAL * np.tan(radar.azimuth)
        pixel = np.stack([column, np.full(len(radar), HEIGHT / 2)], axis=1).astype(np.float32)
        likelihood = np.full(len(radar), 0.9, np.float32)
        agreement = float(1 / (1 + np.exp(-odds)))
        return Correspondence(_NOTHING, likelihood, pixel, agreement, radar, 0, pixel)


def extrinsics(yaw_rad: float) -> ProjectionOracle:
    """A recording's statement that the radar is turned by yaw_rad from the camera's direction."""
    matrix = np.array([[FOCAL, 0, (WIDTH - 1) / 2], [0, FOCAL, (HEIGHT - 1) / 2], [0, 0, 1.0]])
    turn = RigidTransform(OPTICAL_FROM_BODY @ yaw_pitch_roll((yaw_rad, 0.0, 0.0)))
    return ProjectionOracle(Intrinsics(WIDTH, HEIGHT, matrix), turn)


_NOTHING = np.zeros((0, 2), np.float32)
