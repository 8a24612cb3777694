# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model_factory import tiny_metadata, write_tiny_model

from radar_camera_ssl.evaluation.drive_run import EvaluationOptions, _radar_stretches
from radar_camera_ssl.evaluation.evaluate import evaluate_bags
from radar_camera_ssl.evaluation.ground_truth import FrameTruth, GroundTruthReader
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.model_metadata import CameraInput
from radar_camera_ssl.sensors.radar_points import decode_points
from radar_camera_ssl.sensors.recording import Recording


def test_another_drive_lends_stretches_from_all_over_its_length(
    block_drive: Callable[..., Path], tiny_model: Path
) -> None:
    path = block_drive(frames=150)
    with Recording(path) as recording:
        frames = [decode_points(msg) for _, _, msg in recording.messages(['/radar/points'])]
    places = [frame.position.tobytes() for frame in frames]
    model = CorrespondenceModel.load(tiny_model)
    stretches = _radar_stretches(path, model, EvaluationOptions())
    numbers = [
        [places.index(frame.position.tobytes()) for frame in stretch] for stretch in stretches
    ]
    assert all((np.diff(stretch) == 1).all() for stretch in numbers)
    assert all(len(stretch) >= 20 for stretch in numbers)
    assert [stretch[0] for stretch in numbers] == [0, 30, 60, 90, 120]


def test_ground_truth_of_fewer_returns_is_told_once_and_not_used(
    block_drive: Callable[..., Path], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = GroundTruthReader.at

    def cut(reader: GroundTruthReader, image_stamp: int, radar_stamp: int) -> FrameTruth | None:
        truth = whole(reader, image_stamp, radar_stamp)
        return truth and replace(truth, return_instance=truth.return_instance[:-1])

    monkeypatch.setattr(GroundTruthReader, 'at', cut)
    metrics = evaluate_bags([block_drive(frames=6)], tiny_model, None)
    assert metrics['notes'] == [
        'drive: ground truth of fewer returns than its radar frame has',
        'drive: 6 pairs had no ground truth that fits them',
    ]
    assert (metrics['pairs'], metrics['frames_with_truth']) == (6, 0)


def test_images_of_another_shape_than_the_model_knows_are_told(
    block_drive: Callable[..., Path], tmp_path: Path
) -> None:
    metadata = tiny_metadata(camera=CameraInput(240, 320, adapted_to=(720, 1280)))
    model = write_tiny_model(tmp_path / 'model.onnx', description=metadata)
    (note,) = evaluate_bags([block_drive(frames=4)], model, None)['notes']
    assert re.fullmatch('drive: images of .* are stretched: .* the shape of 1280x720', note)


def test_a_drive_that_the_model_was_trained_on_is_told(
    block_drive: Callable[..., Path], tmp_path: Path
) -> None:
    metadata = replace(tiny_metadata(), training={'drives': ['known']})
    model = write_tiny_model(tmp_path / 'model.onnx', description=metadata)
    known, unknown = (block_drive(name, frames=4) for name in ('known', 'unknown'))
    for bag in (known, next(known.glob('*.mcap'))):
        (note,) = evaluate_bags([bag, unknown], model, None)['notes']
        assert note == f'{bag.name}: the model was trained on a drive of this name'
