# SPDX-License-Identifier: Apache-2.0
"""What is made is what the decoders read, after a passage through CDR."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radar_camera_ssl.sensors import messages
from radar_camera_ssl.sensors.camera import decode_image, encode_jpeg
from radar_camera_ssl.sensors.geometry import Intrinsics, RigidTransform, decode_camera_info
from radar_camera_ssl.sensors.radar_points import structured_view
from radar_camera_ssl.sensors.recording import stamp_ns

STAMP = 1_700_000_000_123_456_789


def passed_on(message: Any) -> Any:
    kind = message.__msgtype__
    return messages.typestore.deserialize_cdr(messages.serialise(message), kind)


@pytest.mark.parametrize('view', [np.s_[:], np.s_[::2, ::3], np.s_[::-1]])
def test_an_image_is_read_as_it_was_whatever_its_strides(view: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 18, 3), np.uint8)[view]
    message = passed_on(messages.image(STAMP, 'camera', pixels, 'bgr8'))
    assert (stamp_ns(message), message.header.frame_id) == (STAMP, 'camera')
    np.testing.assert_array_equal(decode_image(message), pixels)


def test_values_of_several_bytes_are_little_endian() -> None:
    heatmap = np.array([[0.25, 0.5]], '>f4')
    message = passed_on(messages.image(STAMP, 'camera', heatmap, '32FC1'))
    assert (message.step, message.is_bigendian) == (8, 0)
    np.testing.assert_array_equal(message.data.view('<f4'), [0.25, 0.5])


def test_a_jpeg_is_read_as_an_image() -> None:
    grey = np.full((16, 24, 3), 90, np.uint8)
    message = passed_on(messages.compressed_image(STAMP, 'camera', encode_jpeg(grey)))
    assert np.abs(decode_image(message).astype(int) - grey).max() <= 2


@pytest.mark.parametrize('shape', [(0, 4, 3), (4, 70_000, 3)])
def test_what_cannot_be_a_jpeg_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match='cannot be encoded'):
        encode_jpeg(np.zeros(shape, np.uint8))


FIELD = st.tuples(
    st.sampled_from(['<i1', '<u1', '<i2', '<u2', '<i4', '<u4', '<f4', '<f8']), st.integers(1, 3)
)


@given(
    st.dictionaries(st.sampled_from('xyzuv'), FIELD, min_size=1),
    st.booleans(),
    st.integers(0, 4),
    st.integers(0, 2**31),
)
def test_points_of_any_type_are_read_as_they_were(
    fields: dict[str, tuple[str, int]], aligned: bool, count: int, seed: int
) -> None:
    described = [
        (name, code, (many,)) if many > 1 else (name, code)
        for name, (code, many) in fields.items()
    ]
    dtype = np.dtype(described, align=aligned)
    rubbish = np.random.default_rng(seed).integers(0, 256, count * dtype.itemsize, np.uint8)
    points = np.frombuffer(rubbish.tobytes(), dtype)
    seen = structured_view(passed_on(messages.point_cloud(STAMP, 'radar', points)))
    for name in fields:
        assert seen[name].dtype == points[name].dtype
        assert seen[name].tobytes() == points[name].tobytes()


def test_intrinsics_are_read_as_they_were() -> None:
    matrix = np.array([[500.0, 0.0, 319.5], [0.0, 510.0, 239.5], [0.0, 0.0, 1.0]])
    distortion = np.array([-0.1, 0.01, 0.001, -0.002, 0.0])
    given_ = Intrinsics(640, 480, matrix, distortion, 'plumb_bob')
    message = passed_on(messages.camera_info(STAMP, 'camera', given_))
    read = decode_camera_info(message)
    assert (read.width, read.height, read.distortion_model) == (640, 480, 'plumb_bob')
    np.testing.assert_array_equal(read.matrix, matrix)
    np.testing.assert_array_equal(read.distortion, distortion)
    np.testing.assert_array_equal(message.p.reshape(3, 4)[:, :3], matrix)


def test_transforms_name_both_frames() -> None:
    turn = RigidTransform.from_quaternion((0.0, 0.0, 0.6, 0.8), (1.0, -2.0, 0.5))
    message = passed_on(messages.static_transforms(STAMP, {('base_link', 'radar'): turn}))
    (stamped,) = message.transforms
    assert (stamped.header.frame_id, stamped.child_frame_id) == ('base_link', 'radar')
    q, t = stamped.transform.rotation, stamped.transform.translation
    np.testing.assert_allclose([q.x, q.y, q.z, q.w], [0, 0, 0.6, 0.8], atol=1e-12)
    assert (t.x, t.y, t.z) == (1.0, -2.0, 0.5)
