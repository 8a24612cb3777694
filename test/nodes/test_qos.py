# SPDX-License-Identifier: Apache-2.0
"""Quality of service: as the parameters say, and told by topic, policy and node where it fails."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.context import Context
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_graph import BEST_EFFORT, RELIABLE, Rig, camera_info_message, wait_until
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from radar_camera_ssl.nodes.qos import latched
from radar_camera_ssl.nodes.qos_mismatches import QosMismatches

MakeRig = Callable[..., Rig]
SECOND = 10**9
WARN, ERROR = DiagnosticStatus.WARN, DiagnosticStatus.ERROR


def profiles(rig: Rig, kind: str) -> dict[str, QoSProfile]:
    """The QoS of the node's own inputs or outputs by topic."""
    ends = rig.node.subscriptions if kind == 'input' else rig.node.publishers
    prefix = rig.topic(f'{kind}/')
    return {
        end.topic_name.removeprefix(prefix): end.qos_profile
        for end in ends
        if end.topic_name.startswith(prefix)
    }


def test_the_profiles_are_those_of_the_parameters(make_rig: MakeRig) -> None:
    rig = make_rig(
        image_reliability='best_effort',
        image_depth=3,
        radar_reliability='reliable',
        radar_depth=4,
        camera_info_qos='latched',
        output_reliability='best_effort',
        output_depth=7,
    )
    rig.bring_up()
    inputs, outputs = profiles(rig, 'input'), profiles(rig, 'output')
    wanted = {
        'image': (ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE, 3),
        'radar': (ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, 4),
        'camera_info': (ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL, 1),
    }
    assert {
        name: (qos.reliability, qos.durability, qos.depth) for name, qos in inputs.items()
    } == wanted
    assert len(outputs) == 5
    for qos in outputs.values():
        assert qos.reliability == ReliabilityPolicy.BEST_EFFORT
        assert (qos.durability, qos.depth) == (DurabilityPolicy.VOLATILE, 7)


def subscriber(rig: Rig, topic: str, message_type: Any, qos: QoSProfile) -> Callable[[], None]:
    end = rig.peer.create_subscription(message_type, rig.topic(topic), lambda _: None, qos)
    return lambda: rig.peer.destroy_subscription(end)


def publisher(rig: Rig, topic: str, message_type: Any, qos: QoSProfile) -> Callable[[], None]:
    end = rig.peer.create_publisher(message_type, rig.topic(topic), qos)
    return lambda: rig.peer.destroy_publisher(end)


@pytest.mark.parametrize(
    ('parameters', 'other_side', 'topic', 'message_type', 'policy'),
    [
        ({'image_reliability': 'reliable'}, publisher, 'input/image', Image, 'reliability'),
        ({'radar_reliability': 'reliable'}, publisher, 'input/radar', PointCloud2, 'reliability'),
        ({'camera_info_qos': 'latched'}, publisher, 'input/camera_info', CameraInfo, 'durability'),
        ({}, subscriber, 'output/heatmap', Image, 'durability'),
        (
            {'output_reliability': 'best_effort'},
            subscriber,
            'output/heatmap',
            Image,
            'reliability',
        ),
    ],
)
def test_a_mismatch_is_told_by_topic_policy_and_node_until_it_is_gone(
    make_rig: MakeRig,
    parameters: dict[str, str],
    other_side: Callable[..., Callable[[], None]],
    topic: str,
    message_type: Any,
    policy: str,
) -> None:
    rig = make_rig(stale_after=60.0, **parameters)
    rig.bring_up()
    is_input = topic.startswith('input/')
    if policy == 'durability':
        qos = RELIABLE if is_input else latched()
    else:
        qos = BEST_EFFORT if is_input else RELIABLE
    end = other_side(rig, topic, message_type, qos)
    rig.status(WARN, f'{rig.namespace}/peer', part='inputs')
    message = rig.reports[-1]['inputs'].message
    for part in (rig.topic(topic), policy, '[qos_mismatch for'):
        assert part in message
    assert rig.values()['qos_mismatch'] == f'{rig.topic(topic)}: {policy} ({rig.namespace}/peer)'
    end()
    wait_until(lambda: rig.values()['qos_mismatch'] == '', lambda: str(rig.diagnostics[-1]))


def test_subscribers_that_match_are_not_told(make_rig: MakeRig) -> None:
    rig = make_rig(stale_after=60.0)
    rig.bring_up()
    for qos in (BEST_EFFORT, RELIABLE):
        rig.peer.create_subscription(Image, rig.topic('output/heatmap'), lambda _: None, qos)
    rig.peer.create_publisher(Image, rig.topic('input/image'), RELIABLE)
    subscribers = partial(rig.node.count_subscribers, rig.topic('output/heatmap'))
    wait_until(lambda: subscribers() >= 2, lambda: str(subscribers()))
    told = len(rig.reports)
    wait_until(lambda: len(rig.reports) >= told + 3, lambda: str(len(rig.reports)))
    assert rig.values()['qos_mismatch'] == ''


def test_a_deadline_that_the_node_does_not_offer_is_told(make_rig: MakeRig) -> None:
    rig = make_rig(stale_after=60.0)
    rig.bring_up()
    hurried = QoSProfile(depth=1, deadline=Duration(seconds=1))
    rig.peer.create_subscription(Image, rig.topic('output/heatmap'), lambda _: None, hurried)
    topic = rig.topic('output/heatmap')
    rig.value('qos_mismatch', f'{topic}: deadline ({rig.namespace}/peer)')


def test_a_mismatch_is_logged_once_until_the_topic_is_watched_anew(make_rig: MakeRig) -> None:
    rig = make_rig()
    logged: list[str] = []
    mismatches = QosMismatches(rig.node, logged.append)
    topic = rig.topic('elsewhere')
    rig.peer.create_publisher(Image, topic, BEST_EFFORT)
    for times in (1, 2):
        mismatches.watch(topic, Image, RELIABLE, is_input=True)
        wait_until(mismatches.current, lambda: f'{topic} matches')
        for _ in range(3):
            assert [one.policy for one in mismatches.current()] == ['reliability']
            mismatches.tell()
        assert len(logged) == times
        mismatches.forget(topic)
        mismatches.tell()
        assert mismatches.current() == ()
    assert f'{rig.namespace}/peer publishes {topic}' in logged[0]


def test_an_endpoint_of_another_type_is_no_mismatch_of_policies(make_rig: MakeRig) -> None:
    rig = make_rig()
    mismatches = QosMismatches(rig.node, print)
    topic = rig.topic('elsewhere')
    rig.peer.create_publisher(Image, topic, BEST_EFFORT)
    wait_until(lambda: rig.node.count_publishers(topic) == 1, lambda: f'{topic} has no publisher')
    mismatches.watch(topic, CompressedImage, RELIABLE, is_input=True)
    assert mismatches.current() == ()


def test_a_latched_camera_info_of_before_is_heard(make_rig: MakeRig) -> None:
    rig = make_rig(camera_info_qos='latched')
    end = rig.peer.create_publisher(CameraInfo, rig.topic('input/camera_info'), latched())
    end.publish(camera_info_message(SECOND))
    rig.bring_up()
    rig.value('camera_info.received', '1')


def test_a_publisher_of_another_type_is_named(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.bring_up()
    # A participant of its own: within one a topic has one type.
    context = Context()
    rclpy.init(context=context)
    try:
        driver = Node('driver', context=context, start_parameter_services=False)
        driver.create_publisher(CompressedImage, rig.topic('input/image'), RELIABLE)
        wanted = '/driver publishes sensor_msgs/msg/CompressedImage, not sensor_msgs/msg/Image'
        rig.status(ERROR, wanted)
    finally:
        driver.destroy_node()
        rclpy.try_shutdown(context=context)
