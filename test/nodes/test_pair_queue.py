# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radar_camera_ssl.nodes.pair_queue import OVERFLOW, PairQueue


def test_the_oldest_is_dropped_and_counted() -> None:
    queue: PairQueue[int] = PairQueue(2)
    for item in range(5):
        queue.put(item)
    assert [queue.take(), queue.take()] == [3, 4]
    assert queue.counts.dropped == {OVERFLOW: 3}


@given(
    depth=st.integers(1, 4),
    actions=st.lists(st.sampled_from(['put', 'take', 'done', 'failed', 'close', 'open'])),
)
def test_nothing_leaves_uncounted(depth: int, actions: list[str]) -> None:
    queue: PairQueue[int] = PairQueue(depth)
    for number, action in enumerate(actions):
        if action == 'put':
            queue.put(number)
        elif action == 'take':
            queue.take(timeout_s=0)
        elif action in ('done', 'failed') and queue.counts.in_work:
            queue.finish(dropped=None if action == 'done' else 'failed')
        elif action == 'close':
            queue.close('closing')
        elif action == 'open':
            queue.open()
        counts = queue.counts
        parts = (counts.finished, sum(counts.dropped.values()), counts.waiting, counts.in_work)
        assert counts.put == sum(parts)
        assert counts.waiting <= depth


def test_closing_wakes_a_taker() -> None:
    queue: PairQueue[int] = PairQueue(1)
    taken: list[int | None] = [0]
    taker = threading.Thread(target=lambda: taken.append(queue.take()))
    taker.start()
    queue.close('closing')
    taker.join(10.0)
    assert taken == [0, None]


def test_a_taker_waits_for_an_item() -> None:
    queue: PairQueue[int] = PairQueue(1)
    start = time.monotonic()
    assert queue.take(timeout_s=0.02) is None
    assert time.monotonic() - start >= 0.02


def test_wrong_use_is_refused() -> None:
    with pytest.raises(ValueError, match='depth'):
        PairQueue(0)
    with pytest.raises(RuntimeError, match='without a taken item'):
        PairQueue(1).finish()
