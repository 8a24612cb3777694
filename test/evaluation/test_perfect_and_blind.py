# SPDX-License-Identifier: Apache-2.0
"""The whole evaluation, of answers whose figures are known: the truth, a constant, guesses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from model_factory import tiny_metadata
from numpy.typing import NDArray

from radar_camera_ssl.evaluation.drive import DriveEvaluation
from radar_camera_ssl.evaluation.ground_truth import FrameTruth
from radar_camera_ssl.evaluation.metrics import METRIC_KEYS
from radar_camera_ssl.evaluation.oracle import ProjectionOracle
from radar_camera_ssl.evaluation.replay import RadarFrame
from radar_camera_ssl.evaluation.retrieval import CHANCE
from radar_camera_ssl.inference.model import Correspondence
from radar_camera_ssl.model_metadata import CameraInput, Grid
from radar_camera_ssl.sensors.geometry import OPTICAL_FROM_BODY, Intrinsics, RigidTransform
from radar_camera_ssl.sensors.radar_points import RadarPoints

HEIGHT, WIDTH, FOCAL = 60, 80, 60.0
MIDDLE = (WIDTH - 1) / 2
CAMERA = Intrinsics(
    WIDTH, HEIGHT, np.array([[FOCAL, 0, MIDDLE], [0, FOCAL, (HEIGHT - 1) / 2], [0, 0, 1]])
)
FRAMES, FOREIGN = 161, 900


class Moment:
    """Frame `number` of a drive: three sources somewhere, two returns of each, three ghosts.

    The image carries its number in its first pixel, each return as its velocity.
    """

    def __init__(self, number: int) -> None:
        rng = np.random.default_rng(number)
        self.image = rng.integers(60, 90, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        self.image[0, 0] = number % 256, number // 256, 0
        instances = np.zeros((HEIGHT, WIDTH), np.uint16)
        middles = rng.choice(np.arange(6, WIDTH - 6, 8), 3, replace=False)
        for source, middle in enumerate(middles, start=1):
            instances[24:36, middle - 2 : middle + 3] = source
        instance = np.array([1, 1, 2, 2, 3, 3, 0, 0, 0], np.uint16)
        self.column = np.concatenate([np.repeat(middles, 2), rng.uniform(0, WIDTH - 1, 3)])
        azimuth = np.arctan((MIDDLE - self.column) / FOCAL)
        position = 20 * np.stack([np.cos(azimuth), np.sin(azimuth), 0 * azimuth], axis=1)
        self.radar = RadarPoints(
            position.astype(np.float32),
            np.full(9, number + 1, np.float32),
            rng.normal(0, 5, 9).astype(np.float32),
            np.arange(9, dtype=np.int32),
        )
        self.truth = FrameTruth(instances, instance)
        self.sources = (instances > 0).astype(np.float32)
        self.likelihood = (instance > 0).astype(np.float32)


moment = functools.cache(Moment)


def prior_of(radar: RadarPoints) -> NDArray[np.float32]:
    u = MIDDLE - FOCAL * np.tan(radar.azimuth)
    return np.stack([u, np.full(len(u), (HEIGHT - 1) / 2)], axis=1).astype(np.float32)


def knows(
    own: bool, heard: Moment, radar: RadarPoints, rng: np.random.Generator
) -> dict[str, Any]:
    """The truth about the radar frame, and whether the image belongs to it."""
    row = np.full(len(radar), (HEIGHT - 1) / 2)
    return {
        'heatmap': heard.sources,
        'likelihood': heard.likelihood,
        'pixel': np.stack([heard.column, row], axis=1).astype(np.float32),
        'agreement': float(own),
    }


def knows_nothing(
    own: bool, heard: Moment, radar: RadarPoints, rng: np.random.Generator
) -> dict[str, Any]:
    """The same whatever is shown: at the image's centre, where the radar alone would look."""
    return {
        'heatmap': np.full((HEIGHT, WIDTH), 0.03, np.float32),
        'likelihood': np.full(len(radar), 0.5, np.float32),
        'pixel': np.tile(np.float32([MIDDLE, (HEIGHT - 1) / 2]), (len(radar), 1)),
        'prior_pixel': np.tile(np.float32([MIDDLE, (HEIGHT - 1) / 2]), (len(radar), 1)),
        'agreement': 0.5,
    }


def guesses(
    own: bool, heard: Moment, radar: RadarPoints, rng: np.random.Generator
) -> dict[str, Any]:
    """Everything at random."""
    return {
        'heatmap': rng.random((HEIGHT, WIDTH), np.float32),
        'likelihood': rng.random(len(radar), np.float32),
        'pixel': rng.uniform(0, [WIDTH, HEIGHT], (len(radar), 2)).astype(np.float32),
        'agreement': float(rng.random()),
    }


def tells_of_another_moment(
    own: bool, heard: Moment, radar: RadarPoints, rng: np.random.Generator
) -> dict[str, Any]:
    """The truth of some other frame."""
    return knows(bool(rng.integers(2)), moment(int(rng.integers(2000, 2500))), radar, rng)


Answering = Callable[[bool, Moment, RadarPoints, np.random.Generator], dict[str, Any]]


class Model:
    """Answers with what `answering` says of a radar frame, and of whether the image is its own."""

    metadata = tiny_metadata(camera=CameraInput(HEIGHT, WIDTH), grid=Grid(HEIGHT, WIDTH))

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._rng = np.random.default_rng(0)

    def infer(
        self, image: NDArray[np.uint8], radar: RadarFrame, intrinsics: object = None
    ) -> Correspondence:
        assert isinstance(radar, RadarPoints)
        if not len(radar):
            none, nowhere = np.zeros(0, np.float32), np.zeros((0, 2), np.float32)
            nothing = np.zeros((HEIGHT, WIDTH), np.float32)
            return Correspondence(nothing, none, nowhere, 0.5, radar, 0, nowhere)
        shown = int(image[0, 0, 0]) + 256 * int(image[0, 0, 1])
        heard = int(radar.velocity[0]) - 1
        told = self._answering(shown == heard, moment(heard), radar, self._rng)
        told = {'prior_pixel': prior_of(radar), **told}
        return Correspondence(returns=radar, returns_dropped=0, **told)


def evaluated(answering: Answering) -> dict[str, Any]:
    """16 s at 10 Hz; no return tells a speed, so the car is taken to move."""
    oracle = ProjectionOracle(CAMERA, RigidTransform(OPTICAL_FROM_BODY, np.zeros(3)))
    other = [[moment(FOREIGN + i).radar for i in range(30)]]
    drive = DriveEvaluation(Model(answering), CAMERA, oracle, other)  # type: ignore[arg-type]
    for number in range(FRAMES):
        now = moment(number)
        drive.add(number * 100_000_000, now.image, now.radar, now.truth)
    drive.finish()
    assert drive.missing() == {}
    return drive.figures.values()


@pytest.fixture(scope='module')
def perfect() -> dict[str, Any]:
    return evaluated(knows)


SMALLEST = {
    'column_error_deg',
    'column_error_p90_deg',
    'ece',
    'lit_area_empty_radar',
    'projection_distance_px',
}


@pytest.mark.parametrize('key', METRIC_KEYS)
def test_the_truth_is_perfect(perfect: dict[str, Any], key: str) -> None:
    assert perfect[key] == pytest.approx(0.0 if key in SMALLEST else 1.0, abs=1e-6)


def test_no_baseline_reaches_the_truth(perfect: dict[str, Any]) -> None:
    told = perfect['baselines']
    # What needs no image is not blind here: the radar alone knows the azimuth.
    for name in set(told) - {'radar_only', 'another_image', 'rcs'}:
        for key, value in told[name].items():
            # Who says how often each place reflects is calibrated without either sensor.
            if value is not None and key != 'ece':
                assert value > 0.01 if key in SMALLEST else value < 0.8, (name, key)
    assert perfect['oracle']['pointing_accuracy'] == 1.0


def test_a_heatmap_that_needs_no_image_is_as_good_with_another_one(
    perfect: dict[str, Any],
) -> None:
    blind = perfect['baselines']['another_image']
    for key in ('heatmap_ap', 'heatmap_max_f1', 'ciou'):
        assert blind[key] == pytest.approx(1.0), key


def test_the_truth_is_perfect_at_every_range_and_azimuth(perfect: dict[str, Any]) -> None:
    assert [(row['from'], row['to']) for row in perfect['by_range']] == [(20, 30)]
    assert len(perfect['by_azimuth']) > 4
    for row in (*perfect['by_range'], *perfect['by_azimuth']):
        assert (row['pointing_accuracy'], row['column_error_deg']) == (1.0, 0.0)
    assert sum(row['returns'] for row in perfect['by_azimuth']) == 6 * FRAMES


def test_an_answer_that_never_changes_is_exactly_the_baseline() -> None:
    values = evaluated(knows_nothing)
    prevalence = 3 * 5 * 12 / (HEIGHT * WIDTH)
    assert values['pointing_accuracy'] == values['baselines']['centre']['pointing_accuracy'] < 0.5
    assert values['heatmap_ap'] == pytest.approx(prevalence)
    assert values['heatmap_max_f1'] == pytest.approx(2 * prevalence / (1 + prevalence))
    assert values['ciou'] == pytest.approx(prevalence)
    assert values['ece'] == pytest.approx(abs(0.03 - prevalence), abs=1e-6)
    for key in ('ghost_auroc', 'mismatch_auroc', 'mismatch_auroc_2s'):
        assert values[key] == 0.5
        assert values['baselines']['chance'][key] == 0.5
    for key, level in CHANCE.items():
        assert values[key] == pytest.approx(level)
        assert values['baselines']['chance'][key] == level


def test_guesses_are_at_the_prevalence_and_at_chance() -> None:
    values = evaluated(guesses)
    prevalence = 3 * 5 * 12 / (HEIGHT * WIDTH)
    assert values['heatmap_ap'] == pytest.approx(prevalence, abs=0.002)
    assert values['ghost_auroc'] == pytest.approx(0.5, abs=0.06)
    assert values['mismatch_auroc'] == pytest.approx(0.5, abs=0.12)
    assert values['retrieval_recall_at_5'] == pytest.approx(5 / 16, abs=0.25)
    # One source, a cell wider on each side, of the whole image.
    assert values['pointing_accuracy'] == pytest.approx(7 * 14 / (HEIGHT * WIDTH), abs=0.02)


def test_the_truth_of_another_moment_is_the_baseline_of_another_radar_frame(
    perfect: dict[str, Any],
) -> None:
    values, blind = evaluated(tells_of_another_moment), perfect['baselines']['another_radar']
    for key in ('pointing_accuracy', 'heatmap_ap', 'heatmap_max_f1', 'ciou'):
        assert values[key] == pytest.approx(blind[key], abs=0.06), key
        assert values[key] < 0.4, key
    assert values['mismatch_auroc'] == pytest.approx(0.5, abs=0.12)
