# SPDX-License-Identifier: Apache-2.0
"""The example that brings a real frame in, on a small sample of the same format."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from radar_camera_ssl.sensors.camera import decode_image
from radar_camera_ssl.sensors.geometry import transform_chain
from radar_camera_ssl.sensors.radar_points import decode_points
from radar_camera_ssl.sensors.recording import Recording, stamp_ns

EXAMPLE = 'opencalib_to_bag'
Run = Callable[..., subprocess.CompletedProcess[str]]
WIDTH, HEIGHT = 96, 60
FIRST_STAMP_NS = 1604546789520803072
CYCLE_NS = 70_000_000
CYCLES = 3
RETURNS = [
    # velocity_x, velocity_y, position_x, position_y, rcs; a return straight ahead first
    (-2.0, 0.0, 40.0, 0.0, 12.5),
    (0.0, 3.0, 30.0, 40.0, 8.0),
    (1.0, 1.0, 0.0, 0.0, -5.0),
]
# x right, y down, z forward of the camera from x forward, y left, z up of the radar.
ROTATION = [[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]
TRANSLATION = [-0.4, -0.8, -1.7]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A folder in the format of the real sample; its header lacks the same comma."""
    folder = tmp_path / 'data'
    folder.mkdir()
    image = np.full((HEIGHT, WIDTH, 3), (40, 90, 200), np.uint8)
    cv2.imwrite(str(folder / '0.jpg'), image)
    header = (
        'time_ns,track_id,velocity_x,velocity_y,position_x,position_y,dynprop,rcs,'
        'meas_state,prob_of_existobject_type,acceleration_x'
    )
    lines = [header]
    for cycle in range(CYCLES):
        for track, (vx, vy, x, y, rcs) in enumerate(RETURNS):
            stamp = FIRST_STAMP_NS + cycle * CYCLE_NS + track * 500_000
            lines.append(f'{stamp},{track},{vx},{vy},{x},{y},1,{rcs},3,3,0,0.0')
    (folder / 'front_radar.csv').write_text('\n'.join(lines) + '\n')
    intrinsic = {
        'cam_K': {'data': [[100.0, 0.0, 48.0], [0.0, 100.0, 30.0], [0, 0, 1.0]]},
        'cam_dist': {'data': [[-0.1, 0.01, 0.001, -0.001]]},
    }
    (folder / 'center_camera-intrinsic.json').write_text(
        json.dumps({'center_camera-intrinsic': {'param': intrinsic}})
    )
    matrix = [[*row, t] for row, t in zip(ROTATION, TRANSLATION, strict=True)]
    (folder / 'radar-to-center_camera-extrinsic.json').write_text(
        json.dumps({'any-name': {'param': {'sensor_calib': {'data': [*matrix, [0, 0, 0, 1]]}}}})
    )
    return folder


def test_bag_holds_what_the_files_say(run_example: Run, sample: Path, tmp_path: Path) -> None:
    done = run_example(EXAMPLE, sample, tmp_path / 'bag')
    assert done.returncode == 0, done.stderr
    with Recording(tmp_path / 'bag') as recording:
        assert recording.find_topic('points') == '/radar/points'
        assert recording.find_topic('image') == '/camera/image_raw/compressed'
        points = [msg for _, _, msg in recording.messages(['/radar/points'])]
        images = [msg for _, _, msg in recording.messages(['/camera/image_raw/compressed'])]
        intrinsics = recording.intrinsics()
        transforms = recording.static_transforms()

    stamps = [FIRST_STAMP_NS + cycle * CYCLE_NS for cycle in range(CYCLES)]
    assert [stamp_ns(msg) for msg in points] == stamps
    assert [stamp_ns(msg) for msg in images] == stamps
    returns = decode_points(points[0])
    np.testing.assert_allclose(returns.position, [[40, 0, 0], [30, 40, 0], [0, 0, 0]])
    np.testing.assert_allclose(returns.velocity, [-2.0, 2.4, 0.0], rtol=1e-6)
    np.testing.assert_allclose(returns.rcs, [12.5, 8.0, -5.0])
    image = decode_image(images[0])
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(image.astype(int) - (40, 90, 200)).max() < 6  # JPEG

    assert intrinsics is not None
    np.testing.assert_allclose(intrinsics.distortion, [-0.1, 0.01, 0.001, -0.001, 0.0])
    camera_from_radar = transform_chain(
        transforms, images[0].header.frame_id, points[0].header.frame_id
    )
    assert camera_from_radar is not None
    np.testing.assert_allclose(
        camera_from_radar.apply([[40.0, 2.0, 0.5]]), [[-2.4, -1.3, 38.3]], atol=1e-9
    )


def test_a_second_run_replaces_the_bag(run_example: Run, sample: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert run_example(EXAMPLE, sample, tmp_path / 'bag').returncode == 0


def test_missing_files_are_named(run_example: Run, sample: Path, tmp_path: Path) -> None:
    (sample / 'front_radar.csv').unlink()
    done = run_example(EXAMPLE, sample, tmp_path / 'bag')
    assert done.returncode == 2
    assert done.stderr.strip() == f'{sample} lacks front_radar.csv'
    assert not (tmp_path / 'bag').exists()


def test_a_file_that_is_no_image_is_refused(
    run_example: Run, sample: Path, tmp_path: Path
) -> None:
    (sample / '0.jpg').write_bytes(b'not a picture')
    done = run_example(EXAMPLE, sample, tmp_path / 'bag')
    assert (done.returncode, done.stderr.strip()) == (2, '0.jpg is not an image')
    assert not (tmp_path / 'bag').exists()
