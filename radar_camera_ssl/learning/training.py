# SPDX-License-Identifier: Apache-2.0
"""Training on one machine or many: any objective, resumable at any moment, equal for equal seeds.

On one processor or GPU it runs as it is; for more of them start the same command by
`torchrun --nproc-per-node N -m radar_camera_ssl train ...`. Each process then draws batches of its
own, negatives are drawn within a process, gradients are averaged over all (DDP), and the first
process alone validates, calibrates and writes.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, Dataset

from radar_camera_ssl.learning.batches import Batch, gather
from radar_camera_ssl.learning.checkpoint import FILE_NAME, RunState, differences
from radar_camera_ssl.learning.drives import Drive
from radar_camera_ssl.learning.memory import keep_freed_memory
from radar_camera_ssl.learning.module import CALIBRATION, TrainingModule
from radar_camera_ssl.learning.objectives.base import Objective
from radar_camera_ssl.learning.precision import AUTO, training_precision
from radar_camera_ssl.learning.progress import Bar, Keeper
from radar_camera_ssl.learning.recipe import Recipe
from radar_camera_ssl.learning.sampling import spaced_choice
from radar_camera_ssl.learning.selection import Selection, hold_out
from radar_camera_ssl.learning.source import source_commit

SHARED_MEMORY = Path('/dev/shm')
LEAST_SHARED_MEMORY = 2**30
"""Bytes: what the batches of a few workers take. Containers often have only 64 MiB."""


def process_rank() -> int:
    """Rank of this process among those that torchrun started; 0 where it did not."""
    return int(os.environ.get('RANK', 0))


def train(
    objective: Objective,
    drives: Sequence[Drive],
    recipe: Recipe,
    folder: Path,
    progress: bool = True,
    settings: Mapping[str, Any] | None = None,
    workers: int | None = None,
) -> Objective:
    """Train an objective on drives to the end of the recipe; give it finished, in eval mode.

    The folder holds the state (`checkpoint.RunState`) and TensorBoard's figures. Interrupted by
    Ctrl-C or SIGTERM, training stops after the step under way and raises KeyboardInterrupt; a
    later call with the same arguments goes on and ends with the weights of an uninterrupted run
    (bit by bit where torch computes so). A finished run is given back at once.

    settings: whatever else decides the result (sizes of the network, say), as JSON; part of the
    run's identity. workers: processes that gather batches ahead; None for as many as the machine
    has cores to spare. Processes of rank > 0 get the objective as trained, without selection and
    without what `Objective.finish` does.

    Raises ValueError for too few pairs (`hold_out`) and for a folder with another recipe, other
    drives, other shards of them or other settings, and FloatingPointError where loss or gradient
    is no longer finite.
    """
    split = hold_out(drives, recipe, objective.needs_cube)
    processes = int(os.environ.get('WORLD_SIZE', 1))
    recipe = replace(recipe, precision=_precision(folder, recipe))
    identity = {
        'recipe': asdict(recipe),
        'drives': [drive.name for drive in drives],
        'shards': {drive.name: drive.digest for drive in drives},
        'settings': dict(settings or {}),
        'processes': processes,
    }
    identity = json.loads(json.dumps(identity))  # as it will be read again: tuples are lists
    folder.mkdir(parents=True, exist_ok=True)
    state = _open_run(folder, identity)
    if state.objective:
        objective.load_state_dict(state.objective)
    if state.step < recipe.steps:
        _fit(objective, *split, recipe, folder, state, progress, workers)
    objective.eval()
    if not state.finished and process_rank() == 0:
        if state.best_objective:
            objective.load_state_dict(state.best_objective)
        rng = np.random.default_rng([recipe.seed, recipe.steps, 0, CALIBRATION])
        figures = objective.finish(drives, rng)
        state.history.append({'step': recipe.steps, **figures})
        state.objective, state.optimiser = objective.eval().state_dict(), {}
        state.best_objective, state.finished = {}, True
        state.save(folder)
    return objective


def _precision(folder: Path, recipe: Recipe) -> str:
    """That of the run in the folder, on whichever machine it was begun, or of a new run."""
    if recipe.precision == AUTO and (folder / FILE_NAME).exists():
        return str(RunState.load(folder).identity['recipe']['precision'])
    return training_precision(recipe.precision)


def _open_run(folder: Path, identity: dict[str, Any]) -> RunState:
    """The state of the run in the folder, or of a new one."""
    if not (folder / FILE_NAME).exists():
        today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
        return RunState(identity, commit=source_commit(), date=today)
    state = RunState.load(folder)
    if 'shards' not in state.identity:
        raise ValueError(
            f'{folder} holds a run of an earlier version, which does not tell what its drives '
            'held; choose another folder or remove it'
        )
    if differing := differences(state.identity, identity):
        raise ValueError(
            f'{folder} holds a run with another recipe, other drives or other shards of them '
            f'({", ".join(differing)}); choose another folder or remove it'
        )
    return state


class _Steps(Dataset[Batch]):
    """The batch of each step: a function of seed, step and rank alone."""

    def __init__(self, drives: Sequence[Drive], recipe: Recipe, cube: bool) -> None:
        self.drives, self.recipe, self.cube, self.rank = drives, recipe, cube, process_rank()

    def __getitem__(self, step: int) -> Batch:
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, step, self.rank])
        chosen = spaced_choice(self.drives, rng, recipe.drives_per_batch, recipe.frames_per_drive)
        return gather(self.drives, chosen, cube=self.cube)


def _fit(
    objective: Objective,
    training: Sequence[Drive],
    validation: Sequence[Drive],
    recipe: Recipe,
    folder: Path,
    state: RunState,
    progress: bool,
    workers: int | None,
) -> None:
    """Take the steps that are left; leaves objective and state as they are after the last one."""
    keep_freed_memory()
    module = TrainingModule(objective.train(), recipe, state.step, state.optimiser)
    loader = DataLoader(
        _Steps(training, recipe, objective.needs_cube),
        sampler=range(state.step, recipe.steps),
        batch_size=None,
        num_workers=_spare_workers() if workers is None else workers,
        worker_init_fn=_leave_signals_to_the_parent,
    )
    keeper = Keeper(state, folder)
    callbacks = [Selection(validation, recipe, state), keeper]
    if progress and process_rank() == 0:
        callbacks.append(Bar(recipe.steps, state))
    with _quiet(), _only_trained_parameters(objective):
        # Lightning's own loop over epochs, checkpoints and validation are left aside: none of
        # them can resume within an epoch with the numbers of an uninterrupted run.
        logger = TensorBoardLogger(folder, name='tensorboard', version='', default_hp_metric=False)
        logger.log_hyperparams(asdict(recipe))
        trainer = Trainer(
            accelerator='auto',
            **_processes(),
            precision=recipe.precision,
            max_epochs=1,
            logger=logger,
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=folder,
        )
        with _keyboard_interrupts():
            trainer.fit(module, loader)
    if keeper.interrupted:
        raise KeyboardInterrupt


def _processes() -> dict[str, Any]:
    """One device, unless torchrun has started a process for each."""
    if not torch.distributed.is_torchelastic_launched():
        return {'devices': 1}
    local, world = int(os.environ['LOCAL_WORLD_SIZE']), int(os.environ['WORLD_SIZE'])
    return {'devices': local, 'num_nodes': world // local, 'strategy': 'ddp'}


def _spare_workers() -> int:
    """Processes to gather batches: none where all cores are busy with the network anyway."""
    cores = os.cpu_count() or 1
    if cores <= 2 or not SHARED_MEMORY.exists():
        return 0
    memory = os.statvfs(SHARED_MEMORY)
    if memory.f_bavail * memory.f_frsize < LEAST_SHARED_MEMORY:
        return 0
    return min(8, cores // (2 * int(os.environ.get('LOCAL_WORLD_SIZE', 1))))


def _leave_signals_to_the_parent(worker: int) -> None:
    """Ctrl-C goes to every process of a terminal; the parent still needs its workers then."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _only_trained_parameters(objective: Objective) -> Iterator[None]:
    """Freeze what is in no group of the optimiser: DDP waits for the gradients of all others."""
    trained = {id(p) for group in objective.parameter_groups() for p in group['params']}
    frozen = [p for p in objective.parameters() if id(p) not in trained and p.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


@contextmanager
def _keyboard_interrupts() -> Iterator[None]:
    """Let KeyboardInterrupt be one: Lightning makes exit code 1 of it and ignores Ctrl-C after."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        raise KeyboardInterrupt from stop
    finally:
        if main:
            signal.signal(signal.SIGINT, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning from advertising and from advice that does not fit this loop."""
    names = ('pytorch_lightning', 'lightning_fabric')
    levels = [(logger, logger.level) for logger in map(logging.getLogger, names)]
    try:
        for logger, _ in levels:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', module=r'pytorch_lightning|lightning_fabric')
            # Of 1x1 convolutions in channels-last order, whose two layouts are the same bytes.
            warnings.filterwarnings('ignore', 'Grad strides do not match bucket view strides')
            yield
    finally:
        for logger, level in levels:
            logger.setLevel(level)
