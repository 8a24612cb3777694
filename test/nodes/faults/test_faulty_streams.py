# SPDX-License-Identifier: Apache-2.0
"""Inputs that stop, stamps that jump, a simulated clock that does not do what clocks do."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from node_process import StartNode
from provoked import PERIOD, SECOND, Drive, Fault
from ros_graph import Rig, image_message, wait_until
from rosgraph_msgs.msg import Clock

from radar_camera_ssl.nodes.conversions import stamp_message

MakeRig = Callable[..., Rig]


@pytest.mark.parametrize('stopped', ['radar', 'image', 'both'])
def test_an_input_stops_and_returns(make_rig: MakeRig, fault: Fault, stopped: str) -> None:
    drive = Drive(make_rig(stale_after=0.3))
    drive.flows()
    others = {'radar': drive.image, 'image': drive.radar, 'both': bool}
    for name in ('radar', 'image') if stopped == 'both' else (stopped,):
        fault.is_reported(drive.rig, f'{name}_silent', meanwhile=others[stopped])
    fault.is_reported(drive.rig, 'no_pairs')
    fault.recovers(drive)


def test_stamps_jump_back_and_forth(make_rig: MakeRig, fault: Fault) -> None:
    drive = Drive(make_rig(stale_after=30.0))
    starts = [start * SECOND for start in (100, 10, 5000, 10, 1000, 999)]
    for start in starts:
        drive.stamp = start
        drive.flows()
        # Waits for an image, which from the other time cannot come.
        drive.radar()
    # Back three times: each loses what waited. Forwards, it has just no partner.
    fault.is_told(drive.rig, 'time_jumps', '3')
    fault.loses(drive.rig, 'radar_dropped.time_jump', 3)
    fault.loses(drive.rig, 'radar_dropped.no_partner', 2)
    fault.recovers(drive, calm=False)


def test_the_simulated_clock_jumps_and_stands(make_rig: MakeRig, fault: Fault) -> None:
    rig = make_rig(use_sim_time=True, stamp_tolerance=2.0, stale_after=30.0)
    clock = rig.peer.create_publisher(Clock, '/clock', 10)
    wait_until(clock.get_subscription_count, 'the node does not hear /clock')

    def set_clock(seconds: float) -> None:
        message = Clock(clock=stamp_message(int(seconds * SECOND)))

        def is_set() -> bool:
            clock.publish(message)
            return rig.node.get_clock().now().nanoseconds == int(seconds * SECOND)

        wait_until(is_set, 'the clock is not taken')

    set_clock(100.0)
    drive = Drive(rig)
    drive.flows()
    # Forwards, and the sensors are still in the past; then they follow. Backwards likewise.
    for count, seconds in ((1, 1000.0), (2, 50.0)):
        set_clock(seconds)
        drive.radar()
        fault.loses(rig, 'radar_dropped.stamp_far_from_clock', count)
        drive.stamp = int(seconds * SECOND)
        drive.flows()
    # It stands: what is further from it than the tolerance is dropped until it runs again.
    while drive.stamp < 52 * SECOND - PERIOD:
        drive.flows(1)
    drive.stamp = 52 * SECOND
    drive.pair()
    fault.loses(rig, 'radar_dropped.stamp_far_from_clock', 3)
    fault.is_reported(rig, 'radar_drops', meanwhile=drive.pair)
    set_clock(drive.stamp / SECOND)
    fault.recovers(drive, calm=False)


def test_images_too_large_for_the_way(start_node: StartNode, fault: Fault) -> None:
    node = start_node(
        image_reliability='best_effort',
        image_depth=1,
        stale_after=60.0,
        diagnostics_window=30.0,
    )
    began_s = time.monotonic()
    node.feed(image=lambda stamp: image_message(stamp, 1080, 1920))
    node.value('findings', 'image_lost')
    fault.is_said('image_lost')
    fault.took('told', time.monotonic() - began_s)
