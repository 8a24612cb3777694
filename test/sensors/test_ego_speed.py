# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radar_camera_ssl.sensors.ego_speed import (
    MOVED_M,
    Odometer,
    drive_speeds,
    ego_speed,
    ego_speed_of_cube,
    travelled,
)
from radar_camera_ssl.sensors.radar_cube import CubeAxes

AXES = CubeAxes((0.0, 60.0), (-0.8, 0.8), (-24.0, 24.0))
SHAPE = (32, 16, 16)
SECOND = 1_000_000_000


def frame(speed: float, still: int, movers: list[float], rng: np.random.Generator) -> np.ndarray:
    """Returns of things at rest, and three of each mover (its own speed, away from us)."""
    azimuth = rng.uniform(-0.7, 0.7, still + 3 * len(movers))
    own = np.concatenate([np.zeros(still), np.repeat(movers, 3)])
    far = rng.uniform(5, 50, len(azimuth))
    velocity = (own - speed) * np.cos(azimuth) + rng.normal(0, 0.1, len(azimuth))
    place = far * np.cos(azimuth), far * np.sin(azimuth)
    return np.column_stack([*place, velocity, rng.normal(0, 5, len(azimuth))]).astype(np.float32)


@given(
    speed=st.floats(0, 60),
    movers=st.lists(st.floats(-30, 30).filter(lambda v: abs(v) > 2), max_size=3),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_the_car_is_as_fast_as_most_returns_come_nearer(speed, movers, seed):
    rng = np.random.default_rng(seed)
    assert ego_speed(frame(speed, 12, movers, rng)) == pytest.approx(speed, abs=0.35)


def test_backwards_is_a_speed_too():
    rng = np.random.default_rng(0)
    assert ego_speed(frame(-4.0, 12, [], rng)) == pytest.approx(4.0, abs=0.3)


@pytest.mark.parametrize('count', [0, 1, 3])
def test_too_few_returns_tell_no_speed(count):
    rng = np.random.default_rng(0)
    assert np.isnan(ego_speed(frame(10.0, count, [], rng)))


def test_returns_that_do_not_agree_tell_no_speed():
    rng = np.random.default_rng(0)
    returns = frame(0.0, 40, [], rng)
    returns[:, 2] = np.linspace(-40, 40, 40)
    assert np.isnan(ego_speed(returns))


def test_returns_beside_and_behind_do_not_count():
    returns = np.array([[0.1, 9.0, -5.0, 0.0], [-9.0, 0.1, -5.0, 0.0]] * 5, np.float32)
    assert np.isnan(ego_speed(returns))


@given(speed=st.floats(0, 23), seed=st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_a_cube_tells_the_speed_within_a_bin(speed, seed):
    rng = np.random.default_rng(seed)
    ranges, azimuth, doppler = AXES.centres(SHAPE)
    cube = rng.normal(0, 3, SHAPE).astype(np.float32)
    for _ in range(40):
        r, a = rng.integers(len(ranges)), rng.integers(len(azimuth))
        off = (doppler + speed * np.cos(azimuth[a])) / 3.0
        cube[r, a] = np.maximum(cube[r, a], 35.0 - 12.0 * np.minimum(off**2, 3.0))
    assert ego_speed_of_cube(cube, AXES) == pytest.approx(speed, abs=1.5)


def test_the_drive_outvotes_a_frame_and_fills_gaps():
    single = [5.0, 5.1, 0.0, 5.3, 5.4, float('nan'), 5.6, 25.0, 5.8, 5.9]
    np.testing.assert_allclose(drive_speeds(single), np.linspace(5.0, 5.9, 10), atol=0.5)
    assert np.isnan(drive_speeds([float('nan')] * 7)).all()


def test_a_radar_that_never_sees_the_car_move_tells_no_speed():
    assert np.isnan(drive_speeds([0.0, 0.1, 0.0, 0.2])).all()
    assert drive_speeds([0.0] * 10 + [3.0] * 10)[0] == 0.0


def test_the_way_is_the_integral_of_the_speed():
    stamps = np.arange(11) * SECOND // 10
    speeds = np.full(11, 8.0, np.float32)
    assert travelled(stamps, speeds)[-1] == pytest.approx(8.0)
    np.testing.assert_array_equal(travelled(stamps, np.full(11, 0.2, np.float32)), np.zeros(11))
    unknown = travelled(stamps, np.full(11, np.nan, np.float32))
    assert unknown[-1] >= 2.0
    speeds[:] = 0.0
    speeds[4:7] = np.nan  # between two frames at a standstill
    assert travelled(stamps, speeds)[-1] == 0.0
    assert len(travelled(stamps[:0], speeds[:0])) == 0


def test_a_recording_that_starts_over_goes_no_way_back():
    stamps = np.array([0, 1, 2, 0, 1]) * SECOND
    way = travelled(stamps, np.full(5, 3.0, np.float32))
    np.testing.assert_allclose(way, [0, 3, 6, 6, 9])


def returns_at(speed: float, count: int = 12) -> np.ndarray:
    """Return things at rest around a car of this speed: x, y, velocity, rcs."""
    azimuth = np.linspace(-0.6, 0.6, count)
    x, y = 20.0 * np.cos(azimuth), 20.0 * np.sin(azimuth)
    return np.column_stack((x, y, -speed * np.cos(azimuth), 0.0 * x)).astype(np.float32)


def test_the_odometer_adds_up_the_way_and_none_at_a_standstill():
    odometer = Odometer()
    ways = [odometer.add(k * SECOND // 10, returns_at(10.0)) for k in range(21)]
    assert ways[0] == 0.0
    np.testing.assert_allclose(np.diff(ways), 1.0, rtol=1e-3)
    ways = [odometer.add((30 + k) * SECOND // 10, returns_at(0.0)) for k in range(21)]
    assert ways[-1] == ways[5]


def test_the_odometer_assumes_a_moving_car_where_the_radar_does_not_tell():
    odometer = Odometer()
    few = returns_at(3.0)[:2]
    ways = [odometer.add(k * SECOND // 10, few) for k in range(11)]
    assert ways[-1] > MOVED_M
    # Neither a stamp that jumps back nor what was known before a silence counts.
    assert odometer.add(0, returns_at(10.0)) == ways[-1]
    moved = odometer.add(20 * SECOND, few) - ways[-1]
    assert moved == 20 * 5.0
