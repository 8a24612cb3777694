# SPDX-License-Identifier: Apache-2.0
"""The node's outputs and accounts, over DDS."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from model_factory import CUBE, tiny_metadata, write_tiny_model
from rclpy.parameter import Parameter
from ros_graph import (
    Rig,
    cloud_message,
    image_message,
    radar_message,
    report_values,
    stamped,
    wait_until,
)
from sensor_msgs.msg import CompressedImage, Image, PointCloud2

from radar_camera_ssl.inference.model import Correspondence, CorrespondenceModel
from radar_camera_ssl.inference.overlay import draw_overlay
from radar_camera_ssl.nodes import outputs
from radar_camera_ssl.nodes.conversions import bytes_field, compressed_message
from radar_camera_ssl.sensors.camera import decode_image
from radar_camera_ssl.sensors.radar_points import decode_points, structured_view

MakeRig = Callable[..., Rig]
SECOND = 10**9
PERIOD = SECOND // 10


def random_returns(seed: int, count: int) -> list[tuple[float, ...]]:
    rng = np.random.default_rng(seed)
    low, high = [2, -10, -1, -20, -20], [80, 10, 3, 20, 30]
    return [tuple(map(float, row)) for row in rng.uniform(low, high, (count, 5))]


def expected(model: CorrespondenceModel, radar: PointCloud2, image: Image) -> Correspondence:
    names = model.metadata.radar.field_names  # type: ignore[union-attr]
    return model.infer(decode_image(image), decode_points(radar, names))


def pixels(message: Image, dtype: type = np.float32) -> np.ndarray:
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width, -1).squeeze()


def test_outputs_equal_the_librarys_bit_for_bit(make_rig: MakeRig, tiny_model: Path) -> None:
    rig = make_rig()
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    reflections = rig.hear('output/reflections', PointCloud2)
    model = CorrespondenceModel.load(tiny_model)
    sent = []
    for i, count in enumerate((3, 0, 40, 128, 200, 1)):
        stamp = SECOND + i * PERIOD
        radar = radar_message(stamp + 3_000_000, random_returns(i, count))
        image = image_message(stamp, 480, 640, seed=i)
        sent.append((radar, image))
        rig.pair(stamp, radar, image)
    wait_until(lambda: len(heatmaps) == len(reflections) == len(sent), 'not every pair came back')
    for (radar, image), heatmap, cloud in zip(sent, heatmaps, reflections, strict=True):
        wanted = expected(model, radar, image)
        assert heatmap.encoding == '32FC1'
        assert heatmap.header == image.header
        assert (heatmap.height, heatmap.width) == (30, 40)
        np.testing.assert_array_equal(pixels(heatmap), wanted.heatmap)
        assert cloud.header == radar.header
        points = structured_view(cloud)
        np.testing.assert_array_equal(points['u'], wanted.pixel[:, 0])
        np.testing.assert_array_equal(points['v'], wanted.pixel[:, 1])
        np.testing.assert_array_equal(points['likelihood'], wanted.likelihood)
        own = structured_view(radar)[wanted.returns.row]
        for name in ('x', 'y', 'z', 'velocity', 'rcs'):
            np.testing.assert_array_equal(points[name], own[name])


def test_the_inputs_own_fields_travel_with_their_types(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.bring_up()
    reflections = rig.hear('output/reflections', PointCloud2)
    dtype = np.dtype(
        {
            'names': ['RCS', 'track', 'x', 'y', 'v_r', 'covariance', 'u'],
            'formats': ['>f8', '>u2', '>f4', '>f4', '>f4', ('>f4', 3), '>f4'],
            'offsets': [0, 8, 12, 16, 20, 24, 36],
            'itemsize': 48,
        }
    )
    cloud = np.zeros(2, dtype)
    cloud['RCS'], cloud['track'], cloud['x'], cloud['y'] = [5, 7], [65535, 3], [9, 8], [1, -1]
    cloud['covariance'], cloud['u'] = [[1, 2, 3], [4, 5, 6]], [0.25, 0.5]
    message = cloud_message(cloud, SECOND)
    rig.pair(SECOND, radar=message)
    wait_until(lambda: reflections, 'no reflections')
    points = structured_view(reflections[0])
    names = ('x', 'y', 'z', 'RCS', 'track', 'v_r', 'covariance')
    assert points.dtype.names == (*names, 'input_u', 'u', 'v', 'likelihood')
    assert points['input_u'].tolist() == [0.25, 0.5]
    assert points['track'].tolist() == [65535, 3]
    assert points['RCS'].tolist() == [5.0, 7.0]
    assert points['RCS'].dtype == np.float64
    assert points['covariance'].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_every_radar_frame_is_published_or_counted(make_rig: MakeRig) -> None:
    """Sensors with jitter, losses, bad stamps and bad images: nothing leaves uncounted."""
    rig = make_rig(pair_queue_depth=1, slop=0.03, max_age=0.5)
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    rng = np.random.default_rng(3)
    events = []
    for i in range(60):
        stamp = SECOND + int(i * PERIOD + rng.uniform(-5e6, 5e6))
        events.append((stamp, rig.radar, radar_message(0 if i % 17 == 5 else stamp)))
    for i in range(180):
        stamp = SECOND + int(i * SECOND / 30 + rng.uniform(-5e6, 5e6))
        image = image_message(stamp, seed=i)
        if i % 13 == 7:
            image.encoding = 'nonsense'
        if rng.random() > 0.1:
            events.append((stamp, rig.image, image))
    for _, send, message in sorted(events, key=lambda event: event[0]):
        send(message)
        time.sleep(0.001)

    def settled() -> bool:
        values = rig.values()
        return values.get('radar_received') == '60' and values['radar_pending'] == '0'

    wait_until(settled, lambda: str(rig.values()))
    values = rig.values()
    dropped = {k: int(v) for k, v in values.items() if k.startswith('radar_dropped.')}
    assert int(values['published']) + sum(dropped.values()) == 60
    assert dropped['radar_dropped.stamp_zero'] == 4
    assert dropped['radar_dropped.image_encoding'] > 0
    assert int(values['published']) > 20
    wait_until(lambda: len(heatmaps) == int(values['published']), 'a heatmap is missing')
    stamps = [
        heatmap.header.stamp.sec + heatmap.header.stamp.nanosec * 1e-9 for heatmap in heatmaps
    ]
    assert stamps == sorted(stamps)


def test_the_account_holds_at_every_moment(make_rig: MakeRig) -> None:
    rig = make_rig(pair_queue_depth=1)
    rig.bring_up()
    for i in range(30):
        rig.pair(SECOND + i * PERIOD)
    wait_until(lambda: rig.values().get('radar_received') == '30', 'not all arrived')
    for report in rig.reports:
        values = report_values(report)
        if 'radar_received' in values:
            parts = ('published', 'radar_dropped', 'radar_pending')
            assert int(values['radar_received']) == sum(int(values[part]) for part in parts)


def test_a_pair_older_than_max_age_is_dropped_and_counted(
    make_rig: MakeRig, tmp_path: Path
) -> None:
    slow = write_tiny_model(tmp_path / 'slow.onnx', slow_steps=200)
    rig = make_rig(model_path=str(slow), max_age=0.01, stale_after=30.0)
    rig.bring_up()
    for i in range(5):
        rig.pair(SECOND + i * PERIOD)
    wait_until(lambda: int(rig.values().get('radar_dropped.too_old', '0')) > 0, 'none too old')


def test_a_busy_worker_drops_the_oldest_pairs(make_rig: MakeRig, tmp_path: Path) -> None:
    slow = write_tiny_model(tmp_path / 'slow.onnx', slow_steps=200)
    rig = make_rig(model_path=str(slow), pair_queue_depth=1, stale_after=30.0)
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    for i in range(8):
        rig.pair(SECOND + i * PERIOD)
    wait_until(lambda: int(rig.values().get('radar_dropped.worker_busy', '0')) > 0, 'none dropped')
    wait_until(
        lambda: heatmaps and heatmaps[-1].header.stamp.nanosec == 7 * PERIOD % SECOND,
        'the newest pair must be published',
    )


def test_the_overlay_is_drawn_only_while_someone_listens(
    make_rig: MakeRig, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def counted(*arguments: object) -> object:
        drawn.append(1)
        return draw_overlay(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(outputs, 'draw_overlay', counted)
    rig = make_rig()
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    rig.pair(SECOND)
    wait_until(lambda: len(heatmaps) == 1, 'no heatmap')
    rig.value('published', '1')
    assert not drawn
    overlays = rig.hear('output/overlay', Image)
    compressed = rig.hear('output/overlay/compressed', CompressedImage)
    radar, image = radar_message(2 * SECOND), image_message(2 * SECOND)
    rig.pair(2 * SECOND, radar, image)
    wait_until(lambda: overlays and compressed, 'no overlay')
    assert len(drawn) == 1
    wanted = draw_overlay(
        decode_image(image), expected(CorrespondenceModel.load(tiny_model), radar, image)
    )
    np.testing.assert_array_equal(pixels(overlays[0], np.uint8), wanted)
    assert overlays[0].header == image.header
    assert bytes(compressed[0].data) == bytes(compressed_message(wanted, image.header).data)
    assert compressed[0].header == image.header


def test_an_overlay_that_fails_takes_nothing_from_the_pair(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError('no colours left')

    monkeypatch.setattr(outputs, 'draw_overlay', broken)
    rig = make_rig()
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    rig.hear('output/overlay', Image)
    rig.pair(SECOND)
    wait_until(lambda: heatmaps, 'no heatmap')
    rig.value('last_error', 'no overlay: ValueError: no colours left')
    rig.value('published', '1')
    assert rig.values()['radar_dropped'] == '0'


def test_the_heatmap_comes_at_camera_resolution_on_request(
    make_rig: MakeRig, tiny_model: Path
) -> None:
    rig = make_rig()
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    result = rig.node.set_parameters([Parameter('heatmap_resolution', value='camera')])
    assert result[0].successful
    radar, image = radar_message(SECOND), image_message(SECOND)
    rig.pair(SECOND, radar, image)
    wait_until(lambda: heatmaps, 'no heatmap')
    wanted = expected(CorrespondenceModel.load(tiny_model), radar, image).heatmap
    resized = cv2.resize(wanted, (160, 120), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(pixels(heatmaps[0]), resized)


def test_the_image_size_may_change_between_frames(make_rig: MakeRig, tiny_model: Path) -> None:
    rig = make_rig(heatmap_resolution='camera')
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    reflections = rig.hear('output/reflections', PointCloud2)
    model = CorrespondenceModel.load(tiny_model)
    sizes = ((120, 160), (480, 640), (90, 200))
    for i, (height, width) in enumerate(sizes, start=1):
        rig.pair(i * SECOND, image=image_message(i * SECOND, height, width))
    wait_until(lambda: len(heatmaps) == len(reflections) == 3, lambda: str(rig.values()))
    for i, (height, width) in enumerate(sizes, start=1):
        assert (heatmaps[i - 1].height, heatmaps[i - 1].width) == (height, width)
        wanted = expected(model, radar_message(1), image_message(1, height, width))
        points = structured_view(reflections[i - 1])
        np.testing.assert_array_equal(points['u'], wanted.pixel[:, 0])


def test_images_of_another_shape_than_the_models_are_told(make_rig: MakeRig) -> None:
    rig = make_rig(stale_after=30.0)
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    rig.pair(SECOND, image=image_message(SECOND, 90, 160))
    rig.status(DiagnosticStatus.ERROR, 'images of 160x90 are stretched')
    rig.pair(SECOND + 1, image=image_message(SECOND + 1, 60, 80))
    wait_until(lambda: len(heatmaps) == 2, 'it does not answer')
    rig.forget()
    rig.status(DiagnosticStatus.OK)


def test_compressed_images_are_taken(make_rig: MakeRig, tiny_model: Path) -> None:
    rig = make_rig(image_transport='compressed')
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    picture = decode_image(image_message(SECOND))
    for i, suffix in enumerate(('.png', '.jpg')):
        message = CompressedImage(format=f'bgr8; {suffix[1:]} compressed bgr8')
        message.data = bytes_field(cv2.imencode(suffix, picture)[1])
        stamp = SECOND + i * PERIOD
        rig.pair(stamp, image=stamped(message, stamp, 'camera_optical'))
    wait_until(lambda: len(heatmaps) == 2, 'no heatmaps of compressed images')
    wanted = expected(CorrespondenceModel.load(tiny_model), radar_message(1), image_message(1))
    np.testing.assert_array_equal(pixels(heatmaps[0]), wanted.heatmap)


def test_a_cube_gives_the_librarys_answer(make_rig: MakeRig, tiny_cube_model: Path) -> None:
    rig = make_rig(model_path=str(tiny_cube_model), radar_format='cube')
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    reflections = rig.hear('output/reflections', PointCloud2)
    cube = np.random.default_rng(1).normal(20, 5, CUBE.shape).astype(np.float32)
    rows, columns, bins = CUBE.shape
    radar = Image(encoding=f'32FC{bins}', height=rows, width=columns, step=columns * bins * 4)
    radar.data = bytes_field(cube)
    image = image_message(SECOND)
    rig.pair(SECOND, stamped(radar, SECOND, 'radar'), image)
    wait_until(lambda: heatmaps and reflections, 'no answer to a cube')
    wanted = CorrespondenceModel.load(tiny_cube_model).infer(decode_image(image), cube)
    np.testing.assert_array_equal(pixels(heatmaps[0]), wanted.heatmap)
    points = structured_view(reflections[0])
    assert points.dtype.names == ('x', 'y', 'z', 'velocity', 'u', 'v', 'likelihood')
    np.testing.assert_array_equal(points['u'], wanted.pixel[:, 0])
    np.testing.assert_array_equal(points['velocity'], wanted.returns.velocity)


def test_axes_that_are_not_the_models_fail_to_configure(
    make_rig: MakeRig, tiny_cube_model: Path
) -> None:
    axes = [*CUBE.range_m, -0.5, 0.5, *CUBE.doppler_mps]
    rig = make_rig(model_path=str(tiny_cube_model), radar_format='cube', cube_axes=axes)
    assert not rig.lifecycle.change('configure')
    rig.status(DiagnosticStatus.ERROR, 'radar.azimuth_rad')


def test_axes_that_run_downwards_are_compared_like_any_other(
    make_rig: MakeRig, tmp_path: Path
) -> None:
    """A model of columns from left to right, whose azimuth is positive to the left."""
    cube = replace(CUBE, azimuth_rad=(0.9, -0.9))
    model = write_tiny_model(
        tmp_path / 'model.onnx', 'cube', description=tiny_metadata('cube', cube=cube)
    )
    for azimuth, fits in (((0.9, -0.9), True), ((-0.9, 0.9), False)):
        axes = [*CUBE.range_m, *azimuth, *CUBE.doppler_mps]
        rig = make_rig(model_path=str(model), radar_format='cube', cube_axes=axes)
        assert rig.lifecycle.change('configure') == fits


def test_the_last_frames_of_a_recording_find_their_partner(make_rig: MakeRig) -> None:
    """No stamp comes after them: the silence of both sensors lets them go."""
    rig = make_rig(stale_after=0.2)
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    rig.radar(radar_message(SECOND))
    rig.image(image_message(SECOND + 20_000_000))
    wait_until(lambda: heatmaps, 'the last pair stays in the pairing')


def test_the_node_pairs_again_after_time_jumped_back(make_rig: MakeRig) -> None:
    rig = make_rig(stale_after=0.2)
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    for start in (100 * SECOND, 10 * SECOND):
        for i in range(5):
            rig.pair(start + i * PERIOD)
    wait_until(lambda: len(heatmaps) == 10, lambda: f'{len(heatmaps)}: {rig.values()}')
