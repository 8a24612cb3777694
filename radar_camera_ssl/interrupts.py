# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C that takes effect, even where native code swallows the exception."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN_AFTER_S = 0.2


@contextmanager
def insistent_interrupts() -> Iterator[None]:
    """Raise KeyboardInterrupt in the block again and again until it leaves it.

    Python raises it once, wherever the main thread happens to be. Inside of NumPy's
    `Generator.choice`, for one, or of the import of a module made by Cython, the error is cleared
    and work goes on as if nothing had happened. While the block cleans up after an interrupt
    (`except`, `finally`, the end of a `with`), none is raised that the user has not asked for.

    Does nothing outside of the main thread, and where somebody else handles or ignores SIGINT.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return

    timer: tuple[float, float] | None = None  # somebody else's, once it is stopped

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal timer
        signal.signal(signal.SIGALRM, insist)
        before = signal.setitimer(signal.ITIMER_REAL, AGAIN_AFTER_S, AGAIN_AFTER_S)
        timer = timer or before
        raise KeyboardInterrupt

    def insist(_number: int, _frame: FrameType | None) -> None:
        if not _is_being_handled():
            raise KeyboardInterrupt

    alarm = signal.getsignal(signal.SIGALRM)
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        if timer is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, alarm)
            signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_being_handled() -> bool:
    """Tell whether the calling thread is in the midst of cleaning up after an interrupt."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None
