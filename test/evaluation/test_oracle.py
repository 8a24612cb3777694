# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from radar_camera_ssl.evaluation.oracle import RISE_M, ProjectionOracle, rcs_likelihood, splat
from radar_camera_ssl.sensors.geometry import OPTICAL_FROM_BODY, Intrinsics, RigidTransform
from radar_camera_ssl.sensors.radar_points import RadarPoints

CAMERA = Intrinsics(640, 480, np.array([[500.0, 0, 319.5], [0, 500.0, 239.5], [0, 0, 1]]))
SIZE, GRID = (480, 640), (30, 40)


def returns(*positions: tuple[float, float, float]) -> RadarPoints:
    count = len(positions)
    return RadarPoints(
        np.array(positions, np.float32).reshape(count, 3),
        np.zeros(count, np.float32),
        np.full(count, 10.0, np.float32),
        np.arange(count, dtype=np.int32),
    )


def test_projects_by_hand() -> None:
    radar_ahead = RigidTransform(OPTICAL_FROM_BODY, OPTICAL_FROM_BODY @ [2.0, 0.0, -0.5])
    oracle = ProjectionOracle(CAMERA, radar_ahead)
    answer = oracle.answer(returns((8, 1, 0), (-10, 0, 0)), SIZE, GRID)
    assert answer.pixel is not None
    assert answer.pixel[0] == pytest.approx([319.5 - 50.0, 239.5 + 25.0])
    assert np.isnan(answer.pixel[1]).all()
    assert answer.likelihood is not None
    assert answer.likelihood[1] == 0.0
    assert answer.heatmap is not None
    row, column = np.unravel_index(answer.heatmap.argmax(), GRID)
    assert (row, column) == (int((264.5 - 62.5 * RISE_M) // 16), int(269.5 // 16))


def test_what_leaves_the_image_is_unlikely_to_be_seen() -> None:
    oracle = ProjectionOracle(CAMERA, RigidTransform(OPTICAL_FROM_BODY, np.zeros(3)))
    answer = oracle.answer(returns((10, 0, 0), (10, 9, 0), (10, 0, 6)), SIZE, GRID)
    assert answer.likelihood is not None
    assert (answer.likelihood > 0).tolist() == [True, False, False]


def test_no_returns_no_heat() -> None:
    oracle = ProjectionOracle(CAMERA, RigidTransform(OPTICAL_FROM_BODY, np.zeros(3)))
    answer = oracle.answer(RadarPoints.empty(), SIZE, GRID)
    assert answer.heatmap is not None
    assert answer.heatmap.shape == GRID
    assert answer.heatmap.max() == 0.0


def test_splat_is_never_lost_between_cells() -> None:
    for u in np.linspace(100, 132, 9):
        heat = splat(np.array([[u, 200.0]]), np.array([[0.1, 0.1]]), np.ones(1), SIZE, GRID)
        assert heat.max() > 0.3


def test_stronger_is_likelier() -> None:
    assert (np.diff(rcs_likelihood(np.array([-30.0, 0.0, 30.0]))) > 0).all()
