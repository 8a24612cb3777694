# SPDX-License-Identifier: Apache-2.0
"""Whatever a message holds, decoding gives an answer or a SensorDataError: no other way out."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import sensor_messages as messages
from hypothesis import given, settings
from hypothesis import strategies as st

from radar_camera_ssl.sensors.camera import MAX_PIXELS, decode_image
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.radar_cube import decode_cube
from radar_camera_ssl.sensors.radar_points import decode_points, decode_radar_scan

PICTURE = cv2.resize(np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8), (32, 24))
ENCODED = {
    suffix: cv2.imencode(suffix, PICTURE)[1].tobytes() for suffix in ('.jpg', '.png', '.webp')
}
flips = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=12)
numbers = st.floats(width=32) | st.sampled_from([1e38, -1e38, 0.0])


def outcome(decode: Callable[[Any], Any], message: Any) -> tuple[Any, str]:
    """What decoding gave, and the reason where it gave nothing."""
    try:
        return decode(message), ''
    except SensorDataError as error:
        return None, error.reason


def flipped(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    spoilt = bytearray(data)
    for at, value in changes:
        spoilt[at % len(spoilt)] = value
    return bytes(spoilt)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(ENCODED)), flips, st.integers(0, 40), st.text(max_size=30))
def test_compressed_images(
    suffix: str, changes: list[tuple[int, int]], cut: int, label: str
) -> None:
    data = flipped(ENCODED[suffix], changes)
    image, reason = outcome(decode_image, messages.compressed(data[: len(data) - cut], label))
    if reason:
        assert reason in ('image_truncated', 'image_corrupt', 'image_encoding')
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert 0 < image.shape[0] * image.shape[1] <= MAX_PIXELS


@settings(max_examples=150)
@given(
    st.sampled_from(['32FC1', '32FC4', '32FC', '32FC0', '32FC99999999999', '32SC4', '', 'ü']),
    st.integers(0, 5) | st.just(2**32 - 1),
    st.integers(0, 5) | st.just(2**32 - 1),
    st.integers(0, 80) | st.just(2**32 - 1),
    st.booleans(),
    st.lists(numbers, max_size=80),
)
def test_cubes(
    encoding: str, height: int, width: int, step: int, big_endian: bool, values: list[float]
) -> None:
    data = np.array(values, '>f4' if big_endian else '<f4').view(np.uint8)
    cube = SimpleNamespace(
        encoding=encoding,
        height=height,
        width=width,
        step=step,
        is_bigendian=big_endian,
        data=data,
    )
    decoded, reason = outcome(decode_cube, cube)
    if reason:
        assert reason.startswith('cube_')
        return
    assert decoded.shape[:2] == (height, width)
    assert np.isfinite(decoded).all()


@settings(max_examples=150)
@given(st.lists(st.tuples(*[numbers] * 5), max_size=8))
def test_radar_scans(returns: list[tuple[float, ...]]) -> None:
    names = ('range', 'azimuth', 'elevation', 'doppler_velocity', 'amplitude')
    scan = SimpleNamespace(
        returns=[SimpleNamespace(**dict(zip(names, row, strict=True))) for row in returns]
    )
    decoded, reason = outcome(decode_radar_scan, scan)
    if reason:
        assert reason.startswith('points_')
        return
    assert len(decoded) + decoded.not_finite == len(returns)
    assert np.isfinite(decoded.as_array(('x', 'y', 'z', 'velocity', 'rcs'))).all()


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.text(max_size=3) | st.sampled_from('xyz') | st.just('rcs'),
            st.integers(0, 60) | st.just(2**32 - 1),
            st.integers(0, 9),
            st.integers(0, 4) | st.just(2**32 - 1),
        ),
        max_size=6,
    ),
    st.integers(0, 3) | st.just(2**32 - 1),
    st.integers(0, 3) | st.just(2**32 - 1),
    st.integers(0, 70) | st.just(2**32 - 1),
    st.binary(max_size=300),
)
def test_clouds(
    fields: list[tuple[Any, ...]], height: int, width: int, point_step: int, data: bytes
) -> None:
    cloud = SimpleNamespace(
        fields=[
            SimpleNamespace(name=name, offset=offset, datatype=datatype, count=count)
            for name, offset, datatype, count in fields
        ],
        height=height,
        width=width,
        point_step=point_step,
        row_step=0,
        is_bigendian=False,
        data=data,
    )
    decoded, reason = outcome(lambda msg: decode_points(msg, ('x', 'y')), cloud)
    if reason:
        assert reason.startswith('points_')
        return
    assert len(decoded) + decoded.not_finite == height * width
