# SPDX-License-Identifier: Apache-2.0
"""How pairing and agreement went over a drive, in as many points as a plot can show."""

from __future__ import annotations

from dataclasses import dataclass

POINTS = 300


@dataclass(frozen=True)
class _Stretch:
    start: int
    gap_s: float
    agreement: float

    def joined(self, other: _Stretch) -> _Stretch:
        gap_s = max(self.gap_s, other.gap_s, key=abs)
        return _Stretch(self.start, gap_s, min(self.agreement, other.agreement))


class Timeline:
    """The largest gap and the lowest agreement of each stretch of a drive: what is wrong stays.

    A stretch is one pair at first. When there are POINTS stretches, neighbours are joined and
    stretches are twice as long from then on: at most POINTS, never fewer than half of them.
    """

    def __init__(self) -> None:
        """Start a drive."""
        self._length = 1
        self._in_last = 0
        self._stretches: list[_Stretch] = []

    def add(self, stamp: int, gap_s: float, agreement: float) -> None:
        """Take one pair: its image's stamp in ns, its signed gap, the model's agreement."""
        pair = _Stretch(stamp, gap_s, agreement)
        if self._stretches and self._in_last < self._length:
            self._stretches[-1] = self._stretches[-1].joined(pair)
            self._in_last += 1
            return
        if len(self._stretches) == POINTS:
            held = self._stretches
            self._stretches = [a.joined(b) for a, b in zip(held[::2], held[1::2], strict=True)]
            self._length *= 2
        self._stretches.append(pair)
        self._in_last = 1

    def values(self) -> dict[str, list[float]]:
        """time_s: where each stretch begins, since the first pair; gap_ms, agreement: its own.

        gap_ms is signed, radar minus image.
        """
        held = self._stretches
        start = held[0].start if held else 0
        return {
            'time_s': [round((stretch.start - start) * 1e-9, 3) for stretch in held],
            'gap_ms': [round(stretch.gap_s * 1e3, 3) for stretch in held],
            'agreement': [round(stretch.agreement, 4) for stretch in held],
        }
