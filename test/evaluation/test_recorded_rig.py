# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from model_factory import tiny_metadata, write_tiny_model

from radar_camera_ssl import cli
from radar_camera_ssl.evaluation.evaluate import evaluate_bags
from radar_camera_ssl.model_metadata import CubeInput
from radar_camera_ssl.simulation import CameraConfig, DriveConfig, RadarConfig, simulate_drive
from radar_camera_ssl.simulation.cube import cube_axes


@pytest.fixture(scope='module')
def cube_drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of a drive with a cube of the simulation's own axes."""
    path = tmp_path_factory.mktemp('drives') / 'cube'
    camera = CameraConfig(width=160, height=120, only_near_radar=True)
    simulate_drive(path, DriveConfig(seed=3, duration_s=1.0, camera=camera))
    return path


@pytest.fixture
def cube_model(tmp_path: Path) -> Callable[..., Path]:
    """Write a model for the simulation's cube, but for the axes that are given."""

    def write(**axes: tuple[float, float]) -> Path:
        config = RadarConfig()
        told = cube_axes(config)
        cube = CubeInput(
            config.cube_shape, told.range_m, told.azimuth_rad, told.doppler_mps, returns=20
        )
        metadata = tiny_metadata('cube', cube=replace(cube, **axes))
        return write_tiny_model(tmp_path / 'model.onnx', 'cube', description=metadata)

    return write


def test_a_cube_of_the_model_s_axes_is_evaluated(
    cube_drive: Path, cube_model: Callable[..., Path]
) -> None:
    assert evaluate_bags([cube_drive], cube_model(), None)['pairs'] > 5


@pytest.mark.parametrize(
    'axes',
    [{'range_m': (0.0, 50.0)}, {'azimuth_rad': (math.pi / 2, -math.pi / 2)}],
    ids=['another range', 'azimuth the other way round'],
)
def test_a_cube_of_other_axes_is_refused_in_one_line(
    cube_drive: Path,
    cube_model: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    axes: dict[str, tuple[float, float]],
) -> None:
    model = cube_model(**axes)
    command = ['evaluate', str(cube_drive), '--model', str(model), '--out', str(tmp_path / 'out')]
    assert cli.main(command) == 2
    said = capsys.readouterr().err
    assert 'the cube has other axes than the model: another radar needs training' in said
    assert next(iter(axes)) in said
    assert len(said.strip().splitlines()) == 1
