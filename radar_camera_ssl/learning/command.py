# SPDX-License-Identifier: Apache-2.0
"""Command line of learning: `train BAG... --out RUN` and `export RUN --out MODEL`."""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import hashlib
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from tqdm import tqdm

from radar_camera_ssl.arguments import count, duration, file_to_write, not_negative, seed
from radar_camera_ssl.learning.bag_arguments import add_source_arguments, bag_source
from radar_camera_ssl.learning.budget import steps_within
from radar_camera_ssl.learning.checkpoint import FILE_NAME, RunState
from radar_camera_ssl.learning.cube_tokens import CubeConfig
from radar_camera_ssl.learning.drives import Drive, common_cube
from radar_camera_ssl.learning.export import describe, export_model
from radar_camera_ssl.learning.network import NetworkConfig
from radar_camera_ssl.learning.objectives.agreement import AgreementObjective
from radar_camera_ssl.learning.objectives.correspondence import CorrespondenceObjective
from radar_camera_ssl.learning.prepare import prepare_drives
from radar_camera_ssl.learning.recipe import Recipe, agreement_recipe
from radar_camera_ssl.learning.rig import Rig, read_rig
from radar_camera_ssl.learning.shards import SampleFormat
from radar_camera_ssl.learning.training import process_rank, train
from radar_camera_ssl.learning.warm_start import load_weights, network_config, pack_weights
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.recording import RecordingError

WRONG_USE = 2
STAGE = 'agreement'
"""Folder of the second stage within a run's."""


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `train`."""
    recipe = Recipe()
    add = parser.add_argument
    parser.epilog = (
        'Interrupted, it goes on where it was when called in the same way. On several GPUs or '
        'machines: torchrun --nproc-per-node N -m radar_camera_ssl train ...'
    )
    add('bags', nargs='+', type=Path, metavar='BAG', help='recorded drives of one rig')
    add('--out', type=Path, required=True, metavar='RUN', help='folder of the run')
    add(
        '--radar',
        choices=('auto', 'points', 'cube'),
        default='auto',
        help='what to learn from; auto: points where every bag has them, else the cube',
    )
    add('--seed', type=seed, default=recipe.seed, help='of every random number')
    length = parser.add_mutually_exclusive_group()
    length.add_argument('--steps', type=count, default=recipe.steps, help='of the optimiser')
    length.add_argument(
        '--minutes',
        type=duration,
        metavar='M',
        help='as many steps as about fit into them on this CPU, with nothing else beside it',
    )
    add(
        '--start-from',
        type=Path,
        metavar='MODEL',
        help='go on from the weights of a model file, or of the run in a folder',
    )
    add_source_arguments(parser)
    add('--store', type=Path, metavar='DIR', help="folder of the bags' shards; RUN/shards if none")
    add('--threads', type=not_negative, default=0, help='CPU threads of the network, 0: all')
    add(
        '--workers', type=not_negative, help='processes that read bags and batches; as cores allow'
    )


def run_train(args: argparse.Namespace) -> int:
    """Train on the bags and write RUN/model.onnx. A run that was interrupted goes on."""
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    first = process_rank() == 0
    try:
        rig, drives = _drives(args)
        config = NetworkConfig(rig.height, rig.width, cube=_cube(rig, drives))
        torch.manual_seed(args.seed)
        objective = CorrespondenceObjective(config)
        settings = {'network': dataclasses.asdict(config), 'start': _start(objective, args)}
        if first:
            pairs = sum(len(drive) for drive in drives)
            size = f'{rig.width}x{rig.height}'
            print(f'{len(drives)} drives, {pairs} pairs: radar {rig.radar}, images {size}')
        recipe = Recipe(seed=args.seed, steps=args.steps)
        if args.minutes is not None:
            recipe = dataclasses.replace(recipe, steps=_budgeted(args, objective, drives, recipe))
            if first:
                print(f'{recipe.steps} steps for {args.minutes:g} minutes')
        train(objective, drives, recipe, args.out, first, settings, args.workers)
        if first:
            print('where returns come from is learnt; now whether a frame fits its image')
        agreement = AgreementObjective(objective.model)
        shorter = agreement_recipe(recipe)
        train(agreement, drives, shorter, args.out / STAGE, first, settings, args.workers)
    except (RecordingError, SensorDataError, ValueError) as error:
        return _fail('train', error, first)
    except FloatingPointError as error:
        _fail('train', error, first)
        return 1
    if first:
        _write(args.out, drives, args.out / 'model.onnx')
    return 0


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `export`."""
    parser.add_argument('run', type=Path, metavar='RUN', help='folder of a finished run')
    parser.add_argument(
        '--out', type=file_to_write, required=True, metavar='MODEL', help='the .onnx file'
    )
    parser.add_argument(
        '--store', type=Path, metavar='DIR', help="folder of the bags' shards; RUN/shards if none"
    )


def run_export(args: argparse.Namespace) -> int:
    """Export a finished run's checkpoint."""
    store = args.store or args.run / 'shards'
    try:
        names = RunState.load(args.run).identity['drives']
        drives = [Drive(store / name) for name in names]
        _write(args.run, drives, args.out)
    except (OSError, ValueError) as error:
        return _fail('export', error)
    return 0


def _fail(command: str, error: Exception, say: bool = True) -> int:
    if say:
        print(f'radar_camera_ssl {command}: {error}', file=sys.stderr)
    return WRONG_USE


def _drives(args: argparse.Namespace) -> tuple[Rig, list[Drive]]:
    """The rig that the bags tell of, and their drives, converted where they are not yet."""
    if args.start_from and not args.start_from.exists():
        raise ValueError(f'{args.start_from}: no such model or run')
    if args.radar_topic and args.radar == 'auto':
        raise ValueError('--radar-topic needs --radar points or --radar cube')
    source = bag_source(args, args.radar)
    rig = read_rig(args.bags, source, args.radar)
    form = SampleFormat(height=rig.height, width=rig.width)
    store = args.store or args.out / 'shards'
    first = process_rank() == 0
    workers = os.cpu_count() or 1 if args.workers is None else args.workers
    # Of several processes on a store, the first to come converts and the others find it done.
    with _alone(store), tqdm(unit='pair', disable=not first, leave=False) as bar:
        drives = prepare_drives(
            args.bags,
            store,
            form,
            args.slop,
            source=dataclasses.replace(source, kinds=(rig.radar,)),
            workers=max(1, workers),
            report=bar.write if first else lambda line: None,
            progress=bar.update,
        )
    return rig, drives


def _budgeted(
    args: argparse.Namespace,
    objective: CorrespondenceObjective,
    drives: Sequence[Drive],
    recipe: Recipe,
) -> int:
    """Steps for `--minutes`: those of the run that goes on, or as many as fit."""
    if (args.out / FILE_NAME).exists():
        return int(RunState.load(args.out).identity['recipe']['steps'])
    if torch.cuda.is_available() or int(os.environ.get('WORLD_SIZE', 1)) > 1:
        raise ValueError('--minutes is for one process on the CPU; give --steps')
    return steps_within(60.0 * args.minutes, objective, drives, recipe)


def _start(objective: CorrespondenceObjective, args: argparse.Namespace) -> str | None:
    """Take the weights to start from, if any; gives a name for just these."""
    if args.start_from is None:
        return None
    load_weights(objective.model, args.start_from)
    digest = hashlib.sha256(pack_weights(objective.model).encode())
    return digest.hexdigest()


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """Wait until no other process converts into the store."""
    store.mkdir(parents=True, exist_ok=True)
    with (store / '.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _cube(rig: Rig, drives: Sequence[Drive]) -> CubeConfig | None:
    if rig.radar == 'points':
        return None
    axes, shape = common_cube(drives)
    return CubeConfig(shape, axes.range_m, axes.azimuth_rad, axes.doppler_mps)


def _write(run: Path, drives: Sequence[Drive], path: Path) -> None:
    """Export a finished run; ValueError where it is not finished."""
    state, last = RunState.load(run), run / STAGE
    if not state.finished or not (last / FILE_NAME).exists() or not RunState.load(last).finished:
        raise ValueError(f'{run} is not finished; run the same train command again to go on')
    objective = CorrespondenceObjective(network_config(state.identity['settings']['network']))
    after = RunState.load(last)
    objective.load_state_dict(after.objective)
    model = objective.model.eval()
    likelihood = {k: v.tolist() for k, v in model.likelihood.state_dict().items()}
    calibration = {
        'method': 'label-free: aligned against misaligned pairs of the training drives',
        'likelihood': likelihood,
    }
    training = {
        'drives': state.identity['drives'],
        'pairs': sum(len(drive) for drive in drives),
        'objective': objective.TITLE,
        'recipe': {**state.identity['recipe'], **state.identity['settings']},
        'commit': state.commit,
        'date': state.date,
        'metrics': _last_figures(state),
        'agreement_metrics': _last_figures(after),
    }
    most = max(drive.max_returns for drive in drives)
    export_model(model, describe(model, most, calibration, training), path, drives)
    print(f'wrote {path}')


def _last_figures(state: RunState) -> dict[str, float]:
    """The latest value of every figure."""
    figures: dict[str, float] = {}
    for entry in state.history:
        figures.update(entry)
    if math.isfinite(state.best_loss):
        figures['best_validation_loss'] = state.best_loss
    return figures
