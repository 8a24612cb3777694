# SPDX-License-Identifier: Apache-2.0
"""Choice of the best weights without labels: by the objective itself, on held-out drives."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from tqdm import tqdm

from radar_camera_ssl.learning.batches import gather
from radar_camera_ssl.learning.checkpoint import RunState, copied
from radar_camera_ssl.learning.drives import Drive, split_drives
from radar_camera_ssl.learning.module import VALIDATION
from radar_camera_ssl.learning.objectives.base import Objective
from radar_camera_ssl.learning.recipe import Recipe
from radar_camera_ssl.learning.sampling import spaced_choice

FEWEST_DRIVES = 5
"""Of fewer drives none is held out: each one is worth more to the training."""

FEWEST_PAIRS, FEWEST_TO_HOLD_OUT = 12, 8
"""Distinct pairs of all drives, and of one held out: of fewer, misaligned ones are rare."""

_COUNTED = 64
"""Distinct pairs of a drive are counted up to here: no batch takes as many of one."""

EVERY, BATCHES = 100, 6
"""Steps between two validations, and the batches of each.

A batch costs its gathering and one pass forward, a third to a half of a training step: 2 to 3 % of
the whole.
"""


def hold_out(
    drives: Sequence[Drive], recipe: Recipe, cube: bool = False
) -> tuple[list[Drive], list[Drive]]:
    """Split drives into those to train on and those to validate on, which may be none.

    A drive of few distinct pairs is never held out: its batches would compare next to nothing.
    Raises ValueError where all drives together have too few of them.
    """
    counts = [_distinct_pairs(drive, cube) for drive in drives]
    if sum(counts) < FEWEST_PAIRS:
        raise ValueError(
            f'too few pairs to train on: of {sum(map(len, drives))}, {sum(counts)} have returns '
            f'and are a second apart, the car having moved; {FEWEST_PAIRS} at least are needed'
        )
    fit = [d for d, n in zip(drives, counts, strict=True) if n >= FEWEST_TO_HOLD_OUT]
    share = recipe.held_out if len(fit) >= FEWEST_DRIVES else 0.0
    _, held = split_drives(fit, share, recipe.seed)
    return [drive for drive in drives if drive not in held], held


def _distinct_pairs(drive: Drive, cube: bool) -> int:
    """Pairs that a batch may hold together; of points, those with a return."""
    chosen = spaced_choice([drive], np.random.default_rng(0), 1, _COUNTED)
    if cube:
        return len(chosen)
    return sum(len(drive.returns(i)) > 0 for _, i in chosen) if drive.has_points else 0


class Selection(Callback):
    """Keeps in a run's state the weights with the lowest validation loss.

    The loss is that of the same batches with the same random numbers each time, every EVERY steps
    and after the last one; one that is not finite counts for nothing. Of several processes, the
    first one computes it.
    """

    def __init__(self, drives: Sequence[Drive], recipe: Recipe, state: RunState) -> None:
        self.drives, self.recipe, self.state = list(drives), recipe, state

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Validate where the step just done calls for it."""
        done = module.first + batch_idx + 1
        due = done % EVERY == 0 or done == self.recipe.steps
        if not (self.drives and due and trainer.is_global_zero):
            return
        with trainer.precision_plugin.forward_context():
            loss = self.loss(module.objective, module.device)
        if not math.isfinite(loss):
            line = f'the validation loss of step {done} is not finite: these weights are not kept'
            tqdm.write(line, file=sys.stderr)
            return
        self.state.history.append({'step': done, 'validation_loss': loss})
        trainer.logger.log_metrics({'validation_loss': loss}, done)
        if loss < self.state.best_loss:
            self.state.best_loss = loss
            self.state.best_objective = copied(module.objective.state_dict())

    @torch.no_grad()
    def loss(self, objective: Objective, device: torch.device) -> float:
        """Mean validation loss of the objective, which is left as it was.

        Taken as at the training's end: a loss that changes along the way would compare nothing.
        """
        training, progress = objective.training, objective.progress
        objective.eval().progress = 1.0
        recipe, losses = self.recipe, []
        for k in range(BATCHES):
            rng = np.random.default_rng([recipe.seed, k, 0, VALIDATION])
            chosen = spaced_choice(
                self.drives, rng, recipe.drives_per_batch, recipe.frames_per_drive
            )
            batch = gather(self.drives, chosen, cube=objective.needs_cube).to(device)
            losses.append(float(objective.validation_loss(batch, rng)))
        objective.train(training).progress = progress
        return float(np.mean(losses))
