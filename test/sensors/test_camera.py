# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
import pytest
import sensor_messages as messages
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_messages import smooth_image

from radar_camera_ssl.sensors.camera import ENCODINGS, decode_image
from radar_camera_ssl.sensors.camera_image import CameraImage
from radar_camera_ssl.sensors.errors import SensorDataError

RNG = np.random.default_rng(0)


@pytest.mark.parametrize('encoding', sorted(ENCODINGS))
def test_every_encoding_is_bgr_uint8(encoding: str) -> None:
    image = decode_image(smooth_image(encoding))
    assert image.shape == (12, 16, 3)
    assert image.dtype == np.uint8


@pytest.mark.parametrize('encoding', sorted(ENCODINGS))
def test_padding_and_byte_order_do_not_matter(encoding: str) -> None:
    plain = smooth_image(encoding)
    kind = ENCODINGS[encoding]
    pixels = plain.data.view(kind.dtype).reshape(plain.height, plain.width, kind.channels)
    awkward = messages.image(pixels, encoding, padding=13, big_endian=True)
    np.testing.assert_array_equal(decode_image(awkward), decode_image(plain))
    last_row_unpadded = messages.image(pixels, encoding, padding=13)
    last_row_unpadded.data = last_row_unpadded.data[:-13]
    np.testing.assert_array_equal(decode_image(last_row_unpadded), decode_image(plain))


def test_rclpy_messages_are_taken_as_they_are() -> None:
    sensor_msgs = pytest.importorskip('sensor_msgs.msg', reason='sensor_msgs is not installed')
    for encoding in ('bgr8', 'mono16', 'bayer_rggb8'):
        msg = smooth_image(encoding)
        same = messages.as_rclpy(msg, sensor_msgs.Image)
        np.testing.assert_array_equal(decode_image(same), decode_image(msg))


def test_bgr8_is_a_view() -> None:
    msg = smooth_image('bgr8', padding=5)
    assert np.shares_memory(decode_image(msg), msg.data)


def test_16_bits_are_scaled_over_the_full_range_and_rounded() -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    assert decode_image(messages.image(values, 'mono16'))[0, :, 0].tolist() == [
        0, 0, 1, 1, 128, 255,
    ]  # fmt: skip


def test_colours_end_up_in_their_channels() -> None:
    red = np.zeros((2, 4, 3), np.uint8)
    red[..., 0] = 200
    assert decode_image(messages.image(red, 'rgb8'))[0, 0].tolist() == [0, 0, 200]
    # In the mosaic only the pixels under the red filter see anything.
    mosaic = np.zeros((8, 8), np.uint8)
    mosaic[::2, ::2] = 200
    assert decode_image(messages.image(mosaic, 'bayer_rggb8'))[4, 4].tolist() == [0, 0, 200]
    # White is luminance 235 without chroma, wherever the luminance stands.
    grey = np.zeros((2, 4, 2), np.uint8)
    grey[...] = 128, 235
    assert (decode_image(messages.image(grey, 'yuv422')) == 255).all()
    assert (decode_image(messages.image(grey[..., ::-1], 'yuv422_yuy2')) == 255).all()


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'height': 0}, 'image_empty'),
        ({'width': 0}, 'image_empty'),
        ({'encoding': 'jpeg2000'}, 'image_encoding'),
        ({'encoding': ''}, 'image_encoding'),
        ({'encoding': '16UC1'}, 'image_encoding'),
        ({'height': 13}, 'image_truncated'),
        ({'step': 47}, 'image_truncated'),
        ({'step': 2**31}, 'image_truncated'),
        ({'height': 2**32 - 1, 'width': 2**32 - 1}, 'image_truncated'),
        ({'data': np.zeros(0, np.uint8)}, 'image_truncated'),
        ({'data': np.zeros(575, np.uint8)}, 'image_truncated'),
    ],
)
def test_bad_images_have_a_reason(change: dict[str, Any], reason: str) -> None:
    msg = smooth_image('bgr8')
    for name, value in change.items():
        setattr(msg, name, value)
    with pytest.raises(SensorDataError) as caught:
        decode_image(msg)
    assert caught.value.reason == reason


def test_unknown_encodings_are_named() -> None:
    msg = smooth_image('bgr8')
    msg.encoding = 'nv21'
    with pytest.raises(SensorDataError, match='nv21'):
        decode_image(msg)


def test_odd_width_of_a_422_image_has_a_reason() -> None:
    msg = messages.image(np.zeros((4, 5, 2), np.uint8), 'uyvy')
    with pytest.raises(SensorDataError) as caught:
        decode_image(msg)
    assert caught.value.reason == 'image_corrupt'


def test_a_forgotten_step_is_forgiven() -> None:
    msg = smooth_image('bgr8')
    expected = decode_image(msg)
    msg.step = 0
    np.testing.assert_array_equal(decode_image(msg), expected)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('channels', [1, 3])
def test_compressed_images(suffix: str, channels: int) -> None:
    pixels = cv2.resize(RNG.integers(0, 256, (4, 4, channels), np.uint8), (32, 24))
    _, data = cv2.imencode(suffix, pixels)
    image = decode_image(messages.compressed(data, f'bgr8; {suffix[1:]} compressed bgr8'))
    assert image.shape == (24, 32, 3)
    expected = pixels if channels == 3 else np.dstack([pixels] * 3)
    tolerance = 0 if suffix == '.png' else 60
    assert np.abs(image.astype(int) - expected.astype(int)).max() <= tolerance


@pytest.mark.parametrize('encoding', [name for name in ENCODINGS if name.startswith('bayer_')])
def test_a_compressed_mosaic_is_as_the_raw_one(encoding: str) -> None:
    raw = messages.smooth_image(encoding)
    mosaic = raw.data.view(ENCODINGS[encoding].dtype).reshape(raw.height, raw.width)
    compressed = messages.compressed(
        cv2.imencode('.png', mosaic)[1], f'{encoding}; png compressed '
    )
    np.testing.assert_array_equal(decode_image(compressed), decode_image(raw))


def test_a_mosaic_is_not_scaled_before_it_has_colours() -> None:
    red = np.zeros((96, 128), np.uint8)
    red[::2, ::2] = 200
    data = cv2.imencode('.jpg', red, [cv2.IMWRITE_JPEG_QUALITY, 100])[1]
    image = CameraImage(messages.compressed(data, 'bayer_rggb8; jpeg compressed '))
    middle = image.scaled(24, 32)[4:-4, 4:-4]
    np.testing.assert_allclose(middle, np.broadcast_to([0, 0, 200], middle.shape), atol=4)


def test_a_label_of_a_mosaic_may_be_that_of_its_source() -> None:
    colours = np.zeros((8, 8, 3), np.uint8)
    colours[..., 1] = 200
    message = messages.compressed(
        cv2.imencode('.png', colours)[1], 'bayer_rggb8; png compressed bgr8'
    )
    np.testing.assert_array_equal(decode_image(message), colours)


def test_an_exif_orientation_does_not_turn_the_image() -> None:
    _, data = cv2.imencode('.jpg', np.zeros((8, 16, 3), np.uint8))
    tiff = b'II*\0' + struct.pack('<IHHHIHHI', 8, 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b'Exif\0\0' + tiff
    segment = b'\xff\xe1' + struct.pack('>H', len(exif) + 2) + exif
    turned = data.tobytes()[:2] + segment + data.tobytes()[2:]
    assert decode_image(messages.compressed(turned, 'jpeg')).shape == (8, 16, 3)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_truncated_compressed_images_have_a_reason(suffix: str) -> None:
    _, data = cv2.imencode(suffix, RNG.integers(0, 256, (64, 64, 3), np.uint8))
    whole = messages.compressed(np.append(data, np.zeros(9000, np.uint8)), suffix[1:])
    assert decode_image(whole).shape == (64, 64, 3)
    for length in (10, len(data) // 2, len(data) - 13):
        with pytest.raises(SensorDataError) as caught:
            decode_image(messages.compressed(data[:length], suffix[1:]))
        assert caught.value.reason == 'image_truncated'


@pytest.mark.parametrize(
    ('suffix', 'before', 'size'),
    [
        # Start of frame, length and precision; name of the first chunk.
        ('.jpg', b'\xff\xc0\0\x11\x08', struct.pack('>HH', 30000, 30000)),
        ('.png', b'IHDR', struct.pack('>II', 30000, 30000)),
    ],
)
def test_a_header_that_asks_for_gigabytes_is_refused_unread(
    suffix: str, before: bytes, size: bytes
) -> None:
    _, encoded = cv2.imencode(suffix, RNG.integers(0, 256, (64, 64, 3), np.uint8))
    data = encoded.tobytes()
    at = data.index(before) + len(before)
    spoilt = data[:at] + size + data[at + len(size) :]
    with pytest.raises(SensorDataError, match='900000000 pixels') as caught:
        decode_image(messages.compressed(spoilt, suffix[1:]))
    assert caught.value.reason == 'image_corrupt'


@pytest.mark.parametrize(
    ('data', 'label', 'reason'),
    [
        (b'', 'jpeg', 'image_empty'),
        (bytes(100), 'jpeg', 'image_corrupt'),
        (b'not an image at all', 'png', 'image_corrupt'),
        (bytes(100), '16UC1; compressedDepth png', 'image_encoding'),
    ],
)
def test_bad_compressed_images_have_a_reason(data: bytes, label: str, reason: str) -> None:
    with pytest.raises(SensorDataError) as caught:
        decode_image(messages.compressed(data, label))
    assert caught.value.reason == reason


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([*sorted(ENCODINGS), 'foo']),
    st.integers(0, 9),
    st.integers(0, 9),
    st.integers(0, 80),
    st.integers(0, 800),
    st.booleans(),
)
def test_any_header_gives_an_image_or_a_reason(
    encoding: str, height: int, width: int, step: int, size: int, big_endian: bool
) -> None:
    msg = smooth_image('bgr8')
    msg.encoding, msg.height, msg.width, msg.step = encoding, height, width, step
    msg.is_bigendian, msg.data = int(big_endian), np.zeros(size, np.uint8)
    reason = ''
    try:
        assert decode_image(msg).shape == (height, width, 3)
    except SensorDataError as error:
        reason = error.reason
    assert reason in ('', 'image_empty', 'image_truncated', 'image_encoding', 'image_corrupt')
