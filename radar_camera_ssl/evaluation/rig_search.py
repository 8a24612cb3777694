# SPDX-License-Identifier: Apache-2.0
"""At which yaw and clock offset of the radar do a model's answers agree best with the images?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation.perturbed_radar import perturbed
from radar_camera_ssl.evaluation.replay import RadarFrame
from radar_camera_ssl.inference.alignment import log_odds
from radar_camera_ssl.inference.model import Correspondence
from radar_camera_ssl.sensors.camera_image import ImageLike
from radar_camera_ssl.sensors.radar_cube import CubeAxes

FloatArray = NDArray[np.float64]
Infer = Callable[[ImageLike, RadarFrame], Correspondence]

YAW, DELAY, ROW = range(3)
MOST_YAW_RAD = np.deg2rad(10.0)
MOST_DELAY_S = 0.2
REACH_S = 0.15
"""A radar frame is taken no further in time than this, and a moment without one is left out."""

# Over these agreement is differentiated: narrower than its peak, wider than its noise.
_STEPS = np.array([np.deg2rad(1.0), 0.04, 1 / 120])
_LONGEST = np.array([np.deg2rad(2.5), 0.08, 1 / 60])
# Nearer to the peak than this, one step of Newton's method is exact enough.
_NEAR = np.array([np.deg2rad(0.75), 0.04, 1 / 90])
_YAWS_RAD = MOST_YAW_RAD * np.array([0.0, -0.25, 0.25, -0.5, 0.5, -0.75, 0.75, -1.0, 1.0])
_DELAYS_S = MOST_DELAY_S * np.array([0.0, -0.5, 0.5, -1.0, 1.0])
# A camera hardly tilts: what log-odds lose by a step, where some scenes tell nothing of rows.
_ROW_STIFFNESS = 0.15 / _STEPS[ROW] ** 2
_DAMPING = 0.05 / _STEPS**2
# Beyond what is ever said, but for a model that is sure of everything.
_LOG_ODDS_LIMIT = 10.0
_COARSE_MOMENTS, _FINE_MOMENTS = 16, 36
_FEW_ROUNDS, _ROUNDS = 3, 2


@dataclass(frozen=True)
class Moment:
    """An image, and the radar frames around it by their own stamps; stamps in ns."""

    stamp: int
    image: NDArray[np.uint8]
    radar: list[tuple[int, RadarFrame]]

    def radar_at(self, delay_s: float) -> tuple[RadarFrame, float] | None:
        """The radar frame nearest to the image if stamps are late by delay_s, and the gap left.

        The gap, s, is by how much later than the frame the image was taken. None beyond REACH_S.
        """
        if not self.radar:
            return None
        wanted = self.stamp + round(delay_s * 1e9)
        stamp, radar = min(self.radar, key=lambda held: abs(held[0] - wanted))
        gap_s = (wanted - stamp) * 1e-9
        return (radar, gap_s) if abs(gap_s) <= REACH_S else None


@dataclass(frozen=True)
class Peak:
    """Agreement of n moments about a centre (3,): yaw rad, delay s, and row.

    log_odds (n,) of the agreement at the centre, and the answers there; gradient (n, 3) and
    hessian (n, 3, 3) of what is maximised, without the yaw's mixed derivatives; zero where not
    searched.
    """

    centre: FloatArray
    log_odds: FloatArray
    gradient: FloatArray
    hessian: FloatArray
    answers: list[Correspondence]

    def place(self, weight: FloatArray) -> FloatArray:
        """Where the peak is (..., 3) by Newton's method, for moments of weight (..., n).

        NaN where agreement does not curve as at a peak.
        """
        gradient = weight @ self.gradient
        hessian = np.einsum('...n,nij->...ij', weight, self.hessian)
        yaw = _newton(gradient[..., :DELAY], hessian[..., :DELAY, :DELAY])
        others = _newton(gradient[..., DELAY:], hessian[..., DELAY:, DELAY:])
        return np.asarray(self.centre + np.concatenate([yaw, others], axis=-1), np.float64)

    @property
    def following(self) -> FloatArray:
        """Centre (3,) nearer to the peak, as far as Newton's method is to be trusted.

        Where agreement hardly curves its slope is noise, and where it curves the wrong way the
        peak is elsewhere: the step is damped (Levenberg, Quarterly of Applied Mathematics 2,
        1944), and uphill in any case.
        """
        slope = self.gradient.mean(axis=0)
        curvature = np.diagonal(self.hessian.mean(axis=0))
        step = slope / (np.abs(curvature) + _DAMPING)
        return self.centre + np.clip(step, -_LONGEST, _LONGEST)


class RigSearch:
    """Searches the yaw and the delay of a radar over moments of one drive.

    What is maximised is the mean log-odds of `agreement`: first over yaws and delays far apart, on
    a few moments, then by Newton's method, on a few more, then on all. It takes 9 inferences for
    each moment, twice where the few were misleading, and some 500 besides.

    A third number is searched with them, by how much of their height images are moved down, and
    kept small. A thing's row tells its range, and a radar frame that is late shows things nearer
    or farther; so does a camera that has tilted, or a road that rises.

    Of a cube only the yaw is searched: its bins are too wide to take it in time.
    """

    def __init__(
        self,
        infer: Infer,
        moments: Sequence[Moment],
        axes: CubeAxes | None,
        pool: Executor,
        inferred: Callable[[], None] = lambda: None,
    ) -> None:
        """Start; infer is called from the pool's threads; axes: of the cube, None for points.

        inferred: called after every inference, from this thread.
        """
        self._infer = infer
        self._inferred = inferred
        self._moments = moments
        self._axes = axes
        self._pool = pool
        self._searched = (YAW, DELAY, ROW) if axes is None else (YAW,)

    def peak(self) -> Peak | None:
        """Agreement about its peak; None where no moment has a radar frame near it."""
        centre: FloatArray = np.zeros(3)
        few = evenly(self._moments, _COARSE_MOMENTS)
        for axis, tried in ((YAW, _YAWS_RAD), (DELAY, _DELAYS_S)):
            if axis in self._searched:
                centre = self._best(few, [centre + value * np.eye(3)[axis] for value in tried])
        peak = self._climb(evenly(self._moments, _FINE_MOMENTS), centre, _FEW_ROUNDS)
        return peak and self._climb(self._moments, peak.following, _ROUNDS)

    def _best(self, moments: Sequence[Moment], centres: Sequence[FloatArray]) -> FloatArray:
        """That of the centres with the highest agreement of moments that all of them can use."""
        usable = [
            moment
            for moment in moments
            if all(moment.radar_at(centre[DELAY]) is not None for centre in centres)
        ]
        if not usable:
            return centres[0]
        means = [_log_odds(self._answers(usable, centre)).mean() for centre in centres]
        return centres[int(np.argmax(means))]

    def _climb(self, moments: Sequence[Moment], centre: FloatArray, rounds: int) -> Peak | None:
        """Agreement about a centre that is near the peak, or as near as it comes in `rounds`."""
        for _ in range(rounds):
            peak = self._around(moments, centre)
            if peak is None or (np.abs(peak.following - centre) <= _NEAR).all():
                break
            centre = peak.following
        return peak

    def _around(self, moments: Sequence[Moment], centre: FloatArray) -> Peak | None:
        usable = [moment for moment in moments if moment.radar_at(centre[DELAY]) is not None]
        if not usable:
            return None
        answers = self._answers(usable, centre)
        here = _log_odds(answers)

        def at(*signs: int) -> FloatArray:
            return _log_odds(self._answers(usable, centre, _STEPS * signs))

        gradient = np.zeros((len(usable), 3))
        hessian = np.zeros((len(usable), 3, 3))
        sides = np.zeros((3, len(usable)))
        for axis in self._searched:
            signs = np.eye(3, dtype=int)[axis]
            less, more = at(*-signs), at(*signs)
            sides[axis] = less + more - 2 * here
            gradient[:, axis] = (more - less) / (2 * _STEPS[axis])
            hessian[:, axis, axis] = sides[axis] / _STEPS[axis] ** 2
        if DELAY in self._searched:
            both = at(0, 1, 1) + at(0, -1, -1) - 2 * here
            mixed = (both - sides[DELAY] - sides[ROW]) / (2 * _STEPS[DELAY] * _STEPS[ROW])
            hessian[:, DELAY, ROW] = hessian[:, ROW, DELAY] = mixed
            gradient[:, ROW] -= _ROW_STIFFNESS * centre[ROW]
            hessian[:, ROW, ROW] -= _ROW_STIFFNESS
        return Peak(centre, here, gradient, hessian, answers)

    def _answers(
        self, moments: Sequence[Moment], centre: FloatArray, beside: FloatArray | None = None
    ) -> list[Correspondence]:
        """Answers at a centre, or (3,) beside it with the same radar frames."""
        step = np.zeros(3) if beside is None else beside

        def answer(moment: Moment) -> Correspondence:
            found = moment.radar_at(centre[DELAY])
            assert found is not None
            radar, gap_s = found
            moved = perturbed(radar, centre[YAW] + step[YAW], gap_s + step[DELAY], self._axes)
            return self._infer(_lowered(moment.image, centre[ROW] + step[ROW]), moved)

        answers = []
        for told in self._pool.map(answer, moments):
            answers.append(told)
            self._inferred()
        return answers


def evenly(moments: Sequence[Moment], count: int) -> list[Moment]:
    """At most `count` of them, evenly spread."""
    count = min(count, len(moments))
    return [moments[int((i + 0.5) * len(moments) / count)] for i in range(count)]


def _newton(gradient: FloatArray, hessian: FloatArray) -> FloatArray:
    """Steps (..., k) to the peaks of (..., k) and (..., k, k), NaN where there is none."""
    peaked = np.linalg.eigvalsh(hessian)[..., -1] < 0
    safe = np.where(peaked[..., None, None], hessian, -np.eye(gradient.shape[-1]))
    step = -np.linalg.solve(safe, gradient[..., None])[..., 0]
    return np.where(peaked[..., None], step, np.nan)


def _log_odds(answers: Sequence[Correspondence]) -> FloatArray:
    return log_odds([answer.agreement for answer in answers], _LOG_ODDS_LIMIT)


def _lowered(image: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """The image moved down by a share of its height; what comes in repeats the border."""
    if not share:
        return image
    height, width = image.shape[:2]
    down = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, share * height]])
    moved = cv2.warpAffine(image, down, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.uint8)
