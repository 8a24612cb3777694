# SPDX-License-Identifier: Apache-2.0
"""The smallest thing that trains: pairs whose colour is their RCS, and a network to learn it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from radar_camera_ssl.learning.objectives.base import Objective


class ToyDrive:
    """Pairs (n) of a one-coloured image and one return, in memory, with a Drive's methods."""

    has_points, has_cube = True, False
    cube_axes = cube_shape = None
    image_size = (8, 8)

    def __init__(self, name: str, seed: int, pairs: int = 30) -> None:
        self.name, self.digest = name, f'{seed} {pairs}'
        self.grey = np.random.default_rng(seed).integers(0, 256, pairs)
        self.stamps = np.arange(pairs, dtype=np.int64) * 1_500_000_000
        self.speeds = np.full(pairs, 10.0, np.float32)

    def __len__(self) -> int:
        return len(self.stamps)

    def image(self, i: int) -> np.ndarray:
        return np.full((8, 8, 3), self.grey[i], np.uint8)

    def returns(self, i: int) -> np.ndarray:
        return np.array([[10.0, 0.0, 0.0, self.grey[i] / 25.0 - 5.0]], np.float32)


def toy_drives(count: int = 6) -> list[ToyDrive]:
    return [ToyDrive(f'toy_{k}', k) for k in range(count)]


def silent(drive: ToyDrive) -> ToyDrive:
    """Take all returns from a drive, as if its radar had seen nothing."""
    drive.returns = lambda i: np.zeros((0, 4), np.float32)
    return drive


class ToyObjective(Objective):
    """InfoNCE between the means of image and returns, with all that makes resuming hard.

    Normalisation has running statistics, dropout draws from torch's generator, the noise on the
    image from the loss's; `scale` is in no group and is set by `finish`.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.image = nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(8, 4, 1)
        )
        self.radar = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 4))
        self.scale = nn.Parameter(torch.zeros(()))
        self.fails_at: int | None = None
        self.steps = 0

    def training_loss(self, batch, rng):
        self.steps += 1
        noise = torch.from_numpy(rng.normal(0, 0.02, batch.images.shape).astype(np.float32))
        image = self.image(batch.images + noise.to(batch.images.device)).float().mean((2, 3))
        radar = self.radar(batch.returns).float().mean(1)
        scores = 5.0 * F.normalize(image, dim=1) @ F.normalize(radar, dim=1).T
        own = torch.arange(len(scores), device=scores.device)
        loss = F.cross_entropy(scores, own)
        if self.fails_at is not None and self.steps > self.fails_at:
            loss = loss * float('nan')
        return loss, {'retrieval': (scores.argmax(1) == own).float().mean()}

    def validation_loss(self, batch, rng):
        return self.training_loss(batch, rng)[0]

    def parameter_groups(self):
        return [
            {'params': list(self.image.parameters()), 'weight_decay': 1e-4, 'speed': 1.0},
            {'params': list(self.radar.parameters()), 'weight_decay': 0.0, 'speed': 4.0},
        ]

    def finish(self, drives, rng):
        with torch.no_grad():
            self.scale.fill_(float(rng.random()))
        return {'scale': self.scale.item()}
