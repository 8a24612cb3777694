# SPDX-License-Identifier: Apache-2.0
"""Whether a radar frame and an image fit together at all: the model's `agreement`.

What the returns say one by one is half of the answer only: a thing that the image shows plainly
and that no return answers to speaks against a pair as much as a return that hits nothing. So all
returns are laid over the image's cells, by the learnt geometry, and a small convolutional network
reads both layers. It is trained on finished descriptors and geometry and changes neither.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radar_camera_ssl.learning.tokens import return_features

LAID = 9
"""Channels of `lay_over`."""

_TOLD = [2, 4, 0]
"""Of `return_features`: velocity, strength and range."""
_MATCH_SCALE = 5.0
_DESCRIPTOR, _FINE, _COARSE, _HIDDEN = 16, 48, 64, 64
_DROPOUT = 0.2


def lay_over(
    returns: Tensor, in_view: Tensor, mask: Tensor, footprint: Tensor, match: Tensor
) -> Tensor:
    """Lay the returns of B frames over the cells of an image each: (B, LAID, h, w).

    returns (B, N, 4: x, y, velocity, strength); in_view (B, N), the probability of a source in
    view before the image is looked at; mask (B, N) bool; footprint (B, N, h, w), where each may
    lie by the geometry, 1 at its peak; match (B, N, h, w), how well each cell looks like it.
    The channels: how many returns may lie here; the same of those in view, and their velocity,
    strength and range; the match of them, of its positive part, and of the best; the nearest one.
    """
    rows_columns = footprint.shape[-2:]
    footprint, match = footprint.flatten(2), match.flatten(2) / _MATCH_SCALE
    present = mask.to(footprint.dtype)
    weight = in_view * present
    told = return_features(returns)[..., _TOLD] * weight[..., None]
    told = torch.cat((present[..., None], weight[..., None], told), -1)
    reached = footprint * weight[..., None]
    matched = reached * match
    layers = torch.cat(
        (
            told.transpose(1, 2) @ footprint,
            matched.sum(1, keepdim=True),
            F.relu(matched).sum(1, keepdim=True),
            matched.amax(1, keepdim=True),
            reached.amax(1, keepdim=True),
        ),
        1,
    )
    return layers.unflatten(-1, rows_columns)


class AgreementNetwork(nn.Module):
    """Probability that returns laid over an image belong to it."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(descriptor, _DESCRIPTOR, 1)
        self.layers = nn.Sequential(
            nn.Conv2d(_DESCRIPTOR + LAID, _FINE, 3, 1, 1, bias=False),
            nn.BatchNorm2d(_FINE),
            nn.ReLU(inplace=True),
            nn.Conv2d(_FINE, _COARSE, 4, 2, 1, bias=False),
            nn.BatchNorm2d(_COARSE),
            nn.ReLU(inplace=True),
            nn.Conv2d(_COARSE, _COARSE, 3, 1, 1, bias=False),
            nn.BatchNorm2d(_COARSE),
            nn.ReLU(inplace=True),
        )
        self.score = nn.Sequential(
            nn.Dropout(_DROPOUT),
            nn.Linear(2 * _COARSE, _HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(_HIDDEN, 1),
        )

    def log_odds(self, descriptors: Tensor, laid: Tensor) -> Tensor:
        """Log-odds (B,) from descriptors (B, D, h, w) and the layers (B, LAID, h, w)."""
        seen = self.layers(torch.cat((self.squeeze(descriptors), laid), 1))
        pooled = torch.cat((seen.mean((2, 3)), seen.amax((2, 3))), 1)
        return self.score(pooled)[:, 0]

    def forward(self, descriptors: Tensor, laid: Tensor) -> Tensor:
        """Probability (B,) in [0, 1]."""
        return torch.sigmoid(self.log_odds(descriptors, laid))
