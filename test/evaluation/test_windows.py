# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from radar_camera_ssl.evaluation.drive import DriveEvaluation
from radar_camera_ssl.evaluation.evaluate import evaluate_bags
from radar_camera_ssl.evaluation.replay import RadarFrame
from radar_camera_ssl.evaluation.time_blocks import BlockedTally, total_of
from radar_camera_ssl.evaluation.windows import (
    LEAST_LAG_S,
    MOST_LAG_S,
    WindowProbe,
    window_counts,
)
from radar_camera_ssl.inference.model import Correspondence, CorrespondenceModel
from radar_camera_ssl.sensors.ego_speed import MOVED_M
from radar_camera_ssl.sensors.radar_points import RadarPoints

SECOND = 1_000_000_000
FOCAL = 300.0
FOREIGN = 250


def frame(index: int) -> tuple[int, NDArray[np.uint8], RadarPoints]:
    """10 Hz; image and returns carry the frame's number, and the returns their true azimuth."""
    rng = np.random.default_rng(index)
    azimuth = rng.uniform(-0.5, 0.5, 12)
    position = 20 * np.stack([np.cos(azimuth), np.sin(azimuth), 0 * azimuth], axis=1)
    radar = RadarPoints(
        position.astype(np.float32),
        azimuth.astype(np.float32),
        np.full(12, index, np.float32),
        np.arange(12, dtype=np.int32),
    )
    return index * SECOND // 10, np.full((4, 6, 3), index, np.uint8), radar


class Seer:
    """Answers as a model that sees every source where it is, and knows which frames match."""

    def __init__(self, prior: bool = True) -> None:
        self.prior = prior
        self.lags: list[int] = []
        self.calls = 0

    def __call__(self, image: NDArray[np.uint8], radar: RadarFrame) -> Correspondence:
        assert isinstance(radar, RadarPoints)
        self.calls += 1
        number, own = int(radar.rcs[0]), int(image[0, 0, 0])
        if number != own:
            self.lags.append(own - number)
        v = np.full(len(radar), 2.0)
        pixel = np.stack([-FOCAL * radar.velocity, v], axis=1).astype(np.float32)
        prior = np.stack([-FOCAL * radar.azimuth, v], axis=1).astype(np.float32)
        return Correspondence(
            heatmap=np.zeros((2, 3), np.float32),
            likelihood=np.full(len(radar), 0.9, np.float32),
            pixel=pixel,
            agreement=0.9 if number == own else 0.2,
            returns=radar,
            returns_dropped=0,
            prior_pixel=prior if self.prior else None,
        )


def probed(
    seer: Seer,
    frames: Iterable[int],
    other: list[list[RadarPoints]] | None = None,
    speed_mps: float = 10.0,
) -> tuple[WindowProbe, BlockedTally]:
    blocks = BlockedTally()
    probe = WindowProbe(seer, blocks, other or [], np.random.default_rng(0))
    for index in frames:
        stamp, image, radar = frame(index)
        probe.add(stamp, speed_mps * stamp / SECOND, image, radar, seer(image, radar))
    return probe, blocks


def test_a_model_that_sees_everything_is_perfect_and_windows_are_counted() -> None:
    seer = Seer()
    probe, blocks = probed(seer, range(101), [[frame(FOREIGN)[2]]])
    values = total_of(blocks.blocks).values()
    assert values['mismatch_auroc_2s'] == 1.0
    assert values['yaw_alarm_auroc'] == 1.0
    assert window_counts(total_of(blocks.blocks)) == {
        'aligned_windows': 5,
        'misaligned_windows': 5,
        'yaw_none': 3,
        'yaw_turned': 3,
    }
    assert probe.missing() == {}


def test_doppler_is_asked_of_the_windows_that_the_yaw_figure_rests_on() -> None:
    probe, blocks = probed(Seer(), range(101), [[frame(FOREIGN)[2]]])
    counts = window_counts(total_of(blocks.blocks))
    told = probe.headings
    assert told.mounted.sum() + told.untold[0] == counts['yaw_none'] == 3
    assert told.turned.sum() + told.untold[1] == counts['yaw_turned'] == 3


def test_the_model_is_run_two_and_a_half_times_more_for_each_frame_on_average() -> None:
    seer = Seer()
    probed(seer, range(80), [[frame(FOREIGN)[2]]])
    assert seer.calls == 3.5 * 80


def test_windows_are_counted_in_the_block_of_their_first_frame() -> None:
    _, blocks = probed(Seer(), range(101), [[frame(FOREIGN)[2]]])
    assert [block.aligned_windows.sum() for block in blocks.blocks] == [1] * 5


def test_misaligned_windows_are_a_constant_lag_or_another_drive_in_turns() -> None:
    seer = Seer()
    probed(seer, range(200), [[frame(FOREIGN)[2]]])
    lags = np.array(seer.lags).reshape(-1, 20)
    foreign, own = lags[::2], lags[1::2]
    assert (foreign == np.arange(200).reshape(-1, 20)[::2] - FOREIGN).all()
    assert (np.ptp(own, axis=1) == 0).all()
    assert own.min() >= LEAST_LAG_S * 10
    assert own.max() <= MOST_LAG_S * 10
    assert len(np.unique(own)) > 1


def test_without_another_drive_all_windows_with_a_past_lag_and_no_others_are_counted() -> None:
    _, blocks = probed(Seer(), range(101))
    counts = window_counts(total_of(blocks.blocks))
    assert (counts['aligned_windows'], counts['misaligned_windows']) == (4, 4)


def test_a_standing_car_sees_nothing_that_does_not_belong() -> None:
    seer = Seer()
    probe, blocks = probed(seer, range(101), speed_mps=0.0)
    counts = window_counts(total_of(blocks.blocks))
    assert (counts['aligned_windows'], counts['misaligned_windows']) == (0, 0)
    assert 'the car moved' in probe.missing()['mismatch_auroc_2s']
    assert not seer.lags


def test_a_standing_car_is_shown_another_drive_in_every_window() -> None:
    probe, blocks = probed(Seer(), range(101), [[frame(FOREIGN)[2]]], speed_mps=0.0)
    assert window_counts(total_of(blocks.blocks))['misaligned_windows'] == 5
    assert probe.missing() == {}


def test_a_car_that_stops_is_shown_only_what_it_saw_elsewhere() -> None:
    blocks, seer = BlockedTally(), Seer()
    probe = WindowProbe(seer, blocks, [], np.random.default_rng(0))
    shown = []
    for index in range(101):
        stamp, image, radar = frame(index)
        before = len(seer.lags)
        # Stands from the third second on.
        probe.add(stamp, 1.0 * min(index, 30), image, radar, seer(image, radar))
        shown += [(index, index - lag) for lag in seer.lags[before:]]
    assert shown
    assert all(min(now, 30) - then >= MOVED_M for now, then in shown)
    # A window of which more than half stood is not counted.
    counted = int(window_counts(total_of(blocks.blocks))['misaligned_windows'])
    enough = np.bincount([now // 20 for now, _ in shown]) >= 10
    assert counted == enough.sum() > 0


@pytest.mark.parametrize(
    'frames',
    [range(20), [*range(0, 19), *range(40, 59)], [*range(30, 45), *range(10, 25)]],
    ids=['too short', 'a hole', 'a jump back'],
)
def test_windows_that_are_not_whole_are_not_counted(frames: Iterable[int]) -> None:
    probe, blocks = probed(Seer(), frames)
    assert sum(window_counts(total_of(blocks.blocks)).values()) == 0
    assert probe.missing().keys() == {'mismatch_auroc_2s', 'yaw_alarm_auroc'}


def test_windows_survive_the_merging_of_time_blocks() -> None:
    blocks = BlockedTally(block_s=1.0, max_blocks=2)
    seer = Seer()
    probe = WindowProbe(seer, blocks, [], np.random.default_rng(0))
    for index in range(201):
        stamp, image, radar = frame(index)
        blocks.at(stamp)
        probe.add(stamp, 1.0 * index, image, radar, seer(image, radar))
    assert window_counts(total_of(blocks.blocks))['aligned_windows'] == 9


def test_without_a_prior_pixel_there_is_no_yaw_and_nothing_is_asked_for_it() -> None:
    seer = Seer(prior=False)
    probe, blocks = probed(seer, range(41), [[frame(FOREIGN)[2]]])
    values = total_of(blocks.blocks).values()
    assert values['mismatch_auroc_2s'] == 1.0
    assert values['yaw_alarm_auroc'] is None
    assert 'prior_pixel' in probe.missing()['yaw_alarm_auroc']
    assert seer.calls == 2 * 41


@pytest.mark.parametrize('silent', ['own', 'other'])
def test_windows_without_a_return_are_not_counted(silent: str) -> None:
    def nothing_seen(image: NDArray[np.uint8], radar: RadarFrame) -> Correspondence:
        assert isinstance(radar, RadarPoints)
        none, nowhere = np.zeros(len(radar), np.float32), np.zeros((len(radar), 2), np.float32)
        return Correspondence(np.zeros((2, 3), np.float32), none, nowhere, 0.5, radar, 0, nowhere)

    blocks = BlockedTally()
    other = RadarPoints.empty() if silent == 'other' else frame(FOREIGN)[2]
    probe = WindowProbe(nothing_seen, blocks, [[other]], np.random.default_rng(0))
    for index in range(21):
        stamp, image, radar = frame(index)
        radar = RadarPoints.empty() if silent == 'own' else radar
        probe.add(stamp, 1.0 * index, image, radar, nothing_seen(image, radar))
    assert sum(window_counts(total_of(blocks.blocks)).values()) == 0
    assert 'mismatch_auroc_2s' in probe.missing()


def test_a_cube_is_told_misaligned_but_cannot_be_turned(tiny_cube_model: Path) -> None:
    model = CorrespondenceModel.load(tiny_cube_model)
    rng = np.random.default_rng(0)
    evaluation = DriveEvaluation(model)
    for index in range(9):
        cube = rng.normal(0, 3, model.metadata.radar.shape).astype(np.float32)
        image = np.zeros((240, 320, 3), np.uint8)
        evaluation.add(index * SECOND // 2, image, cube, None)
    values = evaluation.figures.values()
    assert values['mismatch_auroc_2s'] is not None
    assert values['yaw_alarm_auroc'] is None
    assert 'radar points' in evaluation.missing()['yaw_alarm_auroc']


def test_a_bag_tells_why_it_has_no_window_figure(
    block_drive: Callable[..., Path], tiny_model: Path
) -> None:
    short = evaluate_bags([block_drive('short', frames=5)], tiny_model, None)
    assert short['mismatch_auroc_2s'] is None
    assert short['windows']['aligned_windows'] == 0
    why = short['null_because']['mismatch_auroc_2s']
    assert why == 'no 2 s of pairs without a hole and with a return'
    both = evaluate_bags(
        [block_drive('a', seed=1, frames=60), block_drive('b', seed=2, frames=60)],
        tiny_model,
        None,
    )
    assert both['mismatch_auroc_2s'] is not None
    assert both['windows'] == {
        key: sum(bag['windows'][key] for bag in both['bags']) for key in both['windows']
    }
