# SPDX-License-Identifier: Apache-2.0
"""The importer of nuScenes on a tiny data set in its layout: tables, JPEG and binary PCD files."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from radar_camera_ssl.sensors.camera import decode_image
from radar_camera_ssl.sensors.geometry import OPTICAL_FROM_BODY, RigidTransform, transform_chain
from radar_camera_ssl.sensors.radar_points import decode_points, structured_view
from radar_camera_ssl.sensors.recording import Recording, stamp_ns

EXAMPLE = 'nuscenes_to_bag'
Run = Callable[..., subprocess.CompletedProcess[str]]

# The 18 fields of a sweep, their types and the header around them, as in the data set's files.
FIELDS = np.dtype(
    [
        *((name, '<f4') for name in 'xyz'),
        *(('dyn_prop', '<i1'), ('id', '<i2'), ('rcs', '<f4')),
        *((name, '<f4') for name in ('vx', 'vy', 'vx_comp', 'vy_comp')),
        *((name, '<i1') for name in ('is_quality_valid', 'ambig_state', 'x_rms', 'y_rms')),
        *((name, '<i1') for name in ('invalid_state', 'pdh0', 'vx_rms', 'vy_rms')),
    ]
)
HEADER = """# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS {names}
SIZE 4 4 4 1 2 4 4 4 4 4 1 1 1 1 1 1 1 1
TYPE F F F I I F F F F F I I I I I I I I
COUNT 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1
WIDTH {points}
HEIGHT 1
VIEWPOINT 0 0 0 1 0 0 0
POINTS {points}
DATA binary
"""
START_US = 1_532_402_927_612_460
CAMERA_US = [START_US + i * 83_000 for i in range(4)]
RADAR_US = [START_US + 20_000 + i * 77_000 for i in range(4)]
SPEED = 10.0
# Position, and velocity over ground; the radar rides at SPEED along x and assumes for moving
# things that they move along x too.
STANDING = [(20.0, 0.0), (12.0, 16.0), (30.0, -40.0)]
MOVING = ((24.0, -7.0), 4.0)
CAMERA_POSE = ([1.7, 0.0, 1.5], [0.5, -0.5, 0.5, -0.5])
RADAR_POSE = ([3.4, 0.1, 0.5], [0.9998476951563913, 0.0, 0.0, 0.01745240643728351])  # 2 degrees


def sweep() -> np.ndarray:
    """Three standing returns, a moving one, an ambiguous and an invalid one."""
    points = np.zeros(6, FIELDS)
    points['ambig_state'] = 3
    points['rcs'] = [5, 10, 15, 20, 0, 0]
    points['id'] = np.arange(6)
    points['x'][:4], points['y'][:4] = zip(*STANDING, MOVING[0], strict=True)
    points['x'][4:] = 9.0
    points['vx'][:3] = -SPEED
    points['vx'][3] = MOVING[1] - SPEED
    points['vx_comp'][3] = 1.25
    points['ambig_state'][4] = 1
    points['invalid_state'][5] = 6
    return points


def pcd(points: np.ndarray) -> bytes:
    header = HEADER.format(names=' '.join(FIELDS.names or ()), points=len(points))
    # The data set's files end in a line break.
    return header.encode() + points.tobytes() + b'\n'


def calibration(
    sensor: str, pose: tuple[list[float], list[float]], k: list[Any]
) -> dict[str, Any]:
    translation, rotation = pose
    return {
        'token': f'calibration of {sensor}',
        'sensor_token': f'sensor {sensor}',
        'translation': translation,
        'rotation': rotation,
        'camera_intrinsic': k,
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """One scene of four images and four sweeps, each second one a key frame, another is empty."""
    root = tmp_path / 'nuscenes'
    k = [[126.6, 0.0, 81.6], [0.0, 126.6, 49.1], [0.0, 0.0, 1.0]]
    tables: dict[str, list[dict[str, Any]]] = {
        'scene': [{'token': 's1', 'name': 'scene-0061'}, {'token': 's2', 'name': 'scene-0103'}],
        'sample': [{'token': 'a', 'scene_token': 's1'}, {'token': 'b', 'scene_token': 's1'}],
        'sensor': [
            {'token': f'sensor {channel}', 'channel': channel, 'modality': channel[:5].lower()}
            for channel in ('CAM_FRONT', 'RADAR_FRONT', 'LIDAR_TOP')
        ],
        'calibrated_sensor': [
            calibration('CAM_FRONT', CAMERA_POSE, k),
            calibration('RADAR_FRONT', RADAR_POSE, []),
            calibration('LIDAR_TOP', RADAR_POSE, []),
        ],
        'sample_data': [],
    }
    rng = np.random.default_rng(0)
    for channel, stamps, ending in (
        *(('CAM_FRONT', CAMERA_US, 'jpg'), ('RADAR_FRONT', RADAR_US, 'pcd')),
        ('LIDAR_TOP', CAMERA_US[:1], 'pcd.bin'),
    ):
        for i, stamp in enumerate(stamps):
            folder = 'sweeps' if i % 2 else 'samples'
            path = root / folder / channel / f'n015-2018__{channel}__{stamp}.{ending}'
            path.parent.mkdir(parents=True, exist_ok=True)
            if ending == 'jpg':
                cv2.imwrite(str(path), rng.integers(0, 256, (90, 160, 3), np.uint8))
            else:
                path.write_bytes(pcd(sweep()))
            tables['sample_data'].append(
                {
                    'token': f'{channel} {i}',
                    'sample_token': 'a' if i < 2 else 'b',
                    'calibrated_sensor_token': f'calibration of {channel}',
                    'timestamp': stamp,
                    'filename': str(path.relative_to(root)),
                    'width': 160 if ending == 'jpg' else 0,
                    'height': 90 if ending == 'jpg' else 0,
                    'is_key_frame': i % 2 == 0,
                }
            )
    # The tables are in no order of time.
    tables['sample_data'].reverse()
    (root / 'v1.0-mini').mkdir()
    for name, rows in tables.items():
        (root / 'v1.0-mini' / f'{name}.json').write_text(json.dumps(rows))
    return root


def file_of(data: Path, channel: str, stamp: int) -> Path:
    (path,) = data.glob(f's*/{channel}/*{stamp}*')
    return path


def test_samples_and_sweeps_of_a_scene_are_one_drive(
    run_example: Run, data: Path, tmp_path: Path
) -> None:
    done = run_example(EXAMPLE, data, tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    assert '4 images, 4 radar frames with 16 returns' in done.stdout
    assert 'invalid: 4' in done.stdout
    assert 'ambiguous: 4' in done.stdout
    with Recording(tmp_path / 'out' / 'scene-0061') as recording:
        image_topic, radar_topic = (recording.find_topic(kind) for kind in ('image', 'points'))
        rows = list(recording.messages([str(image_topic), str(radar_topic)]))
        intrinsics, transforms = recording.intrinsics(), recording.static_transforms()
    images = [msg for topic, _, msg in rows if topic == image_topic]
    clouds = [msg for topic, _, msg in rows if topic == radar_topic]
    assert [stamp_ns(msg) for msg in images] == [1000 * stamp for stamp in CAMERA_US]
    assert [stamp_ns(msg) for msg in clouds] == [1000 * stamp for stamp in RADAR_US]
    assert [time_ns for _, time_ns, _ in rows] == sorted(stamp_ns(msg) for *_, msg in rows)
    # The camera's files as they are.
    assert bytes(images[1].data) == file_of(data, 'CAM_FRONT', CAMERA_US[1]).read_bytes()
    assert decode_image(images[1]).shape == (90, 160, 3)
    assert intrinsics is not None
    assert (intrinsics.width, intrinsics.height, intrinsics.matrix[0, 2]) == (160, 90, 81.6)
    # A point one metre before the radar, by hand: vehicle, then optical axes.
    (tx, ty, tz), turn = RADAR_POSE[0], np.deg2rad(2.0)
    ahead = np.array([tx + np.cos(turn), ty + np.sin(turn), tz]) - CAMERA_POSE[0]
    chain = transform_chain(transforms, images[0].header.frame_id, clouds[0].header.frame_id)
    assert isinstance(chain, RigidTransform)
    np.testing.assert_allclose(chain.apply([1.0, 0, 0]), OPTICAL_FROM_BODY @ ahead, atol=1e-9)


def test_velocity_is_what_the_doppler_shift_said(
    run_example: Run, data: Path, tmp_path: Path
) -> None:
    """Relative to the radar, along the line of sight, receding positive; nothing compensated."""
    assert run_example(EXAMPLE, data, tmp_path / 'out').returncode == 0
    with Recording(tmp_path / 'out' / 'scene-0061') as recording:
        cloud = next(msg for *_, msg in recording.messages(['/radar/points']))
    returns = decode_points(cloud, ('x', 'y', 'velocity', 'rcs'))
    bearing = np.arctan2(
        [y for _, y in (*STANDING, MOVING[0])], [x for x, _ in (*STANDING, MOVING[0])]
    )
    over_ground = np.array([0.0, 0.0, 0.0, MOVING[1]])
    expected = (over_ground - SPEED) * np.cos(bearing)
    np.testing.assert_allclose(returns.velocity, expected, rtol=1e-6)
    assert returns.velocity[0] == -SPEED
    np.testing.assert_array_equal(returns.rcs, [5, 10, 15, 20])
    table = structured_view(cloud)
    assert table['vx_comp'][3] == 1.25
    assert table['ambig_state'].dtype == np.int8


def test_all_returns_are_kept_where_asked_for(
    run_example: Run, data: Path, tmp_path: Path
) -> None:
    done = run_example(EXAMPLE, data, tmp_path / 'out', '--all-returns')
    assert '4 radar frames with 24 returns' in done.stdout
    assert 'invalid' not in done.stdout


def test_bad_frames_are_left_out_and_counted(run_example: Run, data: Path, tmp_path: Path) -> None:
    nothing = np.full(1, np.nan, FIELDS['x'])
    empty = np.zeros(1, FIELDS)
    for name in 'xyz':
        empty[name] = nothing
    file_of(data, 'RADAR_FRONT', RADAR_US[0]).write_bytes(pcd(empty))
    file_of(data, 'RADAR_FRONT', RADAR_US[1]).write_bytes(pcd(sweep())[:-60])
    file_of(data, 'RADAR_FRONT', RADAR_US[2]).write_bytes(b'version https://git-lfs.github.com\n')
    file_of(data, 'CAM_FRONT', CAMERA_US[1]).unlink()
    cut = file_of(data, 'CAM_FRONT', CAMERA_US[2])
    cut.write_bytes(cut.read_bytes()[:-500])
    done = run_example(EXAMPLE, data, tmp_path / 'out')
    assert done.returncode == 0, done.stderr
    assert '2 images, 2 radar frames with 4 returns' in done.stdout
    for reason in ('image_file_missing', 'image_truncated', 'pcd_header', 'pcd_truncated'):
        assert f'left out, {reason}: 1' in done.stdout


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (('--version', 'v1.0-trainval'), 'v1.0-trainval/scene.json'),
        (
            ('--radar', 'RADAR_BACK_LEFT'),
            "no channels ['RADAR_BACK_LEFT']; there are ['CAM_FRONT'",
        ),
        (('--scene', 'scene-0103'), "no scenes ['scene-0103']; there are ['scene-0061']"),
    ],
)
def test_wrong_use_is_one_line_and_code_2(
    run_example: Run, data: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = run_example(EXAMPLE, data, tmp_path / 'out', *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_dangling_tables_and_existing_bags_are_told(
    run_example: Run, data: Path, tmp_path: Path
) -> None:
    assert run_example(EXAMPLE, data, tmp_path / 'out').returncode == 0
    again = run_example(EXAMPLE, data, tmp_path / 'out')
    assert (again.returncode, again.stdout) == (1, '')
    assert 'scene-0061 exists' in again.stderr
    assert run_example(EXAMPLE, data, tmp_path / 'out', '--force').returncode == 0
    swapped = run_example(EXAMPLE, data, tmp_path / 'no', '--camera', 'LIDAR_TOP')
    assert swapped.returncode == 1
    assert swapped.stderr == 'scene-0061: LIDAR_TOP has no intrinsics: it is no camera\n'
    (data / 'v1.0-mini' / 'sensor.json').write_text('[]')
    done = run_example(EXAMPLE, data, tmp_path / 'other')
    assert done.returncode == 2
    assert 'a row lacks, or refers to' in done.stderr
