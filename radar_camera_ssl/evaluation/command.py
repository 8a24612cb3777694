# SPDX-License-Identifier: Apache-2.0
"""The `evaluate` subcommand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from radar_camera_ssl.arguments import add_reading_arguments, count
from radar_camera_ssl.evaluation.comparison import (
    ComparisonError,
    compare,
    comparison_table,
    read_reference,
)
from radar_camera_ssl.evaluation.evaluate import METRICS_SCHEMA, EvaluationOptions, evaluate_bags
from radar_camera_ssl.evaluation.summary import figures_table
from radar_camera_ssl.inference.arguments import add_acceleration_arguments
from radar_camera_ssl.inference.session import Acceleration
from radar_camera_ssl.resources import default_model_path

REGRESSION = 3


def rerun_file(text: str) -> Path:
    """Read the name of a Rerun recording: the viewer goes by its ending."""
    path = Path(text)
    if path.suffix != '.rrd':
        raise argparse.ArgumentTypeError(f'{text} does not end in .rrd')
    return path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `evaluate`."""
    parser.add_argument('bags', metavar='BAG', nargs='+', type=Path, help='sqlite3 or MCAP bag')
    parser.add_argument('--model', type=Path, help='model file; the shipped points model if none')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder of results')
    add_reading_arguments(parser)
    parser.add_argument('--max-pairs', type=count, metavar='N', help='pairs of each bag at most')
    parser.add_argument('--camera-info-topic', metavar='T', help='found if not given')
    parser.add_argument('--no-video', action='store_true', help='no overlay.mp4 and overlay.png')
    parser.add_argument(
        '--compare',
        type=Path,
        metavar='FILE',
        help="another evaluation's metrics.json to set this one beside",
    )
    parser.add_argument(
        '--fail-on-regression',
        action='store_true',
        help=f'exit code {REGRESSION} where a figure is worse beyond its interval or missing, '
        'against --compare',
    )
    parser.add_argument(
        '--record',
        action='store_true',
        help='also a bag of heatmaps, overlays and reflections, to open beside the input',
    )
    parser.add_argument(
        '--rerun',
        type=rerun_file,
        metavar='FILE',
        help='also a recording (.rrd) for the Rerun viewer; several bags: one each, FILE_bag',
    )
    add_acceleration_arguments(parser, required=False)
    at_once = parser.add_mutually_exclusive_group()
    at_once.add_argument(
        '--jobs', type=count, default=1, metavar='N', help='bags evaluated at once, a process each'
    )
    at_once.add_argument(
        '--ray',
        metavar='ADDRESS',
        help='evaluate on this Ray cluster, a task for each bag (HOST:PORT, or auto for the one '
        'that this machine belongs to): bags, model and --out must have the same paths on all '
        'nodes, and this package be installed there (extra "ray")',
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate, write the results and print the figures; returns the exit code.

    Raises ComparisonError, before anything is evaluated, for a reference that cannot be used.
    """
    if args.fail_on_regression and args.compare is None:
        raise ComparisonError('--fail-on-regression needs --compare FILE')
    # Read first: it may be the one in the folder that is written to.
    reference = read_reference(args.compare, METRICS_SCHEMA) if args.compare else None
    options = EvaluationOptions(
        slop_s=args.slop,
        image_topic=args.image_topic,
        radar_topic=args.radar_topic,
        camera_info_topic=args.camera_info_topic,
        field_aliases=dict(args.field) or None,
        max_pairs=args.max_pairs,
        providers=tuple(args.providers),
        acceleration=Acceleration(args.precision, args.cache),
    )
    with tqdm(unit='step', disable=not sys.stderr.isatty()) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        metrics = evaluate_bags(
            args.bags,
            args.model or default_model_path(),
            args.out,
            record=args.record,
            overlay=not args.no_video,
            progress=progress,
            options=options,
            jobs=args.jobs,
            ray=args.ray,
            reference=reference,
            rerun=args.rerun,
        )
    print(figures_table(metrics))
    for note in metrics['notes']:
        print(f'note: {note}')
    print(f'{metrics["pairs"]} pairs; {args.out / "report.html"}')
    for failed in metrics['failed_bags']:
        print(f'not evaluated: {failed["bag"]}: {failed["error"]}', file=sys.stderr)
    if metrics['frames'] == 0:
        print(f'no pair could be evaluated; dropped: {metrics["dropped"]}', file=sys.stderr)
        return 1
    if reference is not None:
        comparison = compare(metrics, reference)
        print(comparison_table(comparison))
        regressions = comparison.failures() if args.fail_on_regression else []
        for regression in regressions:
            print(f'regression: {regression}', file=sys.stderr)
        if regressions:
            return REGRESSION
    return 1 if metrics['failed_bags'] else 0
