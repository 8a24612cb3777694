# SPDX-License-Identifier: Apache-2.0
"""Evaluates a model on recordings: figures, a report, a video."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from radar_camera_ssl.evaluation.drive_run import (
    EvaluationOptions,
    evaluate_drive,
    radar_frames,
    radar_topic,
)
from radar_camera_ssl.evaluation.outputs import Outputs
from radar_camera_ssl.evaluation.report import write_report
from radar_camera_ssl.evaluation.video import MomentSampler, contact_sheet
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.sensors.recording import Recording

METRICS_SCHEMA = 1

Progress = Callable[[int, int], None]


def evaluate_bags(
    bags: Sequence[Path | str],
    model: CorrespondenceModel | Path | str,
    out: Path | str | None,
    slop_s: float = 0.05,
    record: bool = False,
    overlay: bool = True,
    progress: Progress | None = None,
    options: EvaluationOptions | None = None,
) -> dict[str, Any]:
    """Run a model over recordings and measure it; returns what metrics.json holds.

    out: folder for metrics.json, report.html, with `overlay` also overlay.mp4 and overlay.png,
    with `record` also recorded/<name of the bag>, a bag of heatmaps and reflections; None writes
    nothing. options overrides slop_s. progress: called with pairs done and radar frames in all.

    Every figure is None where a recording lacks what it needs; `null_because` says what. Keys are
    those of `METRIC_KEYS` (defined in `Tally.values`) with `confidence_95`, `baselines`, `oracle`,
    then `pairs`, `dropped`, `gap_ms` (absolute), `latency_ms`, `windows` (how many of each kind
    the window figures rest on), and `bags` with the same per drive.
    Figures over several drives are pooled over their frames and returns, not averaged.

    Raises ModelError for a model and RecordingError for a recording that cannot be used, and
    ValueError without recordings.
    """
    if not bags:
        raise ValueError('no recordings to evaluate')
    if isinstance(model, str | Path):
        model = CorrespondenceModel.load(model)
    options = options or EvaluationOptions(slop_s=slop_s)
    paths = [Path(bag) for bag in bags]
    folder = None if out is None else Path(out)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    sampler = MomentSampler()
    results = []
    with Outputs(folder, paths, overlay, record, sampler) as outputs:
        total = _count_radar(paths, model, options) if progress else 0
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            if progress is not None:
                progress(done, max(total, done))

        for i, path in enumerate(paths):
            other = paths[(i + 1) % len(paths)]
            foreign = radar_frames(other, model, options) if other != path else []
            outputs.begin(path)
            results.append(evaluate_drive(path, model, options, foreign, outputs, step))

    per_drive = [{'bag': path.name, **r.values()} for path, r in zip(paths, results, strict=True)]
    merged = results[0]
    for result in results[1:]:
        merged.merge(result)
    metrics: dict[str, Any] = {
        'schema': METRICS_SCHEMA,
        'model': {
            'sha256': model.sha256,
            'radar': model.metadata.radar.kind,
            'provider': model.provider,
            'grid': [model.metadata.grid.rows, model.metadata.grid.columns],
        },
        'slop_s': options.slop_s,
        **merged.values(),
        'bags': per_drive,
    }
    if folder is not None:
        text = json.dumps(metrics, indent=2, allow_nan=False)
        (folder / 'metrics.json').write_text(text + '\n', encoding='utf-8')
        moments = sampler.moments()
        if overlay and moments:
            contact_sheet(moments, folder / 'overlay.png')
        curves = merged.figures.curves()
        write_report(folder / 'report.html', metrics, curves, moments, overlay)
    return metrics


def _count_radar(
    paths: Sequence[Path], model: CorrespondenceModel, options: EvaluationOptions
) -> int:
    total = 0
    for path in paths:
        with Recording(path) as recording:
            topic = radar_topic(recording, model, options)
            count = recording.message_counts.get(topic, 0) if topic else 0
            total += min(count, options.max_pairs or count)
    return total
