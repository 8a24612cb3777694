# SPDX-License-Identifier: Apache-2.0
"""Evaluates a model on recordings: figures, a report, a video."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from radar_camera_ssl.evaluation.cluster import evaluate_on_cluster
from radar_camera_ssl.evaluation.comparison import Comparison, Reference, compare
from radar_camera_ssl.evaluation.drive_figures import DriveFigures
from radar_camera_ssl.evaluation.drive_result import DriveFailure, DriveResult
from radar_camera_ssl.evaluation.drive_run import DriveJob, EvaluationOptions
from radar_camera_ssl.evaluation.jobs import Outcome, evaluate_in_processes, evaluate_in_turn
from radar_camera_ssl.evaluation.outputs import OutputOptions
from radar_camera_ssl.evaluation.progress import Progress, Told
from radar_camera_ssl.evaluation.report import write_report
from radar_camera_ssl.evaluation.result_folder import CONTACT_SHEET, ResultFolder
from radar_camera_ssl.evaluation.video import Picture, contact_sheet
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.sensors.bag_files import refuse_repeated
from radar_camera_ssl.sensors.recording import RecordingError

METRICS_SCHEMA = 1


def evaluate_bags(
    bags: Sequence[Path | str],
    model: CorrespondenceModel | Path | str,
    out: Path | str | None,
    slop_s: float = 0.05,
    record: bool = False,
    overlay: bool = True,
    progress: Told | None = None,
    options: EvaluationOptions | None = None,
    jobs: int = 1,
    reference: Reference | None = None,
    rerun: Path | str | None = None,
    ray: str | None = None,
) -> dict[str, Any]:
    """Run a model over recordings and measure it; returns what metrics.json holds.

    out: folder for metrics.json, report.html, with `overlay` also overlay.mp4 and overlay.png,
        with `record` also recorded/<name of the bag>, a bag of heatmaps, overlays and
        reflections; None writes nothing.
    rerun: .rrd file for the same as with `record`; of several recordings one each, with their
        names at its end.
    options: overrides slop_s. progress: called with steps done and steps there may be in all: a
        pair is one, and so are `progress.INFERENCES_A_STEP` inferences after the last pair.
    jobs: recordings evaluated at once, each in a process of its own. ray: address of a cluster
        that evaluates them instead (`evaluate_on_cluster`). Either needs the model as a file, and
        nothing but `latency_ms` depends on it.
    reference: an earlier evaluation, which the report compares this one with.

    Every figure is None where a recording lacks what it needs; `null_because` says what. Keys are
    those of `METRIC_KEYS` (defined in `Tally.values`) with `confidence_95` (drawn from drives or
    their time blocks, as `confidence_unit` says: `time_blocks.resampled`), `baselines`, `oracle`,
    `by_range`, `by_azimuth` (`ReturnsByBin.values`), then `pairs`, `dropped`, `matched_share` (of
    the radar frames), `gap_ms` (absolute), `latency_ms`, `windows` (how many of each kind the
    window figures rest on), `bags` with the same per drive, its `fingerprint` (`fingerprint`) and
    its `timeline` (`Timeline.values`), and `failed_bags` (`bag` and `error` of each).
    Figures over several drives are pooled over their frames and returns, not averaged.

    Of several recordings those that cannot be used are named in `failed_bags`. Raises ModelError
    for a model and RecordingError for a recording (when there is one, or none of several) that
    cannot be used, ClusterError for a cluster, FileExistsError for a bag or .rrd file that is
    there already, ModuleNotFoundError without what the outputs or the cluster need, and
    ValueError without recordings or for one that is given twice.
    """
    if not bags:
        raise ValueError('no recordings to evaluate')
    options = options or EvaluationOptions(slop_s=slop_s)
    # As other processes see them, wherever they start; `.` gets its name.
    paths = [_absolute(bag) for bag in bags]
    refuse_repeated(paths)
    wanted = OutputOptions(overlay, record, None if rerun is None else Path(rerun))
    results = None if out is None else ResultFolder(_absolute(out), paths, wanted)
    model_file = None
    if not isinstance(model, CorrespondenceModel):
        model_file = _absolute(model)
        model = options.load(model_file)
    if (jobs > 1 or ray is not None) and model_file is None:
        raise ValueError('other processes need the model as a file')
    with results or nullcontext():
        work = [
            DriveJob(
                path,
                tuple(other for other in (*paths[i + 1 :], *paths[:i]) if other != path),
                options,
                results.part(i) if results else None,
                wanted,
            )
            for i, path in enumerate(paths)
        ]
        together = Progress(len(work), progress)
        if ray is not None and model_file is not None:
            outcomes = evaluate_on_cluster(work, model_file, ray, together)
        elif min(jobs, len(work)) == 1 or model_file is None:
            outcomes = evaluate_in_turn(work, model, together)
        else:
            outcomes = evaluate_in_processes(work, model_file, jobs, together)
        metrics, merged = _metrics(outcomes, model, options)
        if model_file is not None:
            metrics['model']['name'] = model_file.name
        if results is not None:
            drawn = {i: o.drawn for i, o in enumerate(outcomes) if isinstance(o, DriveResult)}
            comparison = compare(metrics, reference) if reference else None
            sheet = results.join(drawn)
            _write(results, metrics, merged.figures, sheet, _card(model_file), comparison)
    return metrics


def _absolute(path: Path | str) -> Path:
    # Not resolved: a link has a name of its own.
    return Path(os.path.abspath(path))


def _metrics(
    outcomes: Sequence[Outcome], model: CorrespondenceModel, options: EvaluationOptions
) -> tuple[dict[str, Any], DriveResult]:
    """What metrics.json holds, and the counts of all drives that could be evaluated."""
    results = [outcome for outcome in outcomes if isinstance(outcome, DriveResult)]
    failures = [outcome for outcome in outcomes if isinstance(outcome, DriveFailure)]
    if not results:
        told = '; '.join(failure.error for failure in failures)
        raise RecordingError(f'none of {len(failures)} bags could be evaluated: {told}')
    per_drive = [
        {
            'bag': result.path.name,
            'fingerprint': result.fingerprint,
            **result.values(),
            'timeline': result.timeline.values(),
        }
        for result in results
    ]
    merged = results[0]
    for result in results[1:]:
        merged.merge(result)
    metrics: dict[str, Any] = {
        'schema': METRICS_SCHEMA,
        'model': {
            'sha256': model.sha256,
            'radar': model.metadata.radar.kind,
            'provider': model.provider,
            'arithmetic': model.arithmetic,
            'grid': [model.metadata.grid.rows, model.metadata.grid.columns],
        },
        'slop_s': options.slop_s,
        **merged.values(),
        'bags': per_drive,
        'failed_bags': [{'bag': f.path.name, 'error': f.error} for f in failures],
    }
    return metrics, merged


def _write(
    results: ResultFolder,
    metrics: dict[str, Any],
    figures: DriveFigures,
    sheet: list[tuple[float, Picture]],
    card: str | None,
    comparison: Comparison | None,
) -> None:
    """Write the files of results, metrics.json last."""
    if sheet and results.has_video:
        with results.file(CONTACT_SHEET) as path:
            contact_sheet(sheet, path)
    else:
        results.take_away(CONTACT_SHEET)
    with results.file('report.html') as path:
        write_report(
            path,
            metrics,
            figures.curves(),
            figures.moments.best,
            figures.moments.worst,
            card,
            comparison,
            results.has_video,
        )
    with results.file('metrics.json') as path:
        path.write_text(json.dumps(metrics, indent=2, allow_nan=False) + '\n', encoding='utf-8')


def _card(model_file: Path | None) -> str | None:
    """Text of the model's card, where one lies beside the file."""
    if model_file is None:
        return None
    try:
        return model_file.with_suffix('.md').read_text(encoding='utf-8', errors='replace')
    except OSError:
        return None
