# SPDX-License-Identifier: Apache-2.0
"""A radar frame is decoded while its image is still to come, and told of as if it were not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from ros_graph import Rig, image_message, radar_message, wait_until
from sensor_msgs.msg import Image, PointCloud2

from radar_camera_ssl.nodes import decoding
from radar_camera_ssl.nodes.pair_queue import PairQueue
from radar_camera_ssl.nodes.radar_ahead import RadarAhead
from radar_camera_ssl.sensors.errors import SensorDataError

SECOND = 10**9


class Bench:
    """A decoder that counts its calls, and the queue of who asks."""

    def __init__(self) -> None:
        self.queue: PairQueue[str] = PairQueue(2)
        self.calls: list[Any] = []
        self.ahead = RadarAhead(self.decode, self.queue)

    def decode(self, msg: Any) -> Any:
        self.calls.append(msg)
        if msg == ['bad']:
            raise SensorDataError('points_truncated', 'cut')
        return object()


def test_a_frame_that_waits_is_decoded_once() -> None:
    bench = Bench()
    frames = [['a'], ['b'], ['c']]
    for frame in frames:
        bench.ahead.waits(frame)
    assert bench.calls == frames
    kept = [bench.ahead(frame) for frame in frames]
    assert bench.calls == frames
    assert [bench.ahead(frame) for frame in frames] == kept
    assert len(set(map(id, kept))) == 3


def test_frames_are_told_apart_by_what_they_are_not_by_what_they_hold() -> None:
    bench = Bench()
    first, second = ['a'], ['a']
    bench.ahead.waits(first)
    assert bench.ahead(second) is not bench.ahead(first)


def test_a_busy_worker_is_left_alone() -> None:
    bench = Bench()
    bench.queue.put('pair')
    bench.ahead.waits(['a'])
    bench.queue.take()
    bench.ahead.waits(['a'])
    assert bench.calls == []
    bench.queue.finish()
    bench.ahead.waits(['a'])
    assert bench.calls == [['a']]


def test_what_cannot_be_decoded_is_told_to_who_asks() -> None:
    bench = Bench()
    bad = ['bad']
    bench.ahead.waits(bad)
    with pytest.raises(SensorDataError, match='cut'):
        bench.ahead(bad)
    assert bench.calls == [bad]


def test_no_more_than_a_few_are_remembered() -> None:
    bench = Bench()
    frames = [[str(i)] for i in range(100)]
    for frame in frames:
        bench.ahead.waits(frame)
    bench.calls.clear()
    for frame in frames:
        bench.ahead(frame)
    assert 90 <= len(bench.calls) < 100


def test_the_node_decodes_a_radar_frame_before_its_image_is_there(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []
    decode = decoding.decode_points

    def noting(*inputs: Any) -> Any:
        threads.append(threading.current_thread().name)
        return decode(*inputs)

    monkeypatch.setattr(decoding, 'decode_points', noting)
    rig = make_rig()
    rig.bring_up()
    radar, image = rig.talk('input/radar', PointCloud2), rig.talk('input/image', Image)
    radar.publish(radar_message(SECOND))
    wait_until(lambda: len(threads) == 1, 'not decoded while it waits')
    image.publish(image_message(SECOND))
    # The heatmap may be out before the worker is idle.
    rig.value('published', '1')
    cut = radar_message(2 * SECOND)
    cut.data = cut.data[:-1]
    radar.publish(cut)
    wait_until(lambda: len(threads) == 2, 'not tried while it waits')
    image.publish(image_message(2 * SECOND))
    rig.value('radar_dropped.points_truncated', '1')
    assert len(threads) == 2
    assert 'pair_worker' not in threads
