# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from radar_camera_ssl.evaluation.drive_run import EvaluationOptions, _radar_stretches
from radar_camera_ssl.inference.model import CorrespondenceModel
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
        [places.index(frame.position.tobytes()) for frame in stretch]  # type: ignore[union-attr]
        for stretch in stretches
    ]
    assert all((np.diff(stretch) == 1).all() for stretch in numbers)
    assert all(len(stretch) >= 20 for stretch in numbers)
    assert [stretch[0] for stretch in numbers] == [0, 30, 60, 90, 120]
