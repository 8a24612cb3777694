# SPDX-License-Identifier: Apache-2.0
"""The car's own speed from the radar alone: most of what it sees stands still.

A thing at rest at azimuth a comes nearer with the car's speed times cos(a) (Kellner et al. 2013,
Instantaneous ego-motion estimation using Doppler radar). The speed on which most returns agree is
the car's; movers disagree with it and with one another. It holds for a radar that looks forward,
and within its unambiguous Doppler: beyond that the speed comes out folded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.sensors.radar_cube import CubeAxes

AGREEMENT_MPS = 1.0
"""Returns within this much of each other tell of the same speed."""
FEWEST_RETURNS = 4
LEAST_SHARE = 0.25
"""Fewer returns, or a smaller share of them, in agreement: the speed is not known."""
LEAST_COSINE = 0.5
STRONGEST_PLACES = 64
MEDIAN_FRAMES = 5
STANDSTILL_MPS = 0.3
"""Below this the speed is noise: the car stands."""
CREDIBLE_GAP_S = 1.0
UNKNOWN_MPS = 5.0
"""Taken where the speed is not known: the car is assumed to move."""
MOVED_M = 2.0
"""A car that has gone no further shows its sensors the same scene again."""


def ego_speed(returns: NDArray[np.float32]) -> float:
    """Give the speed, m/s >= 0, that most of the returns (N, 4) x, y, velocity, rcs agree on.

    NaN where too few agree.
    """
    x, y, velocity = (returns[:, column].astype(np.float64) for column in range(3))
    cosine = x / np.maximum(np.hypot(x, y), 1e-6)
    ahead = cosine >= LEAST_COSINE
    return _agreed(-velocity[ahead] / cosine[ahead], AGREEMENT_MPS)


def ego_speed_of_cube(cube: NDArray[np.float32], axes: CubeAxes) -> float:
    """Give the speed, m/s >= 0, on which the strongest places of a cube (R, A, D), dB, agree.

    NaN where too few agree. Coarser than from returns: about half a Doppler bin.
    """
    _, azimuth, doppler = axes.centres((cube.shape[0], cube.shape[1], cube.shape[2]))
    cosine = np.cos(azimuth)
    usable = np.flatnonzero(cosine >= LEAST_COSINE)
    width = (axes.doppler_mps[1] - axes.doppler_mps[0]) / len(doppler)
    spectra = cube[:, usable].reshape(-1, len(doppler))
    if len(doppler) < 3 or not len(spectra):
        return float('nan')
    most = spectra.max(axis=1)
    strongest = np.argsort(-most, kind='stable')[:STRONGEST_PLACES]
    peak = spectra[strongest].argmax(axis=1)
    # The spectrum's end is its beginning: Doppler folds.
    beside = (peak[:, None] + np.array([-1, 0, 1])) % len(doppler)
    power = 10.0 ** (0.1 * (spectra[strongest[:, None], beside] - most[strongest, None]))
    offset = (power[:, 2] - power[:, 0]) / power.sum(axis=1)
    speeds = -(doppler[peak] + offset * width) / cosine[usable[strongest % len(usable)]]
    return _agreed(speeds, max(AGREEMENT_MPS, 0.5 * abs(width)))


def _agreed(speeds: NDArray[np.float64], width: float) -> float:
    """Give the median of the fullest window of `width`; of equally full ones the fastest."""
    speeds = np.sort(speeds)
    count = np.searchsorted(speeds, speeds + width, side='right') - np.arange(len(speeds))
    fullest = int(count.max(initial=0))
    if fullest < max(FEWEST_RETURNS, LEAST_SHARE * len(speeds)):
        return float('nan')
    # What drives ahead of the car at its own speed is as dense as a single thing can be, at zero.
    first = int(np.flatnonzero(count == fullest)[-1])
    # Of so few numbers NumPy's median costs many times as much.
    return abs(median(speeds[first : first + fullest].tolist()))


def drive_speeds(single: Sequence[float]) -> NDArray[np.float32]:
    """Give the speeds (n,) of a drive from those of its single frames: a running median.

    A frame whose returns are mostly of one mover is so outvoted. All NaN where the radar never
    saw the car move: it reports velocities over ground, or the car is parked. In both cases zero
    speed says nothing about which frames show the same.
    """
    half = MEDIAN_FRAMES // 2
    padded = np.pad(np.asarray(single, np.float64), half, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, MEDIAN_FRAMES)
    speeds = np.full(len(around), np.nan, np.float32)
    some = np.isfinite(around).any(axis=1)
    speeds[some] = np.nanmedian(around[some], axis=1)
    return speeds if np.any(speeds > STANDSTILL_MPS) else np.full_like(speeds, np.nan)


def travelled(stamps: NDArray[np.int64], speeds: NDArray[np.float32]) -> NDArray[np.float64]:
    """Give the way (n,), m, that the car has gone since the first of its frames.

    stamps (n,) ns; speeds (n,) m/s, NaN where not known: between two that are known and near in
    time they are interpolated, elsewhere the car is assumed to move.
    """
    seconds = (stamps - stamps[:1]).astype(np.float64) * 1e-9
    speeds = speeds.astype(np.float64)
    known = np.flatnonzero(np.isfinite(speeds))
    filled: NDArray[np.float64] = np.full(len(speeds), UNKNOWN_MPS)
    if len(known):
        frames = np.arange(len(speeds))
        after = known[np.searchsorted(known, frames).clip(max=len(known) - 1)]
        before = known[np.searchsorted(known, frames, side='right').clip(min=1) - 1]
        credible = (before <= frames) & (frames <= after)
        credible &= np.abs(seconds[after] - seconds[before]) <= CREDIBLE_GAP_S
        filled = np.where(credible, np.interp(frames, known, speeds[known]), filled)
    filled[filled < STANDSTILL_MPS] = 0.0
    # A recording that starts over goes no way back.
    steps = np.diff(seconds).clip(min=0.0) * (filled[1:] + filled[:-1]) / 2.0
    return np.concatenate([np.zeros(min(1, len(speeds))), np.cumsum(steps)])


class Odometer:
    """The way that the car has gone, frame by frame as they come: what `travelled` is of a drive.

    It sees no future: the speed is the median of the last MEDIAN_FRAMES frames that told one. For
    a radar that reports velocities over ground, the car never moves.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._way = 0.0
        self._speeds: deque[float] = deque(maxlen=MEDIAN_FRAMES)

    def add(self, stamp: int, returns: NDArray[np.float32]) -> float:
        """Take a frame (stamp in ns) of returns (N, 4) as `ego_speed`'s; gives the way so far, m.

        A stamp before the last one goes no way back.
        """
        speed = ego_speed(returns)
        if np.isfinite(speed):
            self._speeds.append(speed)
        seconds = 0.0 if self._last is None else max(0.0, (stamp - self._last) * 1e-9)
        self._last = stamp
        if seconds > CREDIBLE_GAP_S:
            self._speeds.clear()
        speed = float(np.median(self._speeds)) if self._speeds else UNKNOWN_MPS
        self._way += seconds * (speed if speed >= STANDSTILL_MPS else 0.0)
        return self._way
