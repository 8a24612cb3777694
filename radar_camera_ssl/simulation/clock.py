# SPDX-License-Identifier: Apache-2.0
"""When each sensor measures, and when its messages arrive at the recorder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .config import CameraConfig, DriveConfig, RadarConfig, generator


@dataclass(frozen=True)
class Ticks:
    """Frames of one sensor: number (n,), stamp (n,) s into the drive, arrival (n,) s."""

    number: np.ndarray
    stamp_s: np.ndarray
    arrival_s: np.ndarray

    def keep(self, chosen: np.ndarray) -> Ticks:
        """Give some of the frames."""
        return Ticks(self.number[chosen], self.stamp_s[chosen], self.arrival_s[chosen])


def _ticks(
    config: CameraConfig | RadarConfig, duration_s: float, rng: np.random.Generator
) -> Ticks:
    period = 1.0 / config.rate_hz
    phase = rng.uniform(0.0, period)
    number = np.arange(max(1, int(np.ceil((duration_s - phase) / period))))
    jitter = np.clip(rng.standard_normal(len(number)), -2.5, 2.5) * config.jitter_s
    stamp = np.clip(phase + number * period + jitter, 0.0, duration_s)
    delay = config.latency_s * (1.0 + np.abs(0.2 * rng.standard_normal(len(number))))
    # One connection delivers in order.
    arrival = np.maximum.accumulate(stamp + delay)
    lost = rng.random(len(number)) < config.drop_rate
    lost[0] = False
    return Ticks(number, stamp, arrival).keep(~lost)


def sensor_ticks(config: DriveConfig) -> tuple[Ticks, Ticks]:
    """Give the camera's and the radar's frames of a drive."""
    camera = _ticks(config.camera, config.duration_s, generator(config.seed, 'camera_clock'))
    radar = _ticks(config.radar, config.duration_s, generator(config.seed, 'radar_clock'))
    if config.camera.only_near_radar:
        after = np.clip(np.searchsorted(camera.stamp_s, radar.stamp_s), 1, len(camera.stamp_s) - 1)
        if len(camera.stamp_s) > 1:
            earlier = (
                radar.stamp_s - camera.stamp_s[after - 1] < camera.stamp_s[after] - radar.stamp_s
            )
            camera = camera.keep(np.unique(np.where(earlier, after - 1, after)))
    return camera, radar
