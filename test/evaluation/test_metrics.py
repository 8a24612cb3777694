# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radar_camera_ssl.evaluation.ground_truth import FrameTruth
from radar_camera_ssl.evaluation.metrics import METRIC_KEYS, Tally, expected_calibration_error
from radar_camera_ssl.evaluation.scoring import Answer, column_error, on_source
from radar_camera_ssl.evaluation.time_blocks import total_of
from radar_camera_ssl.sensors.geometry import Intrinsics

HEIGHT, WIDTH = 60, 80
MARGIN = (8.0, 8.0)
CAMERA = Intrinsics(WIDTH, HEIGHT, np.array([[80.0, 0, 39.5], [0, 80.0, 29.5], [0, 0, 1]]))


def scene(*instances: int) -> FrameTruth:
    """Source 1 in columns 10 to 19, rows 20 to 29; source 2 in columns 60 to 69, same rows."""
    image = np.zeros((HEIGHT, WIDTH), np.uint16)
    image[20:30, 10:20] = 1
    image[20:30, 60:70] = 2
    return FrameTruth(image, np.array(instances, np.uint16))


def scored(truth: FrameTruth, answer: Answer, camera: Intrinsics | None = None) -> Tally:
    tally = Tally()
    source = truth.return_instance.astype(np.int64)
    tally.add_frame(answer, source, truth, MARGIN, camera)
    return tally


def perfect(truth: FrameTruth) -> Answer:
    centres = {0: (0.0, 0.0), 1: (14.0, 24.0), 2: (64.0, 24.0), 3: (0.0, 0.0)}
    pixel = np.array([centres[int(k)] for k in truth.return_instance]).reshape(-1, 2)
    lit = np.isin(truth.instances, truth.reflecting_sources).astype(np.float32)
    return Answer(lit, pixel, np.where(truth.return_instance > 0, 0.9, 0.1))


def test_a_perfect_answer_is_perfect_everywhere() -> None:
    values = scored(scene(1, 2, 0, 1), perfect(scene(1, 2, 0, 1)), CAMERA).values()
    assert values['pointing_accuracy'] == 1.0
    assert values['pointing_accuracy_strict'] == 1.0
    assert values['column_error_deg'] == 0.0
    assert values['heatmap_ap'] == 1.0
    assert values['heatmap_max_f1'] == 1.0
    assert values['ciou'] == 1.0
    assert values['ghost_auroc'] == 1.0
    assert values['ece'] == pytest.approx(0.0)


def test_answers_to_other_returns_score_like_the_baseline() -> None:
    truth = scene(*([1, 2] * 50))
    answer = perfect(truth)
    rng = np.random.default_rng(0)
    shuffled = Answer(
        rng.permutation(answer.heatmap.ravel()).reshape(HEIGHT, WIDTH),  # type: ignore[union-attr]
        rng.permutation(answer.pixel),  # type: ignore[arg-type]
    )
    values = scored(truth, shuffled).values()
    assert values['pointing_accuracy'] == pytest.approx(0.5, abs=0.1)
    share = float((truth.instances > 0).mean())
    assert values['heatmap_ap'] == pytest.approx(share, abs=0.02)


def test_only_true_visible_returns_are_asked_to_point() -> None:
    truth = scene(1, 0, 3)
    tally = scored(truth, Answer(pixel=np.array([[14.0, 24.0], [0, 0], [0, 0]])))
    assert tally.returns[0] == 1
    assert tally.values()['pointing_accuracy'] == 1.0


def test_hidden_sources_count_neither_as_true_nor_as_ghost() -> None:
    truth = scene(1, 0, 3)
    tally = scored(truth, Answer(likelihood=np.array([0.9, 0.1, 0.05])))
    assert tally.true_returns.sum() == 1
    assert tally.ghost_returns.sum() == 1


@pytest.mark.parametrize(
    ('u', 'strict', 'dilated'),
    [(9.4, False, True), (9.6, True, True), (2.0, False, True), (1.9, False, False)],
)
def test_dilation_is_one_cell_to_the_pixel(u: float, strict: bool, dilated: bool) -> None:
    truth, source, pixel = scene(1), np.array([1]), np.array([[u, 25.0]])
    assert on_source(truth, source, pixel)[0] == strict
    assert on_source(truth, source, pixel, MARGIN)[0] == dilated


def test_pointing_at_another_source_is_a_miss() -> None:
    assert not on_source(scene(1), np.array([1]), np.array([[64.0, 24.0]]), MARGIN)[0]


def test_a_pixel_outside_the_image_or_nan_is_a_miss() -> None:
    truth = scene(1, 1, 1)
    pixel = np.array([[-500.0, 24.0], [np.nan, np.nan], [14.0, 1e9]])
    assert not on_source(truth, np.array([1, 1, 1]), pixel, MARGIN).any()
    assert not on_source(truth, np.array([1, 1, 1]), pixel).any()


@given(st.floats(-20, 100), st.floats(-20, 80))
def test_dilated_pointing_is_a_rectangle_around_each_pixel(u: float, v: float) -> None:
    truth = scene(1)
    rows, columns = np.nonzero(truth.instances == 1)
    near = (abs(columns - u) <= MARGIN[0]) & (abs(rows - v) <= MARGIN[1])
    assert on_source(truth, np.array([1]), np.array([[u, v]]), MARGIN)[0] == near.any()


def test_column_error_is_the_angle_to_the_nearest_column() -> None:
    pixel = np.array([[39.5, 0.0], [15.0, 50.0], [np.nan, np.nan]])
    error = column_error(scene(1, 1, 1), np.array([1, 1, 1]), pixel, CAMERA)
    assert error[0] == pytest.approx(np.arctan((39.5 - 19.0) / 80.0))
    assert error[1] == 0.0
    assert np.isinf(error[2])


def test_column_error_sees_through_the_lens() -> None:
    lens = Intrinsics(WIDTH, HEIGHT, CAMERA.matrix, np.array([-0.2, 0.0, 0, 0]), 'plumb_bob')
    edge = np.array([[np.tan(0.35), 0.0, 1.0], [(19.0 - 39.5) / 80, 0.0, 1.0]])
    pixels, _ = lens.project(edge)
    truth = scene(1)
    truth.instances[:] = 0
    truth.instances[29, round(pixels[1, 0])] = 1
    error = column_error(truth, np.array([1]), pixels[:1], lens)
    assert error[0] == pytest.approx(0.35 + np.arctan(20.5 / 80), abs=0.01)


def test_ciou_is_taken_at_the_one_threshold_of_max_f1() -> None:
    truth = scene(1)
    heatmap = np.zeros((HEIGHT, WIDTH), np.float32)
    heatmap[20:30, 10:20] = 0.8
    heatmap[20:30, 20:25] = 0.6
    values = scored(truth, Answer(heatmap)).values()
    assert values['ciou'] == 1.0
    heatmap[20:30, 20:25] = 0.9
    assert scored(truth, Answer(heatmap)).values()['ciou'] == pytest.approx(100 / 150)


def test_a_source_that_this_radar_frame_missed_is_background() -> None:
    lit = (scene(1).instances > 0).astype(np.float32)
    values = scored(scene(1), Answer(lit)).values()
    assert values['heatmap_ap'] == pytest.approx(0.5)


def test_frames_without_a_source_count_against_precision() -> None:
    tally = scored(scene(1), perfect(scene(1)))
    tally.merge(scored(scene(0), Answer(perfect(scene(1)).heatmap)))
    values = tally.values()
    assert values['heatmap_ap'] == pytest.approx(0.5)
    assert values['ciou'] == 1.0


def test_expected_calibration_error_by_hand() -> None:
    reliability = np.zeros((3, 15))
    reliability[:, 3] = 80, 20, 8
    reliability[:, 14] = 20, 19, 20
    assert expected_calibration_error(reliability) == pytest.approx((12 + 1) / 100)
    assert expected_calibration_error(np.zeros((3, 15))) is None


def test_empty_radar_lights_what_reaches_the_threshold_of_the_evaluation() -> None:
    tally = scored(scene(1), perfect(scene(1)))
    half = np.zeros((HEIGHT, WIDTH), np.float32)
    half[:, :40] = 1.0
    tally.add_empty(half, (HEIGHT, WIDTH))
    tally.add_empty(np.zeros((3, 4), np.float32), (HEIGHT, WIDTH))
    assert tally.values()['lit_area_empty_radar'] == pytest.approx(0.25, abs=0.01)


def test_agreement_tells_pairs_apart() -> None:
    tally = Tally()
    for agreement, aligned in ((0.9, True), (0.6, True), (0.7, False), (0.1, False)):
        tally.add_agreement(agreement, aligned)
    assert tally.values()['mismatch_auroc'] == pytest.approx(0.75)


def test_nothing_counted_is_null_throughout() -> None:
    assert Tally().values() == dict.fromkeys(METRIC_KEYS)


def random_frame(rng: np.random.Generator) -> tuple[FrameTruth, Answer]:
    truth = scene(*rng.integers(0, 4, 6))
    pixel = rng.uniform(0, [WIDTH, HEIGHT], (6, 2))
    return truth, Answer(rng.random((6, 8), np.float32), pixel, rng.random(6))


def test_merged_tallies_are_those_of_all_frames() -> None:
    frames = [random_frame(np.random.default_rng(i)) for i in range(6)]
    together = Tally()
    parts = [Tally(), Tally()]
    for i, (truth, answer) in enumerate(frames):
        source = truth.return_instance.astype(np.int64)
        for tally in (together, parts[i % 2]):
            tally.add_frame(answer, source, truth, MARGIN, CAMERA)
    assert total_of(parts).values() == pytest.approx(together.values(), nan_ok=True)


def test_a_tally_that_was_pickled_goes_on_counting() -> None:
    tally = pickle.loads(pickle.dumps(scored(scene(1, 2, 0), perfect(scene(1, 2, 0)))))
    tally.merge(scored(scene(1), Answer(pixel=np.zeros((1, 2)))))
    assert tally.values()['pointing_accuracy'] == pytest.approx(2 / 3)


def test_projection_distance_is_that_of_the_counted_returns() -> None:
    tally = Tally()
    pixel, projected = (
        np.array([[3.0, 4.0], [9, 9], [0, 0]]),
        np.array([[0.0, 0.0], [9, 9], [np.nan, 0]]),
    )
    tally.add_projection(pixel, projected, np.array([True, False, False]))
    assert tally.values()['projection_distance_px'] == pytest.approx(5.0, rel=0.01)
