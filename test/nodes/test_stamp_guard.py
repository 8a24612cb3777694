# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from radar_camera_ssl.nodes.stamp_guard import (
    STAMP_FAR_FROM_CLOCK,
    STAMP_ZERO,
    stamp_problem,
)

NOW = 1_700_000_000 * 10**9


@pytest.mark.parametrize(
    ('stamp', 'now', 'tolerance_s', 'problem'),
    [
        (NOW, NOW, 10.0, None),
        (NOW - 9 * 10**9, NOW, 10.0, None),
        (NOW + 9 * 10**9, NOW, 10.0, None),
        (NOW - 11 * 10**9, NOW, 10.0, STAMP_FAR_FROM_CLOCK),
        (NOW + 11 * 10**9, NOW, 10.0, STAMP_FAR_FROM_CLOCK),
        (NOW - 11 * 10**9, NOW, 0.0, None),
        (0, NOW, 0.0, STAMP_ZERO),
        (0, 0, 10.0, STAMP_ZERO),
        (-5, NOW, 0.0, STAMP_ZERO),
        (NOW, 0, 10.0, None),
    ],
)
def test_stamps_that_may_pass(
    stamp: int, now: int, tolerance_s: float, problem: str | None
) -> None:
    assert stamp_problem(stamp, now, tolerance_s) == problem
