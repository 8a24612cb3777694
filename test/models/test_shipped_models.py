# SPDX-License-Identifier: Apache-2.0
"""The shipped models on a short drive of a seed that training never saw.

Coarse on purpose: the figures of record are in the cards. This fails when a file is not the
card's, or no longer reads the radar.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from radar_camera_ssl.evaluation.evaluate import evaluate_bags
from radar_camera_ssl.evaluation.summary import WITHOUT_RADAR
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.model_metadata import CubeInput
from radar_camera_ssl.resources import model_path
from radar_camera_ssl.sensors.radar_points import RadarPoints
from radar_camera_ssl.simulation import CameraConfig, DriveConfig, simulate_drive

SEED = 7031
KINDS = ('points', 'points_int8', 'cube')


@pytest.fixture(scope='module')
def drive(tmp_path_factory):
    bag = tmp_path_factory.mktemp('drives') / 'unseen'
    camera = CameraConfig(only_near_radar=True)
    simulate_drive(bag, DriveConfig(seed=SEED, duration_s=8.0, camera=camera, compressed=True))
    return bag


@pytest.fixture(scope='module', params=KINDS)
def model(request) -> CorrespondenceModel:
    return CorrespondenceModel.load(model_path(f'{request.param}.onnx'))


@pytest.fixture(scope='module')
def figures(model, drive):
    return evaluate_bags([drive], model, None, overlay=False)


@pytest.mark.parametrize('kind', KINDS)
def test_the_card_speaks_of_this_file(kind):
    path = model_path(f'{kind}.onnx')
    card = path.with_suffix('.md').read_text(encoding='utf-8')
    assert hashlib.sha256(path.read_bytes()).hexdigest() in card
    assert path.stat().st_size < 5e6
    training = CorrespondenceModel.load(path).metadata.training
    assert f'training_{SEED}' not in training['drives']


def test_it_reads_the_radar(figures):
    best = max(figures['baselines'][name]['pointing_accuracy'] or 0.0 for name in WITHOUT_RADAR)
    assert figures['pointing_accuracy'] > best + 0.15
    best = max(figures['baselines'][name]['heatmap_ap'] or 0.0 for name in WITHOUT_RADAR)
    assert figures['heatmap_ap'] > best + 0.1


def test_it_reads_the_image(figures):
    # Not by what radar_only has: where the geometry points without the image, and a road user's
    # size by the range, are nearly as good. But another image misleads the heatmap.
    blind = figures['baselines']['another_image']['heatmap_ap']
    assert figures['heatmap_ap'] > blind + 0.1
    assert figures['mismatch_auroc'] > 0.8


def test_likelihood_tells_ghosts_better_than_their_strength_does(figures):
    blind = figures['baselines']['rcs']['ghost_auroc'] or 0.5
    assert figures['ghost_auroc'] > blind + 0.05


@pytest.mark.parametrize('kind', [kind for kind in KINDS if kind != 'cube'])
@pytest.mark.parametrize('place', [(-20.0, 0.2), (-20.0, 5.0), (0.1, 20.0), (20.0, 19.0)])
def test_what_the_camera_cannot_see_lights_nothing(kind, place):
    model = CorrespondenceModel.load(model_path(kind))
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    answer = model.infer(
        image,
        RadarPoints(
            position=np.array([[*place, 0.0]], np.float32),
            velocity=np.array([-8.0], np.float32),
            rcs=np.array([8.0], np.float32),
            row=np.zeros(1, np.int32),
        ),
    )
    assert answer.likelihood[0] < 0.01
    assert answer.heatmap.max() < 0.01


def test_without_returns_the_heatmap_is_dark_whatever_the_image(model):
    radar = model.metadata.radar
    silent = RadarPoints.empty()
    if isinstance(radar, CubeInput):
        silent = np.full(radar.shape, -3.0, np.float32)
    rng = np.random.default_rng(0)
    for image in (
        np.zeros((480, 640, 3), np.uint8),
        rng.integers(0, 255, (480, 640, 3), dtype=np.uint8),
    ):
        answer = model.infer(image, silent)
        assert answer.heatmap.max() < 0.01
        assert len(answer.returns) == 0
