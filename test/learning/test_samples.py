# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radar_camera_ssl.learning.samples import (
    DriveSamples,
    SampleFormat,
    pad_returns,
    prepare_samples,
    write_drive_samples,
)
from radar_camera_ssl.sensors.radar_points import RadarPoints
from radar_camera_ssl.simulation import CameraConfig, DriveConfig, simulate_drive

FORM = SampleFormat(height=120, width=160, max_returns=32)
CONFIG = DriveConfig(
    seed=3,
    duration_s=1.5,
    camera=CameraConfig(width=320, height=240, only_near_radar=True),
    compressed=True,
    cube=False,
)


@pytest.fixture(scope='module')
def drive(tmp_path_factory):
    bag = tmp_path_factory.mktemp('bags') / 'with_truth'
    simulate_drive(bag, CONFIG)
    return bag


def arrays(samples: DriveSamples) -> list[np.ndarray]:
    return [samples.images, samples.returns, samples.counts, samples.stamps]


def test_ground_truth_never_enters_the_samples(drive, tmp_path):
    """The same drive recorded without ground truth gives the same samples, byte for byte."""
    blind = tmp_path / 'without_truth'
    simulate_drive(blind, replace(CONFIG, ground_truth=False))
    with_truth, without = prepare_samples([drive, blind], tmp_path / 'store', FORM)
    assert len(with_truth) > 10
    for a, b in zip(arrays(with_truth), arrays(without), strict=True):
        np.testing.assert_array_equal(a, b)


def test_prepared_drives_are_not_read_again_and_half_written_ones_are(drive, tmp_path):
    said: list[str] = []
    prepare_samples([drive], tmp_path, FORM, report=said.append)
    prepare_samples([drive], tmp_path, FORM, report=said.append)
    assert len(said) == 1
    (tmp_path / drive.name / 'summary.json').write_text('{"bag": ')
    prepare_samples([drive], tmp_path, FORM, report=said.append)
    prepare_samples([drive], tmp_path, replace(FORM, max_returns=16), report=said.append)
    assert len(said) == 3


def test_an_interrupted_drive_leaves_nothing_that_looks_whole(drive, tmp_path):
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_drive_samples(drive, tmp_path / 'drive', FORM, progress=interrupt)
    assert not (tmp_path / 'drive').exists()


def test_bags_of_the_same_name_are_refused(drive, tmp_path):
    with pytest.raises(ValueError, match='same name'):
        prepare_samples([drive, tmp_path / drive.name], tmp_path / 'store', FORM)


def test_the_strongest_returns_are_kept_in_order():
    rng = np.random.default_rng(0)
    rcs = rng.permutation(50).astype(np.float32)
    points = RadarPoints(
        rng.normal(size=(50, 3)).astype(np.float32), rcs, rcs, np.arange(50, dtype=np.int32)
    )
    array, count = pad_returns(points, 32)
    assert count == 32
    np.testing.assert_array_equal(array[:, 3], rcs[rcs >= 18])
    array, count = pad_returns(points, 64)
    assert count == 50
    assert not array[50:].any()
