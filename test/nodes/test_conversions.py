# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ros_graph import camera_info_message, cloud_message
from std_msgs.msg import Header

from radar_camera_ssl.inference.model import Correspondence
from radar_camera_ssl.nodes.conversions import (
    heatmap_at,
    image_message,
    reflections_message,
    scaled_camera_info,
    stamp_message,
    stamp_ns,
)
from radar_camera_ssl.sensors.camera import decode_image
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.geometry import decode_camera_info
from radar_camera_ssl.sensors.radar_points import RadarPoints, structured_view


@given(st.integers(0, 2**31 * 10**9 - 1))
def test_stamps_go_there_and_back(nanoseconds: int) -> None:
    assert stamp_ns(stamp_message(nanoseconds)) == nanoseconds


@pytest.mark.parametrize('view', [np.s_[:], np.s_[::2, ::3], np.s_[::-1]])
def test_an_image_goes_there_and_back_whatever_its_strides(view: object) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 18, 3), np.uint8)[view]
    np.testing.assert_array_equal(decode_image(image_message(pixels, 'bgr8', Header())), pixels)


def correspondence(
    returns: RadarPoints, pixel: list[list[float]], likelihood: list[float]
) -> Correspondence:
    return Correspondence(
        heatmap=np.zeros((3, 4), np.float32),
        likelihood=np.array(likelihood, np.float32),
        pixel=np.array(pixel, np.float32).reshape(-1, 2),
        agreement=0.5,
        returns=returns,
        returns_dropped=0,
    )


OWN_NAMES = ('x', 'z', 'u', 'v', 'likelihood', 'input_u', 'velocity', 'RCS', 'track id')
OWN_FIELD = st.tuples(
    st.sampled_from(['i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'f4', 'f8']),
    st.integers(1, 3),
    st.integers(0, 5),
)


@given(
    st.dictionaries(st.sampled_from(OWN_NAMES), OWN_FIELD, max_size=6),
    st.sampled_from('<>'),
    st.integers(0, 7),
    st.integers(0, 4),
    st.integers(0, 2**31),
)
def test_reflections_keep_the_inputs_own_fields_of_any_layout(
    fields: dict[str, tuple[str, int, int]], order: str, padding: int, count: int, seed: int
) -> None:
    offset, offsets = 0, []
    for code, values, gap in fields.values():
        offsets.append(offset + gap)
        offset += gap + values * np.dtype(code).itemsize
    dtype = np.dtype(
        {
            'names': list(fields),
            'formats': [(order + c, (n,)) if n > 1 else order + c for c, n, _ in fields.values()],
            'offsets': offsets,
            'itemsize': max(1, offset + padding),
        }
    )
    rng = np.random.default_rng(seed)
    rubbish = rng.integers(0, 256, count * dtype.itemsize, np.uint8)
    message = cloud_message(np.frombuffer(rubbish.tobytes(), dtype), 1)
    row = np.flatnonzero(rng.random(count) < 0.7).astype(np.int32)
    returns = RadarPoints(
        rng.random((len(row), 3), np.float32), np.zeros(len(row)), np.zeros(len(row)), row
    )
    pixel, likelihood = rng.random((len(row), 2)), rng.random(len(row))
    answer = correspondence(returns, pixel.tolist(), likelihood.tolist())
    points = structured_view(reflections_message(answer, message))
    own = structured_view(message)[row]
    names = points.dtype.names or ()
    assert (names[:3], names[-3:]) == (('x', 'y', 'z'), ('u', 'v', 'likelihood'))
    assert len(names) == 6 + len([name for name in fields if name not in ('x', 'z')])
    np.testing.assert_array_equal(points['x'], returns.position[:, 0])
    np.testing.assert_array_equal(points['v'], answer.pixel[:, 1])
    for name in set(fields) - {'x', 'z'}:
        kept = f'input_{name}' if name in ('u', 'v', 'likelihood') else name
        if name == 'u' and 'input_u' in fields:
            kept = 'input_u_'
        assert points[kept].dtype.base == own[name].dtype.base.newbyteorder('<')
        assert points[kept].astype(own[name].dtype.base).tobytes() == own[name].tobytes()


def test_a_radar_scans_reflections_have_velocity_and_rcs() -> None:
    """radar_msgs is not on PyPI: a message of the same fields stands in."""
    returns = RadarPoints(
        np.array([[1, 2, 3], [4, 5, 6]], np.float32),
        np.array([-1, 1], np.float32),
        np.array([7, 8], np.float32),
        np.array([0, 2], np.int32),
    )
    answer = correspondence(returns, [[10, 20], [30, 40]], [0.25, 0.5])
    scan = SimpleNamespace(header=Header(frame_id='radar'), returns=[None] * 3)
    points = structured_view(reflections_message(answer, scan))
    assert points.dtype.names == ('x', 'y', 'z', 'velocity', 'rcs', 'u', 'v', 'likelihood')
    assert points[1].tolist() == (4, 5, 6, 1, 8, 30, 40, 0.5)


def test_a_resampled_heatmap_stays_within_its_values() -> None:
    heatmap = np.random.default_rng(0).random((30, 40), np.float32)
    resampled = heatmap_at(heatmap, 'camera', 480, 640)
    assert resampled.shape == (480, 640)
    assert heatmap.min() <= resampled.min() <= resampled.max() <= heatmap.max()
    assert heatmap_at(heatmap, 'grid', 480, 640) is heatmap


def test_region_of_interest_and_binning_are_worked_in() -> None:
    info = camera_info_message(0)
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 20, 10, 100, 80
    info.binning_x = info.binning_y = 2
    scaled = scaled_camera_info(info, 25, 20, Header())
    assert scaled.binning_x == scaled.roi.width == 0
    wanted = decode_camera_info(info).scaled(25, 20)
    np.testing.assert_allclose(scaled.k, wanted.matrix.ravel())
    # A point at the full image's centre of the region lies at the centre of the heatmap.
    p = np.array(scaled.p).reshape(3, 4)
    full = np.array(info.p).reshape(3, 4)
    ray = np.array([0.1, -0.05, 1.0, 0.0])
    u, v = (full @ ray)[:2]
    expected = [((u - 20) + 0.5) / 4 - 0.5, ((v - 10) + 0.5) / 4 - 0.5]
    np.testing.assert_allclose((p @ ray)[:2], expected)


def test_an_uncalibrated_camera_cannot_be_scaled() -> None:
    info = camera_info_message(0)
    info.k = [0.0] * 9
    with pytest.raises(SensorDataError):
        scaled_camera_info(info, 40, 30, Header())
