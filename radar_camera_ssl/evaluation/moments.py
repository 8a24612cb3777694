# SPDX-License-Identifier: Apache-2.0
"""Single frames worth showing: those that the model did best and worst on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReportMoment:
    """One frame as the report shows it.

    bag: name of its drive; time_s: since that drive's first frame. score: in [0, 1], larger is
    better, None without ground truth. agreement: the model's own, in [0, 1]. caption: what the
    score counts here, one line. jpeg: the overlay, encoded.
    """

    bag: str
    time_s: float
    score: float | None
    agreement: float
    caption: str
    jpeg: bytes
