# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model_factory import CUBE, tiny_metadata

from radar_camera_ssl.evaluation.cube_strength import EVEN_POWER_DB, apparent_rcs, cell_power
from radar_camera_ssl.evaluation.drive import DriveEvaluation
from radar_camera_ssl.evaluation.ground_truth import FrameTruth
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.sensors.radar_cube import CubeAxes
from radar_camera_ssl.sensors.radar_points import RadarPoints

AXES = CubeAxes(CUBE.range_m, CUBE.azimuth_rad, CUBE.doppler_mps)


def returns_at(cells: np.ndarray, axes: CubeAxes = AXES) -> RadarPoints:
    """Returns at the centres of cells (N, 3)."""
    distance, azimuth, doppler = (
        centres[index] for centres, index in zip(axes.centres(CUBE.shape), cells.T, strict=True)
    )
    position = np.stack(
        [distance * np.cos(azimuth), distance * np.sin(azimuth), 0 * distance], axis=1
    )
    return RadarPoints(
        position.astype(np.float32),
        doppler.astype(np.float32),
        np.zeros(len(cells), np.float32),
        np.arange(len(cells), dtype=np.int32),
    )


@pytest.mark.parametrize('downwards', [False, True])
def test_power_is_read_at_the_cell_of_each_return(downwards: bool) -> None:
    rng = np.random.default_rng(0)
    cube = rng.normal(0, 5, CUBE.shape).astype(np.float32)
    cells = np.stack([rng.integers(0, bins, 40) for bins in CUBE.shape], axis=1)
    told = replace(CUBE, azimuth_rad=CUBE.azimuth_rad[::-1]) if downwards else CUBE
    axes = CubeAxes(told.range_m, told.azimuth_rad, told.doppler_mps)
    found = cell_power(cube, returns_at(cells, axes), told)
    assert found == pytest.approx(cube[tuple(cells.T)] - np.median(cube) - EVEN_POWER_DB)


def test_the_same_thing_has_the_same_rcs_at_any_range() -> None:
    distance = np.array([5.0, 20.0, 40.0])
    power = -40 * np.log10(distance / 24.0)
    assert apparent_rcs(power, distance, CUBE) == pytest.approx(np.zeros(3), abs=1e-5)


def test_strength_alone_tells_strong_cells_from_weak_ones(tiny_cube_model: Path) -> None:
    model = CorrespondenceModel.load(tiny_cube_model)
    assert model.metadata.radar == tiny_metadata('cube').radar
    rng = np.random.default_rng(1)
    cube = rng.normal(0, 1, CUBE.shape).astype(np.float32)
    strong = np.array([[8, 12, 5], [16, 9, 8], [20, 15, 3]])
    cube[tuple(strong.T)] = 30.0
    ghosts = np.array([[28, azimuth, 2] for azimuth in range(CUBE.returns - len(strong))])
    cube[tuple(ghosts.T)] = 15.0
    instances = np.ones((240, 320), np.uint16)
    truth = FrameTruth(instances, np.ones(3, np.uint16), returns_at(strong).position)
    evaluation = DriveEvaluation(model)
    evaluation.add(0, np.zeros((240, 320, 3), np.uint8), cube, truth)
    assert evaluation.figures.values()['baselines']['rcs']['ghost_auroc'] == 1.0
