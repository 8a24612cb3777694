# SPDX-License-Identifier: Apache-2.0
"""Command line of learning: `train BAG... --out RUN` and `export RUN --out MODEL`."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import subprocess
import sys
from pathlib import Path

import torch

from radar_camera_ssl.learning.export import describe, export_model
from radar_camera_ssl.learning.points_model import PointsModel
from radar_camera_ssl.learning.samples import SampleFormat, prepare_samples
from radar_camera_ssl.learning.training import Recipe, Trainer
from radar_camera_ssl.sensors.recording import RecordingError

OBJECTIVE = (
    'Mixture over cells with a learnt geometric prior and a nothing-in-view option; '
    'InfoNCE per return and per frame, over partly hidden images'
)


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `train`."""
    recipe = Recipe()
    parser.add_argument('bags', nargs='+', type=Path, metavar='BAG', help='recorded drives')
    parser.add_argument('--out', type=Path, required=True, metavar='RUN', help='folder of the run')
    parser.add_argument('--seed', type=int, default=recipe.seed, help='default %(default)s')
    parser.add_argument('--steps', type=int, default=recipe.steps, help='default %(default)s')
    parser.add_argument(
        '--slop', type=float, default=0.05, help='largest gap of a pair in s, default %(default)s'
    )
    parser.add_argument('--threads', type=int, default=0, help='CPU threads, 0: all')


def run_train(args: argparse.Namespace) -> int:
    """Train on the bags and write RUN/model.onnx. A run that was interrupted goes on."""
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    form = SampleFormat()
    try:
        drives = prepare_samples(args.bags, args.out / 'samples', form, args.slop)
        recipe = Recipe(seed=args.seed, steps=args.steps)
        trainer = Trainer(drives, recipe, args.out)
    except (RecordingError, ValueError) as error:
        print(f'radar_camera_ssl train: {error}', file=sys.stderr)
        return 2
    pairs = sum(len(drive) for drive in drives)
    print(f'{len(drives)} drives, {pairs} pairs; from step {trainer.step}', flush=True)
    model = trainer.run()
    (args.out / 'log.json').write_text(json.dumps(trainer.log, indent=1))
    path = args.out / 'model.onnx'
    _write(model, trainer, path)
    print(f'wrote {path}')
    return 0


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `export`."""
    parser.add_argument('run', type=Path, metavar='RUN', help='folder of a finished run')
    parser.add_argument('--out', type=Path, required=True, metavar='MODEL', help='the .onnx file')


def run_export(args: argparse.Namespace) -> int:
    """Export a finished run's checkpoint."""
    try:
        trainer = Trainer.reopen(args.run)
    except (OSError, ValueError) as error:
        print(f'radar_camera_ssl export: {error}', file=sys.stderr)
        return 2
    if not trainer.calibrated:
        print(
            f'radar_camera_ssl export: {args.run} is not finished; '
            'run the same train command again to go on',
            file=sys.stderr,
        )
        return 2
    _write(trainer.model, trainer, args.out)
    print(f'wrote {args.out}')
    return 0


def _write(model: PointsModel, trainer: Trainer, path: Path) -> None:
    likelihood = {k: v.tolist() for k, v in model.likelihood.state_dict().items()}
    calibration = {
        'method': 'label-free: aligned against misaligned pairs of the training drives',
        'likelihood': likelihood,
    }
    training = {
        'drives': [drive.name for drive in trainer.drives],
        'pairs': sum(len(drive) for drive in trainer.drives),
        'objective': OBJECTIVE,
        'recipe': dataclasses.asdict(trainer.recipe),
        'commit': _commit(),
        'date': datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        'metrics': trainer.log[-2] if len(trainer.log) > 1 else {},
    }
    metadata = describe(model, trainer.drives[0].returns.shape[1], calibration, training)
    export_model(model, metadata, path, trainer.drives)


def _commit() -> str:
    """The source's commit, marked where it was changed, or 'unknown' for an installed package."""
    try:
        found = subprocess.run(
            ['git', '-C', str(Path(__file__).parent), 'describe', '--always', '--dirty'],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'
    return found.stdout.strip()
