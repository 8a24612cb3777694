# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from radar_camera_ssl.interrupts import AGAIN_AFTER_S, insistent_interrupts


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    alarm = signal.getsignal(signal.SIGALRM)
    left, _ = signal.getitimer(signal.ITIMER_REAL)  # pytest-timeout's, where it runs
    # A shell's background job, as a CI may be, starts with the signal ignored.
    found = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.signal(signal.SIGINT, found) is signal.default_int_handler
    assert signal.getsignal(signal.SIGALRM) is alarm
    after, repeat = signal.getitimer(signal.ITIMER_REAL)
    assert repeat == 0.0
    assert left == 0.0 or left - 60.0 < after <= left


def swallowed_interrupt() -> None:
    """Do what native code does that clears every error."""
    with contextlib.suppress(BaseException):
        signal.raise_signal(signal.SIGINT)


def work(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


@insistent_interrupts()
def goes_on_after_a_swallowed_interrupt(times: int) -> None:
    swallowed_interrupt()
    for _ in range(times):
        with contextlib.suppress(BaseException):
            work(30.0)
    work(30.0)


@pytest.mark.parametrize('times', [0, 3])
def test_a_swallowed_interrupt_comes_again_however_often(times: int) -> None:
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        goes_on_after_a_swallowed_interrupt(times)
    assert time.monotonic() - started < 20.0


@insistent_interrupts()
def cleans_up(done: list[str]) -> None:
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        try:
            raise OSError('while cleaning up')
        except OSError:
            work(3 * AGAIN_AFTER_S)
            done.append('cleaned up')


def test_cleaning_up_is_left_in_peace() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        cleans_up(done)
    assert done == ['cleaned up']


@insistent_interrupts()
def is_interrupted_while_cleaning_up(done: list[str]) -> None:
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.raise_signal(signal.SIGINT)
        done.append('cleaned up')


def test_a_second_one_of_the_user_ends_the_cleaning_up() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        is_interrupted_while_cleaning_up(done)
    assert done == []


def test_an_ignored_interrupt_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with insistent_interrupts():
            signal.raise_signal(signal.SIGINT)
            work(2 * AGAIN_AFTER_S)
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_another_thread_may_use_it() -> None:
    done = []

    def run() -> None:
        with insistent_interrupts():
            done.append(True)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [True]
