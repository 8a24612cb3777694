# SPDX-License-Identifier: Apache-2.0
"""camera_info as the node takes it, judges it and passes it on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from model_factory import tiny_metadata, write_tiny_model
from ros_graph import (
    Rig,
    camera_info_message,
    wait_until,
)
from sensor_msgs.msg import CameraInfo, Image

from radar_camera_ssl.model_metadata import CameraInput
from radar_camera_ssl.sensors.geometry import decode_camera_info

MakeRig = Callable[..., Rig]
SECOND = 10**9


def test_camera_info_is_scaled_to_the_heatmap(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.bring_up()
    infos = rig.hear('output/camera_info', CameraInfo)
    sent = camera_info_message(SECOND)
    rig.talk('input/camera_info', CameraInfo).publish(sent)
    rig.value('camera_info.received', '1')
    rig.pair(2 * SECOND)
    wait_until(lambda: infos, 'no camera_info')
    info = infos[0]
    assert (info.width, info.height) == (40, 30)
    assert info.header.stamp.sec == 2
    intrinsics = decode_camera_info(sent)
    points = np.array([[1.0, 0.5, 8.0], [-2.0, 0.3, 12.0]])
    uv, _ = intrinsics.project(points)
    scaled_uv, _ = decode_camera_info(info).project(points)
    np.testing.assert_allclose(scaled_uv, (uv + 0.5) / 4 - 0.5, atol=1e-9)
    homogeneous = np.c_[points, np.ones(2)].T
    full, small = (np.array(m.p).reshape(3, 4) @ homogeneous for m in (sent, info))
    np.testing.assert_allclose(small[:2] / small[2], (full[:2] / full[2] + 0.5) / 4 - 0.5)


def test_a_camera_info_of_another_shape_is_told_and_not_passed_on(make_rig: MakeRig) -> None:
    rig = make_rig(stale_after=30.0)
    rig.bring_up()
    heatmaps, infos = rig.hear('output/heatmap', Image), rig.hear('output/camera_info', CameraInfo)
    rig.talk('input/camera_info', CameraInfo).publish(camera_info_message(SECOND, 90, 160))
    rig.value('camera_info.received', '1')
    rig.pair(SECOND)
    rig.status(DiagnosticStatus.WARN, 'of images of 160x90')
    assert len(heatmaps) == 1
    assert not infos
    # A resized view is the same.
    rig.talk('input/camera_info', CameraInfo).publish(camera_info_message(SECOND, 60, 80))
    rig.value('camera_info.received', '2')
    rig.pair(2 * SECOND)
    wait_until(lambda: infos, 'no camera_info')
    rig.forget()
    rig.status(DiagnosticStatus.OK)
    assert infos[0].header.stamp.sec == 2


def test_an_uncalibrated_camera_info_is_a_warning(make_rig: MakeRig) -> None:
    rig = make_rig(stale_after=30.0)
    rig.bring_up()
    sent = camera_info_message(SECOND)
    sent.k = [0.0] * 9
    rig.talk('input/camera_info', CameraInfo).publish(sent)
    rig.status(DiagnosticStatus.WARN, 'camera_info')


def test_a_model_of_intrinsics_waits_for_camera_info(make_rig: MakeRig, tmp_path: Path) -> None:
    description = tiny_metadata(camera=CameraInput(240, 320, intrinsics=True))
    model = write_tiny_model(tmp_path / 'model.onnx', description=description)
    rig = make_rig(model_path=str(model))
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    rig.pair(SECOND)
    rig.value('radar_dropped.camera_info_missing', '1')
    rig.talk('input/camera_info', CameraInfo).publish(camera_info_message(SECOND))
    rig.value('camera_info.received', '1')
    rig.pair(2 * SECOND)
    wait_until(lambda: heatmaps, 'no heatmap with camera_info')
    assert heatmaps[0].header.stamp.sec == 2


def test_the_camera_info_of_one_activation_is_none_of_the_next(
    make_rig: MakeRig, tmp_path: Path
) -> None:
    description = tiny_metadata(camera=CameraInput(240, 320, intrinsics=True))
    model = write_tiny_model(tmp_path / 'model.onnx', description=description)
    rig = make_rig(model_path=str(model), stale_after=30.0)
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    rig.talk('input/camera_info', CameraInfo).publish(camera_info_message(SECOND))
    rig.value('camera_info.received', '1')
    rig.pair(SECOND)
    wait_until(lambda: heatmaps, 'no heatmap with camera_info')
    for second in (2, 3):
        rig.close_talks()
        assert rig.lifecycle.change('deactivate')
        assert rig.lifecycle.change('activate')
        rig.pair(second * SECOND)
        rig.value('radar_dropped.camera_info_missing', str(second - 1))
        uncalibrated = camera_info_message(SECOND)
        uncalibrated.k = [0.0] * 9
        rig.talk('input/camera_info', CameraInfo).publish(uncalibrated)
        rig.status(DiagnosticStatus.WARN, 'an uncalibrated camera')
        rig.forget()
        rig.value('camera_info.received', str(second))
    rig.close_talks()
    assert rig.lifecycle.change('deactivate')
    assert rig.lifecycle.change('activate')
    rig.forget()
    rig.value('camera_info_error', '')
    assert len(heatmaps) == 1
