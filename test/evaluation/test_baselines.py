# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import cv2
import numpy as np
import pytest

from radar_camera_ssl.evaluation import baselines
from radar_camera_ssl.evaluation.ground_truth import FrameTruth
from radar_camera_ssl.evaluation.metrics import Tally
from radar_camera_ssl.evaluation.scoring import Answer, on_source, raster_shape, sources_at_raster
from radar_camera_ssl.sensors.camera_image import resize_image
from radar_camera_ssl.sensors.geometry import Intrinsics
from radar_camera_ssl.sensors.radar_points import RadarPoints

SIZE, GRID = (240, 320), (15, 20)
MARGIN = (16.0, 16.0)
CAMERA = Intrinsics(320, 240, np.array([[200.0, 0, 159.5], [0, 200.0, 119.5], [0, 0, 1]]))


def random_truth(seed: int) -> FrameTruth:
    rng = np.random.default_rng(seed)
    instances = np.zeros(SIZE, np.uint16)
    for number in (1, 2):
        top, left = rng.integers(0, 200), rng.integers(0, 280)
        instances[top : top + rng.integers(5, 60), left : left + rng.integers(5, 60)] = number
    return FrameTruth(instances, np.array([1, 2, 2, 0], np.uint16))


def filled_maps(frames: int) -> tuple[baselines.FixedMaps, list[FrameTruth]]:
    maps = baselines.FixedMaps(GRID, raster_shape(*SIZE))
    truths = [random_truth(seed) for seed in range(frames)]
    for truth in truths:
        source = truth.return_instance.astype(np.int64)
        maps.add_truth(truth, source, sources_at_raster(truth, raster_shape(*SIZE)))
    return maps, truths


def test_best_fixed_cell_is_the_best_of_all_cells() -> None:
    maps, truths = filled_maps(8)
    best = strict = 0.0
    for row in range(GRID[0]):
        for column in range(GRID[1]):
            pixel = baselines.cell_centre(row, column, SIZE, GRID)
            hits = [
                on_source(t, np.array([1, 2, 2]), np.repeat(pixel[None], 3, 0), MARGIN)
                for t in truths
            ]
            assert np.sum(hits) == pytest.approx(maps.hits[row, column], abs=3)
            best = max(best, float(np.mean(hits)))
            undilated = [
                on_source(t, np.array([1, 2, 2]), np.repeat(pixel[None], 3, 0)) for t in truths
            ]
            strict = max(strict, float(np.mean(undilated)))
    assert maps.best_fixed()['pointing_accuracy_strict'] == pytest.approx(strict)
    assert maps.best_fixed()['pointing_accuracy'] == pytest.approx(best, abs=0.1)


def test_fixed_map_scores_as_if_it_were_given_to_every_frame() -> None:
    maps, truths = filled_maps(5)
    heatmap = np.random.default_rng(3).random(GRID).astype(np.float32)
    peak = np.unravel_index(maps.hits_strict.argmax(), GRID)
    heatmap[peak] = 1.0
    maps.add_heatmap(heatmap)
    pixel = np.tile(baselines.cell_centre(int(peak[0]), int(peak[1]), SIZE, GRID), (4, 1))
    tally = Tally()
    for truth in truths:
        source = truth.return_instance.astype(np.int64)
        tally.add_frame(Answer(heatmap, pixel), source, truth, MARGIN)
    expected, found = tally.values(), maps.mean_heatmap()
    for key in ('pointing_accuracy', 'pointing_accuracy_strict'):
        assert found[key] == pytest.approx(expected[key])
        assert found[key] > 0.1
    assert found['heatmap_ap'] == pytest.approx(expected['heatmap_ap'])
    assert found['heatmap_max_f1'] == pytest.approx(expected['heatmap_max_f1'])
    assert found['ece'] == pytest.approx(expected['ece'])


def test_how_often_each_place_reflects_has_no_calibration_error() -> None:
    assert filled_maps(5)[0].best_fixed()['ece'] == pytest.approx(0.0, abs=1e-9)


def source_density(truths: list[FrameTruth]) -> np.ndarray:
    """What a model trained on other drives would say on average, at best."""
    masks = [cv2.resize((t.instances > 0).astype(np.float32), GRID[::-1]) for t in truths]
    return np.mean(masks, axis=0)


@pytest.mark.parametrize('seed', range(4))
def test_density_of_sources_beats_any_other_fixed_map(seed: int) -> None:
    rng = np.random.default_rng(seed)
    elsewhere = source_density([random_truth(100 * seed + i + 50) for i in range(20)])
    for heatmap in (rng.random(GRID), elsewhere):
        maps, _ = filled_maps(5)
        maps.add_heatmap(heatmap)
        best, other = maps.best_fixed(), maps.mean_heatmap()
        for key in ('heatmap_ap', 'heatmap_max_f1', 'pointing_accuracy'):
            assert best[key] is not None
            assert other[key] is not None
            assert best[key] >= other[key], key


def test_merged_maps_are_those_of_all_frames() -> None:
    maps, _ = filled_maps(4)
    other, _ = filled_maps(4)
    maps.merge(other)
    assert maps.frames == 8
    assert maps.best_fixed() == pytest.approx(filled_maps(4)[0].best_fixed(), nan_ok=True)
    with pytest.raises(ValueError, match='shapes'):
        maps.merge(baselines.FixedMaps((3, 4), raster_shape(*SIZE)))


def test_saliency_finds_what_stands_out() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(90, 110, (*SIZE, 3), dtype=np.uint8)
    image[100:120, 240:260] = 255
    answer = baselines.image_only(resize_image(image, 120, 160), 3, SIZE, GRID)
    assert answer.pixel is not None
    assert answer.pixel.shape == (3, 2)
    assert answer.pixel[0] == pytest.approx([250, 110], abs=24)


def test_radar_only_looks_along_the_radar_axis() -> None:
    position = np.array([[10, 0, 0], [10, 5, 0], [-5, 0, 0]], np.float32)
    none = np.zeros(3, np.float32)
    returns = RadarPoints(position, none, none, np.arange(3, dtype=np.int32))
    answer = baselines.radar_only(returns, SIZE, GRID, CAMERA)
    assert answer.pixel is not None
    assert answer.pixel[0] == pytest.approx([159.5, 119.5])
    assert answer.pixel[1] == pytest.approx([59.5, 119.5], abs=1e-3)
    assert np.isnan(answer.pixel[2, 0])
    assert baselines.radar_only(returns, SIZE, GRID, None).pixel is not None


def test_radar_only_prefers_the_model_s_own_prior() -> None:
    prior = np.array([[7.0, 8.0]])
    none = np.zeros(1, np.float32)
    returns = RadarPoints(np.ones((1, 3), np.float32), none, none, np.zeros(1, np.int32))
    answer = baselines.radar_only(returns, SIZE, GRID, CAMERA, prior)
    assert answer.pixel is prior


@pytest.mark.parametrize(('intrinsics', 'focal'), [(CAMERA, 200.0), (None, 160.0)])
def test_radar_only_lights_what_a_thing_of_some_metres_covers(
    intrinsics: Intrinsics | None, focal: float
) -> None:
    none, row = np.zeros(1, np.float32), np.zeros(1, np.int32)
    for distance in (10.0, 20.0):
        returns = RadarPoints(np.array([[distance, 0, 0]], np.float32), none, none + 60, row)
        answer = baselines.radar_only(returns, SIZE, SIZE, intrinsics)
        assert answer.heatmap is not None
        area_m2 = answer.heatmap.sum() * (distance / focal) ** 2
        assert area_m2 == pytest.approx(2 * np.pi * 0.9 * 0.8, rel=0.02)


def test_centre_is_the_centre() -> None:
    answer = baselines.centre(2, SIZE, GRID)
    assert answer.pixel is not None
    assert answer.pixel.tolist() == [[159.5, 119.5]] * 2
    assert answer.heatmap is not None
    assert np.allclose(answer.heatmap, answer.heatmap[::-1, ::-1], atol=1e-6)
