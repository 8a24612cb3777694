# SPDX-License-Identifier: Apache-2.0
"""Stamps that must not reach the pairing: zero, or far from the clock."""

from __future__ import annotations

STAMP_ZERO = 'stamp_zero'
STAMP_FAR_FROM_CLOCK = 'stamp_far_from_clock'


def stamp_problem(stamp_ns: int, now_ns: int, tolerance_s: float) -> str | None:
    """Return the reason to drop a message of this stamp, or None.

    `now_ns` is the node's clock (ROS time: `/clock` under `use_sim_time`). While that is zero no
    simulated time has arrived yet, and there is nothing to compare with. `tolerance_s` <= 0
    switches the comparison off.
    """
    if stamp_ns <= 0:
        return STAMP_ZERO
    if tolerance_s > 0 and now_ns > 0 and abs(stamp_ns - now_ns) > tolerance_s * 1e9:
        return STAMP_FAR_FROM_CLOCK
    return None
