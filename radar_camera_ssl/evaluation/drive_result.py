# SPDX-License-Identifier: Apache-2.0
"""What one drive's evaluation leaves, and what metrics.json says of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation import histograms
from radar_camera_ssl.evaluation.drive_figures import DriveFigures
from radar_camera_ssl.evaluation.metrics import METRIC_KEYS
from radar_camera_ssl.evaluation.outputs import Drawn
from radar_camera_ssl.evaluation.replay import STAGES
from radar_camera_ssl.evaluation.rig_estimate import RigEstimate, rig_values
from radar_camera_ssl.evaluation.timeline import Timeline


@dataclass
class DriveResult:
    """Counts of one drive, and of drives merged into it; can be pickled.

    fingerprint, drawn, timeline: of this drive alone.
    """

    path: Path
    fingerprint: dict[str, Any]
    figures: DriveFigures
    pairs: int
    dropped: dict[str, Counter[str]]
    gap_ms: NDArray[np.float64]
    latency_ms: dict[str, NDArray[np.float64]]
    notes: list[str]
    missing: dict[str, str]
    drawn: Drawn
    timeline: Timeline
    rig: list[RigEstimate]

    def merge(self, other: DriveResult) -> None:
        """Add another drive's counts."""
        self.figures.merge(other.figures)
        self.pairs += other.pairs
        for stream, reasons in other.dropped.items():
            self.dropped[stream].update(reasons)
        self.gap_ms = self.gap_ms + other.gap_ms
        for stage in STAGES:
            self.latency_ms[stage] = self.latency_ms[stage] + other.latency_ms[stage]
        self.notes += other.notes
        self.missing.update(other.missing)
        self.rig += other.rig

    def values(self) -> dict[str, Any]:
        """What metrics.json holds of these drives."""
        values = self.figures.values()
        told: dict[str, Any] = {key: values.pop(key) for key in METRIC_KEYS}
        found = rig_values(self.rig)
        told['yaw_error_deg'] = found['yaw_error_deg']
        told['time_offset_ms'] = found['time_offset_ms']
        told['pairs'] = self.pairs
        told['dropped'] = {stream: dict(reasons) for stream, reasons in self.dropped.items()}
        unmatched = self.dropped['radar'].total()
        matched = self.pairs / (self.pairs + unmatched) if self.pairs + unmatched else None
        told['matched_share'] = matched
        told['gap_ms'] = _quantiles(self.gap_ms, median=0.5, p95=0.95)
        told['latency_ms'] = {
            stage: _quantiles(self.latency_ms[stage], median=0.5, p99=0.99) for stage in STAGES
        }
        told.update(values)
        told['confidence_95'] = {**values['confidence_95'], **found['confidence_95']}
        told['rig'] = found['rig']
        missing = {key: why for key, why in self.missing.items() if told.get(key) is None}
        for key in METRIC_KEYS:
            if told[key] is None:
                missing.setdefault(key, 'nothing in the recording to measure it on')
        missing.update(found['null_because'])
        told['frames'] = self.figures.frames
        told['frames_with_truth'] = self.figures.frames_with_truth
        told['null_because'] = missing
        told['notes'] = self.notes
        return told


@dataclass(frozen=True)
class DriveFailure:
    """A drive that could not be evaluated, and why."""

    path: Path
    error: str


def _quantiles(counts: NDArray[np.float64], **wanted: float) -> dict[str, float | None]:
    return {name: histograms.magnitude_quantile(counts, q) for name, q in wanted.items()}
