# SPDX-License-Identifier: Apache-2.0
"""What the worker has seen of its own running, for the diagnostics. Thread-safe; knows no ROS."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

# Enough for 60 Hz over the longest `diagnostics_window`.
_REMEMBERED = 4096


@dataclass(frozen=True)
class Percentiles:
    """Of `count` durations, ms."""

    median: float
    p95: float
    p99: float
    count: int


@dataclass(frozen=True)
class Seen:
    """A snapshot of the worker's side. Latencies and gaps are those of a window of time."""

    last_published_s: float | None = None
    radar_field_error: str = ''
    consecutive_failures: int = 0
    failure: str = ''
    """The text of the last of the consecutive failures."""
    returns_not_finite: int = 0
    returns_dropped: int = 0
    gap_ms: Percentiles | None = None
    latency_ms: dict[str, Percentiles] = field(default_factory=dict)
    image_misfit: str = ''
    """What is wrong with the shape of the last image."""
    stage: tuple[str, float] | None = None
    """What the worker is doing, and for how many seconds; None while it waits for a pair."""


class WorkerMonitor:
    """What the worker has seen; written by the worker, read by the diagnostics' thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start empty, with a steady clock in seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._seen = Seen()
        self._stage: tuple[str, float] | None = None
        self._gaps_s = _Recent()
        self._latency_s: dict[str, _Recent] = {}

    def begin(self) -> None:
        """Begin an activation: of those before it only what grows is kept."""
        with self._lock:
            self._seen = Seen(
                returns_not_finite=self._seen.returns_not_finite,
                returns_dropped=self._seen.returns_dropped,
            )
            self._gaps_s = _Recent()
            self._latency_s.clear()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as stage `name`; while it runs, the diagnostics can say so."""
        start = self._clock()
        with self._lock:
            self._stage = (name, start)
        try:
            yield
        finally:
            self.latency(name, self._clock() - start)
            with self._lock:
                self._stage = None

    def latency(self, stage: str, seconds: float) -> None:
        """Note the duration of a stage."""
        with self._lock:
            self._latency_s.setdefault(stage, _Recent()).add(self._clock(), seconds)

    def radar_decoded(self, not_finite: int) -> None:
        """Note a radar frame that had all its fields."""
        with self._lock:
            total = self._seen.returns_not_finite + not_finite
            self._seen = replace(self._seen, radar_field_error='', returns_not_finite=total)

    def radar_field_missing(self, text: str) -> None:
        """Note that the radar lacks a field; stays until a frame has it."""
        with self._lock:
            self._seen = replace(self._seen, radar_field_error=text)

    def image_shape(self, misfit: str) -> None:
        """Note what is wrong with the shape of the last image; empty where nothing is."""
        with self._lock:
            if misfit != self._seen.image_misfit:
                self._seen = replace(self._seen, image_misfit=misfit)

    def failed(self, text: str) -> int:
        """Note a failed pair; return how many failed in a row."""
        with self._lock:
            in_a_row = self._seen.consecutive_failures + 1
            self._seen = replace(self._seen, consecutive_failures=in_a_row, failure=text)
            return in_a_row

    def published(self, gap_s: float, returns_dropped: int) -> None:
        """Note a published pair."""
        with self._lock:
            now = self._clock()
            self._gaps_s.add(now, abs(gap_s))
            self._seen = replace(
                self._seen,
                last_published_s=now,
                consecutive_failures=0,
                failure='',
                returns_dropped=self._seen.returns_dropped + returns_dropped,
            )

    def seen(self, window_s: float) -> Seen:
        """Everything noted so far; latencies and gaps of the last `window_s`."""
        now = self._clock()
        with self._lock:
            seen, stage = self._seen, self._stage
            gaps = self._gaps_s.since(now - window_s)
            latency = {
                name: recent.since(now - window_s) for name, recent in self._latency_s.items()
            }
        return replace(
            seen,
            gap_ms=_percentiles(gaps),
            latency_ms={
                name: found
                for name, values in latency.items()
                if (found := _percentiles(values)) is not None
            },
            stage=(stage[0], now - stage[1]) if stage else None,
        )


class _Recent:
    """Values with the time of each."""

    def __init__(self) -> None:
        self._values: deque[tuple[float, float]] = deque(maxlen=_REMEMBERED)

    def add(self, now_s: float, value: float) -> None:
        self._values.append((now_s, value))

    def since(self, begin_s: float) -> NDArray[np.float64]:
        return np.array([value for added_s, value in self._values if added_s >= begin_s])


def _percentiles(seconds: NDArray[np.float64]) -> Percentiles | None:
    if not len(seconds):
        return None
    median, p95, p99 = (float(value) for value in np.percentile(seconds * 1e3, (50, 95, 99)))
    return Percentiles(median, p95, p99, len(seconds))
