# SPDX-License-Identifier: Apache-2.0
"""A bag played again and again, under its own clock: each jump back is got over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bags import drive_rows, write_bag
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from ros_graph import Rig, Spinner, report_values, wait_until

from radar_camera_ssl.nodes.bag_player_node import BagPlayerNode

BAG_S, LOOPS = 2.0, 3
TOPICS = {
    '/camera/image_raw': 'input/image',
    '/radar/points': 'input/radar',
    '/camera/camera_info': 'input/camera_info',
}


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    # The jump back is longer than the tolerance: a stamp and a clock of two loops do not go
    # together.
    return make_rig(use_sim_time=True, stamp_tolerance=1.0, stale_after=10.0)


@pytest.fixture
def player(rig: Rig, tmp_path: Path) -> Iterator[BagPlayerNode]:
    rig.bring_up()
    values = {
        'bag': str(write_bag(tmp_path / 'bag', drive_rows(BAG_S))),
        'loop': True,
        'rate': 2.0,
        'wait_for_subscribers': list(TOPICS)[:2],
    }
    rules = [f'{topic}:={rig.topic(private)}' for topic, private in TOPICS.items()]
    node = BagPlayerNode(
        namespace=rig.namespace,
        parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
        cli_args=['--ros-args', *(part for rule in rules for part in ('-r', rule))],
    )
    spinner = Spinner(node)
    yield node
    spinner.close()


def test_pairs_come_in_every_loop_and_nothing_stays_wrong(rig: Rig, player: BagPlayerNode) -> None:
    a_loop = round(BAG_S * 10)
    wait_until(
        lambda: int(rig.values().get('published', 0)) > LOOPS * a_loop,
        lambda: f'{rig.diagnostics[-1].message}: {rig.values()}',
    )
    values = rig.values()
    assert int(values['time_jumps']) >= LOOPS
    # At each jump some wait for a partner, and some come before the clock has jumped too.
    dropped = int(values['radar_dropped'])
    assert dropped < 0.5 * int(values['radar_received']), values
    first = next(
        i for i, r in enumerate(rig.reports) if int(report_values(r).get('published', 0)) > 0
    )
    told = [status for status in rig.diagnostics[first:] if status.level == DiagnosticStatus.ERROR]
    assert told == []
    rig.forget()
    rig.status(DiagnosticStatus.OK, 'active')
