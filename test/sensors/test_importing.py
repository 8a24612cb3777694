# SPDX-License-Identifier: Apache-2.0
"""Importing into a bag; test/examples has it with files of several makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from radar_camera_ssl.sensors.camera import encode_jpeg
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.geometry import Intrinsics, RigidTransform
from radar_camera_ssl.sensors.importing import import_drive
from radar_camera_ssl.sensors.recording import Recording, read_pairs, stamp_ns

SECOND = 10**9
JPEG = encode_jpeg(np.full((24, 32, 3), 80, np.uint8)).tobytes()
RETURNS = np.array([(10, 1, 0, -2, 5)], [(n, '<f4') for n in ('x', 'y', 'z', 'velocity', 'rcs')])


def image() -> bytes:
    return JPEG


def returns() -> np.ndarray:
    return RETURNS


def stamps_in(bag: Path, topic: str) -> list[int]:
    with Recording(bag) as recording:
        return [stamp_ns(msg) for *_, msg in recording.messages([topic])]


def test_every_frame_is_written_in_order_or_counted(tmp_path: Path) -> None:
    """Stamps in any order, repeated, out of range; files that are missing or torn."""

    def missing() -> bytes:
        return (tmp_path / 'nowhere.jpg').read_bytes()

    def torn() -> np.ndarray:
        raise SensorDataError('torn', 'half a frame')

    images = [(stamp, image) for stamp in (7, 3, 9, 3, -1, 2**31 * SECOND)] + [(5, missing)]
    radar = [(stamp, returns) for stamp in (6, 2, 8)] + [(1, torn), (2, torn), (4, torn)]
    summary = import_drive(tmp_path / 'bag', images, radar)
    assert stamps_in(tmp_path / 'bag', '/camera/image_raw/compressed') == [3, 7, 9]
    assert stamps_in(tmp_path / 'bag', '/radar/points') == [2, 6, 8]
    assert (summary.images, summary.radar_frames, summary.returns) == (3, 3, 3)
    assert dict(summary.dropped) == dict(
        stamp_repeated=2, stamp_out_of_range=2, image_file_missing=1, torn=2
    )
    assert summary.first_error['torn'] == 'half a frame'
    assert 'nowhere.jpg' in summary.first_error['image_file_missing']


def test_a_bag_has_what_pairs_and_projection_need(tmp_path: Path) -> None:
    matrix = np.array([[30.0, 0, 15.5], [0, 30.0, 11.5], [0, 0, 1]])
    seen: list[tuple[int, int]] = []
    import_drive(
        tmp_path / 'bag',
        [((1 + i) * SECOND, image) for i in range(3)],
        [((1 + i) * SECOND + 5_000_000, returns) for i in range(3)],
        intrinsics=Intrinsics(32, 24, matrix),
        camera_from_radar=RigidTransform(translation=np.array([0.1, 0.2, 0.3])),
        progress=lambda *step: seen.append(step),
    )
    with Recording(tmp_path / 'bag') as recording:
        assert len(list(read_pairs(recording, 'points', 0.05))) == 3
        found = recording.intrinsics()
        transforms = recording.static_transforms()
        counts = recording.message_counts
    assert found is not None
    np.testing.assert_array_equal(found.matrix, matrix)
    assert (counts['/tf_static'], counts['/camera/camera_info']) == (1, 3)
    rig = transforms['camera_optical_frame', 'radar']
    np.testing.assert_allclose(rig.translation, [0.1, 0.2, 0.3])
    assert seen == [(i, 6) for i in range(1, 7)]


@pytest.mark.parametrize(
    ('encoded', 'table', 'reason'),
    [
        (b'no picture', RETURNS, 'image_corrupt'),
        (JPEG[:-40], RETURNS, 'image_truncated'),
        (JPEG, RETURNS[['x', 'z']].copy(), 'points_field_missing'),
    ],
)
def test_where_nothing_can_be_used_there_is_no_bag(
    tmp_path: Path, encoded: bytes, table: np.ndarray, reason: str
) -> None:
    packed = np.zeros(len(table), [(name, '<f4') for name in table.dtype.names or ()])
    with pytest.raises(SensorDataError, match=f'left out, {reason}: 1') as caught:
        import_drive(tmp_path / 'bag', [(1, lambda: encoded)], [(1, lambda: packed)])
    assert caught.value.reason == 'nothing_to_import'
    assert list(tmp_path.iterdir()) == []


def test_images_of_another_size_than_the_intrinsics_are_left_out(tmp_path: Path) -> None:
    intrinsics = Intrinsics(640, 480, np.diag([500.0, 500, 1]))
    with pytest.raises(SensorDataError, match='32x24 where the intrinsics say 640x480'):
        import_drive(tmp_path / 'bag', [(1, image)], [(1, returns)], intrinsics=intrinsics)
