# SPDX-License-Identifier: Apache-2.0
"""Batches: pairs as tensors, and their augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from radar_camera_ssl.learning.drives import Drive, common_cube
from radar_camera_ssl.learning.network import STRIDE

NO_RETURNS = np.zeros((0, 4), np.float32)


@dataclass(frozen=True)
class Batch:
    """B aligned pairs, and where each is from, for the choice of negatives.

    images (B, 3, H, W) float32 in [0, 1], BGR; returns (B, N, 4) float32, zero padded, and mask
    (B, N) bool, true where a return is real (N = 1 and no return where the drives have none); cube
    (B, R, A, D) float32 dB, where asked for; drive (B,) int64, stamp (B,) int64 ns of the image.
    """

    images: Tensor
    returns: Tensor
    mask: Tensor
    cube: Tensor | None
    drive: Tensor
    stamp: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """Give the batch on a device."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(**{k: v if v is None else v.to(device) for k, v in tensors.items()})


def gather(
    drives: Sequence[Drive], chosen: Sequence[tuple[int, int]], cube: bool = False
) -> Batch:
    """Make a batch of the pairs (drive, index).

    Raises ValueError where cubes are asked for that the drives do not have, or not of one shape.
    """
    images = np.stack([drives[d].image(i) for d, i in chosen])
    frames = [drives[d].returns(i) if drives[d].has_points else NO_RETURNS for d, i in chosen]
    counts = np.array([len(frame) for frame in frames])
    returns = np.zeros((len(frames), max(1, int(counts.max())), 4), np.float32)
    for padded, frame in zip(returns, frames, strict=True):
        padded[: len(frame)] = frame
    cubes = None
    if cube:
        common_cube([drives[d] for d, _ in chosen])
        cubes = torch.from_numpy(np.stack([drives[d].cube(i) for d, i in chosen]))
    return Batch(
        images=torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255.0),
        returns=torch.from_numpy(returns),
        mask=torch.arange(returns.shape[1])[None] < torch.from_numpy(counts)[:, None],
        cube=cubes,
        drive=torch.tensor([d for d, _ in chosen]),
        stamp=torch.tensor([int(drives[d].stamps[i]) for d, i in chosen]),
    )


@dataclass(frozen=True)
class Augmentation:
    """What was done to each image.

    shift (B, 2) in cells (u, v); mirrored (B,) bool; hidden (B, h, w) bool, cells painted over.
    All on the images' device.
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
    device = images.device

    def uniform(low: float, high: float, channels: int) -> Tensor:
        drawn = rng.uniform(low, high, (count, channels, 1, 1)).astype(np.float32)
        return torch.from_numpy(drawn).to(device)

    gain, tint, lift = uniform(0.7, 1.35, 1), uniform(0.9, 1.1, 3), uniform(-0.08, 0.08, 1)
    images = (images * (gain * tint)).add_(lift).clamp_(0.0, 1.0)
    turned = rng.random(count) < 0.5
    mirrored = torch.from_numpy(turned).to(device)
    # By numbers: a GPU would have to be waited for to count the true ones.
    which = torch.from_numpy(np.flatnonzero(turned)).to(device)
    images[which] = images[which].flip(-1)
    offsets = rng.integers(-shift_px, shift_px + 1, (count, 2))
    padded = F.pad(images, (shift_px,) * 4, mode='replicate')
    height, width = images.shape[-2:]
    images = torch.stack(
        [
            padded[k, :, shift_px - v : shift_px - v + height, shift_px - u : shift_px - u + width]
            for k, (u, v) in enumerate(offsets)
        ]
    )
    shift = torch.from_numpy(offsets.astype(np.float32)).to(device) / STRIDE
    images, hidden = _hide_blocks(images, rng, hide)
    return images, Augmentation(shift=shift, mirrored=mirrored, hidden=hidden)


def _hide_blocks(images: Tensor, rng: np.random.Generator, share: float) -> tuple[Tensor, Tensor]:
    """Paint blocks of 2x2 cells in the image's mean colour; gives also the hidden cells."""
    count, _, height, width = images.shape
    rows, columns = height // STRIDE, width // STRIDE
    blocks = rng.random((count, (rows + 1) // 2, (columns + 1) // 2)) < share
    cells = blocks.repeat(2, axis=1).repeat(2, axis=2)[:, :rows, :columns]
    hidden = torch.from_numpy(cells.copy()).to(images.device)
    pixels = hidden.repeat_interleave(STRIDE, 1).repeat_interleave(STRIDE, 2)
    mean = images.mean((-2, -1), keepdim=True)
    return torch.where(pixels[:, None], mean, images), hidden
