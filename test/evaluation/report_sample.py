# SPDX-License-Identifier: Apache-2.0
"""What write_report takes, with every part there, made without evaluating anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from radar_camera_ssl.evaluation.comparison import Comparison, Reference, compare
from radar_camera_ssl.evaluation.drive_figures import Curves
from radar_camera_ssl.evaluation.moments import ReportMoment
from radar_camera_ssl.evaluation.report import write_report
from radar_camera_ssl.evaluation.summary import HEADLINES, is_share

CARD = """# points.onnx

**What it is.** A model; see [its data](https://example.org/data).

| key | median |
|---|---|
| `pointing_accuracy` | 0.969 |

### Limits

- One mounting only.
"""


def sample_metrics(seed: int = 0, bags: int = 2) -> dict[str, Any]:
    """What metrics.json would hold."""
    rng = np.random.default_rng(seed)
    figures: dict[str, Any] = {}
    intervals: dict[str, Any] = {}
    for key in HEADLINES:
        value = float(rng.uniform(0.3, 0.9)) * (1.0 if is_share(key) else 12.0)
        figures[key] = value
        intervals[key] = [0.95 * value, 1.05 * value]
    baselines = {
        name: {key: 0.5 * value for key, value in figures.items()}
        for name in ('centre', 'image_only', 'radar_only')
    }
    figures['yaw_error_deg'], intervals['yaw_error_deg'] = 0.31, [0.12, 0.5]
    figures['time_offset_ms'] = None
    return {
        'schema': 1,
        'model': {
            'name': 'points.onnx',
            'sha256': f'{seed:064x}',
            'radar': 'points',
            'provider': 'CPUExecutionProvider',
            'arithmetic': 'fp32',
            'grid': [30, 40],
        },
        'slop_s': 0.05,
        **figures,
        'pairs': 393,
        'dropped': {'radar': {'no_partner': 4}, 'image': {'no_partner': 812}, 'pairs': {}},
        'gap_ms': {'median': 6.3, 'p95': 12.1},
        'latency_ms': {
            'decode': {'median': 1.3, 'p99': 4.1},
            'infer': {'median': 10.8, 'p99': 18.8},
        },
        'confidence_95': intervals,
        'confidence_unit': 'block',
        'windows': {'aligned_windows': 18, 'misaligned_windows': 17},
        'baselines': baselines,
        'oracle': {key: 0.9 * value for key, value in figures.items() if value is not None},
        'frames': 393,
        'frames_with_truth': 393,
        'null_because': {'time_offset_ms': 'the car stood'},
        'notes': ['drive 0: evaluated up to where the recording breaks off'],
        'by_range': _bins(rng, np.arange(0.0, 101.0, 10.0), empty=9),
        'by_azimuth': _bins(rng, np.arange(-40.0, 41.0, 10.0), empty=0),
        'bags': [_bag(rng, f'drive {i}', figures) for i in range(bags)],
        'failed_bags': [{'bag': 'broken', 'error': 'metadata.yaml is missing'}],
    }


def _bins(rng: np.random.Generator, edges: np.ndarray, empty: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for i, (start, end) in enumerate(pairwise(edges)):
        row: dict[str, Any] = {'from': float(start), 'to': float(end), 'returns': 0}
        row |= {'pointing_accuracy': None, 'column_error_deg': None}
        if i != empty:
            row['returns'] = int(rng.integers(5, 500))
            row['pointing_accuracy'] = float(rng.uniform(0.6, 1.0))
            row['column_error_deg'] = float(rng.uniform(0.0, 2.0))
        rows.append(row)
    return rows


def _bag(rng: np.random.Generator, name: str, figures: dict[str, Any]) -> dict[str, Any]:
    time_s = np.linspace(0.0, 60.0, 300)
    topic = {'type': 'sensor_msgs/msg/PointCloud2', 'messages': 600}
    return {
        'bag': name,
        'pairs': 196,
        **figures,
        'timeline': {
            'time_s': time_s.tolist(),
            'gap_ms': rng.uniform(0, 17, 300).tolist(),
            'agreement': [None, *rng.uniform(0.8, 1.0, 299).tolist()],
        },
        'fingerprint': {
            'sha256': rng.bytes(32).hex(),
            'bytes': 123_456_789,
            'start_ns': 1_700_000_000_123_456_789,
            'duration_s': 60.0,
            'topics': {'/radar/points': topic},
        },
    }


def sample_curves() -> Curves:
    recall = np.linspace(0.0, 1.0, 1000)
    confidence = (np.arange(15) + 0.5) / 15
    return Curves(
        recall, 1 - 0.6 * recall**2, recall, 1 - 0.8 * recall**2, confidence, confidence**1.2
    )


def sample_moments(count: int, seed: int) -> list[ReportMoment]:
    rng = np.random.default_rng(seed)
    moments = []
    for i in range(count):
        image = cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (640, 480))
        cv2.putText(image, f'{seed}.{i}', (60, 300), cv2.FONT_HERSHEY_SIMPLEX, 6.0, (0,) * 3, 9)
        jpeg = cv2.imencode('.jpg', image)[1].tobytes()
        moments.append(
            ReportMoment('drive 0', 1.5 * i, i / 10, 0.93, '6 of 8 returns on their source', jpeg)
        )
    return moments


@dataclass
class Sample:
    """Arguments of write_report, each to be changed before `write`."""

    metrics: dict[str, Any] = field(default_factory=sample_metrics)
    curves: Curves = field(default_factory=sample_curves)
    best: list[ReportMoment] = field(default_factory=lambda: sample_moments(10, 1))
    worst: list[ReportMoment] = field(default_factory=lambda: sample_moments(10, 2))
    card: str | None = CARD
    video: bool = True
    compared: bool = False

    def write(self, path: Path) -> str:
        """Write the report; returns the page."""
        write_report(
            path,
            self.metrics,
            self.curves,
            self.best,
            self.worst,
            self.card,
            self.comparison() if self.compared else None,
            self.video,
        )
        return path.read_text(encoding='utf-8')

    def comparison(self) -> Comparison:
        """Against another sample: other figures, another model, other recordings."""
        return compare(self.metrics, Reference('before/metrics.json', sample_metrics(7)))
