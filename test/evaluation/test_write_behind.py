# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading

import pytest

from radar_camera_ssl.evaluation.write_behind import WriteBehind


def test_everything_is_done_in_order_before_the_end() -> None:
    done: list[int] = []
    with WriteBehind(done.append) as behind:
        for item in range(200):
            behind.put(item)
    assert done == list(range(200))


def test_what_goes_wrong_is_raised_and_ends_the_work() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == 3:
            raise OSError('disc full')
        done.append(item)

    def put_all(items: range) -> None:
        with WriteBehind(work) as behind:
            for item in items:
                behind.put(item)

    for items in (range(1000), range(4)):
        done.clear()
        with pytest.raises(OSError, match='disc full'):
            put_all(items)
        assert done == [0, 1, 2]


def test_where_the_context_fails_its_own_error_is_raised() -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[int] = []

    def work(item: int) -> None:
        begun.set()
        assert go_on.wait(10)
        done.append(item)

    def fail() -> None:
        with WriteBehind(work) as behind:
            for item in range(4):
                behind.put(item)
            assert begun.wait(10)
            threading.Timer(0.1, go_on.set).start()
            raise KeyError('mine')

    with pytest.raises(KeyError, match='mine'):
        fail()
    assert done == [0]
