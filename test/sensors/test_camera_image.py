# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import sensor_messages as messages
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sensor_messages import smooth_image

from radar_camera_ssl.sensors.camera import ENCODINGS, decode_image, decode_jpeg, encode_jpeg
from radar_camera_ssl.sensors.camera_image import CameraImage, resize_image
from radar_camera_ssl.sensors.errors import SensorDataError

RNG = np.random.default_rng(0)


def road(height: int, width: int) -> NDArray[np.uint8]:
    """A picture with smooth parts, edges and some noise, as a camera has."""
    coarse = RNG.integers(0, 256, (9, 16, 3), np.uint8)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    picture[height // 2 :, width // 3 : width // 2] //= 3
    picture += RNG.normal(0, 3, picture.shape).astype(int)
    return picture.clip(0, 255).astype(np.uint8)


def jpeg_message(picture: NDArray[np.uint8]) -> Any:
    return messages.compressed(encode_jpeg(picture).tobytes(), 'bgr8; jpeg compressed bgr8')


def png_message(picture: NDArray[np.uint8]) -> Any:
    return messages.compressed(cv2.imencode('.png', picture)[1].tobytes(), 'bgr8; png compressed')


@pytest.mark.parametrize('encoding', sorted(ENCODINGS))
def test_a_raw_image_stands_in_for_its_pixels(encoding: str) -> None:
    msg = smooth_image(encoding)
    image = CameraImage(msg)
    assert image.shape == (12, 16, 3)
    np.testing.assert_array_equal(np.asarray(image), decode_image(msg))
    np.testing.assert_array_equal(image.scaled(6, 8), resize_image(decode_image(msg), 6, 8))


@pytest.mark.parametrize('message', [jpeg_message, png_message])
def test_a_compressed_image_stands_in_for_its_pixels(message: Any) -> None:
    msg = message(road(72, 128))
    image = CameraImage(msg)
    assert image.shape == (72, 128, 3)
    np.testing.assert_array_equal(np.asarray(image), decode_image(msg))
    assert np.array(image, np.float32, copy=True).dtype == np.float32


@pytest.mark.parametrize(
    ('height', 'width'), [(480, 640), (720, 1280), (1080, 1920), (2160, 3840), (717, 1275)]
)
def test_a_jpeg_scaled_is_what_all_its_pixels_scaled_are(height: int, width: int) -> None:
    msg = jpeg_message(road(height, width))
    scaled = CameraImage(msg).scaled(240, 320)
    assert scaled.shape == (240, 320, 3)
    assert scaled.flags.c_contiguous
    wanted = resize_image(decode_image(msg), 240, 320).astype(int)
    assert np.abs(scaled - wanted).mean() < 0.5
    assert np.abs(scaled - wanted).max() < 20


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 4, 8]))
def test_a_jpeg_is_decoded_at_a_part_of_its_size(rows: int, columns: int, divisor: int) -> None:
    msg = jpeg_message(road(rows * divisor, columns * divisor))
    assert decode_jpeg(msg, divisor).shape == (rows, columns, 3)


@given(st.integers(8, 200), st.integers(8, 200))
def test_a_jpeg_of_any_size_keeps_pixel_centres(height: int, width: int) -> None:
    ramp = np.linspace(40, 200, width)[None, :, None] + np.linspace(0, 50, height)[:, None, None]
    msg = jpeg_message(np.repeat(ramp, 3, 2).astype(np.uint8))
    wanted = resize_image(decode_image(msg), 6, 8).astype(int)
    assert np.abs(CameraImage(msg).scaled(6, 8) - wanted).mean() < 1.0


def test_what_was_asked_for_before_does_not_matter() -> None:
    msg = jpeg_message(road(720, 1280))
    first = CameraImage(msg).scaled(240, 320)
    image = CameraImage(msg)
    pixels = np.asarray(image).copy()
    assert image.scaled(24, 32).shape == (24, 32, 3)
    np.testing.assert_array_equal(image.scaled(240, 320), first)
    np.testing.assert_array_equal(np.asarray(image), pixels)


def test_it_is_scaled_and_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    image = CameraImage(jpeg_message(road(720, 1280)))
    scaled = image.scaled(240, 320)
    pixels = np.asarray(image)

    def never(*_: Any) -> Any:
        raise AssertionError('decoded again')

    monkeypatch.setattr(cv2, 'imdecode', never)
    assert image.scaled(240, 320) is scaled
    assert resize_image(image, 240, 320) is scaled
    assert np.shares_memory(np.asarray(image), pixels)


def test_a_jpeg_that_is_none_fails_where_pixels_are_asked_for() -> None:
    whole = encode_jpeg(road(64, 64)).tobytes()
    cut = CameraImage(messages.compressed(whole[: len(whole) // 2], 'jpeg'))
    with pytest.raises(SensorDataError, match='no end marker'):
        cut.scaled(8, 8)
    with pytest.raises(SensorDataError, match='no end marker'):
        np.asarray(cut)
    with pytest.raises(SensorDataError) as headless:
        CameraImage(messages.compressed(b'\xff\xd8\xff\xd9', 'jpeg'))
    assert headless.value.reason == 'image_corrupt'


def test_a_decoder_of_one_s_own_makes_the_pixels() -> None:
    msg = jpeg_message(road(64, 64))
    white = np.full((16, 16, 3), 255, np.uint8)
    image = CameraImage(msg, lambda _: white)
    assert image.shape == (16, 16, 3)
    assert (image.scaled(4, 4) == 255).all()


def test_resize_keeps_an_image_of_the_right_size() -> None:
    image = RNG.integers(0, 256, (24, 32, 3), np.uint8)
    assert resize_image(image, 24, 32) is image
    sheared = np.zeros((24, 40, 3), np.uint8)[:, :32]
    assert resize_image(sheared, 24, 32).flags.c_contiguous


def test_resize_averages_where_it_shrinks() -> None:
    checkers = np.zeros((24, 32, 3), np.uint8)
    checkers[::2, ::2] = checkers[1::2, 1::2] = 200
    assert (resize_image(checkers, 12, 16) == 100).all()
    assert resize_image(checkers, 48, 64).shape == (48, 64, 3)
    assert resize_image(checkers, 48, 16).dtype == np.uint8


@pytest.mark.parametrize('width', [32, 40, 48, 63, 72, 100])
def test_resize_keeps_pixel_centres(width: int) -> None:
    """u' = (u + 0.5) * W'/W - 0.5, the convention of Intrinsics.scaled."""
    ramp = np.repeat(np.arange(0, 2 * width, 2, dtype=np.uint8)[None, :, None], 24, 0)
    small = resize_image(np.repeat(ramp, 3, 2), 12, 16)[0, :, 0]
    centres = (np.arange(16) + 0.5) * width / 16 - 0.5
    np.testing.assert_allclose(small, 2 * centres, atol=1.01)


def test_an_image_of_the_training_s_size_is_scaled_by_the_area_average_it_always_was() -> None:
    image = RNG.integers(0, 256, (480, 640, 3), np.uint8)
    wanted = cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(resize_image(image, 240, 320), wanted)


@given(st.integers(24, 300), st.integers(32, 300))
def test_resize_is_an_average_of_what_each_pixel_covers(height: int, width: int) -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    smooth = cv2.resize(coarse, (width, height))
    wanted = cv2.resize(smooth, (32, 24), interpolation=cv2.INTER_AREA).astype(int)
    small = resize_image(smooth, 24, 32)
    assert small.shape == (24, 32, 3)
    assert small.flags.c_contiguous
    assert np.abs(small - wanted).mean() < 1.5


def test_resize_lets_no_pattern_through_that_is_finer_than_its_pixels() -> None:
    lines = np.zeros((720, 1280, 3), np.uint8)
    lines[:, ::2] = 200
    assert np.ptp(resize_image(lines, 240, 320)) <= 1
