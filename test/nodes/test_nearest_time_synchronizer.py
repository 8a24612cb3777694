# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
from typing import Any

import pytest

filters = pytest.importorskip(
    'message_filters', reason='the ROS package message_filters is not installed'
)

from sensor_msgs.msg import Image, PointCloud2  # noqa: E402

from radar_camera_ssl.nodes.nearest_time_synchronizer import (  # noqa: E402
    NearestTimeSynchronizer,
)

MS = 1_000_000
SLOP_S = 0.05


def message(kind: type, stamp_ms: int) -> Any:
    msg = kind()
    msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(stamp_ms * MS, 10**9)
    return msg


def stamp_ms(msg: Any) -> int:
    return (msg.header.stamp.sec * 10**9 + msg.header.stamp.nanosec) // MS


class Graph:
    """Two inputs, a synchronizer between them and the list of what it calls back with."""

    def __init__(self, synchronizer: Any) -> None:
        self.radar, self.image = filters.SimpleFilter(), filters.SimpleFilter()
        self.filter = synchronizer([self.radar, self.image], 50, SLOP_S)
        self.pairs: list[tuple[int, int]] = []
        self.filter.registerCallback(lambda r, i: self.pairs.append((stamp_ms(r), stamp_ms(i))))

    def feed(self, events: list[tuple[str, int]]) -> list[tuple[int, int]]:
        for kind, stamp in events:
            if kind == 'r':
                self.radar.signalMessage(message(PointCloud2, stamp))
            else:
                self.image.signalMessage(message(Image, stamp))
        return self.pairs


def late_images() -> list[tuple[str, int]]:
    rng = random.Random(0)
    radar = [(1000 + 77 * k + rng.randint(-5, 5), 'r') for k in range(130)]
    image = [(1000 + 33 * k + rng.randint(-5, 5), 'i') for k in range(300)]
    arrived = sorted((stamp + (30 if kind == 'i' else 0), kind, stamp)
                     for stamp, kind in radar + image)  # fmt: skip
    return [(kind, stamp) for _, kind, stamp in arrived]


def test_is_a_filter_like_any_other() -> None:
    graph = Graph(NearestTimeSynchronizer)
    assert isinstance(graph.filter, filters.SimpleFilter)
    cache = filters.Cache(graph.radar, 10)
    graph.feed([('r', 1000), ('i', 1001), ('i', 1034), ('r', 1100)])
    assert graph.pairs == [(1000, 1001)]
    assert len(cache.cache_msgs) == 2


def test_at_least_as_good_as_the_ros_synchronizer() -> None:
    ours = Graph(NearestTimeSynchronizer).feed(late_images())
    theirs = Graph(filters.ApproximateTimeSynchronizer).feed(late_images())
    gaps = [sum(abs(r - i) for r, i in pairs) / len(pairs) for pairs in (ours, theirs)]
    assert len(ours) >= len(theirs) - 2
    assert gaps[0] < 0.5 * gaps[1]


def test_pairs_after_a_backward_jump() -> None:
    graph = Graph(NearestTimeSynchronizer)
    once = len(graph.feed(late_images()))
    assert len(graph.feed(late_images())) >= 2 * once - 2
    assert graph.filter.counts.resets == 1


def test_an_exception_of_a_callback_does_not_hang_the_next_message() -> None:
    graph = Graph(NearestTimeSynchronizer)
    events = late_images()
    calls = []

    def fail(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError('from the callback')

    graph.filter.registerCallback(fail)
    with pytest.raises(RuntimeError, match='from the callback'):
        graph.feed(events)
    graph.feed([(kind, stamp + 60_000) for kind, stamp in events])
    assert len(calls) > 100


def test_pairs_two_filters_only() -> None:
    with pytest.raises(ValueError, match='two filters'):
        NearestTimeSynchronizer([filters.SimpleFilter()] * 3, 10, SLOP_S)
