# SPDX-License-Identifier: Apache-2.0
"""The importer of image folders and radar CSV files of many makes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from radar_camera_ssl.sensors.geometry import transform_chain
from radar_camera_ssl.sensors.radar_points import RadarPoints, decode_points, structured_view
from radar_camera_ssl.sensors.recording import Recording, stamp_ns

EXAMPLE = 'images_and_csv_to_bag'
Run = Callable[..., subprocess.CompletedProcess[str]]
START = 1_700_000_000_123_456_789
STAMPS = [START + i * 100_000_000 for i in range(3)]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three images, named by their stamps in ns."""
    folder = tmp_path / 'images'
    folder.mkdir()
    for i, stamp in enumerate(STAMPS):
        picture = np.full((48, 64, 3), 60 + 60 * i, np.uint8)
        cv2.imwrite(str(folder / f'left_{stamp}.{"png" if i == 1 else "jpg"}'), picture)
    return folder


def csv_file(folder: Path, *lines: str) -> Path:
    path = folder / 'radar.csv'
    path.write_text('\n'.join(lines) + '\n')
    return path


def radar_frames(bag: Path) -> list[tuple[int, RadarPoints]]:
    with Recording(bag) as recording:
        clouds = [msg for *_, msg in recording.messages(['/radar/points'])]
    return [(stamp_ns(msg), decode_points(msg)) for msg in clouds]


def test_a_plain_file_needs_no_options(run_example: Run, images: Path, tmp_path: Path) -> None:
    """Seconds in full precision, rows in any order, columns by their usual names."""
    radar = csv_file(
        *(tmp_path, 'Timestamp, X, Y, Z, Doppler, RCS, track'),
        '1700000000.323456789, 30, 4, 0.5, -3.5, 8.5, 2',
        '1700000000.123456789, 10, 1, 0, -2, 5, 0',
        '1700000000.123456789, 20, -2, 0, 1.5, 7, 1',
    )
    done = run_example(EXAMPLE, images, radar, tmp_path / 'bag')
    assert done.returncode == 0, done.stderr
    assert '3 images, 2 radar frames with 3 returns' in done.stdout
    assert 'stamp=Timestamp, x=X, y=Y, z=Z, velocity=Doppler, rcs=RCS' in done.stdout
    assert 'left out' not in done.stdout
    (first, two), (second, one) = radar_frames(tmp_path / 'bag')
    assert [first, second] == [STAMPS[0], STAMPS[2]]
    np.testing.assert_array_equal(two.position, [[10, 1, 0], [20, -2, 0]])
    np.testing.assert_array_equal(two.velocity, [-2, 1.5])
    np.testing.assert_array_equal(one.position, [[30, 4, 0.5]])
    np.testing.assert_array_equal(one.rcs, [8.5])
    with Recording(tmp_path / 'bag') as recording:
        topics = recording.message_counts
        shots = list(recording.messages(['/camera/image_raw/compressed']))
    assert topics == {'/camera/image_raw/compressed': 3, '/radar/points': 2}
    assert [(time_ns, stamp_ns(msg)) for _, time_ns, msg in shots] == [(s, s) for s in STAMPS]
    names = sorted(path.name for path in images.iterdir())
    assert [bytes(msg.data) for *_, msg in shots] == [(images / n).read_bytes() for n in names]
    assert [msg.format.split()[1] for *_, msg in shots] == ['jpeg', 'png', 'jpeg']


def test_polar_returns_in_degrees_that_grow_to_the_right(
    run_example: Run, images: Path, tmp_path: Path
) -> None:
    radar = csv_file(
        *(tmp_path, 'ms;distance;bearing;el;range_rate'),
        f'{STAMPS[1] / 1e6:.3f};20;30;0',
        f'{STAMPS[0] / 1e6:.3f};10;-90;0;-4',
        f'{STAMPS[0] / 1e6:.3f};10;0;30;-4',
    )
    done = run_example(
        *(EXAMPLE, images, radar, tmp_path / 'bag', '--degrees', '--y-right'),
        *('--field', 'stamp=ms', '--field', 'azimuth=bearing', '--field', 'elevation=el'),
        *('--image-stamps', image_table(images)),
    )
    assert done.returncode == 0, done.stderr
    assert 'no column for rcs' in done.stdout
    assert 'rows that cannot be read: 1' in done.stdout
    ((stamp, returns),) = measured(tmp_path / 'bag')
    assert stamp == pytest.approx(STAMPS[0], abs=1000)
    np.testing.assert_allclose(
        returns, [[0, 10, 0, -4], [10 * np.cos(np.pi / 6), 0, 5, -4]], atol=1e-5
    )


def measured(bag: Path) -> list[tuple[int, np.ndarray]]:
    """Stamp and x y z velocity of each frame of a bag without rcs."""
    with Recording(bag) as recording:
        clouds = [msg for *_, msg in recording.messages(['/radar/points'])]
    assert all(structured_view(msg).dtype.names == ('x', 'y', 'z', 'velocity') for msg in clouds)
    frames = [decode_points(msg, ('x', 'y', 'velocity')) for msg in clouds]
    columns = ('x', 'y', 'z', 'velocity')
    return [
        (stamp_ns(msg), frame.as_array(columns)) for msg, frame in zip(clouds, frames, strict=True)
    ]


def image_table(images: Path) -> Path:
    """The images' names and stamps in microseconds, as a table."""
    rows = [f'{path.name},{path.stem.split("_")[1][:-3]}' for path in sorted(images.iterdir())]
    path = images.parent / 'stamps.csv'
    path.write_text('\n'.join(['filename,timestamp_us', *rows]))
    return path


def test_rows_that_are_each_stamped_make_frames_by_their_pauses(
    run_example: Run, images: Path, tmp_path: Path
) -> None:
    """As OpenCalib's sample has it: a velocity vector, and a header that lacks a comma."""
    lines = ['time_ns,track_id,velocity_x,velocity_y,position_x,position_y,rcs,statetype,accel']
    for stamp in STAMPS:
        lines += [
            f'{stamp},0,-2.0,0.0,40.0,0.0,12.5,3,0,0.0',
            f'{stamp + 500_000},1,0.0,3.0,30.0,40.0,8.0,3,0,0.0',
        ]
    done = run_example(
        *(EXAMPLE, images, csv_file(tmp_path, *lines), tmp_path / 'bag', '--pause', '0.01')
    )
    assert '3 radar frames with 6 returns' in done.stdout
    for stamp, (found, returns) in zip(STAMPS, radar_frames(tmp_path / 'bag'), strict=True):
        assert found == stamp
        np.testing.assert_array_equal(returns.position, [[40, 0, 0], [30, 40, 0]])
        np.testing.assert_allclose(returns.velocity, [-2.0, 2.4], rtol=1e-6)
        np.testing.assert_array_equal(returns.rcs, [12.5, 8.0])


def test_what_is_bad_is_left_out_and_counted(
    run_example: Run, images: Path, tmp_path: Path
) -> None:
    radar = csv_file(
        *(tmp_path, 'stamp,x,y,velocity,rcs'),
        f'{START},10,1,0,5',
        f'{START},nan,1,0,5',
        f'{START},inf,1,0,5',
        f'{START},ten,1,0,5',
        'never,10,1,0,5',
        '1e999999999,10,1,0,5',
        ',10,1,0,5',
        f'{START}',
        '',
        '-5,10,1,0,5',
    )
    (images / 'cover.jpg').write_bytes(b'no stamp in the name')
    (images / f'a_{START}.jpg').write_bytes((images / f'left_{START}.jpg').read_bytes())
    (images / f'b_{START + 7}.jpg').write_bytes(b'no picture')
    (images / 'notes.txt').write_text('no image')
    done = run_example(EXAMPLE, images, radar, tmp_path / 'bag')
    assert done.returncode == 0, done.stderr
    assert '3 images, 1 radar frames with 1 returns' in done.stdout
    for told in (
        'left out, image_corrupt: 1',
        'left out, stamp_repeated: 1',
        'left out, stamp_out_of_range: 1',
        'left out, images without a readable stamp: 1',
        'left out, rows that cannot be read: 5',
        'left out, returns that are not finite: 2',
    ):
        assert told in done.stdout


def test_calibrations_go_into_the_bag(run_example: Run, images: Path, tmp_path: Path) -> None:
    intrinsics, extrinsics = tmp_path / 'camera.yaml', tmp_path / 'rig.yaml'
    intrinsics.write_text(
        'image_width: 64\nimage_height: 48\ncamera_name: left\n'
        'camera_matrix: {rows: 3, cols: 3, data: [50, 0, 31.5, 0, 51, 23.5, 0, 0, 1]}\n'
        'distortion_model: plumb_bob\n'
        'distortion_coefficients: {rows: 1, cols: 5, data: [-0.1, 0.01, 0.001, 0, 0]}\n'
    )
    extrinsics.write_text('translation: [0.3, 0.9, -1.0]\nrotation: [0.5, -0.5, 0.5, 0.5]\n')
    radar = csv_file(tmp_path, 'stamp,x,y', f'{START},10,1')
    done = run_example(
        *(EXAMPLE, images, radar, tmp_path / 'bag'),
        *('--intrinsics', intrinsics, '--extrinsics', extrinsics),
    )
    assert done.returncode == 0, done.stderr
    assert 'no column for velocity and rcs' in done.stdout
    with Recording(tmp_path / 'bag') as recording:
        found, transforms = recording.intrinsics(), recording.static_transforms()
    assert found is not None
    np.testing.assert_array_equal(found.matrix, [[50, 0, 31.5], [0, 51, 23.5], [0, 0, 1]])
    np.testing.assert_array_equal(found.distortion, [-0.1, 0.01, 0.001, 0, 0])
    chain = transform_chain(transforms, 'camera_optical_frame', 'radar')
    assert chain is not None
    # The radar's forward is the camera's depth, its left the camera's minus right.
    np.testing.assert_allclose(chain.apply([10, 2, 0]), [0.3 - 2, 0.9, -1.0 + 10], atol=1e-9)


@pytest.mark.parametrize(
    ('header', 'arguments', 'said'),
    [
        ('when,x,y', (), "no column of stamps; there are ['when', 'x', 'y']: see --field"),
        ('stamp,x,y', ('--field', 'rcs=power'), 'no column power; there are'),
        ('stamp,x,y', ('--field', 'snr=x'), "--field: ['snr'] is none of"),
        ('stamp,row,column', (), 'radar points lack'),
        ('stamp,x,y', ('--stamp-unit', 's'), 'none of 1 rows can be read'),
        ('stamp,x,y', ('--pause', '-1'), 'no duration'),
        ('stamp,x,y', ('--intrinsics', 'radar.csv'), 'is not what camera_calibration writes'),
        ('stamp,x,y', ('--extrinsics', 'missing.yaml'), 'missing.yaml'),
    ],
)
def test_what_cannot_be_used_is_said(
    run_example: Run,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    header: str,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    radar = csv_file(tmp_path, header, f'{START},10,1')
    done = run_example(EXAMPLE, images, radar, tmp_path / 'bag', *arguments)
    assert done.returncode == 2
    assert 'Traceback' not in done.stderr
    assert said in done.stderr
    assert not (tmp_path / 'bag').exists()


def test_stamps_that_tell_no_unit_need_one(run_example: Run, images: Path, tmp_path: Path) -> None:
    """Such as those that count from the start of the recording."""
    radar = csv_file(tmp_path, 'stamp,x,y,velocity,rcs', '1.5,10,1,0,5')
    done = run_example(EXAMPLE, images, radar, tmp_path / 'bag')
    assert done.returncode == 2
    assert '1.5 is no stamp of this century' in done.stderr
    for i, path in enumerate(sorted(images.iterdir())):
        path.rename(path.with_name(f'{1 + i}.5{path.suffix}'))
    done = run_example(EXAMPLE, images, radar, tmp_path / 'bag', '--stamp-unit', 's')
    assert done.returncode == 0, done.stderr
    ((stamp, _),) = radar_frames(tmp_path / 'bag')
    assert stamp == 1_500_000_000
