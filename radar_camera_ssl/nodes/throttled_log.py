# SPDX-License-Identifier: Apache-2.0
"""A log that says each thing once in a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


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
