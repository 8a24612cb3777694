# SPDX-License-Identifier: Apache-2.0
"""Windows of two seconds: is a misaligned or turned radar told from an aligned one?

Time is cut into windows one after another. Each is answered as it is and with radar frames that do
not belong to its images; every other one also with its own radar turned by two degrees. Windows
without a return, with a hole, or not over when the recording ends are left out. So are lagging
radar frames of a car that stood: they do belong. What is aligned is counted only of frames that
were also misaligned, so that both are the same moments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from radar_camera_ssl.evaluation import histograms
from radar_camera_ssl.evaluation.doppler_heading import HeadingCounts
from radar_camera_ssl.evaluation.metrics import Tally
from radar_camera_ssl.evaluation.replay import RadarFrame
from radar_camera_ssl.evaluation.time_blocks import BlockedTally
from radar_camera_ssl.inference.alignment import turned, window_agreement, yaw_estimate
from radar_camera_ssl.inference.model import Correspondence
from radar_camera_ssl.sensors.camera_image import ImageLike
from radar_camera_ssl.sensors.ego_speed import MOVED_M
from radar_camera_ssl.sensors.radar_points import RadarPoints

WINDOW_S = 2.0
LEAST_LAG_S = 0.5
MOST_LAG_S = 6.0
YAW_RAD = np.deg2rad(2.0)
# A longer silence of the sensors is a hole in the window.
_HOLE_S = 1.0

Infer = Callable[[ImageLike, RadarFrame], Correspondence]


@dataclass(frozen=True)
class _Past:
    stamp: int
    way_m: float
    radar: RadarFrame


@dataclass
class _Yaw:
    """Answers to a window at one yaw, and to its frames turned further by YAW_RAD to each side."""

    here: list[Correspondence] = field(default_factory=list)
    left: list[Correspondence] = field(default_factory=list)
    right: list[Correspondence] = field(default_factory=list)


@dataclass
class _Window:
    start: int
    lag_s: float | None
    foreign: Sequence[RadarFrame]
    turn_rad: float | None
    aligned: list[Correspondence] = field(default_factory=list)
    twins: list[tuple[Correspondence, Correspondence]] = field(default_factory=list)
    stood: int = 0
    none: _Yaw = field(default_factory=_Yaw)
    turned: _Yaw = field(default_factory=_Yaw)


class WindowProbe:
    """Feeds the window figures of `Tally` from one drive's frames, given in order.

    A window is counted once it is over, in the block that holds its first frame.

    Misaligned is by turns a stretch of another drive's radar frames, in their order, or this
    drive's own by a constant lag drawn from 0.5 to 6 s, as far as there is a past since which the
    car has moved. Turned is every other window, by turns to the left and to the right, against
    the same window as it is. That is two and a half more inferences a frame on average. Holds
    radar frames of the longest lag, no images.
    """

    def __init__(
        self,
        infer: Infer,
        blocks: BlockedTally,
        other_drive: Sequence[Sequence[RadarFrame]],
        rng: np.random.Generator,
    ) -> None:
        self._infer = infer
        self._blocks = blocks
        self._other_drive = other_drive
        self._rng = rng
        self.headings = HeadingCounts()
        """What Doppler alone tells of the windows of the yaw figure."""
        self._past: deque[_Past] = deque()
        self._window: _Window | None = None
        self._last: int | None = None
        self._opened = 0
        self._whole = 0
        self._misaligned = 0
        self._turnable = True

    def add(
        self,
        stamp: int,
        way_m: float,
        image: ImageLike,
        radar: RadarFrame,
        correspondence: Correspondence,
    ) -> None:
        """Take one pair (stamp in ns), the way gone so far, and the model's answer."""
        if self._last is not None and not 0 <= stamp - self._last <= _HOLE_S * 1e9:
            self._window = None
            self._past.clear()
        self._last = stamp
        if self._window is not None and stamp - self._window.start >= WINDOW_S * 1e9:
            if any(len(answer.returns) for answer in self._window.aligned):
                self._count(self._window)
                self._whole += 1
            self._window = None
        while self._past and stamp - self._past[0].stamp > MOST_LAG_S * 1e9:
            self._past.popleft()
        if self._window is None:
            self._window = self._open(stamp, way_m)
        self._ask(self._window, stamp, way_m, image, radar, correspondence)
        self._past.append(_Past(stamp, way_m, radar))

    def missing(self) -> dict[str, str]:
        """Why a window figure cannot be had from this drive, by its key."""
        if not self._whole:
            short = f'no {WINDOW_S:g} s of pairs without a hole and with a return'
            return {'mismatch_auroc_2s': short, 'yaw_alarm_auroc': short}
        reasons = {}
        if not self._misaligned:
            reasons['mismatch_auroc_2s'] = 'no other drive, and no past since which the car moved'
        if not self._turnable:
            reasons['yaw_alarm_auroc'] = 'needs radar points, and a model that has prior_pixel'
        return reasons

    def _open(self, stamp: int, way_m: float) -> _Window:
        number = self._opened
        self._opened += 1
        elsewhere = [past.stamp for past in self._past if way_m - past.way_m >= MOVED_M]
        most = min(MOST_LAG_S, (stamp - elsewhere[0]) * 1e-9) if elsewhere else 0.0
        lag_s = None
        foreign: Sequence[RadarFrame] = ()
        if self._other_drive and (number % 2 == 0 or most < LEAST_LAG_S):
            foreign = self._other_drive[int(self._rng.integers(len(self._other_drive)))]
        elif most >= LEAST_LAG_S:
            least = max(LEAST_LAG_S, (stamp - elsewhere[-1]) * 1e-9)
            lag_s = float(self._rng.uniform(least, max(least, most)))
        turn = (YAW_RAD, None, -YAW_RAD, None)[number % 4]
        return _Window(stamp, lag_s, foreign, turn)

    def _ask(
        self,
        window: _Window,
        stamp: int,
        way_m: float,
        image: ImageLike,
        radar: RadarFrame,
        correspondence: Correspondence,
    ) -> None:
        stranger: RadarFrame | None = None
        if window.foreign:
            stranger = window.foreign[len(window.aligned) % len(window.foreign)]
        elif window.lag_s is not None:
            wanted = stamp - window.lag_s * 1e9
            past = min(self._past, key=lambda held: abs(held.stamp - wanted))
            if way_m - past.way_m >= MOVED_M:
                stranger = past.radar
            else:
                window.stood += 1
        if stranger is not None:
            window.twins.append((correspondence, self._infer(image, stranger)))
        if correspondence.prior_pixel is None or not isinstance(radar, RadarPoints):
            self._turnable = False
        elif window.turn_rad is not None:
            self._turn(window, window.turn_rad, image, radar, correspondence)
        window.aligned.append(correspondence)

    def _turn(
        self,
        window: _Window,
        turn_rad: float,
        image: ImageLike,
        radar: RadarPoints,
        correspondence: Correspondence,
    ) -> None:
        """Ask for the yaws about none and about the turn, which lie a turn apart."""
        back, once, twice = (
            self._infer(image, turned(radar, times * turn_rad)) for times in (-1.0, 1.0, 2.0)
        )
        none, turned_once = (back, correspondence, once), (correspondence, once, twice)
        for yaw, answers in ((window.none, none), (window.turned, turned_once)):
            right, here, left = answers if turn_rad > 0 else answers[::-1]
            yaw.right.append(right)
            yaw.here.append(here)
            yaw.left.append(left)

    def _count(self, window: _Window) -> None:
        tally = self._blocks.at(window.start)
        shown = any(len(misaligned.returns) for _, misaligned in window.twins)
        if shown and 2 * window.stood <= len(window.aligned):
            self._misaligned += 1
            kinds = (tally.aligned_windows, tally.misaligned_windows)
            for held, answers in zip(kinds, zip(*window.twins, strict=True), strict=True):
                together = window_agreement([answer.agreement for answer in answers])
                if together is not None:
                    held += histograms.score_counts(together)
        for held, yaw in ((tally.yaw_none, window.none), (tally.yaw_turned, window.turned)):
            estimate = yaw_estimate(yaw.here, yaw.left, yaw.right, YAW_RAD)
            if estimate is not None:
                held += histograms.magnitude_counts(np.rad2deg(abs(estimate.angle)))
                self.headings.add([answer.returns for answer in yaw.here], yaw is window.turned)


def window_counts(tally: Tally) -> dict[str, int]:
    """How many windows of each kind the figures rest on, by the names of the tally's counts."""
    kinds = ('aligned_windows', 'misaligned_windows', 'yaw_none', 'yaw_turned')
    return {kind: int(getattr(tally, kind).sum()) for kind in kinds}
