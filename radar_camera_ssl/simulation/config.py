# SPDX-License-Identifier: Apache-2.0
"""What a drive is made from: rig, sensors, scene. Everything else follows from the seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from radar_camera_ssl.sensors.geometry import Intrinsics, RigidTransform, yaw_pitch_roll

THEMES = ('city', 'rural', 'highway')


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class Mounting:
    """Pose of a sensor's body frame (x forward, y left, z up) in base_link, metres and radians.

    base_link lies on the ground under the rear axle. Positive pitch looks down, positive yaw
    to the left (REP 103). Roll is not modelled.
    """

    x: float
    y: float
    z: float
    yaw: float = 0.0
    pitch: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a pose that is not on the upper side of the ground."""
        _require(0.05 <= self.z <= 10.0, f'mounting height must be 0.05 to 10 m, got {self.z}')
        _require(abs(self.pitch) < 1.0, f'mounting pitch must be within 1 rad, got {self.pitch}')
        _require(
            all(map(math.isfinite, (self.x, self.y, self.yaw))),
            f'mounting must be finite, got x {self.x}, y {self.y}, yaw {self.yaw}',
        )

    def transform(self) -> RigidTransform:
        """Give the transform that takes points of the sensor's body frame to base_link."""
        return RigidTransform(
            yaw_pitch_roll((self.yaw, self.pitch, 0.0)), np.array([self.x, self.y, self.z])
        )


@dataclass(frozen=True)
class CameraConfig:
    """The camera: an ideal pinhole with blur and noise.

    `only_near_radar` keeps, of the very same images, those nearest in time to a radar frame:
    three times faster at 30 Hz against 10 Hz, for training data.
    """

    width: int = 640
    height: int = 480
    hfov_rad: float = math.radians(70.0)
    rate_hz: float = 30.0
    jitter_s: float = 0.0015
    drop_rate: float = 0.02
    latency_s: float = 0.015
    mounting: Mounting = Mounting(x=1.6, y=0.0, z=1.4, yaw=math.radians(-0.5), pitch=0.035)
    only_near_radar: bool = False

    def __post_init__(self) -> None:
        """Refuse sizes and rates that no camera has."""
        _require(
            32 <= self.width <= 4096 and 32 <= self.height <= 4096,
            f'image size must be 32 to 4096 pixels, got {self.width}x{self.height}',
        )
        _require(
            math.radians(10) <= self.hfov_rad <= math.radians(130),
            'camera field of view must be 10 to 130 degrees',
        )
        _require_timing('camera', self.rate_hz, self.jitter_s, self.drop_rate)

    def intrinsics(self) -> Intrinsics:
        """Give the pinhole's intrinsics; the principal point is the image's centre."""
        focal = 0.5 * self.width / math.tan(0.5 * self.hfov_rad)
        matrix = np.array(
            [
                [focal, 0.0, 0.5 * (self.width - 1)],
                [0.0, focal, 0.5 * (self.height - 1)],
                [0.0, 0.0, 1.0],
            ]
        )
        return Intrinsics(self.width, self.height, matrix, np.zeros(5), 'plumb_bob')


@dataclass(frozen=True)
class RadarConfig:
    """The radar: a short-range front radar that reports points, and its power cube.

    Noise figures are standard deviations of a strong return; weak returns are noisier. Elevation
    is measured poorly by such radars, so the point reported is drawn towards the horizon: the
    mean of the measurement and a prior of elevation_prior_rad about the radar's own height.
    """

    rate_hz: float = 10.0
    jitter_s: float = 0.002
    drop_rate: float = 0.02
    latency_s: float = 0.03
    max_range_m: float = 60.0
    azimuth_fov_rad: float = math.radians(45.0)
    elevation_fov_rad: float = math.radians(12.0)
    range_noise_m: float = 0.12
    azimuth_noise_rad: float = math.radians(1.0)
    elevation_noise_rad: float = math.radians(2.0)
    elevation_prior_rad: float = math.radians(1.2)
    doppler_noise_mps: float = 0.12
    clutter_per_frame: float = 3.0
    ghost_rate: float = 1.0
    miss_rate: float = 0.08
    mounting: Mounting = Mounting(x=2.6, y=-0.3, z=0.5, yaw=math.radians(1.5), pitch=0.0)
    cube_shape: tuple[int, int, int] = (64, 32, 16)
    max_doppler_mps: float = 24.0

    def __post_init__(self) -> None:
        """Refuse what no radar does."""
        _require_timing('radar', self.rate_hz, self.jitter_s, self.drop_rate)
        _require(5.0 <= self.max_range_m <= 300.0, 'radar range must be 5 to 300 m')
        _require(
            math.radians(5) <= self.azimuth_fov_rad <= math.radians(85),
            'radar half field of view must be 5 to 85 degrees',
        )
        _require(
            0.0 <= self.azimuth_noise_rad <= math.radians(10),
            'azimuth noise must be 0 to 10 degrees',
        )
        for name in (
            'range_noise_m',
            'elevation_noise_rad',
            'doppler_noise_mps',
            'clutter_per_frame',
            'ghost_rate',
        ):
            value = getattr(self, name)
            _require(0.0 <= value <= 1000.0, f'{name} must be 0 to 1000, got {value}')
        _require(0.0 <= self.miss_rate <= 1.0, 'miss rate must be 0 to 1')
        _require(
            len(self.cube_shape) == 3 and all(4 <= n <= 512 for n in self.cube_shape),
            f'cube sides must be 4 to 512 bins, got {self.cube_shape}',
        )


def _require_timing(name: str, rate_hz: float, jitter_s: float, drop_rate: float) -> None:
    _require(0.5 <= rate_hz <= 200.0, f'{name} rate must be 0.5 to 200 Hz, got {rate_hz}')
    _require(
        0.0 <= jitter_s <= 0.1 / rate_hz, f'{name} jitter must be at most a tenth of its period'
    )
    _require(0.0 <= drop_rate < 1.0, f'{name} drop rate must be in [0, 1), got {drop_rate}')


@dataclass(frozen=True)
class DriveConfig:
    """One drive. The same configuration always gives the same bytes.

    theme is one of THEMES, or None to let the seed choose; density scales how many things stand
    and move along the road.
    """

    seed: int = 0
    duration_s: float = 20.0
    camera: CameraConfig = field(default_factory=CameraConfig)
    radar: RadarConfig = field(default_factory=RadarConfig)
    density: float = 1.0
    theme: str | None = None
    compressed: bool = False
    jpeg_quality: int = 90
    cube: bool = True
    ground_truth: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        _require(self.seed >= 0, f'seed must not be negative, got {self.seed}')
        _require(
            0.2 <= self.duration_s <= 3600.0,
            f'duration must be 0.2 to 3600 s, got {self.duration_s}',
        )
        _require(0.0 <= self.density <= 3.0, f'density must be 0 to 3, got {self.density}')
        _require(
            self.theme is None or self.theme in THEMES,
            f'theme must be one of {", ".join(THEMES)}, got {self.theme}',
        )
        _require(10 <= self.jpeg_quality <= 100, 'JPEG quality must be 10 to 100')


_COMPONENTS: Mapping[str, int] = MappingProxyType(
    {
        name: index
        for index, name in enumerate(
            (
                'road',
                'scene',
                'appearance',
                'light',
                'camera_clock',
                'radar_clock',
                'image_noise',
                'echoes',
                'points',
                'cube',
            )
        )
    }
)


def generator(seed: int, component: str, *index: int) -> np.random.Generator:
    """Give the random generator of one component, and of one frame of it by `index`.

    Every component draws from a stream of its own, so that switching one off leaves the others'
    data unchanged, and every frame from its own, so that frames can be made in any order.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(_COMPONENTS[component], *index))
    return np.random.default_rng(sequence)
