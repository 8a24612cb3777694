# SPDX-License-Identifier: Apache-2.0
"""What the node remembers of its own running, for the diagnostics. Thread-safe; knows no ROS."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

WINDOW = 300


class InputMeter:
    """Arrivals of one input by the steady clock. Used by one thread."""

    def __init__(self) -> None:
        """Start without arrivals."""
        self.received = 0
        self.lost = 0
        self._lost_reported = 0
        self._arrivals: deque[float] = deque(maxlen=100)

    def arrived(self, now_s: float) -> None:
        """Note an arrival."""
        self.received += 1
        self._arrivals.append(now_s)

    def lost_now(self, total: int) -> None:
        """Note how many messages the middleware has lost so far."""
        self.lost = total

    def take_new_losses(self) -> int:
        """Return how many were lost since the last call."""
        new, self._lost_reported = self.lost - self._lost_reported, self.lost
        return new

    def age_s(self, now_s: float) -> float | None:
        """Seconds since the last arrival; None before the first."""
        return now_s - self._arrivals[-1] if self._arrivals else None

    def rate_hz(self, now_s: float) -> float:
        """Mean rate over the last arrivals (at most 100, and 10 s)."""
        recent = [arrival for arrival in self._arrivals if now_s - arrival < 10.0]
        if len(recent) < 2:
            return 0.0
        return (len(recent) - 1) / max(now_s - recent[0], 1e-9)


@dataclass(frozen=True)
class Seen:
    """A snapshot of the worker's side."""

    last_published_s: float | None
    last_error: str
    radar_field_error: str
    consecutive_failures: int
    agreement: float | None
    returns_not_finite: int
    returns_dropped: int
    gap_ms: tuple[float, float] | None
    latency_ms: dict[str, tuple[float, float]]
    stage: tuple[str, float] | None


@dataclass
class _State:
    last_published_s: float | None = None
    last_error: str = ''
    radar_field_error: str = ''
    consecutive_failures: int = 0
    agreement: float | None = None
    returns_not_finite: int = 0
    returns_dropped: int = 0
    gaps_s: deque[float] = field(default_factory=lambda: deque(maxlen=WINDOW))
    latency_s: dict[str, deque[float]] = field(default_factory=dict)
    stage: tuple[str, float] | None = None


class WorkerMonitor:
    """What the worker has seen; written by the worker, read by the diagnostics timer."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start empty, with a steady clock in seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._state = _State()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as stage `name`; while it runs, the diagnostics can say so."""
        start = self._clock()
        with self._lock:
            self._state.stage = (name, start)
        try:
            yield
        finally:
            self.latency(name, self._clock() - start)
            with self._lock:
                self._state.stage = None

    def latency(self, stage: str, seconds: float) -> None:
        """Note the duration of a stage."""
        with self._lock:
            self._state.latency_s.setdefault(stage, deque(maxlen=WINDOW)).append(seconds)

    def radar_decoded(self, not_finite: int) -> None:
        """Note a radar frame that had all its fields."""
        with self._lock:
            self._state.radar_field_error = ''
            self._state.returns_not_finite += not_finite

    def radar_field_missing(self, text: str) -> None:
        """Note that the radar lacks a field; stays until a frame has it."""
        with self._lock:
            self._state.radar_field_error = self._state.last_error = text

    def error(self, text: str) -> None:
        """Note an error."""
        with self._lock:
            self._state.last_error = text

    def failed(self, text: str) -> int:
        """Note a failed pair; return how many failed in a row."""
        with self._lock:
            self._state.last_error = text
            self._state.consecutive_failures += 1
            return self._state.consecutive_failures

    def published(self, gap_s: float, agreement: float, returns_dropped: int) -> None:
        """Note a published pair."""
        with self._lock:
            state = self._state
            state.last_published_s = self._clock()
            state.consecutive_failures = 0
            state.agreement = agreement
            state.returns_dropped += returns_dropped
            state.gaps_s.append(gap_s)

    def seen(self) -> Seen:
        """Everything noted so far; medians and percentiles over the last 300 pairs."""
        now = self._clock()
        with self._lock:
            state = self._state
            gaps = np.abs(np.fromiter(state.gaps_s, float)) * 1e3
            latency = {
                stage: _percentiles(np.fromiter(values, float) * 1e3, 99.0)
                for stage, values in state.latency_s.items()
            }
            stage = (state.stage[0], now - state.stage[1]) if state.stage else None
            return Seen(
                last_published_s=state.last_published_s,
                last_error=state.last_error,
                radar_field_error=state.radar_field_error,
                consecutive_failures=state.consecutive_failures,
                agreement=state.agreement,
                returns_not_finite=state.returns_not_finite,
                returns_dropped=state.returns_dropped,
                gap_ms=_percentiles(gaps, 95.0) if gaps.size else None,
                latency_ms=latency,
                stage=stage,
            )


def _percentiles(values: np.ndarray, high: float) -> tuple[float, float]:
    return float(np.median(values)), float(np.percentile(values, high))


class ThrottledLog:
    """One line per key and period; what was held back is counted in the next line.

    rclpy's own throttle works per source line and would let one reason silence another.
    """

    def __init__(self, log: Callable[[str], object], period_s: float = 5.0) -> None:
        """Log through `log`, at most once per `period_s` for each key."""
        self._log, self._period_s = log, period_s
        self._last: dict[str, float] = {}
        self._held_back: dict[str, int] = {}
        self._lock = threading.Lock()

    def __call__(self, key: str, text: str) -> None:
        """Log `text` under `key`, or hold it back."""
        now = time.monotonic()
        with self._lock:
            if now - self._last.get(key, -1e9) < self._period_s:
                self._held_back[key] = self._held_back.get(key, 0) + 1
                return
            self._last[key] = now
            more = self._held_back.pop(key, 0)
        self._log(f'{text} ({more} more like this since)' if more else text)
