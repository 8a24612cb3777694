# SPDX-License-Identifier: Apache-2.0
"""Which instants make a batch, and which of them make its misaligned pairs: without shortcuts.

Whatever tells aligned from misaligned pairs without comparing what the two sensors see will be
learnt in place of it. Misaligned pairs are therefore the batch's own frames paired anew, each
image and each radar frame once: what one sensor shows, or a stamp tells, is the same in both by
construction. The frames of a batch are spaced, since neighbours show nearly the same; the car has
moved between them, since at a standstill it shows the same for minutes; and it was about as fast
in all of them, since otherwise Doppler and motion blur, or Doppler and the kind of road, match
without a single thing being found in the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from radar_camera_ssl.learning.batches import Batch
from radar_camera_ssl.sensors.ego_speed import MOVED_M, travelled

SPEED_SCALE_MPS = 1.0
"""A frame is taken e times less often for each so much that its speed is off the batch's."""
APART_S = 0.5
"""An image this far in time from a radar frame of its drive does not match it."""


class Timed(Protocol):
    """What sampling needs of a drive: stamps (n,) int64 ns and speeds (n,) float32 m/s or NaN."""

    stamps: NDArray[np.int64]
    speeds: NDArray[np.float32]


def spaced_choice(
    drives: Sequence[Timed],
    rng: np.random.Generator,
    drives_per_batch: int,
    frames_per_drive: int,
    spacing_s: float = 1.0,
    speed_scale: float = SPEED_SCALE_MPS,
) -> list[tuple[int, int]]:
    """Choose the frames (drive, index) of a batch: a few per drive, alike in speed.

    The frames of one drive are at least `spacing_s` and MOVED_M apart. The batch's speed is that
    of a random frame of a random drive; the weight of another frame falls by
    exp(-|difference| / `speed_scale`) (numpy.inf: speeds do not matter). Drives are drawn by the
    mean weight of their frames, then frames within them by their own, so that a drive which has
    no frame of about that speed gives its nearest, where it is needed at all.
    Where there are fewer drives than asked for, drives are taken more than once. A drive too short
    or too slow for as many frames gives fewer, so that a batch may be smaller than asked for.
    """
    anchor = _anchor([drive.speeds for drive in drives], rng)
    weights = [_log_weights(drive.speeds, anchor, speed_scale) for drive in drives]
    # The greatest of such sums are a draw without replacement (Gumbel-top-k, Kool et al. 2019).
    order = np.argsort(-(_log_mean(weights) + rng.gumbel(size=len(drives))))
    picks = [int(order[k % len(order)]) for k in range(drives_per_batch)]
    ways = {d: travelled(drives[d].stamps, drives[d].speeds) for d in picks}
    free = {d: np.ones(len(drives[d].stamps), bool) for d in picks}
    chosen: list[tuple[int, int]] = []
    for d in picks:
        stamps, way = drives[d].stamps, ways[d]
        for _ in range(frames_per_drive):
            options = np.flatnonzero(free[d])
            if not len(options):
                break
            chance = np.exp(weights[d][options] - weights[d][options].max())
            i = int(rng.choice(options, p=chance / chance.sum()))
            free[d] &= np.abs(stamps - stamps[i]) >= spacing_s * 1e9
            free[d] &= np.abs(way - way[i]) >= MOVED_M
            free[d][i] = False
            chosen.append((d, i))
    return chosen


def _anchor(speeds: Sequence[NDArray[np.float32]], rng: np.random.Generator) -> float:
    """The speed of a random frame, each drive as likely as the other; NaN where none is known."""
    known = [s[np.isfinite(s)] for s in speeds]
    known = [s for s in known if len(s)]
    if not known:
        return float('nan')
    return float(rng.choice(known[rng.integers(len(known))]))


def _log_weights(speeds: NDArray[np.float32], anchor: float, scale: float) -> NDArray[np.float64]:
    """Logarithm of each frame's weight; a frame of unknown speed weighs what the others do."""
    off = np.abs(speeds.astype(np.float64) - anchor) / scale
    known = np.isfinite(off)
    if not known.any():
        return np.zeros(len(off))
    return -np.where(known, off, off[known].mean())


def _log_mean(weights: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Logarithm of each drive's mean weight."""
    return np.array([np.logaddexp.reduce(w) - np.log(len(w)) for w in weights])


def misaligned(batch: Batch, rng: np.random.Generator) -> Tensor:
    """Give the index (B,) int64 of a misaligned image for each radar frame: a permutation.

    From the same drive, at least APART_S away, for about half of the pairs, and from another one
    for the rest, as far as the batch has such; every image is used exactly once. Raises ValueError
    where the batch cannot be paired so.
    """
    drive, stamp = batch.drive.cpu().numpy(), batch.stamp.cpu().numpy()
    same = drive[:, None] == drive[None]
    allowed = ~same | (np.abs(stamp[:, None] - stamp[None]) >= APART_S * 1e9)
    preferred = allowed & (same == (rng.random(len(drive)) < 0.5)[:, None])
    image_of = np.full(len(drive), -1)
    radar_of = np.full(len(drive), -1)
    # First as many as can be of the kind that was drawn for each, then the rest of any kind.
    for options in (preferred, allowed):
        for k in rng.permutation(np.flatnonzero(image_of < 0)):
            _augment(int(k), options, rng.permutation(len(drive)), image_of, radar_of)
    if (image_of < 0).any():
        raise ValueError('the drives are too short, or too few, to draw misaligned pairs from')
    return torch.from_numpy(image_of)


def _augment(
    start: int,
    options: NDArray[np.bool_],
    order: NDArray[np.int64],
    image_of: NDArray[np.int64],
    radar_of: NDArray[np.int64],
) -> None:
    """Find an image for one more radar frame, moving others on where needed (Kuhn 1955).

    Breadth first along alternating paths; what was matched before stays matched.
    """
    came_from: dict[int, int] = {}
    queue = [start]
    while queue:
        k = queue.pop(0)
        for j in order[options[k, order]].tolist():
            if j in came_from:
                continue
            came_from[j] = k
            if radar_of[j] >= 0:
                queue.append(int(radar_of[j]))
                continue
            while True:
                k = came_from[j]
                before = int(image_of[k])
                image_of[k], radar_of[j] = j, k
                if k == start:
                    return
                j = before
