# SPDX-License-Identifier: Apache-2.0
"""The state of a run on disk: one file, whole or not at all, that holds no pickled code."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

FILE_NAME = 'checkpoint.pt'


@dataclass
class RunState:
    """What a run needs to go on, and what `export` needs of a finished one.

    identity: what decides the result, as JSON: `recipe`, `drives`, `shards` (the drives'
    digests by name), `settings`, `processes`.
    step: steps done. finished: whether `objective` is the result, calibration included.
    objective, optimiser: their state dicts. history: figures by step, oldest first.
    best_objective, best_loss: the weights with the lowest validation loss so far and that loss.
    commit, date: of the source (`source_commit`) and of the day (UTC) when the run was begun.
    """

    identity: dict[str, Any]
    step: int = 0
    finished: bool = False
    objective: dict[str, Tensor] = field(default_factory=dict)
    optimiser: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    best_objective: dict[str, Tensor] = field(default_factory=dict)
    best_loss: float = float('inf')
    commit: str = 'unknown'
    date: str = 'unknown'

    def save(self, folder: Path) -> None:
        """Write FILE_NAME in the folder; readers see the old state or the new one."""
        content = vars(self) | {
            'identity': json.dumps(self.identity),
            'history': json.dumps(self.history),
        }
        partial = folder / f'{FILE_NAME}.partial'
        torch.save(content, partial)
        os.replace(partial, folder / FILE_NAME)

    @classmethod
    def load(cls, folder: Path) -> RunState:
        """Read the state; OSError where there is none, ValueError where it cannot be read."""
        path = folder / FILE_NAME
        try:
            content = torch.load(path, weights_only=True, map_location='cpu')
            content['identity'] = json.loads(content['identity'])
            content['history'] = json.loads(content['history'])
            return cls(**content)
        except OSError:
            raise
        # torch tells of a damaged or foreign file by half a dozen unrelated errors.
        except Exception as error:
            raise ValueError(f'{path} is not the state of a run ({error})') from error


def copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict that no later step changes, on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def differences(mine: dict[str, Any], other: dict[str, Any], prefix: str = '') -> list[str]:
    """Names of the entries in which two identities differ, such as `recipe.seed`."""
    found = []
    for name in sorted(mine.keys() | other.keys()):
        a, b = mine.get(name), other.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f'{prefix}{name}.')
        elif a != b:
            found.append(f'{prefix}{name}')
    return found
