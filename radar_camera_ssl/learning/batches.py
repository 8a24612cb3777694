# SPDX-License-Identifier: Apache-2.0
"""Batches: several instants of several drives, so that negatives come from both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from radar_camera_ssl.learning.network import STRIDE
from radar_camera_ssl.learning.samples import DriveSamples


@dataclass(frozen=True)
class Batch:
    """B aligned pairs: images (B, 3, H, W) float in [0, 1], returns (B, N, 4), mask (B, N) bool.

    `drive` (B,) and `stamp` (B,) tell where each pair is from, for the choice of negatives.
    """

    images: Tensor
    returns: Tensor
    mask: Tensor
    drive: Tensor
    stamp: Tensor


def gather(drives: Sequence[DriveSamples], chosen: Sequence[tuple[int, int]]) -> Batch:
    """Make a batch of the pairs (drive, index)."""
    images = np.stack([drives[d].images[i] for d, i in chosen])
    returns = np.stack([drives[d].returns[i] for d, i in chosen])
    counts = np.array([drives[d].counts[i] for d, i in chosen])
    most = max(1, int(counts.max()))
    return Batch(
        images=torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255.0,
        returns=torch.from_numpy(returns[:, :most]),
        mask=torch.arange(most)[None] < torch.from_numpy(counts)[:, None],
        drive=torch.tensor([d for d, _ in chosen]),
        stamp=torch.tensor([int(drives[d].stamps[i]) for d, i in chosen]),
    )


def spaced_choice(
    drives: Sequence[DriveSamples],
    rng: np.random.Generator,
    drives_per_batch: int,
    frames_per_drive: int,
    spacing_s: float = 1.0,
) -> list[tuple[int, int]]:
    """Choose frames of a batch: a few per drive, at least `spacing_s` apart.

    Neighbouring frames show nearly the same: as negatives they would be false. Where there are
    fewer drives than asked for, drives are taken more than once and the spacing holds among all
    frames of a drive as far as its length allows.
    """
    order = rng.permutation(len(drives))
    picks = [int(order[k % len(order)]) for k in range(drives_per_batch)]
    chosen: list[tuple[int, int]] = []
    taken: dict[int, list[int]] = {}
    for d in picks:
        stamps = drives[d].stamps
        for _ in range(frames_per_drive):
            for _attempt in range(20):
                i = int(rng.integers(len(drives[d])))
                gaps = [abs(int(stamps[i]) - s) for s in taken.get(d, ())]
                if not gaps or min(gaps) >= spacing_s * 1e9:
                    taken.setdefault(d, []).append(int(stamps[i]))
                    chosen.append((d, i))
                    break
    return chosen


@dataclass(frozen=True)
class Augmentation:
    """What was done to each image.

    shift (B, 2) in cells (u, v); mirrored (B,) bool; hidden (B, h, w) bool, cells painted over.
    """

    shift: Tensor
    mirrored: Tensor
    hidden: Tensor


def augment(
    images: Tensor, rng: np.random.Generator, hide: float, shift_px: int = 12
) -> tuple[Tensor, Augmentation]:
    """Jitter colours, mirror, shift and partly hide each image; the caller moves the prior along.

    Shifting makes the descriptors blind to the position relative to the grid and to the border;
    the colour jitter is per image, so that no tint tells a drive. A share `hide` of the blocks of
    2x2 cells is painted over: a cell beside a thing has evidence only where both it and the thing
    are visible, a cell on the thing wherever it is visible itself. Without that, nothing keeps the
    descriptors from telling of what lies below or above their own cell, and the answer drifts off
    the things (here: to the road below them).
    """
    count = len(images)
    gain = torch.from_numpy(rng.uniform(0.7, 1.35, (count, 1, 1, 1)).astype(np.float32))
    tint = torch.from_numpy(rng.uniform(0.9, 1.1, (count, 3, 1, 1)).astype(np.float32))
    lift = torch.from_numpy(rng.uniform(-0.08, 0.08, (count, 1, 1, 1)).astype(np.float32))
    images = torch.clamp(images * gain * tint + lift, 0.0, 1.0)
    mirrored = torch.from_numpy(rng.random(count) < 0.5)
    images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
    offsets = rng.integers(-shift_px, shift_px + 1, (count, 2))
    padded = F.pad(images, (shift_px,) * 4, mode='replicate')
    height, width = images.shape[-2:]
    images = torch.stack(
        [
            padded[k, :, shift_px - v : shift_px - v + height, shift_px - u : shift_px - u + width]
            for k, (u, v) in enumerate(offsets)
        ]
    )
    shift = torch.from_numpy(offsets.astype(np.float32)) / STRIDE
    images, hidden = _hide_blocks(images, rng, hide)
    return images, Augmentation(shift=shift, mirrored=mirrored, hidden=hidden)


def _hide_blocks(images: Tensor, rng: np.random.Generator, share: float) -> tuple[Tensor, Tensor]:
    """Paint blocks of 2x2 cells in the image's mean colour; gives also the hidden cells."""
    count, _, height, width = images.shape
    rows, columns = height // STRIDE, width // STRIDE
    blocks = rng.random((count, (rows + 1) // 2, (columns + 1) // 2)) < share
    cells = blocks.repeat(2, axis=1).repeat(2, axis=2)[:, :rows, :columns]
    pixels = torch.from_numpy(cells.repeat(STRIDE, axis=1).repeat(STRIDE, axis=2))
    mean = images.mean((-2, -1), keepdim=True)
    return torch.where(pixels[:, None], mean, images), torch.from_numpy(cells.copy())
