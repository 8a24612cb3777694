# SPDX-License-Identifier: Apache-2.0
"""What drives tell of a rig: yaw and clock offset with their deviations, and several together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

YAW_SHARED_RAD = np.deg2rad(0.27)
DELAY_SHARED_S = 0.006
"""Standard deviations of what a whole drive shares, and its time blocks therefore do not show:
light that throws all shadows to one side, and the model's own zero. They are those between
simulated drives (`python benchmarks/rig_diagnosis.py`)."""

STATED, LEARNT = 'extrinsics', 'learnt mounting'
_DEG_PER_RAD, _MS_PER_S = 180.0 / np.pi, 1e3
# Of the normal distribution.
_Z_95 = 1.96


@dataclass(frozen=True)
class Estimate:
    """A number from one drive: its value and standard deviation, what drives share included."""

    value: float
    deviation: float


@dataclass(frozen=True)
class RigEstimate:
    """What one drive tells; can be pickled.

    yaw_learnt: rad, yaw of the radar about its z axis, positive to the left (REP 103), since the
    mounting that the model has learnt. yaw_stated: the same against the recording's extrinsics:
    what the answers say less what the extrinsics say, to be added to the latter. delay: s, by how
    much later the radar's stamps are than the camera's for the same instant. None where
    `null_because` says why, by the key in metrics.json, and without extrinsics. moments: how many
    images it rests on.
    """

    yaw_learnt: Estimate | None = None
    yaw_stated: Estimate | None = None
    delay: Estimate | None = None
    moments: int = 0
    null_because: dict[str, str] = field(default_factory=dict)


def pooled(estimates: Sequence[Estimate]) -> Estimate | None:
    """Mean of several drives' estimates, weighted by 1 / variance; None without any.

    Its deviation is that of independent drives, times the Birge ratio where they differ by more
    than their deviations say: a rig that has changed between them has no one value.
    Source: Birge, "The calculation of errors by the method of least squares", Physical Review 40
    (1932).
    """
    if not estimates:
        return None
    value = np.array([estimate.value for estimate in estimates])
    weight = 1.0 / np.array([estimate.deviation for estimate in estimates]) ** 2
    mean = float(weight @ value / weight.sum())
    squares = float(weight @ (value - mean) ** 2)
    birge = max(1.0, np.sqrt(squares / max(1, len(estimates) - 1)))
    return Estimate(mean, float(birge / np.sqrt(weight.sum())))


def rig_values(drives: Sequence[RigEstimate]) -> dict[str, Any]:
    """What metrics.json holds of the rig of these drives, pooled.

    `yaw_error_deg` and `time_offset_ms` as `RigEstimate` defines them, `confidence_95` of them
    (1.96 deviations either way), `null_because`, and `rig`: what the yaw is measured against
    ('extrinsics' where any drive has them, else 'learnt mounting'), both deviations, the yaw
    against the learnt mounting in any case, and how many drives and moments all that rests on.
    """
    learnt = _pooled([drive.yaw_learnt for drive in drives], _DEG_PER_RAD)
    stated = _pooled([drive.yaw_stated for drive in drives], _DEG_PER_RAD)
    figures = {
        'yaw_error_deg': stated or learnt,
        'time_offset_ms': _pooled([drive.delay for drive in drives], _MS_PER_S),
    }
    against = STATED if stated else LEARNT if learnt else None
    reasons = {key: why for drive in drives for key, why in drive.null_because.items()}
    return {
        **{key: None if figure is None else figure.value for key, figure in figures.items()},
        'confidence_95': {key: _interval(figure) for key, figure in figures.items()},
        'null_because': {key: why for key, why in reasons.items() if figures[key] is None},
        'rig': {
            'yaw_measured_against': against,
            'yaw_error_deviation_deg': _deviation(figures['yaw_error_deg']),
            'time_offset_deviation_ms': _deviation(figures['time_offset_ms']),
            'yaw_against_learnt_deg': None if learnt is None else learnt.value,
            'yaw_against_learnt_deviation_deg': _deviation(learnt),
            'drives': len(drives),
            'moments': sum(drive.moments for drive in drives),
        },
    }


def _pooled(estimates: Sequence[Estimate | None], factor: float) -> Estimate | None:
    """Pool what there is, and take it to another unit."""
    together = pooled([estimate for estimate in estimates if estimate])
    if together is None:
        return None
    return Estimate(factor * together.value, factor * together.deviation)


def _deviation(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.deviation


def _interval(estimate: Estimate | None) -> tuple[float, float] | None:
    if estimate is None:
        return None
    half = _Z_95 * estimate.deviation
    return estimate.value - half, estimate.value + half
