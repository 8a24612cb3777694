# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from radar_camera_ssl.evaluation.ground_truth import (
    FrameTruth,
    GroundTruthReader,
    decode_instances,
)
from radar_camera_ssl.sensors.radar_points import RadarPoints
from radar_camera_ssl.sensors.recording import Recording, read_pairs


def message(data: bytes, **changes: object) -> SimpleNamespace:
    fields = {'height': 2, 'width': 3, 'step': 6, 'encoding': '16UC1', 'is_bigendian': 0}
    return SimpleNamespace(data=data, **{**fields, **changes})


def test_instances_honour_step_and_byte_order() -> None:
    values = np.array([[1, 2, 300], [4, 5, 6]])
    padded = np.zeros((2, 5), '>u2')
    padded[:, :3] = values
    decoded = decode_instances(message(padded.tobytes(), step=10, is_bigendian=1))
    assert decoded.dtype == np.uint16
    assert (decoded == values).all()


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [({'encoding': 'mono8'}, 'mono8'), ({'height': 3}, '12 bytes'), ({'step': 4}, 'rows of 4')],
)
def test_unreadable_instances_say_why(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decode_instances(message(bytes(12), **changes))


def test_every_pair_finds_its_truth(block_drive: Callable[..., Path]) -> None:
    path = block_drive(frames=90)
    with Recording(path) as recording, GroundTruthReader(recording) as reader:
        found = 0
        for pair in read_pairs(recording, 'points', 0.05):
            truth = reader.at(pair.image_stamp, pair.radar_stamp)
            assert truth is not None
            assert len(truth.return_instance) == pair.radar.width
            assert set(truth.reflecting_sources) <= {1, 2, 3}
            assert len(reader._instances) < 70
            found += 1
    assert found == 90


def test_a_stamp_without_truth_gives_none_and_the_next_is_found(
    block_drive: Callable[..., Path],
) -> None:
    path = block_drive(frames=5)
    with Recording(path) as recording, GroundTruthReader(recording) as reader:
        pairs = list(read_pairs(recording, 'points', 0.05))
        assert reader.at(pairs[0].image_stamp + 1, pairs[0].radar_stamp) is None
        assert reader.at(pairs[3].image_stamp, pairs[3].radar_stamp) is not None


def test_a_recording_without_truth_is_said_to_have_none(
    block_drive: Callable[..., Path],
) -> None:
    bag = block_drive(ground_truth=False)
    with Recording(bag) as recording, GroundTruthReader(recording) as reader:
        assert not reader.available
        assert reader.at(0, 0) is None


def test_returns_are_matched_by_row() -> None:
    truth = FrameTruth(np.ones((4, 4), np.uint16), np.array([5, 0, 1], np.uint16))
    none = np.zeros(2, np.float32)
    returns = RadarPoints(np.zeros((2, 3), np.float32), none, none, np.array([2, 0], np.int32))
    assert truth.source_of(returns).tolist() == [1, 5]
    assert truth.visible(truth.source_of(returns)).tolist() == [True, False]


def test_truth_of_fewer_returns_than_the_radar_frame_s_does_not_fit() -> None:
    none = np.zeros(2, np.float32)
    returns = RadarPoints(np.zeros((2, 3), np.float32), none, none, np.array([0, 2], np.int32))
    for rows, fits in ((3, True), (2, False), (0, False)):
        truth = FrameTruth(np.ones((4, 4), np.uint16), np.zeros(rows, np.uint16))
        misfit = truth.misfit((4, 4, 3), returns)
        assert misfit is None if fits else 'fewer returns' in str(misfit)
        assert truth.misfit((4, 4, 3), np.zeros((2, 2, 2), np.float32)) is None


def test_cells_of_a_cube_are_matched_by_place() -> None:
    true = np.array([[10.0, 0, 0], [0, 20.0, 0]])
    truth = FrameTruth(np.ones((4, 4), np.uint16), np.array([1, 2], np.uint16), true)
    position = np.array([[11.0, 0.5, 0], [0.5, 19, 0], [14, 0, 0], [10, 3, 0]], np.float32)
    none = np.zeros(4, np.float32)
    returns = RadarPoints(position, none, none, np.arange(4, dtype=np.int32))
    assert truth.source_of(returns, by_row=False).tolist() == [1, 2, 0, 0]
