# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from model_factory import DROP_M

from radar_camera_ssl.evaluation.drive import DriveEvaluation
from radar_camera_ssl.evaluation.drive_figures import DriveFigures
from radar_camera_ssl.evaluation.ground_truth import FrameTruth
from radar_camera_ssl.evaluation.metrics import METRIC_KEYS
from radar_camera_ssl.evaluation.oracle import ProjectionOracle
from radar_camera_ssl.evaluation.time_blocks import DRIVES_ENOUGH
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.sensors.geometry import OPTICAL_FROM_BODY, Intrinsics, RigidTransform
from radar_camera_ssl.sensors.radar_points import RadarPoints

SECOND = 1_000_000_000


@pytest.fixture(scope='module')
def model(tiny_model: Path) -> CorrespondenceModel:
    return CorrespondenceModel.load(tiny_model)


def frame(index: int) -> tuple[int, np.ndarray, RadarPoints, FrameTruth]:
    """One block that moves with the frame's index, seen by two returns, and one ghost."""
    rng = np.random.default_rng(index)
    y = 4.0 * np.sin(index * 0.7)
    u, v = 159.5 - 240 * y / 12, 119.5 + 240 * 0.8 / 12
    instances = np.zeros((240, 320), np.uint16)
    left = int(np.clip(u - 12, 0, 295))
    instances[int(v) - 12 : int(v) + 12, left : left + 24] = 1
    image = rng.integers(60, 90, (240, 320, 3), dtype=np.uint8)
    image[instances == 1] = 220
    position = np.array([[12, y, 0], [12, y + 0.1, 0], [30, -y, 0]], np.float32)
    rcs = np.array([12, 9, -12], np.float32)
    points = RadarPoints(position, np.zeros(3, np.float32), rcs, np.arange(3, dtype=np.int32))
    truth = FrameTruth(instances, np.array([1, 1, 0], np.uint16))
    return index * SECOND // 2, image, points, truth


def test_arrays_are_scored_without_a_bag(model: CorrespondenceModel) -> None:
    evaluation = DriveEvaluation(model, blind_stride=1)
    for index in range(20):
        evaluation.add(*frame(index))
    values = evaluation.figures.values()
    assert values['pointing_accuracy'] == 1.0
    assert values['ghost_auroc'] == 1.0
    assert values['oracle'] is None
    assert values['baselines']['another_radar']['pointing_accuracy'] < 0.9
    assert values['baselines']['another_image']['pointing_accuracy'] == 1.0
    assert values['baselines']['empty_radar']['heatmap_ap'] < values['heatmap_ap']


def test_an_answer_at_hand_is_not_computed_again(model: CorrespondenceModel) -> None:
    stamp, image, points, truth = frame(0)
    at_hand = model.infer(image, points)
    given = DriveEvaluation(model).add(stamp, image, points, truth, at_hand)
    assert given is at_hand


def test_another_drive_gives_misaligned_pairs_at_once(model: CorrespondenceModel) -> None:
    other = [[frame(100)[2]]]
    evaluation = DriveEvaluation(model, other_drive=other)
    evaluation.add(*frame(0))
    assert evaluation.figures.values()['mismatch_auroc'] is not None
    alone = DriveEvaluation(model)
    alone.add(*frame(0))
    assert alone.figures.values()['mismatch_auroc'] is None


def test_what_is_aligned_is_counted_where_it_was_also_misaligned(
    model: CorrespondenceModel,
) -> None:
    evaluation = DriveEvaluation(model, other_drive=[[frame(100)[2]]], blind_stride=3)
    for index in range(9):
        evaluation.add(*frame(index))
    total = evaluation.figures.total
    assert total.aligned.sum() == total.misaligned.sum() >= 3


@pytest.mark.parametrize('silent', ['own', 'other'])
def test_a_radar_frame_without_returns_is_neither_aligned_nor_misaligned(
    model: CorrespondenceModel, silent: str
) -> None:
    nothing, (stamp, image, points, _) = RadarPoints.empty(), frame(0)
    other = [[nothing if silent == 'other' else frame(100)[2]]]
    evaluation = DriveEvaluation(model, other_drive=other)
    evaluation.add(stamp, image, nothing if silent == 'own' else points, None)
    assert evaluation.figures.values()['mismatch_auroc'] is None


def test_frames_close_in_time_are_not_called_misaligned(model: CorrespondenceModel) -> None:
    evaluation = DriveEvaluation(model, blind_stride=1)
    for index in range(4):
        _, image, points, truth = frame(index)
        evaluation.add(index * SECOND // 10, image, points, truth)
    assert evaluation.figures.values()['mismatch_auroc'] is None
    assert evaluation.figures.values()['baselines']['another_radar']['heatmap_ap'] is None


def returns(position: list[list[float]], rcs: list[float], velocity: float = 0.0) -> RadarPoints:
    count = len(rcs)
    return RadarPoints(
        np.array(position, np.float32),
        np.full(count, velocity, np.float32),
        np.array(rcs, np.float32),
        np.arange(count, dtype=np.int32),
    )


@pytest.mark.parametrize('speed', [0.0, 10.0])
def test_what_a_car_that_stands_saw_before_is_not_misaligned(
    model: CorrespondenceModel, speed: float
) -> None:
    evaluation = DriveEvaluation(model, blind_stride=1)
    for index in range(20):
        stamp, image, _, _ = frame(index)
        evaluation.add(stamp, image, returns([[20, 0, 0]] * 6, [9] * 6, -speed), None)
    assert (evaluation.figures.values()['mismatch_auroc'] is None) == (speed == 0.0)


def test_the_projection_is_compared_where_a_likely_return_lies_in_the_image(
    model: CorrespondenceModel,
) -> None:
    camera = Intrinsics(320, 240, np.array([[240.0, 0, 159.5], [0, 240, 119.5], [0, 0, 1]]))
    oracle = ProjectionOracle(camera, RigidTransform(OPTICAL_FROM_BODY, np.zeros(3)))
    evaluation = DriveEvaluation(model, camera, oracle)
    stamp, image, _, _ = frame(0)
    # The model puts what is at the camera's height DROP_M below it.
    likely, unlikely, outside = [12.0, 0, 0], [12.0, 0, -DROP_M], [12.0, 30, 0]
    points = returns([likely, *[unlikely] * 3, *[outside] * 3], [10, *[-10] * 3, *[10] * 3])
    evaluation.add(stamp, image, points, None)
    distance = evaluation.figures.values()['projection_distance_px']
    assert distance == pytest.approx(240 * DROP_M / 12, rel=0.03)


def test_truth_of_another_size_is_refused(model: CorrespondenceModel) -> None:
    stamp, image, points, truth = frame(0)
    with pytest.raises(ValueError, match='ground truth of'):
        DriveEvaluation(model).add(stamp, image[:100], points, truth)


def test_empty_radar_frames_are_valid(model: CorrespondenceModel) -> None:
    evaluation = DriveEvaluation(model)
    stamp, image, _, truth = frame(0)
    nothing = FrameTruth(truth.instances, np.zeros(0, np.uint16))
    evaluation.add(stamp, image, RadarPoints.empty(), nothing)
    values = evaluation.figures.values()
    assert values['pointing_accuracy'] is None
    assert values['heatmap_ap'] is None
    assert values['ece'] == pytest.approx(0.0, abs=1e-3)


def test_merged_drives_are_those_of_all_frames(model: CorrespondenceModel) -> None:
    whole, parts = DriveEvaluation(model), [DriveEvaluation(model), DriveEvaluation(model)]
    for index in range(8):
        stamp, image, points, truth = frame(index)
        whole.add(stamp, image, points, truth)
        parts[index // 4].add(stamp, image, points, truth)
    parts[0].figures.merge(parts[1].figures)
    together, apart = whole.figures.values(), parts[0].figures.values()
    for key in METRIC_KEYS:
        if key != 'mismatch_auroc':  # pairs are drawn at random
            assert together[key] == pytest.approx(apart[key]), key
    for name in ('centre', 'best_fixed', 'mean_heatmap', 'image_only', 'rcs'):
        assert together['baselines'][name] == pytest.approx(apart['baselines'][name]), name


def test_merging_many_drives_keeps_the_figures_and_one_tally_of_each(
    model: CorrespondenceModel,
) -> None:
    def evaluated(number: int) -> DriveFigures:
        evaluation = DriveEvaluation(model, name=f'drive {number}')
        for index in range(6):
            stamp, image, points, truth = frame(10 * number + index)
            evaluation.add(stamp, image, points, truth)
        evaluation.finish()
        return evaluation.figures

    drives = [evaluated(number) for number in range(DRIVES_ENOUGH)]
    alone = [drive.values() for drive in drives]
    merged = pickle.loads(pickle.dumps(drives[0]))
    for drive in drives[1:]:
        merged.merge(drive)
    values = merged.values()
    assert values['confidence_unit'] == 'drive'
    assert alone[0]['confidence_unit'] == 'block'
    interval = values['confidence_95']['heatmap_ap']
    assert interval[0] <= values['heatmap_ap'] <= interval[1]
    assert sum(len(blocks) for blocks in merged.drives[1:]) == DRIVES_ENOUGH - 1
    for key in ('by_range', 'by_azimuth'):
        counted = sum(row['returns'] for drive in alone for row in drive[key])
        assert sum(row['returns'] for row in values[key]) == counted == 12 * DRIVES_ENOUGH
    assert values['pointing_accuracy'] == pytest.approx(
        np.mean([drive['pointing_accuracy'] for drive in alone])
    )
    best = max(m.value for drive in drives[1:] for m in drive.moments.best)
    assert merged.moments.best[0].value >= best
    assert len({moment.bag for moment in merged.moments.worst}) > 1


def test_drives_that_differ_in_grid_lose_only_the_fixed_maps(
    model: CorrespondenceModel, block_drive: Callable[..., Path]
) -> None:
    first, second = DriveEvaluation(model), DriveEvaluation(model)
    first.add(*frame(0))
    stamp, image, points, truth = frame(1)
    wide = FrameTruth(np.repeat(truth.instances, 2, axis=1), truth.return_instance)
    second.add(stamp, np.repeat(image, 2, axis=1), points, wide)
    first.figures.merge(second.figures)
    assert first.figures.values()['pointing_accuracy'] is not None
    assert first.figures.values()['baselines'].keys() & {'best_fixed', 'mean_heatmap'} == set()
