# SPDX-License-Identifier: Apache-2.0
"""Inputs of the inference tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from radar_camera_ssl.sensors.radar_points import RadarPoints

pytest.importorskip('onnx', reason='the tests build their models with the onnx package')


@pytest.fixture
def image() -> NDArray[np.uint8]:
    """A VGA image without a flat spot."""
    return np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)


def radar_points(rows: Sequence[Sequence[float]]) -> RadarPoints:
    """Returns from rows of x, y, velocity, rcs."""
    table = np.array(rows, np.float32).reshape(-1, 4)
    position = np.column_stack([table[:, :2], np.zeros(len(table), np.float32)])
    return RadarPoints(
        position, table[:, 2].copy(), table[:, 3].copy(), np.arange(len(table), dtype=np.int32)
    )


@pytest.fixture
def make_points() -> object:
    """The function that makes returns from rows of x, y, velocity, rcs."""
    return radar_points
