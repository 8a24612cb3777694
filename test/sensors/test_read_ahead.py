# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radar_camera_ssl.sensors.read_ahead import ReadAhead


@given(items=st.lists(st.integers(0, 9), max_size=40), limit=st.integers(1, 12))
def test_everything_comes_in_order_and_no_more_than_the_limit_waits(
    items: list[int], limit: int
) -> None:
    produced: list[int] = []
    used: list[int] = []

    def source() -> Iterator[int]:
        for item in items:
            # What has been handed over and not used is what is held, but for the one in the hand.
            assert sum(produced) - sum(used) <= limit + 2 * 9
            produced.append(item)
            yield item

    with ReadAhead(source(), lambda item: item, limit) as ahead:
        used.extend(ahead)
    assert used == items


def test_an_error_comes_when_it_is_its_turn() -> None:
    def breaks() -> Iterator[int]:
        yield from (1, 2)
        raise OSError('the disc')

    got: list[int] = []
    with ReadAhead(breaks(), lambda item: 1, 10) as ahead, pytest.raises(OSError, match='disc'):
        got.extend(ahead)
    assert got == [1, 2]


def test_leaving_early_ends_the_thread() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    with ReadAhead(endless(), lambda item: 1, 3) as ahead:
        assert next(iter(ahead)) == 0
    del ahead
    assert closed.wait(10)
    assert not any(thread.name == 'read_ahead' for thread in threading.enumerate())
