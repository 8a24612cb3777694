# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ros_graph import camera_info_message
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


def test_a_radar_scans_reflections_have_velocity_and_rcs() -> None:
    """radar_msgs is not on PyPI: a message of the same fields stands in."""
    returns = RadarPoints(
        np.array([[1, 2, 3], [4, 5, 6]], np.float32),
        np.array([-1, 1], np.float32),
        np.array([7, 8], np.float32),
        np.array([0, 2], np.int32),
    )
    answer = Correspondence(
        heatmap=np.zeros((3, 4), np.float32),
        likelihood=np.array([0.25, 0.5], np.float32),
        pixel=np.array([[10, 20], [30, 40]], np.float32),
        agreement=0.5,
        returns=returns,
        returns_dropped=0,
    )
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
