# SPDX-License-Identifier: Apache-2.0
"""The heatmap: from where single returns lie to how far their sources reach.

A return's posterior says where it was reflected, not how large the thing is. Extent is learnt by
hold-out: from some returns of an instant, predict where the others, and those of the neighbouring
radar frames, lie in the same image. Returns scatter over the whole of their source, so what
predicts the held-out ones is the source's extent.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radar_camera_ssl.learning.network import NetworkConfig


class ExtentHead(nn.Module):
    """Spread the returns' posterior mass over cells that touch and look alike.

    Intensity of cell c: `o(c) sum_c' M(c') N(c - c'; sigma(c')) sigmoid(g_c . g_c' + b)`, where M
    is the returns' mass, sigma shrinks with the returns' range, g are features of the image and
    o(c) tells cells that never reflect. Without mass there is no intensity: an empty radar frame
    gives an empty heatmap by construction.
    """

    place: Tensor

    def __init__(self, config: NetworkConfig, features: int = 16) -> None:
        super().__init__()
        self.rows, self.columns = config.rows, config.columns
        self.affinity = nn.Conv2d(config.descriptor, features, 1)
        self.reflects = nn.Sequential(
            nn.Conv2d(config.descriptor, 32, 1), nn.ReLU(), nn.Conv2d(32, 1, 1)
        )
        self.bias = nn.Parameter(torch.tensor(0.0))
        self.log_gain = nn.Parameter(torch.tensor(0.0))
        # Half widths in cells: a constant part and a part in 1/range (object size over distance).
        self.width = nn.Parameter(torch.tensor([0.3, 0.3]))
        self.width_by_range = nn.Parameter(torch.tensor([15.0, 10.0]))
        index = torch.arange(self.rows * self.columns)
        place = torch.stack((index % self.columns, index // self.columns), -1).float()
        self.register_buffer('place', place, persistent=False)

    def forward(self, descriptors: Tensor, mass: Tensor, inverse_range: Tensor) -> Tensor:
        """Expected returns per cell (B, h*w).

        descriptors (B, D, h, w); mass (B, h*w) of the returns; inverse_range (B, h*w) in 1/m, the
        mean over the mass in each cell.
        """
        g = self.affinity(descriptors).flatten(2)
        alike = torch.sigmoid(g.transpose(1, 2) @ g + self.bias)
        width = F.softplus(self.width) + F.softplus(self.width_by_range) * inverse_range[..., None]
        by_column = self._normal(self.columns, width[..., 0], self.place[:, 0])
        by_row = self._normal(self.rows, width[..., 1], self.place[:, 1])
        near = (by_row[:, :, None] * by_column[:, None, :]).flatten(1, 2)
        spread = ((alike * near) @ mass[..., None])[..., 0]
        gate = torch.sigmoid(self.reflects(descriptors).flatten(1))
        return torch.exp(self.log_gain) * gate * spread

    @staticmethod
    def _normal(count: int, width: Tensor, centre: Tensor) -> Tensor:
        """Weight (B, count, h*w) of each row or column around every cell's own."""
        lines = torch.arange(count, dtype=width.dtype, device=width.device)
        distance = (lines[:, None] - centre[None]) / width[:, None]
        return torch.exp(-0.5 * distance**2) / width[:, None]


def returns_to_mass(
    posterior: Tensor, likelihood: Tensor, returns: Tensor, mask: Tensor, sharpness: float = 2.0
) -> tuple[Tensor, Tensor]:
    """Gather the returns into a map of mass and of inverse range, both (B, h*w).

    posterior (B, N, h*w), likelihood (B, N), returns (B, N, 4), mask (B, N) bool. The posterior is
    sharpened: its width is the geometry's uncertainty, not the source's extent.
    """
    sharp = posterior**sharpness
    sharp = sharp / (sharp.sum(-1, keepdim=True) + 1e-20)
    weighted = sharp * (likelihood * mask.to(likelihood.dtype))[..., None]
    mass = weighted.sum(1)
    distance = torch.sqrt(returns[..., 0] ** 2 + returns[..., 1] ** 2 + 1e-6)
    inverse = (weighted / torch.clamp_min(distance, 1.0)[..., None]).sum(1)
    return mass, inverse / (mass + 1e-6)


def hold_out_loss(intensity: Tensor, held_out: Tensor) -> Tensor:
    """Negative log-likelihood of held-out returns under a Poisson process of this intensity.

    intensity and held_out (B, h*w): expected and found returns per cell.
    """
    nll = intensity - held_out * torch.log(intensity + 1e-5)
    return nll.sum(-1).mean()
