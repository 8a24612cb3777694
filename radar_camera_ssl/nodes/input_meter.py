# SPDX-License-Identifier: Apache-2.0
"""What arrives of one input: how often, how late, with which gaps. Thread-safe; knows no ROS."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Enough for a camera of 60 Hz over the longest `diagnostics_window`.
_REMEMBERED = 4096
# A low percentile of the steps of its stamps is among the single ones, whatever was lost.
_SINGLE_PERCENTILE = 10.0
_LEAST_STEPS = 10


@dataclass(frozen=True)
class InputFacts:
    """One input over a window of time, by the steady clock.

    received, lost: messages so far; lost as the middleware tells it. stamp: of the last message,
    ns. rate_hz: mean rate of arrival. age_s: since the last arrival; None before the first of a
    subscription.
    arrival_gap_ms, stamp_gap_ms: median and largest step between neighbours, of arrivals and of
    stamps; None with fewer than two messages. delay_ms: median from stamp to arrival by the
    node's clock; None where the two are not compared. missing, expected: how many messages the
    steps of the stamps show to be missing, of how many.
    """

    received: int
    lost: int
    stamp: int
    rate_hz: float
    age_s: float | None
    arrival_gap_ms: tuple[float, float] | None
    stamp_gap_ms: tuple[float, float] | None
    delay_ms: float | None
    missing: int
    expected: int


class InputMeter:
    """Counts the arrivals of one input; written by the executor's thread, read by any."""

    def __init__(self) -> None:
        """Start without arrivals."""
        self._lock = threading.Lock()
        self._received = 0
        self._lost = self._lost_before = 0
        self._stamp = 0
        self._arrived_s: float | None = None
        self._recent: deque[tuple[float, int, float | None]] = deque(maxlen=_REMEMBERED)

    def arrived(self, now_s: float, stamp: int, delay_s: float | None = None) -> None:
        """Note the arrival of a message of `stamp`, ns, `delay_s` after it by the node's clock."""
        with self._lock:
            self._received += 1
            self._stamp, self._arrived_s = stamp, now_s
            self._recent.append((now_s, stamp, delay_s))

    def opened(self) -> None:
        """Begin a subscription: what came by the one before is in no window of this one."""
        with self._lock:
            self._recent.clear()
            self._arrived_s = None
            self._lost_before = self._lost

    def lost_now(self, total: int) -> None:
        """Note how many messages the middleware has lost since the subscription began."""
        with self._lock:
            self._lost = self._lost_before + total

    @property
    def received(self) -> int:
        """How many messages have arrived."""
        return self._received

    @property
    def lost(self) -> int:
        """How many messages the middleware has lost."""
        return self._lost

    def age_s(self, now_s: float) -> float | None:
        """Seconds since the last arrival; None before the first."""
        arrived_s = self._arrived_s
        return None if arrived_s is None else now_s - arrived_s

    def facts(self, now_s: float, window_s: float) -> InputFacts:
        """Return what arrived in the last `window_s`."""
        with self._lock:
            received, lost, stamp = self._received, self._lost, self._stamp
            recent = [entry for entry in self._recent if now_s - entry[0] <= window_s]
        arrivals = np.array([entry[0] for entry in recent])
        stamps = np.array([entry[1] for entry in recent if entry[1] > 0], np.int64)
        delays = [entry[2] for entry in recent if entry[2] is not None]
        steps = np.diff(stamps) * 1e-9
        # A jump of time is no gap: what belongs to another time is not missing in this one.
        steps = steps[(steps > 0) & (steps < window_s)]
        missing = _missing(steps)
        return InputFacts(
            received=received,
            lost=lost,
            stamp=stamp,
            rate_hz=(len(arrivals) - 1) / max(now_s - arrivals[0], 1e-9)
            if len(recent) > 1
            else 0.0,
            age_s=self.age_s(now_s),
            arrival_gap_ms=_median_and_largest(np.diff(arrivals)),
            stamp_gap_ms=_median_and_largest(steps),
            delay_ms=float(np.median(delays)) * 1e3 if delays else None,
            missing=missing,
            expected=len(steps) + missing,
        )


def _missing(steps: NDArray[np.float64]) -> int:
    """How many messages are missing in steps of a stream, s, whose period they themselves show."""
    if len(steps) < _LEAST_STEPS:
        return 0
    period = np.percentile(steps, _SINGLE_PERCENTILE)
    for _ in range(2):
        # Jitter makes the lowest steps shorter than the period, which the middle one is not.
        period = np.median(steps[steps < 1.5 * period])
    # A step that is too short makes up for the long one before a message that came late.
    return max(0, int((np.rint(steps / period) - 1).sum()))


def _median_and_largest(steps_s: NDArray[np.float64]) -> tuple[float, float] | None:
    if not len(steps_s):
        return None
    return float(np.median(steps_s)) * 1e3, float(steps_s.max()) * 1e3
