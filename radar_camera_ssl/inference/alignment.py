# SPDX-License-Identifier: Apache-2.0
"""Whether radar and camera still fit together, from a few seconds of answers.

One frame tells little: a slightly turned radar still hits most of what it sees. Over a window of
seconds what is wrong with the mounting or the clocks stays, and what is wrong with single returns
averages out. Order does not matter within a window, and nothing here needs a calibration.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radar_camera_ssl.sensors.geometry import yaw_pitch_roll
from radar_camera_ssl.sensors.radar_points import RadarPoints

from .model import Correspondence

FloatArray = NDArray[np.float64]

# A probability beyond these log-odds is a saturated calibration, not that much more evidence.
_LOG_ODDS_LIMIT = 6.0
# Residuals beyond this angle are another source, not this mounting. Wider than azimuth noise.
_HUBER_RAD = np.deg2rad(2.5)
# Returns of one source err together: as large as a road user at mid range, and as deep.
_SOURCE_RAD = np.deg2rad(5.0)
_SOURCE_LOG_RANGE = 1.0
# Below this spread of azimuths a fit of pixels per radian is one of the returns' noise.
_LEAST_SPREAD_RAD = np.deg2rad(2.0)
# Where turned returns hardly move the residual, a ratio to that would be noise.
_LEAST_RESPONSE = 0.05
# Where agreement hardly curves over yaw, in log-odds per rad^2, its peak would be noise.
_LEAST_CURVATURE = 0.01 / np.deg2rad(1.0) ** 2
# Wider than that of a window: what is asked for is where the peak is, not how sure a frame is.
_PEAK_LOG_ODDS_LIMIT = 10.0
# Beyond the turn that was tried by this factor, a step of Newton's method is a guess.
_FARTHEST_STEP = 4.0
# The peak's share in an estimate where it is distinct; chosen on simulated development drives.
_PEAK_SHARE = 2.0 / 3.0


def log_odds(agreement: ArrayLike, limit: float = _LOG_ODDS_LIMIT) -> FloatArray:
    """Log-odds (n,) of the agreement (n,) of frames, clipped at +-limit.

    Raises ValueError for what is not a probability.
    """
    values = np.asarray(agreement, np.float64).ravel()
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError('agreement must be in [0, 1]')
    with np.errstate(divide='ignore'):
        odds = np.log(values) - np.log1p(-values)
    return np.clip(odds, -limit, limit)


def window_agreement(agreement: ArrayLike) -> float | None:
    """Agreement of a window of frames, in [0, 1], from that of its frames; None without frames.

    agreement: (n,) in [0, 1]. The frames' log-odds, clipped at +-6, are averaged. An average of
    probabilities would let the many frames that look right drown those that plainly do not. A sum,
    right for independent frames, would be too sure of itself: neighbours show the same scene.
    Raises ValueError for what is not a probability.
    """
    odds = log_odds(agreement)
    if not odds.size:
        return None
    return float(1 / (1 + np.exp(-odds.mean())))


@dataclass(frozen=True)
class YawResidual:
    """How far the radar's returns lie to the left of where the image shows their sources.

    angle: rad, mean over the window; positive where the radar itself has turned to the right
    (negative about its z axis) since the model learnt the mounting. deviation: rad, its standard
    deviation from the scatter between sources: a lower bound, for what all sources share does not
    scatter. weight: sum of the returns' weights.
    """

    angle: float
    deviation: float
    weight: float


def yaw_residual(window: Sequence[Correspondence]) -> YawResidual | None:
    """Horizontal residual of `pixel` against `prior_pixel` over a window, as an angle.

    A radar that turned moves `prior_pixel`, which comes from the returns alone, and not what the
    image shows. `pixel` is where both agree and so lies in between: the angle has the sign of the
    yaw error and grows with it, but is smaller, by a factor that depends on how sharply the model
    sees in this scene: `yaw_estimate` measures that factor. Beyond the reach of the prior the
    image no longer answers: there `window_agreement` falls instead.

    Huber's mean of the residuals, weighted by likelihood. Pixels become angles
    by the model's own geometry: the straight line of azimuth over `prior_pixel` in this window.

    None where no return has a likelihood, where the returns are all in one direction, or where a
    model has no `prior_pixel`.
    Source: Huber, "Robust estimation of a location parameter", Annals of Statistics 35 (1964).
    """
    if not window or any(answer.prior_pixel is None for answer in window):
        return None
    position = np.concatenate([answer.returns.position for answer in window]).astype(np.float64)
    pixel = np.concatenate([answer.pixel[:, 0] for answer in window]).astype(np.float64)
    prior = np.concatenate(
        [answer.prior_pixel[:, 0] for answer in window if answer.prior_pixel is not None]
    ).astype(np.float64)
    weight = np.concatenate([answer.likelihood for answer in window]).astype(np.float64)
    distance = np.hypot(position[:, 0], position[:, 1])
    azimuth = np.arctan2(position[:, 1], position[:, 0])
    radian_per_pixel = _radian_per_pixel(prior, azimuth, weight * distance**2)
    if radian_per_pixel is None:
        return None
    residual = radian_per_pixel * (prior - pixel)
    angle = _huber_mean(residual, weight)
    direction = np.floor(azimuth / _SOURCE_RAD)
    depth = np.floor(np.log1p(distance) / _SOURCE_LOG_RANGE)
    _, source = np.unique(np.stack([direction, depth]), axis=1, return_inverse=True)
    pull = weight * np.clip(residual - angle, -_HUBER_RAD, _HUBER_RAD)
    by_source = np.bincount(source.ravel(), pull)
    total = float(weight.sum())
    return YawResidual(angle, float(np.sqrt((by_source**2).sum())) / total, total)


@dataclass(frozen=True)
class YawEstimate:
    """How far the radar has turned since the model learnt the mounting.

    angle: rad, as in `YawResidual`. response: by how much of a turn of the returns `yaw_residual`
    changes, 1 for a model that trusts the image alone, 0 for one that is blind. curvature: of the
    mean log-odds of `agreement` over yaw at its peak, per rad^2, 0 where they have none.
    """

    angle: float
    response: float
    curvature: float


def yaw_estimate(
    window: Sequence[Correspondence],
    left: Sequence[Correspondence],
    right: Sequence[Correspondence],
    turn_rad: float,
) -> YawEstimate | None:
    """Yaw of the radar from what a known turn does to the answers in the same scene.

    left, right: answers to the same images, with their returns `turned` by turn_rad and
    -turn_rad. Two estimates are averaged. The residual of the pixels over how a turn changes it:
    how much of a yaw error the residual shows depends on the scene (near and distinct sources
    show most of it, distant traffic little), and without that division a threshold on it means
    something else on every road. And the yaw at which `agreement` peaks, by a step of Newton's
    method on the frames' mean log-odds; it counts for less where these hardly curve.

    None where `yaw_residual` is None for any of the three. Raises ValueError unless turn_rad > 0,
    and for windows of different lengths.
    """
    if not turn_rad > 0:
        raise ValueError('turn_rad must be positive')
    if not len(window) == len(left) == len(right):
        raise ValueError('the same images must be answered for all three')
    residuals = [yaw_residual(answers) for answers in (window, left, right)]
    if any(residual is None for residual in residuals):
        return None
    here, to_left, to_right = (residual for residual in residuals if residual is not None)
    response = (to_left.angle - to_right.angle) / (2 * turn_rad)
    by_pixels = here.angle / max(response, _LEAST_RESPONSE)
    middle, at_left, at_right = (
        float(log_odds([answer.agreement for answer in answers], _PEAK_LOG_ODDS_LIMIT).mean())
        for answers in (window, left, right)
    )
    slope = (at_left - at_right) / (2 * turn_rad)
    curvature = max(2 * middle - at_left - at_right, 0.0) / turn_rad**2
    # Returns that agree best when turned to the left lie to the right of their sources.
    to_peak = slope / (curvature + _LEAST_CURVATURE)
    farthest = _FARTHEST_STEP * turn_rad
    share = _PEAK_SHARE * curvature / (curvature + _LEAST_CURVATURE)
    angle = (1 - share) * by_pixels - _PEAK_SHARE * float(np.clip(to_peak, -farthest, farthest))
    return YawEstimate(angle, response, curvature)


def turned(radar: RadarPoints, angle_rad: float) -> RadarPoints:
    """Return the returns turned about the radar's z axis, to the left for positive angles."""
    rotation = yaw_pitch_roll((angle_rad, 0.0, 0.0))
    return replace(radar, position=(radar.position @ rotation.T).astype(np.float32))


def _radian_per_pixel(prior: FloatArray, azimuth: FloatArray, weight: FloatArray) -> float | None:
    """Slope of azimuth (positive to the left) over the column of `prior_pixel`: negative.

    weight: with the squared range in it, for the lever arm between the sensors turns a near
    return by an angle that falls with range.
    """
    total = weight.sum()
    if not total > 0:
        return None
    across = prior - (weight @ prior) / total
    turned = azimuth - (weight @ azimuth) / total
    if (weight @ turned**2) / total < _LEAST_SPREAD_RAD**2:
        return None
    slope = (weight @ (across * turned)) / max(float(weight @ across**2), 1e-12)
    return float(slope) if slope < 0 else None


def _huber_mean(values: FloatArray, weight: FloatArray) -> float:
    """Location that minimises Huber's loss, by reweighting from the weighted median on."""
    order = np.argsort(values)
    below = np.cumsum(weight[order])
    mean = float(values[order][np.searchsorted(below, 0.5 * below[-1])])
    for _ in range(50):
        trust = weight * np.minimum(1, _HUBER_RAD / np.maximum(np.abs(values - mean), _HUBER_RAD))
        previous, mean = mean, float((trust @ values) / trust.sum())
        if abs(mean - previous) < 1e-9:
            break
    return mean
