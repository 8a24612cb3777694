# SPDX-License-Identifier: Apache-2.0
"""The last error, when it was and how often. Thread-safe; knows no ROS."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ErrorFacts:
    """text: of the last error, '' without one. age_s: since then. count: how often its reason
    came up so far. total: all errors so far.
    """

    text: str = ''
    age_s: float | None = None
    count: int = 0
    total: int = 0


class ErrorMemory:
    """What went wrong, from the start of the process on; outlives the configured session."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without errors, with a steady clock in seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._last = ('', '', 0.0)
        self._counts: Counter[str] = Counter()

    def note(self, reason: str, text: str) -> None:
        """Note an error; `reason` tells what is counted together."""
        with self._lock:
            self._last = (reason, text, self._clock())
            self._counts[reason] += 1

    def facts(self) -> ErrorFacts:
        """Return the last error and the counts."""
        with self._lock:
            reason, text, noted_s = self._last
            if not reason:
                return ErrorFacts()
            age_s = self._clock() - noted_s
            return ErrorFacts(text, age_s, self._counts[reason], self._counts.total())
