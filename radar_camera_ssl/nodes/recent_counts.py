# SPDX-License-Identifier: Apache-2.0
"""By how much counters have grown lately. Knows no ROS."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping


class RecentCounts:
    """Remembers counters from report to report, so that each can say what is new in a window."""

    def __init__(self) -> None:
        """Start with all counters at zero."""
        self._history: deque[tuple[float, Mapping[str, int]]] = deque([(-math.inf, {})])

    def begin(self, counts: Mapping[str, int]) -> None:
        """Begin anew from these: what they count is not new in any window that follows."""
        self._history = deque([(-math.inf, dict(counts))])

    def growth(self, now_s: float, counts: Mapping[str, int], window_s: float) -> dict[str, int]:
        """Return by how much counters have grown in the last `window_s`, those that have.

        When within a report's period one grew is not known: the window is the one asked for and
        up to that much longer.
        """
        while len(self._history) > 1 and self._history[1][0] <= now_s - window_s:
            self._history.popleft()
        before = self._history[0][1]
        self._history.append((now_s, dict(counts)))
        return {
            key: count - before.get(key, 0)
            for key, count in counts.items()
            if count > before.get(key, 0)
        }
