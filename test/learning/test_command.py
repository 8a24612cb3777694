# SPDX-License-Identifier: Apache-2.0
"""The command line of learning, end to end on two short drives."""

from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from radar_camera_ssl.cli import main
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.simulation import CameraConfig, DriveConfig, simulate_drive

# Training at the shipped size is slow on a busy machine.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope='module')
def bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bags')
    camera = CameraConfig(width=320, height=240, only_near_radar=True)
    for seed in (1, 2):
        config = DriveConfig(seed=seed, duration_s=3.0, camera=camera, compressed=True, cube=False)
        simulate_drive(folder / f'drive_{seed}', config)
    return [str(folder / f'drive_{seed}') for seed in (1, 2)]


@pytest.fixture(scope='module')
def run(bags, tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / 'first'
    assert main(['train', *bags, '--out', str(folder), '--steps', '2']) == 0
    return folder


def test_train_leaves_a_model_that_describes_itself(run):
    model = CorrespondenceModel.load(run / 'model.onnx')
    assert model.metadata.training['drives'] == ['drive_1', 'drive_2']
    assert model.metadata.radar.kind == 'points'


def test_export_writes_the_same_model_again(run, tmp_path):
    assert main(['export', str(run), '--out', str(tmp_path / 'again.onnx')]) == 0
    again = CorrespondenceModel.load(tmp_path / 'again.onnx')
    assert again.metadata == CorrespondenceModel.load(run / 'model.onnx').metadata


def test_another_recipe_in_the_same_folder_is_wrong_use(run, bags, capsys):
    assert main(['train', *bags, '--out', str(run), '--steps', '3']) == 2
    assert 'another recipe' in capsys.readouterr().err


def test_what_cannot_be_read_is_one_clear_line(tmp_path, capsys):
    assert main(['train', str(tmp_path / 'nothing'), '--out', str(tmp_path / 'run')]) == 2
    assert 'nothing' in capsys.readouterr().err
    assert main(['export', str(tmp_path / 'norun'), '--out', str(tmp_path / 'm.onnx')]) == 2
    assert 'norun' in capsys.readouterr().err
