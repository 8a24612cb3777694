# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from radar_camera_ssl.evaluation.doppler_heading import HeadingCounts, heading
from radar_camera_ssl.inference.alignment import turned
from radar_camera_ssl.sensors.radar_points import RadarPoints


def window(seed: int, speed_mps: float = 12.0, heading_rad: float = 0.0) -> list[RadarPoints]:
    """20 frames of 16 returns that stand still and 6 of traffic; the car accelerates."""
    rng = np.random.default_rng(seed)
    frames = []
    for index in range(20):
        azimuth = rng.uniform(-0.7, 0.7, 22)
        distance = rng.uniform(5, 60, 22)
        velocity = -(speed_mps + 0.1 * index * (speed_mps > 0)) * np.cos(azimuth - heading_rad)
        velocity += rng.normal(0, 0.1, 22)
        velocity[16:] += rng.uniform(-15, 15)
        position = distance * np.stack([np.cos(azimuth), np.sin(azimuth), 0 * azimuth])
        frames.append(
            RadarPoints(
                position.T.astype(np.float32),
                velocity.astype(np.float32),
                np.zeros(22, np.float32),
                np.arange(22, dtype=np.int32),
            )
        )
    return frames


@pytest.mark.parametrize('angle_deg', [-4.0, -1.0, 0.0, 2.0])
def test_the_heading_is_found_among_traffic(angle_deg: float) -> None:
    found = heading(window(1, heading_rad=np.deg2rad(angle_deg)))
    assert found is not None
    assert np.rad2deg(found) == pytest.approx(angle_deg, abs=0.5)


def test_a_radar_that_turns_to_the_left_reads_azimuths_further_to_the_left() -> None:
    frames = [turned(frame, np.deg2rad(2.0)) for frame in window(2)]
    assert np.rad2deg(heading(frames) or 0.0) == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize('frames', [[], window(3)[:2], window(4, speed_mps=0.0)])
def test_a_car_that_stands_or_few_returns_tell_none(frames: list[RadarPoints]) -> None:
    assert heading(frames) is None


def test_a_turn_of_two_degrees_is_told_from_the_mounting_whatever_that_is() -> None:
    parts = [HeadingCounts(), HeadingCounts()]
    assert parts[0].auroc(2.0) is None
    for seed in range(12):
        frames = window(seed, heading_rad=0.05)
        parts[seed % 2].add(frames, is_turned=False)
        side = np.deg2rad(2.0 if seed % 4 < 2 else -2.0)
        parts[seed % 2].add([turned(frame, side) for frame in frames], is_turned=True)
    parts[0].merge(parts[1])
    assert parts[0].auroc(2.0) == 1.0


def test_a_window_that_tells_nothing_is_between_the_mounted_and_the_turned() -> None:
    counts = HeadingCounts()
    for speed_mps in (12.0, 0.0):
        frames = window(5, speed_mps)
        counts.add(frames, is_turned=False)
        counts.add([turned(frame, np.deg2rad(2.0)) for frame in frames], is_turned=True)
    assert counts.auroc(2.0) == pytest.approx((1 + 1 + 1 + 0.5) / 4)
