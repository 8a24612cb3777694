# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.learning.export import describe, export_model
from radar_camera_ssl.learning.network import NetworkConfig
from radar_camera_ssl.learning.training import Recipe, Trainer
from radar_camera_ssl.sensors.radar_points import RadarPoints

RECIPE = Recipe(
    steps=60,
    drives_per_batch=6,
    frames_per_drive=3,
    returns_per_frame=8,
    calibration_pairs=80,
    network=NetworkConfig(height=120, width=160, descriptor=16, hidden=32),
)


@pytest.fixture(scope='module')
def trained(toy_drives, tmp_path_factory):
    trainer = Trainer(toy_drives, RECIPE, tmp_path_factory.mktemp('run'))
    trainer.run(progress=False)
    return trainer


def test_returns_find_their_image_far_more_often_than_by_chance(trained):
    chance = 1.0 / (RECIPE.drives_per_batch * RECIPE.frames_per_drive)
    late = [entry['retrieval'] for entry in trained.log if 40 <= entry.get('step', 0) <= 60]
    assert np.mean(late) > 3 * chance


def test_an_interrupted_run_ends_like_one_that_was_not(toy_drives, tmp_path):
    recipe = replace(RECIPE, steps=5, calibration_pairs=18)
    whole = Trainer(toy_drives, recipe, tmp_path / 'whole').run(progress=False)
    first = Trainer(toy_drives, recipe, tmp_path / 'halves')
    for _ in range(3):
        first._correspondence_step()
        first.step += 1
    first.save()
    second = Trainer(toy_drives, recipe, tmp_path / 'halves')
    assert second.step == 3
    resumed = second.run(progress=False)
    for (name, a), b in zip(
        whole.state_dict().items(), resumed.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(a, b, msg=lambda m, name=name: f'{name}: {m}')


def test_a_folder_of_another_run_is_refused(trained, toy_drives):
    with pytest.raises(ValueError, match='another recipe'):
        Trainer(toy_drives, replace(RECIPE, seed=5), trained.folder)
    with pytest.raises(ValueError, match='other drives'):
        Trainer(toy_drives[:3], RECIPE, trained.folder)


def test_too_few_pairs_are_refused_before_any_work(toy_drives, tmp_path):
    with pytest.raises(ValueError, match='30 pairs are too few'):
        Trainer(toy_drives[:1], RECIPE, tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_the_exported_file_answers_like_torch_through_the_vehicle_path(
    trained, toy_drives, tmp_path
):
    drive = toy_drives[0]
    metadata = describe(trained.model, drive.returns.shape[1], {}, {'drives': ['toy']})
    path = tmp_path / 'model.onnx'
    assert export_model(trained.model, metadata, path, toy_drives) < 1e-3
    model = CorrespondenceModel.load(path)
    count = int(drive.counts[3])
    rows = np.array(drive.returns[3][:count])
    position = np.concatenate((rows[:, :2], np.zeros((count, 1), np.float32)), 1)
    points = RadarPoints(position, rows[:, 2], rows[:, 3], np.arange(count, dtype=np.int32))
    answer = model.infer(np.array(drive.images[3]), points)
    with torch.no_grad():
        expected = trained.model(
            torch.from_numpy(np.array(drive.images[3:4])),
            torch.from_numpy(rows[None]),
            torch.ones(1, count, dtype=torch.bool),
        )
    np.testing.assert_allclose(answer.heatmap, expected[0][0].numpy(), atol=1e-4)
    np.testing.assert_allclose(answer.likelihood, expected[1][0].numpy(), atol=1e-4)
    assert abs(answer.agreement - float(expected[3])) < 1e-4
