# SPDX-License-Identifier: Apache-2.0
"""message_filters behind our interface: the account holds, and time may jump."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from ros_graph import Rig, image_message, radar_message, wait_until
from sensor_msgs.msg import Image

from radar_camera_ssl.nodes.intake import Arrival
from radar_camera_ssl.nodes.synchronizers import (
    MessageFiltersPairing,
    Synchronizer,
)

pytest.importorskip('message_filters', reason='the ROS package message_filters is not installed')

MS = 1_000_000
SECOND = 1000 * MS


@pytest.fixture
def pairing() -> MessageFiltersPairing:
    return MessageFiltersPairing(0.05, 10)


def balanced(pairing: Synchronizer) -> bool:
    c = pairing.counts
    return (
        c.radar_received == c.pairs + sum(c.radar_dropped.values()) + c.radar_pending
        and c.image_received == c.pairs + sum(c.image_dropped.values()) + c.image_pending
        and all(n >= 0 for n in (*c.radar_dropped.values(), *c.image_dropped.values()))
    )


@dataclass(frozen=True)
class Feeder:
    pairing: MessageFiltersPairing

    def radar(self, stamp: int) -> int:
        return len(self.pairing.add_radar(stamp, Arrival(radar_message(stamp), 0.0)))

    def image(self, stamp: int) -> int:
        return len(self.pairing.add_image(stamp, Arrival(image_message(stamp, 2, 2), 0.0)))


def test_pairs_come_and_the_account_holds(pairing: MessageFiltersPairing) -> None:
    feed = Feeder(pairing)
    rng = np.random.default_rng(0)
    pairs = 0
    for i in range(200):
        stamp = SECOND + i * 33 * MS + int(rng.uniform(-5, 5) * MS)
        pairs += feed.image(stamp)
        if i % 3 == 0:
            pairs += feed.radar(stamp + 4 * MS)
        assert balanced(pairing)
    assert pairs == pairing.counts.pairs > 50
    pairing.flush()
    assert balanced(pairing)
    assert pairing.counts.radar_pending == pairing.counts.image_pending == 0


def test_it_pairs_again_after_a_backward_jump(pairing: MessageFiltersPairing) -> None:
    feed = Feeder(pairing)
    for start in (100 * SECOND, 10 * SECOND):
        before = pairing.counts.pairs
        for i in range(30):
            feed.image(start + i * 100 * MS)
            feed.radar(start + i * 100 * MS + MS)
        assert pairing.counts.pairs - before >= 28
        assert balanced(pairing)
    assert pairing.counts.resets >= 1


def test_the_node_runs_with_message_filters(
    pairing: MessageFiltersPairing, make_rig: Callable[..., Rig]
) -> None:
    rig = make_rig(synchronizer='message_filters')
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    for i in range(10):
        rig.pair(SECOND + i * 100 * MS)
    wait_until(lambda: len(heatmaps) == 10, lambda: str(rig.values()))
