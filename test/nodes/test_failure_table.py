# SPDX-License-Identifier: Apache-2.0
"""Every row of the README's table of what goes wrong, provoked on a real node over DDS."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import TransitionEvent
from model_factory import write_tiny_model
from rcl_interfaces.msg import Log
from rclpy.parameter import Parameter
from ros_graph import (
    BEST_EFFORT,
    Rig,
    image_message,
    radar_message,
    wait_until,
)
from sensor_msgs.msg import Image, PointCloud2

from radar_camera_ssl.nodes.qos import latched

MakeRig = Callable[..., Rig]
SECOND = 10**9
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


def as_array(heatmap: Image) -> np.ndarray:
    return np.frombuffer(heatmap.data, np.float32).reshape(heatmap.height, heatmap.width)


def truncated(message: Image) -> Image:
    message.data = array('B', bytes(message.data)[:-1])
    return message


def relabelled(message: Image) -> Image:
    message.encoding = 'rgb3_of_nowhere'
    return message


def without_pixels(message: Image) -> Image:
    message.height = message.width = message.step = 0
    message.data = array('B')
    return message


@pytest.mark.parametrize(
    ('spoil', 'reason'),
    [
        (truncated, 'image_truncated'),
        (relabelled, 'image_encoding'),
        (without_pixels, 'image_empty'),
    ],
)
def test_a_bad_image_drops_its_pair_and_names_the_reason(
    make_rig: MakeRig, spoil: Callable[[Image], Image], reason: str
) -> None:
    rig = make_rig(stale_after=10.0)
    log: list[Any] = []
    rig.peer.create_subscription(Log, '/rosout', log.append, latched(100))
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    rig.pair(SECOND, image=spoil(image_message(SECOND)))
    rig.value(f'radar_dropped.{reason}', '1')
    rig.status(WARN, reason)
    wait_until(
        lambda: [entry for entry in log if reason in entry.msg and entry.level == 30],
        f'no warning about {reason} on /rosout',
    )
    rig.pair(2 * SECOND)
    wait_until(lambda: heatmaps, 'the node did not go on')
    assert heatmaps[0].header.stamp.sec == 2


def test_returns_that_are_not_finite_are_removed_and_counted(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.bring_up()
    reflections = rig.hear('output/reflections', PointCloud2)
    good = (10.0, 1.0, 0.5, -2.0, 8.0)
    returns = [(np.nan, 1.0, 0.0, 0.0, 1.0), good, (9.0, 1.0, 0.0, np.inf, 1.0)]
    rig.pair(SECOND, radar=radar_message(SECOND, returns))
    wait_until(lambda: reflections, 'no reflections')
    assert reflections[0].width == 1
    rig.value('returns_not_finite', '2')


def test_an_empty_radar_frame_gives_a_dark_heatmap(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    reflections = rig.hear('output/reflections', PointCloud2)
    rig.pair(SECOND, radar=radar_message(SECOND, []))
    wait_until(lambda: heatmaps and reflections, 'no answer to an empty frame')
    assert as_array(heatmaps[0]).max() < 0.05
    assert reflections[0].width == 0
    assert [field.name for field in reflections[0].fields][-3:] == ['u', 'v', 'likelihood']


def test_beyond_the_models_maximum_the_strongest_returns_are_kept(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.bring_up()
    reflections = rig.hear('output/reflections', PointCloud2)
    returns = [(10.0 + i * 0.1, 0.0, 0.0, 0.0, float(i)) for i in range(150)]
    rig.pair(SECOND, radar=radar_message(SECOND, returns))
    wait_until(lambda: reflections, 'no reflections')
    points = np.frombuffer(reflections[0].data, np.float32).reshape(reflections[0].width, -1)
    assert points[:, 4].tolist() == [float(i) for i in range(22, 150)]
    rig.value('returns_dropped', '22')


def test_a_stamp_of_zero_is_dropped_and_counted(make_rig: MakeRig) -> None:
    rig = make_rig(stale_after=30.0)
    rig.bring_up()
    rig.radar(radar_message(0))
    rig.image(image_message(0))
    rig.value('radar_dropped.stamp_zero', '1')
    rig.value('image_dropped.stamp_zero', '1')
    rig.status(WARN, 'stamp_zero')


def test_a_stamp_far_from_the_clock_is_dropped_and_counted(make_rig: MakeRig) -> None:
    rig = make_rig(stamp_tolerance=10.0)
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    now = rig.node.get_clock().now().nanoseconds
    rig.radar(radar_message(now - 3600 * SECOND))
    rig.image(image_message(now + 3600 * SECOND))
    rig.value('radar_dropped.stamp_far_from_clock', '1')
    rig.value('image_dropped.stamp_far_from_clock', '1')
    rig.pair(now)
    wait_until(lambda: heatmaps, 'a stamp near the clock must pass')
    wait_until(lambda: 'latency_ms.since_stamp.median' in rig.values(), lambda: str(rig.values()))
    assert 0.0 < float(rig.values()['latency_ms.since_stamp.median']) < 1e4


def test_a_radar_that_comes_late_is_told_by_its_delay_and_by_the_age_of_the_pair(
    make_rig: MakeRig,
) -> None:
    rig = make_rig(stamp_tolerance=10.0, slop=1.0, stale_after=0.1, diagnostics_window=30.0)
    rig.bring_up()
    now = rig.node.get_clock().now().nanoseconds
    rig.pair(now, radar=radar_message(now - SECOND // 2))
    wait_until(lambda: 'latency_ms.since_stamp.median' in rig.values(), lambda: str(rig.values()))
    assert 500 <= float(rig.values()['latency_ms.since_stamp.median']) < 1e4
    assert 500 <= float(rig.values()['radar.delay_ms']) < 1e4


def test_a_missing_radar_field_is_an_error_until_it_is_there(make_rig: MakeRig) -> None:
    rig = make_rig(stale_after=30.0)
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    names = ('x', 'y', 'z', 'velocity', 'colour')
    rig.pair(SECOND, radar=radar_message(SECOND, [(9.0, 0.0, 0.0, 0.0, 1.0)], names))
    message = rig.status(ERROR, 'rcs').message
    assert 'colour' in message
    rig.value('radar_dropped.points_field_missing', '1')
    rig.forget()
    rig.pair(2 * SECOND)
    wait_until(lambda: heatmaps, 'the node did not go on')
    rig.status(OK)
    assert rig.values()['radar_field_error'] == ''


def test_a_field_alias_from_the_parameters_mends_it(make_rig: MakeRig) -> None:
    rig = make_rig(radar_fields=['rcs=colour'])
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    names = ('x', 'y', 'z', 'velocity', 'colour')
    rig.pair(SECOND, radar=radar_message(SECOND, [(9.0, 0.0, 0.0, 0.0, 1.0)], names))
    wait_until(lambda: heatmaps, 'no heatmap with the alias')


def missing_model(folder: Path) -> Path:
    return folder / 'nowhere.onnx'


def corrupt_model(folder: Path) -> Path:
    path = folder / 'corrupt.onnx'
    path.write_bytes(b'this is no model')
    return path


def undescribed_model(folder: Path) -> Path:
    return write_tiny_model(folder / 'undescribed.onnx', written_metadata=None)


def cube_model(folder: Path) -> Path:
    return write_tiny_model(folder / 'cube.onnx', 'cube')


@pytest.mark.parametrize(
    ('make_model', 'reason'),
    [
        (missing_model, 'no model file'),
        (corrupt_model, 'corrupt.onnx'),
        (undescribed_model, 'metadata'),
        (cube_model, 'radar.kind'),
    ],
)
def test_an_unusable_model_fails_to_configure_with_the_reason(
    make_rig: MakeRig,
    make_model: Callable[[Path], Path],
    reason: str,
    tmp_path: Path,
    tiny_model: Path,
) -> None:
    rig = make_rig(model_path=str(make_model(tmp_path)), stale_after=30.0)
    assert not rig.lifecycle.change('configure')
    assert rig.lifecycle.state() == 'unconfigured'
    assert 'configure failed' in rig.status(ERROR, reason).message
    rig.forget()
    rig.node.set_parameters([Parameter('model_path', value=str(tiny_model))])
    rig.bring_up()
    rig.status(OK, 'active')


def test_a_failing_inference_is_counted_and_the_node_goes_on(
    make_rig: MakeRig, tmp_path: Path
) -> None:
    model = write_tiny_model(tmp_path / 'throws.onnx', throw_above=50.0)
    rig = make_rig(model_path=str(model), stale_after=30.0)
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    loud = [(10.0, 1.0, 0.5, 0.0, 60.0)]
    rig.pair(SECOND, radar=radar_message(SECOND, loud))
    rig.status(WARN, '1 failed in a row')
    rig.value('radar_dropped.inference_failed', '1')
    assert 'inference failed' in rig.values()['last_error']
    rig.pair(2 * SECOND)
    wait_until(lambda: heatmaps, 'the node did not go on')
    rig.value('consecutive_failures', '0')
    assert rig.lifecycle.state() == 'active'


def test_too_many_failures_in_a_row_lead_to_error_processing(
    make_rig: MakeRig, tmp_path: Path, tiny_model: Path
) -> None:
    model = write_tiny_model(tmp_path / 'throws.onnx', throw_above=50.0)
    rig = make_rig(model_path=str(model), max_consecutive_failures=3, stale_after=30.0)
    transitions = record_transitions(rig)
    loud = [(10.0, 1.0, 0.5, 0.0, 60.0)]
    for time in (1, 2):
        rig.bring_up()
        rig.forget()
        for i in range(1, 4):
            rig.pair(i * SECOND, radar=radar_message(i * SECOND, loud))
        rig.status(ERROR, '3 pairs failed in a row')
        wait_until(lambda: rig.lifecycle.state() == 'unconfigured', 'not unconfigured')
        wait_until(
            lambda time=time: transitions.count('errorprocessing') == time,
            lambda: f'only {transitions}',
        )
        rig.close_talks()
    rig.node.set_parameters([Parameter('model_path', value=str(tiny_model))])
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    rig.pair(9 * SECOND)
    wait_until(lambda: heatmaps, 'no heatmap after a new start')
    assert rig.lifecycle.change('deactivate')
    assert rig.lifecycle.state() == 'inactive'


@pytest.mark.parametrize(('alive', 'silent'), [('image', 'radar'), ('radar', 'image')])
def test_a_silent_input_is_an_error_that_names_it(
    make_rig: MakeRig, alive: str, silent: str
) -> None:
    rig = make_rig(stale_after=0.3)
    rig.bring_up()
    send = {
        'image': lambda stamp: rig.image(image_message(stamp)),
        'radar': lambda stamp: rig.radar(radar_message(stamp)),
    }[alive]
    stamp = SECOND

    def named() -> bool:
        nonlocal stamp
        stamp += SECOND // 100
        send(stamp)
        last = rig.diagnostics[-1] if rig.diagnostics else None
        return (
            last is not None
            and last.level == ERROR
            and f'{silent} silent' in last.message
            and f'{alive} silent' not in last.message
        )

    wait_until(named, lambda: f'no ERROR about {silent}: {rig.diagnostics[-1].message}')
    assert rig.values()['published'] == '0'


def test_inputs_that_never_meet_are_an_error_that_says_so(make_rig: MakeRig) -> None:
    rig = make_rig(stale_after=0.3)
    rig.bring_up()
    stamp = SECOND

    def said() -> bool:
        nonlocal stamp
        stamp += SECOND // 20
        rig.radar(radar_message(stamp))
        rig.image(image_message(stamp + 100 * SECOND))
        return bool(rig.diagnostics) and 'both inputs arrive' in rig.diagnostics[-1].message

    wait_until(said, lambda: rig.diagnostics[-1].message)


def test_a_qos_mismatch_is_a_warning_with_topic_and_policy(make_rig: MakeRig) -> None:
    rig = make_rig(image_reliability='reliable', stale_after=30.0)
    rig.bring_up()
    rig.peer.create_publisher(Image, rig.topic('input/image'), BEST_EFFORT)
    message = rig.status(WARN, 'QoS').message
    assert rig.topic('input/image') in message
    assert 'reliability' in message


def record_transitions(rig: Rig) -> list[str]:
    labels: list[str] = []
    rig.peer.create_subscription(
        TransitionEvent,
        f'{rig.name}/transition_event',
        lambda event: labels.append(event.goal_state.label),
        10,
    )
    return labels
