# SPDX-License-Identifier: Apache-2.0
"""Radar frames as tokens: what the network makes of returns, or of the cells of a cube."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

RETURN_FEATURES = 5

_CURIOSITY = -3.0
"""Log-odds at which a token is drawn at least: what was taken for clutter can prove itself."""


@dataclass(frozen=True)
class Tokens:
    """Tokens of B radar frames, N each, or of T single returns (then without the first axis).

    returns (B, N, 4): x, y in m, velocity in m/s, strength in dB (RCS of points, power over the
    noise of a cube's cell). content (B, N, F): what is known of the source's looks. presence
    (B, N): log-odds that the radar alone gives to a source in view, over the geometry's. mask
    (B, N) bool: true where there is a token.
    """

    returns: Tensor
    content: Tensor
    presence: Tensor
    mask: Tensor

    def __getitem__(self, index: Tensor) -> Tokens:
        """Select by an index or bool mask of the leading axes."""
        return Tokens(
            self.returns[index], self.content[index], self.presence[index], self.mask[index]
        )


def turned(tokens: Tokens, yaw: Tensor) -> Tokens:
    """Tokens (B, N) whose returns are turned about the radar's z axis by yaw (B,), rad, left."""
    cosine, sine = torch.cos(yaw)[:, None], torch.sin(yaw)[:, None]
    x, y, *rest = tokens.returns.unbind(-1)
    returns = torch.stack((cosine * x - sine * y, sine * x + cosine * y, *rest), -1)
    return replace(tokens, returns=returns)


def return_features(returns: Tensor) -> Tensor:
    """Content of returns (..., 4: x, y, velocity, strength) as (..., 5) numbers of order one.

    Azimuth is kept out: where a return lies is the geometry's business.
    """
    x, y, velocity, strength = returns.unbind(-1)
    distance = torch.sqrt(x * x + y * y + 1e-6)
    return torch.stack(
        (
            torch.log(distance + 1.0) - 3.0,
            10.0 / (distance + 5.0),
            velocity / 10.0,
            torch.tanh(velocity / 2.0),
            strength / 10.0,
        ),
        -1,
    )


class PointTokens(nn.Module):
    """Each return of a driver's point cloud is a token."""

    features = RETURN_FEATURES

    def forward(self, returns: Tensor, mask: Tensor) -> Tokens:
        """Returns (B, N, 4: x, y, velocity, rcs) and mask (B, N) bool to tokens."""
        returns = returns * mask[..., None].to(returns.dtype)
        return Tokens(returns, return_features(returns), torch.zeros_like(returns[..., 0]), mask)


def sample_tokens(tokens: Tokens, rng: np.random.Generator, each: int) -> tuple[Tensor, Tensor]:
    """Draw up to `each` tokens of every frame: indices of frame and token, each (T,).

    Without replacement, and the likelier the more probably the radar alone takes the token for a
    return in view (Gumbel's trick).
    """
    weight = np.logaddexp(tokens.presence.detach().float().cpu().numpy(), _CURIOSITY)
    order = np.argsort(-(weight + rng.gumbel(size=weight.shape)), axis=1)
    frames, chosen = [], []
    for k, present in enumerate(tokens.mask.cpu().numpy()):
        picked = order[k][present[order[k]]][:each]
        frames.append(np.full(len(picked), k))
        chosen.append(picked)
    device = tokens.mask.device
    frame = torch.from_numpy(np.concatenate(frames)).to(device, torch.int64)
    return frame, torch.from_numpy(np.concatenate(chosen)).to(device, torch.int64)
