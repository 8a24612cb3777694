# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radar_camera_ssl.evaluation.perturbed_radar import perturbed
from radar_camera_ssl.inference.alignment import turned
from radar_camera_ssl.sensors.radar_cube import CubeAxes
from radar_camera_ssl.sensors.radar_points import RadarPoints

AXES = CubeAxes((0.0, 48.0), (-0.8, 0.8), (-16.0, 16.0))
SHAPE = (24, 32, 8)
BEAM_RAD = 1.6 / 32


def points(x: list[float], y: list[float], velocity: list[float]) -> RadarPoints:
    n = len(x)
    position = np.stack([x, y, np.full(n, 0.3)], axis=1).astype(np.float32)
    rcs, row = np.zeros(n, np.float32), np.arange(n, dtype=np.int32)
    return RadarPoints(position, np.array(velocity, np.float32), rcs, row)


def standing(ego_mps: float) -> RadarPoints:
    """Things at rest, as a radar on a car that drives sees them."""
    x, y = np.array([8.0, 20.0, 40.0, 15.0]), np.array([3.0, -8.0, 1.0, 6.0])
    return points(x.tolist(), y.tolist(), (-ego_mps * x / np.hypot(x, y)).tolist())


def spot(row: int, beam: int, bin_: int) -> np.ndarray:
    cube = np.full(SHAPE, -10.0, np.float32)
    cube[row, beam, bin_] = 20.0
    return cube


@given(st.floats(-0.2, 0.2))
def test_a_yaw_turns_the_returns(yaw_rad: float) -> None:
    radar = standing(10.0)
    moved = perturbed(radar, yaw_rad, 0.0)
    np.testing.assert_allclose(moved.position, turned(radar, yaw_rad).position, atol=1e-5)
    assert moved.velocity is radar.velocity


@given(st.floats(0.0, 30.0), st.floats(-0.1, 0.1))
def test_what_stands_comes_nearer_by_the_way_that_the_car_goes(ego: float, later: float) -> None:
    radar = standing(ego)
    moved = perturbed(radar, 0.0, later)
    np.testing.assert_allclose(moved.position, radar.position - [ego * later, 0.0, 0.0], atol=1e-4)


def test_so_does_what_drives_along_the_road() -> None:
    # 15 m/s against our 10: the radar measures 5 m/s times the cosine.
    radar = points([20.0], [4.0], [5.0 * 20.0 / np.hypot(20.0, 4.0)])
    moved = perturbed(radar, 0.0, 0.1)
    np.testing.assert_allclose(moved.position[0, :2], [20.5, 4.0], atol=1e-4)


def test_nothing_is_taken_past_the_radar_or_back_from_its_side() -> None:
    radar = points([1.0, 0.2, -5.0], [0.5, 3.0, 1.0], [-30.0, -30.0, 30.0])
    moved = perturbed(radar, 0.0, 0.1)
    assert moved.position[0, 0] > 0
    np.testing.assert_allclose(moved.position[1:], radar.position[1:], atol=1e-5)


def test_a_cube_turns_by_beams() -> None:
    moved = perturbed(spot(10, 12, 3), 2 * BEAM_RAD, 0.0, AXES)
    np.testing.assert_allclose(moved, spot(10, 14, 3), atol=1e-4)


def test_a_cube_is_turned_the_other_way_where_its_axis_runs_downwards() -> None:
    downwards = CubeAxes(AXES.range_m, (0.8, -0.8), AXES.doppler_mps)
    moved = perturbed(spot(10, 12, 3), 2 * BEAM_RAD, 0.0, downwards)
    np.testing.assert_allclose(moved, spot(10, 10, 3), atol=1e-4)


def test_cells_of_a_cube_move_like_returns_of_their_doppler() -> None:
    ranges, azimuths, velocities = AXES.centres(SHAPE)
    for beam in (6, 25):
        cell = 5, beam, 1
        later_s = 0.15
        own = points(
            [ranges[5] * np.cos(azimuths[beam])],
            [ranges[5] * np.sin(azimuths[beam])],
            [velocities[1]],
        )
        expected = float(perturbed(own, 0.0, later_s).azimuth[0])
        moved = perturbed(spot(*cell), 0.0, later_s, AXES)
        power = np.maximum(moved[5, :, 1] + 10.0, 0.0)
        assert abs(expected - azimuths[beam]) > BEAM_RAD
        assert float(power @ azimuths / power.sum()) == pytest.approx(expected, abs=BEAM_RAD)
        # What does not move stays.
        np.testing.assert_allclose(np.delete(moved, 1, axis=2), -10.0, atol=1e-4)


def test_a_cube_without_axes_is_refused() -> None:
    with pytest.raises(ValueError, match='axes'):
        perturbed(np.zeros(SHAPE, np.float32), 0.1, 0.0)
