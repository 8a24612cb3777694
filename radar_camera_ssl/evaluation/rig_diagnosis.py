# SPDX-License-Identifier: Apache-2.0
"""Self-diagnosis of a rig from the model's answers alone: is the radar turned, is its clock late?

Neither ground truth nor a calibration is read. The one number asked of the model is `agreement`:
whether a radar frame and an image show the same instant through the mounting that it has learnt.
It is asked again with radar frames turned and taken to other times, and where it is highest, there
radar and camera fit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation.oracle import ProjectionOracle
from radar_camera_ssl.evaluation.replay import RadarFrame, ReplayFrame
from radar_camera_ssl.evaluation.rig_estimate import (
    DELAY_SHARED_S,
    YAW_SHARED_RAD,
    Estimate,
    RigEstimate,
)
from radar_camera_ssl.evaluation.rig_search import (
    DELAY,
    MOST_DELAY_S,
    MOST_YAW_RAD,
    REACH_S,
    YAW,
    Infer,
    Moment,
    Peak,
    RigSearch,
    evenly,
)
from radar_camera_ssl.inference.alignment import turned
from radar_camera_ssl.inference.model import Correspondence
from radar_camera_ssl.model_metadata import CubeInput, ModelMetadata
from radar_camera_ssl.sensors.camera_image import resize_image
from radar_camera_ssl.sensors.ego_speed import Odometer
from radar_camera_ssl.sensors.radar_cube import CubeAxes

FloatArray = NDArray[np.float64]

MOMENTS = 108
"""Images that a diagnosis rests on, of a drive of any length."""
BLOCKS = 12
"""Their blocks in time, from which the deviations are drawn."""
LEAST_MOMENTS = 3 * BLOCKS
"""With fewer images nothing is said."""
LEAST_AGREEMENT = 0.5
"""Below it at its peak, the model itself says that radar and images do not belong together."""

_APART_M = 0.5
# A standing car sees little new: a second of it counts as much as this much of the way.
_STANDING_MPS = 1.0
_RESAMPLES = 400
_THREADS = 2
# A peak is one when there is one in this share of the resamples.
_SURE = 0.95
# Between these quantiles lie two standard deviations of a normal distribution.
_ONE_SIGMA = (0.1587, 0.8413)
_PROBE_RAD = np.deg2rad(0.5)


def inferences(pairs: int) -> int:
    """About how many a diagnosis of a drive of so many pairs may take; of cubes, fewer."""
    return 9 * min(pairs, MOMENTS) + 500 if pairs >= LEAST_MOMENTS else 0


class RigProbe:
    """Diagnoses the rig of one drive: `add` its frames in order, then `finish`.

    Holds the images of MOMENTS to 2 * MOMENTS moments spread evenly over the way, at the size
    that the model reads (`infer` would resize them to that before anything else), and the radar
    frames of 0.35 s around each (of cubes, its own). At the end `RigSearch` runs the model on
    MOMENTS of them.
    """

    def __init__(self, infer: Infer, metadata: ModelMetadata) -> None:
        """Start a drive; infer and metadata: the model's."""
        self._infer = infer
        self._size = (metadata.camera.height, metadata.camera.width)
        radar = metadata.radar
        self._axes: CubeAxes | None = None
        self._around_s = MOST_DELAY_S + REACH_S
        if isinstance(radar, CubeInput):
            self._axes = CubeAxes(radar.range_m, radar.azimuth_rad, radar.doppler_mps)
            # Only its own, for the delay is not searched.
            self._around_s = 0.0
        self._odometer = Odometer()
        self._last: int | None = None
        self._seconds = 0.0
        self._next_m = 0.0
        self._apart_m = _APART_M
        self.held: list[Moment] = []
        self._recent: deque[tuple[int, RadarFrame]] = deque()

    def add(self, frame: ReplayFrame) -> None:
        """Take one pair."""
        newest = (frame.radar_stamp, frame.radar)
        self._recent.append(newest)
        while not self._is_around(frame.radar_stamp, self._recent[0][0]):
            self._recent.popleft()
        for moment in reversed(self.held):
            if not self._is_around(moment.stamp, frame.radar_stamp):
                break
            moment.radar.append(newest)
        gone_m = self._gone(frame)
        if gone_m < self._next_m or not len(frame.correspondence.returns):
            return
        self._next_m = gone_m + self._apart_m
        image = resize_image(frame.image, *self._size)
        self.held.append(Moment(frame.image_stamp, image, list(self._recent)))
        if len(self.held) >= 2 * MOMENTS:
            self.held = self.held[::2]
            self._apart_m *= 2

    def _gone(self, frame: ReplayFrame) -> float:
        """Way gone so far, m, standing included."""
        rows = frame.correspondence.returns.as_array(('x', 'y', 'velocity', 'rcs'))
        way_m = self._odometer.add(frame.radar_stamp, rows)
        if self._last is not None:
            self._seconds += max(0.0, (frame.radar_stamp - self._last) * 1e-9)
        self._last = frame.radar_stamp
        return way_m + _STANDING_MPS * self._seconds

    def _is_around(self, stamp: int, other: int) -> bool:
        return abs(stamp - other) <= self._around_s * 1e9

    def finish(
        self, oracle: ProjectionOracle | None, inferred: Callable[[], None] = lambda: None
    ) -> RigEstimate:
        """Search, once all frames have passed; oracle: the recording's extrinsics, if any.

        inferred: called after every inference.

        The deviations are those of a bootstrap over BLOCKS blocks of time, and what a drive's
        blocks share (`YAW_SHARED_RAD`, `DELAY_SHARED_S`) besides.
        """
        peak = None
        if len(self.held) >= LEAST_MOMENTS:
            with ThreadPoolExecutor(_THREADS) as pool:
                moments = evenly(self.held, MOMENTS)
                peak = RigSearch(self._infer, moments, self._axes, pool, inferred).peak()
        if peak is None or len(peak.log_odds) < LEAST_MOMENTS:
            return _nothing(f'fewer than {LEAST_MOMENTS} moments with returns')
        agreement = float(1 / (1 + np.exp(-peak.log_odds.mean())))
        if agreement < LEAST_AGREEMENT:
            why = 'radar and images do not agree at any yaw and clock offset'
            return _nothing(f'{why} ({agreement:.2f} at best): a rig that the model does not know')
        yaw = _estimate(peak, YAW, MOST_YAW_RAD, YAW_SHARED_RAD)
        delay = _estimate(peak, DELAY, MOST_DELAY_S, DELAY_SHARED_S)
        reasons: dict[str, str] = {}
        if yaw is None:
            within = f'within {np.rad2deg(MOST_YAW_RAD):g} degrees of yaw'
            reasons['yaw_error_deg'] = f'the agreement has no clear peak {within}'
        if self._axes is not None:
            reasons['time_offset_ms'] = 'not from radar cubes: their bins are too wide'
        elif delay is None:
            within = f'within {1e3 * MOST_DELAY_S:g} ms of clock offset'
            why = 'little passes by when a car stands, or drives where nothing is near'
            reasons['time_offset_ms'] = f'the agreement has no clear peak {within}: {why}'
        stated = None
        if yaw is not None and oracle is not None:
            angle = self._stated_less_centre(peak, oracle)
            if angle is not None:
                stated = Estimate(yaw.value + angle, yaw.deviation)
        return RigEstimate(yaw, stated, delay, len(peak.log_odds), reasons)

    def _stated_less_centre(self, peak: Peak, oracle: ProjectionOracle) -> float | None:
        """What to add to a yaw since the learnt mounting for one since the stated extrinsics, rad.

        The median over the returns of the angle, about the radar's z axis, from their projection
        to `prior_pixel` at the peak's centre, less the centre's yaw. None without such a pixel or
        without returns that both see.
        """
        height, width = self._size
        camera = oracle.intrinsics.scaled(width, height)
        centre = float(peak.centre[YAW])

        def column(answer: Correspondence, yaw_rad: float) -> FloatArray:
            position = turned(answer.returns, yaw_rad - centre).position
            return camera.project(oracle.optical_from_radar.apply(position))[0][:, 0]

        angles, weights = [], []
        for answer in peak.answers:
            if answer.prior_pixel is None:
                return None
            slope = column(answer, _PROBE_RAD) - column(answer, -_PROBE_RAD)
            stated = column(answer, 0.0)
            inside = (stated > -0.5) & (stated < width - 0.5) & (slope < 0)
            angle = 2 * _PROBE_RAD * (answer.prior_pixel[:, 0] - stated) / slope
            angles.append(angle[inside])
            weights.append(answer.likelihood[inside])
        median = _weighted_median(np.concatenate(angles), np.concatenate(weights))
        return None if median is None else median - centre


def _nothing(why: str) -> RigEstimate:
    return RigEstimate(null_because=dict.fromkeys(('yaw_error_deg', 'time_offset_ms'), why))


def _estimate(peak: Peak, axis: int, most: float, shared: float) -> Estimate | None:
    """Where the peak is on an axis; None where there is none for sure, or beyond `most`."""
    count = len(peak.log_odds)
    rng = np.random.default_rng(0)
    blocks = rng.multinomial(BLOCKS, np.full(BLOCKS, 1 / BLOCKS), _RESAMPLES)
    weight = blocks[:, np.arange(count) * BLOCKS // count].astype(np.float64)
    drawn = peak.place(weight)[:, axis]
    drawn = drawn[np.isfinite(drawn)]
    value = float(peak.place(np.ones(count))[axis])
    if len(drawn) < _SURE * _RESAMPLES or not abs(value) <= most:
        return None
    # A step of Newton's method has heavy tails.
    low, high = np.quantile(drawn, _ONE_SIGMA)
    return Estimate(value, float(np.hypot((high - low) / 2, shared)))


def _weighted_median(values: FloatArray, weight: FloatArray) -> float | None:
    order = np.argsort(values)
    below = np.cumsum(weight[order])
    if not below.size or not below[-1] > 0:
        return None
    return float(values[order][np.searchsorted(below, 0.5 * below[-1])])
