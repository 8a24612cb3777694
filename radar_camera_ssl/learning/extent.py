# SPDX-License-Identifier: Apache-2.0
"""The heatmap: from where single returns lie to how far their sources reach.

A return's posterior says where it was reflected, not how large the thing is. How large is not
learnt here but assumed, in metres: the size of a road user. The focal length that turns it into
cells is the one that the geometry has learnt.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from radar_camera_ssl.learning.network import NetworkConfig

HALF_WIDTH_M = 0.5
HALF_HEIGHT_M = 0.6
RISE_M = 0.7
"""How far the middle of a source lies above what repeats best in images of it: its foot."""
PIXEL_RISE_M = 0.5
"""How far above it a pixel lies: lower than the middle, or it would miss what is low."""

_BLUR_CELLS = 0.8
_INDEPENDENT = 0.4
"""What a return counts for, as a share of independent evidence: sources give several returns.

Chosen, like the sizes, on simulated development drives with their labels, so that as many cells
of a likelihood lie on a source as it says. It changes no order of cells.
"""


class Extent(nn.Module):
    """Likelihood of every cell to belong to the source of at least one return.

    For one return: `h_t(c) = l_t sum_c' p(c'|t) k(c - c'; range)`, the chance that its source,
    somewhere by its posterior p and there at all by its likelihood l, reaches as far as c; k is 1
    within the source's size and falls off steeply. Over the returns: `1 - prod_t (1 - h_t)^q`,
    with q = 1 if they were independent; but what is wrong with one return of a thing is wrong with
    its others. Without returns that is zero: an empty radar frame gives an empty heatmap by
    construction.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.register_buffer('rows', torch.arange(config.rows).float(), persistent=False)
        self.register_buffer('columns', torch.arange(config.columns).float(), persistent=False)

    def forward(
        self, posterior: Tensor, likelihood: Tensor, returns: Tensor, focal: Tensor
    ) -> Tensor:
        """Heatmap (B, h, w) in [0, 1].

        posterior (B, N, h*w), likelihood (B, N) with zero for padding, returns (B, N, 4: x, y,
        velocity, rcs), focal () the focal length in cells.
        """
        cells_per_m = _cells_per_m(returns, focal)
        place = posterior / (posterior.sum(-1, keepdim=True) + 1e-20)
        place = place.unflatten(-1, (len(self.rows), len(self.columns)))
        by_row = _profile(self.rows, HALF_HEIGHT_M * cells_per_m, RISE_M * cells_per_m)
        by_column = _profile(self.columns, HALF_WIDTH_M * cells_per_m, 0.0 * cells_per_m)
        reached = by_row @ place @ by_column.transpose(-1, -2)
        reached = reached * likelihood[..., None, None]
        missed = _INDEPENDENT * torch.log1p(-torch.clamp(reached, 0.0, 0.9999)).sum(1)
        return 1.0 - torch.exp(missed)


def rise_cells(returns: Tensor, focal: Tensor) -> Tensor:
    """How far (u, v) (B, N, 2) in cells a pixel lies above where its return is found."""
    rise = PIXEL_RISE_M * _cells_per_m(returns, focal)
    return torch.stack((torch.zeros_like(rise), rise), -1)


def _cells_per_m(returns: Tensor, focal: Tensor) -> Tensor:
    distance = torch.sqrt(returns[..., 0] ** 2 + returns[..., 1] ** 2 + 1e-6)
    return focal / torch.clamp_min(distance, 1.0)


def _profile(lines: Tensor, half: Tensor, rise: Tensor) -> Tensor:
    """Reach (..., n, n) of a source of half size `half` in cells: [i, j] from line j to line i."""
    width = torch.sqrt(half**2 + _BLUR_CELLS**2)[..., None, None]
    offset = lines[:, None] - lines[None, :] + rise[..., None, None]
    # Squared twice: ONNX Runtime multiplies for a square, and calls pow() for a power of 4.
    return torch.exp(-0.5 * (offset / width).square().square())
