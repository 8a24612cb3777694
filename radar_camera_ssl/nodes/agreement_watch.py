# SPDX-License-Identifier: Apache-2.0
"""Early warning of sensors that no longer fit together. Thread-safe; knows no ROS.

Time is that of the stamps: a recording gives the same answer at any speed of its replay. While
the car stands no time passes for the window: its sensors show one scene again and again, and
what the model thinks of that scene would be all there is. Where the radar never showed that the
car moves (it stands since the start, or the driver compensates the velocities) all time counts.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.inference.alignment import window_agreement
from radar_camera_ssl.inference.model import Correspondence
from radar_camera_ssl.sensors.ego_speed import (
    CREDIBLE_GAP_S,
    MEDIAN_FRAMES,
    STANDSTILL_MPS,
    ego_speed,
)
from radar_camera_ssl.sensors.radar_points import RadarPoints

# Enough for 60 Hz over the longest `agreement_window`.
_REMEMBERED = 4096
# A longer silence between two pairs, ns, says nothing of what was between them.
_LONGEST_STEP = round(CREDIBLE_GAP_S * 1e9)
# So much of the window must be there, and so many pairs, before it is judged.
_LEAST_SHARE = 0.8
_LEAST_PAIRS = 5
# Of an image so many rows tell whether it is the last one again: noise is everywhere.
_ROWS = 8


@dataclass(frozen=True)
class AgreementFacts:
    """last: agreement of the last pair; None before it. window: that of the window; None until
    it is filled. pairs: in the window. speed_mps: the car's, as the radar tells; None where it
    does not. image_frozen_s, radar_frozen_s: for how long the sensor has repeated itself while
    the other one shows motion; 0 where it does not.
    """

    last: float | None = None
    window: float | None = None
    pairs: int = 0
    speed_mps: float | None = None
    image_frozen_s: float = 0.0
    radar_frozen_s: float = 0.0


class AgreementWatch:
    """Remembers what the last pairs said of their sensors; written by the worker, read by any."""

    def __init__(self) -> None:
        """Start without pairs."""
        self._lock = threading.Lock()
        self._start()

    def begin(self) -> None:
        """Begin anew, without pairs."""
        with self._lock:
            self._start()

    def _start(self) -> None:
        self._stamp: int | None = None
        self._last: float | None = None
        # Time that counts, ns.
        self._counted = 0
        self._pairs: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)
        self._speed = _Speed()
        self._image, self._radar = _Repetition(), _Repetition()

    def add(
        self,
        stamp: int,
        image: NDArray[np.uint8],
        radar: RadarPoints | NDArray[np.float32],
        answer: Correspondence,
    ) -> None:
        """Take a pair: the radar's stamp, ns, what was decoded, and the model's answer to it.

        A stamp before the last one starts anew: a recording that loops, a simulator's reset.
        """
        pixels = image[:: max(1, len(image) // _ROWS)].copy()
        returns = _content(radar)
        speed = ego_speed(answer.returns.as_array(('x', 'y', 'velocity', 'rcs')))
        with self._lock:
            if self._stamp is not None and stamp < self._stamp:
                self._start()
            passed = 0 if self._stamp is None else stamp - self._stamp
            self._stamp, self._last = stamp, answer.agreement
            self._image.add(stamp, [pixels])
            self._radar.add(stamp, returns)
            self._speed.add(stamp, speed)
            if not self._speed.stands:
                self._counted += min(passed, _LONGEST_STEP)
                self._pairs.append((self._counted, answer.agreement))

    def facts(self, window_s: float) -> AgreementFacts:
        """Return what the pairs of the last `window_s` that count say."""
        with self._lock:
            begin = self._counted - round(window_s * 1e9)
            recent = [pair for pair in self._pairs if pair[0] >= begin]
            speed, last = self._speed.speed, self._last
            image_s, radar_s = self._image.seconds, self._radar.seconds
        filled = len(recent) >= _LEAST_PAIRS and (
            recent[-1][0] - recent[0][0] >= _LEAST_SHARE * window_s * 1e9
        )
        moving = speed is not None and speed >= STANDSTILL_MPS
        return AgreementFacts(
            last=last,
            window=window_agreement([agreement for _, agreement in recent]) if filled else None,
            pairs=len(recent),
            speed_mps=speed,
            image_frozen_s=image_s if moving else 0.0,
            radar_frozen_s=radar_s if image_s < radar_s else 0.0,
        )


class _Speed:
    """The car's speed: the median of what the frames of the last second say."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, float]] = deque(maxlen=MEDIAN_FRAMES)
        self._has_moved = False
        self.speed: float | None = None
        """The speed, m/s; None where it is not known."""

    def add(self, stamp: int, speed: float) -> None:
        """Take the speed that a frame tells, m/s; NaN where it tells none."""
        while self._recent and stamp - self._recent[0][0] > _LONGEST_STEP:
            self._recent.popleft()
        if math.isfinite(speed):
            self._recent.append((stamp, speed))
        self.speed = median(speed for _, speed in self._recent) if self._recent else None
        self._has_moved |= (self.speed or 0.0) >= STANDSTILL_MPS

    @property
    def stands(self) -> bool:
        """Whether a car that has moved stands now."""
        return self._has_moved and self.speed is not None and self.speed < STANDSTILL_MPS


class _Repetition:
    """For how long a stream has had the same content."""

    def __init__(self) -> None:
        self._last: Sequence[NDArray[Any]] = ()
        self._since = 0
        self.seconds = 0.0

    def add(self, stamp: int, content: Sequence[NDArray[Any]]) -> None:
        """Take the next content; an empty one repeats nothing."""
        same = bool(content) and len(content) == len(self._last)
        if not same or not all(map(np.array_equal, content, self._last)):
            self._last, self._since = content, stamp
        self.seconds = (stamp - self._since) * 1e-9


def _content(radar: RadarPoints | NDArray[np.float32]) -> Sequence[NDArray[Any]]:
    """What tells a radar frame from the one before; nothing of a frame without returns."""
    if not isinstance(radar, RadarPoints):
        # Every cell has noise of its own: a few are enough.
        return [radar[::4, ::4, ::4].copy()]
    return [radar.position, radar.velocity, radar.rcs] if len(radar) else []
