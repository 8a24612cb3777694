# SPDX-License-Identifier: Apache-2.0
"""How many steps fit into a time on this machine."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Sequence

import numpy as np
import torch

from radar_camera_ssl.learning.batches import gather
from radar_camera_ssl.learning.drives import Drive
from radar_camera_ssl.learning.memory import keep_freed_memory
from radar_camera_ssl.learning.objectives.agreement import AgreementObjective
from radar_camera_ssl.learning.objectives.base import Objective
from radar_camera_ssl.learning.objectives.correspondence import CorrespondenceObjective
from radar_camera_ssl.learning.precision import computing_in
from radar_camera_ssl.learning.recipe import AGREEMENT_SHARE, Recipe
from radar_camera_ssl.learning.sampling import spaced_choice

FEWEST_STEPS = 5
_TRIED, _WARMING = 6, 2
# Validation, calibration and the export's comparison with torch, per time of the steps.
_BESIDES = 0.2


def step_seconds(objective: Objective, drives: Sequence[Drive], recipe: Recipe) -> float:
    """Seconds of a training step on this machine, the median of a few on a copy."""
    keep_freed_memory()  # as training does
    trial = copy.deepcopy(objective).train()
    groups = trial.parameter_groups()
    optimiser = torch.optim.AdamW([{'params': group['params']} for group in groups])
    took = []
    with torch.random.fork_rng():
        for step in range(_TRIED):
            start = time.perf_counter()
            rng = np.random.default_rng([recipe.seed, step])
            chosen = spaced_choice(drives, rng, recipe.drives_per_batch, recipe.frames_per_drive)
            batch = gather(drives, chosen, cube=trial.needs_cube)
            with computing_in(recipe.precision, torch.device('cpu')):
                loss, _ = trial.training_loss(batch, rng)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            took.append(time.perf_counter() - start)
    # The first ones also start threads and choose kernels.
    return statistics.median(took[_WARMING:])


def steps_within(
    seconds: float, objective: CorrespondenceObjective, drives: Sequence[Drive], recipe: Recipe
) -> int:
    """Steps of the first stage so that both stages, and what belongs to them, take `seconds`.

    On the CPU, with nothing else beside it. Raises ValueError where not even a few fit.
    """
    second = step_seconds(AgreementObjective(objective.model), drives, recipe)
    each = step_seconds(objective, drives, recipe) + AGREEMENT_SHARE * second
    steps = int(seconds / (each * (1.0 + _BESIDES)))
    if steps < FEWEST_STEPS:
        raise ValueError(f'only {steps} steps of {each:.1f} s fit into {seconds:.0f} s')
    return steps
