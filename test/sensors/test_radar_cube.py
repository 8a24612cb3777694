# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sensor_messages as messages
from hypothesis import given
from hypothesis import strategies as st

from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.radar_cube import CubeAxes, decode_cube

AXES = CubeAxes((0.0, 100.0), (-0.8, 0.8), (-20.0, 20.0))


def cube(shape: tuple[int, int, int] = (5, 4, 3)) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).normal(-40, 10, shape).astype(np.float32)


def message(values: np.ndarray[Any, Any], **options: Any) -> Any:
    return messages.image(values, f'32FC{values.shape[2]}', **options)


def test_a_cube_is_a_view() -> None:
    msg = message(cube())
    np.testing.assert_array_equal(decode_cube(msg), cube())
    assert np.shares_memory(decode_cube(msg), msg.data)


@pytest.mark.parametrize('padding', [0, 4, 7])
@pytest.mark.parametrize('big_endian', [False, True])
def test_padding_and_byte_order_do_not_matter(padding: int, big_endian: bool) -> None:
    found = decode_cube(message(cube(), padding=padding, big_endian=big_endian))
    np.testing.assert_array_equal(found, cube())
    assert found.dtype == np.float32
    assert found.dtype.isnative


def test_rclpy_messages_are_taken_as_they_are() -> None:
    sensor_msgs = pytest.importorskip('sensor_msgs.msg', reason='sensor_msgs is not installed')
    same = messages.as_rclpy(message(cube()), sensor_msgs.Image)
    np.testing.assert_array_equal(decode_cube(same), cube())


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'encoding': 'bgr8'}, 'cube_encoding'),
        ({'encoding': '32FC0'}, 'cube_encoding'),
        ({'encoding': '64FC3'}, 'cube_encoding'),
        ({'height': 0}, 'cube_shape'),
        ({'width': 0}, 'cube_shape'),
        ({'height': 2**32 - 1, 'width': 2**32 - 1}, 'cube_shape'),
        ({'height': 6}, 'cube_truncated'),
        ({'step': 47}, 'cube_truncated'),
        ({'encoding': '32FC4'}, 'cube_truncated'),
        ({'data': np.zeros(0, np.uint8)}, 'cube_truncated'),
    ],
)
def test_bad_cubes_have_a_reason(change: dict[str, Any], reason: str) -> None:
    msg = message(cube())
    for name, value in change.items():
        setattr(msg, name, value)
    with pytest.raises(SensorDataError) as caught:
        decode_cube(msg)
    assert caught.value.reason == reason


def test_one_channel_has_two_names() -> None:
    for encoding in ('32FC1', '32FC'):
        assert decode_cube(messages.image(cube((5, 4, 1)), encoding)).shape == (5, 4, 1)


def test_no_power_is_the_floor_of_the_cube() -> None:
    values = cube()
    values[2, 1, 0] = -np.inf
    found = decode_cube(message(values))
    assert found[2, 1, 0] == values[np.isfinite(values)].min()


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_cells_that_are_not_finite_have_a_reason(bad: float) -> None:
    values = cube()
    values[2, 1, 0] = bad
    for broken in (values, np.full_like(values, -np.inf)):
        with pytest.raises(SensorDataError) as caught:
            decode_cube(message(broken))
        assert caught.value.reason == 'cube_not_finite'


def test_limits_are_the_outer_edges() -> None:
    distance, azimuth, doppler = AXES.centres((10, 4, 2))
    np.testing.assert_allclose(distance, np.arange(5, 100, 10))
    np.testing.assert_allclose(azimuth, [-0.6, -0.2, 0.2, 0.6])
    np.testing.assert_allclose(doppler, [-10, 10])


limits = st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)).filter(lambda x: x[0] != x[1])


@given(limits, limits, limits)
def test_axes_survive_the_key_values(
    distance: tuple[float, float], azimuth: tuple[float, float], doppler: tuple[float, float]
) -> None:
    axes = CubeAxes(distance, azimuth, doppler)
    pairs = [*axes.to_key_values(), ('unit', 'dB')]
    assert CubeAxes.from_key_values(pairs) == axes
    key_values = [SimpleNamespace(key=key, value=value) for key, value in pairs]
    assert CubeAxes.from_key_values(key_values) == axes


@pytest.mark.parametrize('broken', [{}, {'range_min_m': 'near'}, {'range_max_m': '0.0'}])
def test_bad_key_values_have_a_reason(broken: dict[str, str]) -> None:
    pairs = dict(AXES.to_key_values()) | broken
    if not broken:
        del pairs['doppler_min_mps']
    with pytest.raises(SensorDataError) as caught:
        CubeAxes.from_key_values(pairs.items())
    assert caught.value.reason == 'cube_axes'
