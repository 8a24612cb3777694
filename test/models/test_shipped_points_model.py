# SPDX-License-Identifier: Apache-2.0
"""The shipped model on a short drive of a seed that training never saw.

Coarse on purpose: the figures of record are in the card. This fails when the file is not the
card's, or no longer reads the radar.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from radar_camera_ssl.evaluation.evaluate import evaluate_bags
from radar_camera_ssl.evaluation.summary import WITHOUT_RADAR
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.resources import default_model_path
from radar_camera_ssl.sensors.radar_points import RadarPoints
from radar_camera_ssl.simulation import CameraConfig, DriveConfig, simulate_drive

SEED = 7031


@pytest.fixture(scope='module')
def model() -> CorrespondenceModel:
    return CorrespondenceModel.load(default_model_path())


@pytest.fixture(scope='module')
def figures(model, tmp_path_factory):
    bag = tmp_path_factory.mktemp('drives') / 'unseen'
    config = DriveConfig(
        seed=SEED,
        duration_s=8.0,
        camera=CameraConfig(only_near_radar=True),
        compressed=True,
        cube=False,
    )
    simulate_drive(bag, config)
    return evaluate_bags([bag], model, None, overlay=False)


def test_the_card_speaks_of_this_file(model):
    card = default_model_path().with_suffix('.md').read_text(encoding='utf-8')
    assert hashlib.sha256(Path(default_model_path()).read_bytes()).hexdigest() in card
    assert default_model_path().stat().st_size < 5e6
    assert f'training_{SEED}' not in model.metadata.training['drives']


def test_it_reads_the_radar(figures):
    best = max(figures['baselines'][name]['pointing_accuracy'] or 0.0 for name in WITHOUT_RADAR)
    assert figures['pointing_accuracy'] > best + 0.15
    best = max(figures['baselines'][name]['heatmap_ap'] or 0.0 for name in WITHOUT_RADAR)
    assert figures['heatmap_ap'] > best + 0.1


def test_it_reads_the_image(figures):
    for name in ('radar_only', 'another_image'):
        blind = figures['baselines'][name]['pointing_accuracy_strict']
        assert figures['pointing_accuracy_strict'] > blind + 0.05


def test_likelihood_tells_ghosts_better_than_their_strength_does(figures):
    assert figures['ghost_auroc'] > figures['baselines']['rcs']['ghost_auroc'] + 0.05


def test_without_returns_the_heatmap_is_dark_whatever_the_image(model):
    rng = np.random.default_rng(0)
    for image in (
        np.zeros((480, 640, 3), np.uint8),
        rng.integers(0, 255, (480, 640, 3), dtype=np.uint8),
    ):
        assert model.infer(image, RadarPoints.empty()).heatmap.max() < 0.01
