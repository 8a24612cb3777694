# SPDX-License-Identifier: Apache-2.0
"""The recipe of a training: what decides the result beside data and objective."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from radar_camera_ssl.learning.precision import AUTO


@dataclass(frozen=True)
class Recipe:
    """Numbers of a training; part of a run's identity.

    The batch of a step has drives_per_batch * frames_per_drive pairs in each process. held_out is
    the share of the drives that are kept from training to choose the best weights on. precision
    is one of those in `precision`: with `bf16-mixed` convolutions and products are computed in
    bfloat16 where the network allows it, with `32-true` nothing is; `auto` is what the machine is
    fast in.
    """

    seed: int = 0
    steps: int = 1400
    drives_per_batch: int = 10
    frames_per_drive: int = 4
    learning_rate: float = 2e-3
    held_out: float = 0.1
    precision: str = AUTO


AGREEMENT_SHARE = 0.4
"""Steps of the second stage, whose network is small and sees finished descriptors, per step."""


def agreement_recipe(recipe: Recipe) -> Recipe:
    """Give the recipe of the second stage, `AgreementObjective`, from that of the first."""
    return replace(recipe, steps=max(1, round(AGREEMENT_SHARE * recipe.steps)))


def schedule(step: int, steps: int) -> float:
    """Factor on the learning rate: linear warm-up over 5 % of the steps, then half a cosine."""
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
