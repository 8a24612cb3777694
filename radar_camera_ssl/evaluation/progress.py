# SPDX-License-Identifier: Apache-2.0
"""How far several drives' evaluations are, wherever they run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Told = Callable[[int, int], None]
# What a drive says of itself: so many steps are to come in all, or have been done just now.
Word = Literal['expected', 'done']

INFERENCES_A_STEP = 16
"""After the last pair; a pair, with all that is asked and drawn of it, takes about as long."""

_TELL_EVERY_S = 0.2


@dataclass
class _Drive:
    done: int = 0
    expected: int | None = None


class Progress:
    """Adds up what drives tell, and tells it on as (steps done, steps in all).

    A drive that has not begun yet counts like the mean of those that have.
    """

    def __init__(self, drives: int, told: Told | None) -> None:
        self._drives = [_Drive() for _ in range(drives)]
        self._told = told

    def hear(self, drive: int, word: Word, steps: int) -> None:
        """Take what a drive tells of itself."""
        if word == 'expected':
            self._drives[drive].expected = steps
            return
        self._drives[drive].done += steps
        if self._told is not None and steps:
            done = sum(held.done for held in self._drives)
            self._told(done, max(done, self._total()))

    def end(self, drive: int) -> None:
        """Expect no more of a drive."""
        self._drives[drive].expected = self._drives[drive].done

    def _total(self) -> int:
        known = [held.expected for held in self._drives if held.expected is not None]
        return round(sum(known) / len(known) * len(self._drives)) if known else 0


class DriveProgress:
    """What one drive's evaluation tells of itself, a few times a second at most."""

    def __init__(self, tell: Callable[[Word, int], None], every_s: float = _TELL_EVERY_S) -> None:
        self._tell = tell
        self._every_s = every_s
        self._done = 0
        self._left = 0
        self._inferences = 0
        self._last = time.monotonic()

    def expect(self, pairs: int, inferences: int = 0) -> None:
        """Say how many pairs there may be, and how many inferences after the last of them."""
        self._left = pairs + inferences // INFERENCES_A_STEP
        self._tell('expected', self._left)

    def inferred(self) -> None:
        """Count an inference after the last pair."""
        self._inferences += 1
        if self._inferences % INFERENCES_A_STEP == 0:
            self.step()

    def finish(self) -> None:
        """Count what was expected and did not come."""
        self._done += max(self._left, 0)
        self._left = 0
        self.flush()

    def step(self) -> None:
        """Count a pair."""
        self._done += 1
        self._left -= 1
        if time.monotonic() - self._last >= self._every_s:
            self.flush()

    def flush(self) -> None:
        """Tell what has been counted since the last time."""
        self._tell('done', self._done)
        self._done = 0
        self._last = time.monotonic()
