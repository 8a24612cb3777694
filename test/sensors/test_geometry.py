# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import sensor_messages as messages
from hypothesis import given
from hypothesis import strategies as st

from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.geometry import (
    OPTICAL_FROM_BODY,
    Intrinsics,
    RigidTransform,
    decode_camera_info,
    transform_chain,
    yaw_pitch_roll,
)

K = np.array([[500.0, 0.0, 319.5], [0.0, 510.0, 239.5], [0.0, 0.0, 1.0]])
components = st.floats(-1, 1)
quaternions = st.tuples(components, components, components, components).filter(
    lambda q: np.linalg.norm(q) > 0.1
)
offsets = st.tuples(*[st.floats(-100, 100)] * 3)
transforms = st.builds(RigidTransform.from_quaternion, quaternions, offsets)


def camera_info(**changes: Any) -> Any:
    fields = {
        'header': messages.header(),
        'height': 480,
        'width': 640,
        'distortion_model': 'plumb_bob',
        'd': np.zeros(5),
        'k': K.ravel(),
        'r': np.eye(3).ravel(),
        'p': np.zeros(12),
        'binning_x': 0,
        'binning_y': 0,
        'roi': messages.TYPES['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False),
    }
    return messages.TYPES['sensor_msgs/msg/CameraInfo'](**(fields | changes))


def test_forward_of_the_body_is_the_middle_of_the_image() -> None:
    np.testing.assert_array_equal(OPTICAL_FROM_BODY @ [1, 0, 0], [0, 0, 1])
    np.testing.assert_array_equal(OPTICAL_FROM_BODY @ [0, 1, 0], [-1, 0, 0])
    np.testing.assert_array_equal(OPTICAL_FROM_BODY @ [0, 0, 1], [0, -1, 0])
    assert np.linalg.det(OPTICAL_FROM_BODY) == pytest.approx(1)


def test_projection_is_the_pinhole() -> None:
    intrinsics = Intrinsics(640, 480, K)
    uv, in_front = intrinsics.project(np.array([[1.0, 2.0, 10.0], [0, 0, -1], [0, 0, 0]]))
    np.testing.assert_allclose(uv[0], [500 * 0.1 + 319.5, 510 * 0.2 + 239.5])
    assert in_front.tolist() == [True, False, False]
    assert np.isnan(uv[1:]).all()


def test_projecting_nothing_gives_nothing() -> None:
    uv, in_front = Intrinsics(640, 480, K).project(np.zeros((0, 3)))
    assert uv.shape == (0, 2)
    assert in_front.shape == (0,)


def test_points_that_are_not_finite_are_not_in_front() -> None:
    _, in_front = Intrinsics(640, 480, K).project(np.array([[np.nan, 0, 1], [0, 0, np.inf]]))
    assert not in_front.any()


@pytest.mark.parametrize(
    ('model', 'distortion'),
    [
        ('plumb_bob', [-0.3, 0.1, 0.001, -0.002, 0.0]),
        ('rational_polynomial', [0.1, -0.2, 0.0, 0.0, 0.01, 0.3, -0.1, 0.02]),
        ('equidistant', [0.02, -0.01, 0.003, -0.001]),
    ],
)
def test_distortion_is_opencvs(model: str, distortion: list[float]) -> None:
    intrinsics = decode_camera_info(camera_info(distortion_model=model, d=np.array(distortion)))
    points = np.array([[0.4, -0.2, 2.0], [-1.0, 0.3, 4.0]])
    project = cv2.fisheye.projectPoints if model == 'equidistant' else cv2.projectPoints
    zero = np.zeros(3)
    expected, _ = project(points[:, None], zero, zero, K, np.array(distortion))
    uv, in_front = intrinsics.project(points)
    assert in_front.all()
    np.testing.assert_allclose(uv, expected[:, 0])


def test_points_beyond_the_field_of_the_lens_model_do_not_fold_back() -> None:
    """With k1 = -0.3 the radius r (1 - 0.3 r^2) turns at r = 1.05: 60 degrees comes back to 0."""
    intrinsics = Intrinsics(640, 480, K, np.array([-0.3, 0, 0, 0, 0.0]), 'plumb_bob')
    uv, in_front = intrinsics.project(np.array([[1.0, 0, 1.0], [1.7, 0, 1.0]]))
    assert in_front.tolist() == [True, False]
    assert np.isnan(uv[1]).all()


@given(st.integers(1, 2000), st.integers(1, 2000), st.floats(-2, 2), st.floats(-2, 2))
def test_scaled_intrinsics_follow_the_resized_image(
    width: int, height: int, x: float, y: float
) -> None:
    intrinsics = Intrinsics(640, 480, K)
    point = np.array([[x, y, 3.0]])
    full, _ = intrinsics.project(point)
    scaled = intrinsics.scaled(width, height)
    small, _ = scaled.project(point)
    expected = (full + 0.5) * [width / 640, height / 480] - 0.5
    np.testing.assert_allclose(small, expected, atol=1e-6)
    assert (scaled.width, scaled.height) == (width, height)


def test_camera_info_of_ros_1_and_rclpy() -> None:
    info = camera_info()
    old = SimpleNamespace(
        width=640, height=480, K=K.ravel().tolist(), D=[], P=[0.0] * 12,
        distortion_model='plumb_bob',
    )  # fmt: skip
    np.testing.assert_array_equal(decode_camera_info(old).matrix, decode_camera_info(info).matrix)
    sensor_msgs = pytest.importorskip('sensor_msgs.msg', reason='sensor_msgs is not installed')
    new = sensor_msgs.CameraInfo(width=640, height=480, k=K.ravel().tolist(), d=[0.0] * 5)
    np.testing.assert_array_equal(decode_camera_info(new).matrix, K)


def test_region_of_interest_and_binning_are_applied() -> None:
    region = messages.TYPES['sensor_msgs/msg/RegionOfInterest'](100, 200, 200, 300, False)
    intrinsics = decode_camera_info(camera_info(roi=region, binning_x=2, binning_y=2))
    assert (intrinsics.width, intrinsics.height) == (150, 100)
    full, _ = decode_camera_info(camera_info()).project(np.array([[0.1, 0.1, 1.0]]))
    part, _ = intrinsics.project(np.array([[0.1, 0.1, 1.0]]))
    np.testing.assert_allclose(part, (full - [100, 200] + 0.5) / 2 - 0.5)


@pytest.mark.parametrize(
    'changes',
    [
        {'k': np.zeros(9)},
        {'k': np.full(9, np.nan)},
        {'k': np.array([500.0, 500, 320, 500, 500, 240, 0, 0, 1])},
        {'k': K.T.ravel()},
        {'p': np.array([500.0, 0, 320, np.nan, 0, 500, 240, 0, 0, 0, 1, 0])},
        {'width': 0},
        {'d': np.array([np.inf, 0, 0, 0, 0])},
        {'d': np.array([0.1, 0.2, 0.3])},
        {'d': np.array([0.1]), 'distortion_model': 'equidistant'},
        {'binning_x': 641},
    ],
)
def test_an_unusable_camera_info_has_a_reason(changes: dict[str, Any]) -> None:
    with pytest.raises(SensorDataError) as caught:
        decode_camera_info(camera_info(**changes))
    assert caught.value.reason == 'camera_info_invalid'


@given(transforms, transforms, offsets)
def test_composing_is_applying_one_after_the_other(
    a: RigidTransform, b: RigidTransform, point: tuple[float, float, float]
) -> None:
    np.testing.assert_allclose(a.compose(b).apply(point), a.apply(b.apply(point)), atol=1e-9)
    np.testing.assert_allclose(a.inverse().apply(a.apply(point)), point, atol=1e-9)


@given(quaternions)
def test_quaternions_survive_the_rotation_matrix(q: tuple[float, ...]) -> None:
    unit = np.array(q) / np.linalg.norm(q)
    found = RigidTransform.from_quaternion(q, (0, 0, 0)).quaternion
    assert abs(found @ unit) == pytest.approx(1, abs=1e-9)
    assert found[3] >= 0


def test_a_quarter_turn_to_the_left() -> None:
    turn = RigidTransform.from_quaternion((0, 0, np.sqrt(0.5), np.sqrt(0.5)), (1, 2, 3))
    np.testing.assert_allclose(turn.apply([[1, 0, 0], [0, 0, 1]]), [[1, 3, 3], [1, 2, 4]])
    np.testing.assert_allclose(yaw_pitch_roll((np.pi / 2, 0, 0)), turn.rotation, atol=1e-12)


@given(st.tuples(*[st.floats(-1.4, 1.4)] * 3))
def test_yaw_pitch_roll_are_turns_about_z_y_and_x_in_this_order(
    angles: tuple[float, float, float],
) -> None:
    yaw, pitch, roll = (cv2.Rodrigues(np.array(axis) * angle)[0] for axis, angle in zip(
        ([0.0, 0, 1], [0.0, 1, 0], [1.0, 0, 0]), angles, strict=True))  # fmt: skip
    np.testing.assert_allclose(yaw_pitch_roll(angles), yaw @ pitch @ roll, atol=1e-12)


@pytest.mark.parametrize('q', [(0, 0, 0, 0), (np.nan, 0, 0, 1)])
def test_an_invalid_quaternion_has_a_reason(q: tuple[float, ...]) -> None:
    with pytest.raises(SensorDataError) as caught:
        RigidTransform.from_quaternion(q, (0, 0, 0))
    assert caught.value.reason == 'transform_invalid'


@given(st.lists(transforms, min_size=3, max_size=3), offsets)
def test_the_chain_walks_up_and_down_the_tree(
    tree: list[RigidTransform], point: tuple[float, float, float]
) -> None:
    base_camera, base_mast, mast_radar = tree
    static = {
        ('base', 'camera'): base_camera,
        ('base', '/mast'): base_mast,
        ('mast', 'radar'): mast_radar,
    }
    chain = transform_chain(static, 'camera', 'radar')
    assert chain is not None
    expected = base_camera.inverse().apply(base_mast.apply(mast_radar.apply(point)))
    np.testing.assert_allclose(chain.apply(point), expected, atol=1e-9)


def test_unconnected_frames_have_no_chain() -> None:
    static = {('base', 'camera'): RigidTransform(), ('other', 'radar'): RigidTransform()}
    assert transform_chain(static, 'camera', 'radar') is None
    assert transform_chain({}, 'camera', 'radar') is None
    same = transform_chain({}, 'camera', 'camera')
    assert same is not None
    np.testing.assert_array_equal(same.apply([1, 2, 3]), [1, 2, 3])


def test_a_loop_of_frames_ends() -> None:
    one = RigidTransform()
    static = {('a', 'b'): one, ('b', 'c'): one, ('c', 'a'): one}
    assert transform_chain(static, 'a', 'missing') is None
    assert transform_chain(static, 'a', 'c') is not None
