# SPDX-License-Identifier: Apache-2.0
"""What waits for a busy worker is decoded by another thread, once, and is nobody else's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ros_graph import Rig, image_message, wait_until
from sensor_msgs.msg import Image

from radar_camera_ssl.nodes.decode_ahead import DecodeAhead
from radar_camera_ssl.nodes.pair_queue import PairQueue
from radar_camera_ssl.sensors.camera_image import resize_image

SECOND = 10**9


class Bench:
    """A queue with a decoder that notes which item it was called for, and in which thread."""

    def __init__(self, depth: int = 2) -> None:
        self.queue: PairQueue[str] = PairQueue(depth)
        self.called: list[tuple[str, str]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.ahead: DecodeAhead[str, str] = DecodeAhead(self.queue, self.decode)
        self.ahead.start()

    def decode(self, item: str) -> str:
        self.called.append((item, threading.current_thread().name))
        self.may_go_on.wait(20.0)
        if item.startswith('bad'):
            raise ValueError(item)
        return item.upper()

    def wait_for_calls(self, count: int) -> None:
        wait_until(lambda: len(self.called) == count, lambda: f'calls: {self.called}')


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.may_go_on.set()
    bench.queue.close('over')
    assert bench.ahead.join(10.0)


def test_what_an_idle_worker_takes_is_left_to_it(bench: Bench) -> None:
    bench.queue.put('a')
    assert bench.queue.take() == 'a'
    assert bench.ahead.result('a') is None
    assert bench.called == []


def test_the_next_in_line_is_decoded_while_the_worker_is_busy(bench: Bench) -> None:
    for item in ('a', 'b', 'c'):
        bench.queue.put(item)
    first = bench.queue.take()
    assert first == 'b', 'the queue holds two'
    bench.wait_for_calls(1)
    bench.queue.finish()
    assert bench.queue.take() == 'c'
    assert bench.ahead.result('c') == 'C'
    assert bench.called == [('c', 'decode_ahead')]


def test_the_next_may_be_begun_before_the_worker_asks_for_the_last(bench: Bench) -> None:
    for item in ('a', 'b'):
        bench.queue.put(item)
    bench.queue.take()
    bench.wait_for_calls(1)
    bench.queue.put('c')
    bench.queue.finish()
    assert bench.queue.take() == 'b'
    bench.wait_for_calls(2)
    assert bench.ahead.result('b') == 'B'
    bench.queue.finish()
    assert bench.queue.take() == 'c'
    assert bench.ahead.result('c') == 'C'
    assert [item for item, _ in bench.called] == ['b', 'c']


def test_the_worker_waits_for_what_is_being_decoded(bench: Bench) -> None:
    bench.may_go_on.clear()
    bench.queue.put('a')
    bench.queue.take()
    bench.queue.put('b')
    bench.wait_for_calls(1)
    bench.queue.finish()
    bench.queue.take()
    results: list[str | None] = []
    worker = threading.Thread(target=lambda: results.append(bench.ahead.result('b')))
    worker.start()
    assert results == []
    bench.may_go_on.set()
    worker.join(10.0)
    assert results == ['B']


def test_an_error_is_raised_for_the_worker_and_ends_nothing(bench: Bench) -> None:
    bench.queue.put('a')
    bench.queue.take()
    bench.queue.put('bad')
    bench.wait_for_calls(1)
    bench.queue.finish()
    bench.queue.take()
    bench.queue.put('c')
    with pytest.raises(ValueError, match='bad'):
        bench.ahead.result('bad')
    bench.wait_for_calls(2)
    bench.queue.finish()
    bench.queue.take()
    assert bench.ahead.result('c') == 'C'


def test_what_was_dropped_meanwhile_is_given_for_no_other(bench: Bench) -> None:
    bench.may_go_on.clear()
    bench.queue.put('a')
    bench.queue.take()
    for item in ('b', 'c', 'd'):
        bench.queue.put(item)
        bench.wait_for_calls(1)
    bench.queue.finish()
    assert bench.queue.take() == 'c'
    # The thread is still at b.
    assert bench.ahead.result('c') is None


def test_closing_ends_it_and_a_hanging_decoder_is_told() -> None:
    bench = Bench()
    bench.may_go_on.clear()
    bench.queue.put('a')
    bench.queue.take()
    bench.queue.put('b')
    bench.wait_for_calls(1)
    bench.queue.close('over')
    assert not bench.ahead.join(0.05)
    bench.may_go_on.set()
    assert bench.ahead.join(10.0)


def test_a_backlog_is_answered_in_order_and_corrupt_images_are_counted(
    make_rig: Callable[..., Rig], monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig()
    rig.bring_up()
    heatmaps = rig.hear('output/heatmap', Image)
    assert rig.node._session is not None
    model = rig.node._session.model
    infer, backlog, threads = model.infer, threading.Event(), []

    def waiting(*inputs: Any) -> Any:
        backlog.wait(20.0)
        return infer(*inputs)

    def noting(*inputs: Any) -> Any:
        threads.append(threading.current_thread().name)
        return resize_image(*inputs)

    monkeypatch.setattr(model, 'infer', waiting)
    monkeypatch.setattr('radar_camera_ssl.inference.model.resize_image', noting)
    images = [image_message(SECOND + i * SECOND // 10, seed=i) for i in range(6)]
    images[3].data = images[3].data[:100]
    for i, image in enumerate(images):
        rig.pair(SECOND + i * SECOND // 10, image=image)
    wait_until(lambda: rig.values().get('radar_pending') == '6', 'no backlog')
    backlog.set()
    rig.value('published', '5')
    assert rig.values()['image_dropped.image_truncated'] == '1'
    wait_until(lambda: len(heatmaps) == 5, 'not all are heard')
    stamps = [image.header.stamp for i, image in enumerate(images) if i != 3]
    assert [heatmap.header.stamp for heatmap in heatmaps] == stamps
    assert threads[0] == 'pair_worker'
    assert 'decode_ahead' in threads, 'nothing was decoded ahead of a hanging worker'
