# SPDX-License-Identifier: Apache-2.0
"""The network: what a cell looks like, where a return may lie, and how well the two agree.

Read it top to bottom: `ImageEncoder` gives every cell a descriptor that knows nothing of its
position; `RigGeometry` tells, from a return's range and azimuth alone, in which cells its source
may lie (the mounting, learnt without extrinsics); `ContentEncoder` tells what such a source looks
like; `Correspondence` joins the three into evidence and posterior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radar_camera_ssl.learning.agreement import lay_over
from radar_camera_ssl.learning.cube_tokens import CubeConfig, CubeTokens
from radar_camera_ssl.learning.tokens import PointTokens, Tokens

STRIDE = 8
"""Side of a cell in pixels of the model's input."""


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network; part of every checkpoint."""

    height: int = 240
    width: int = 320
    descriptor: int = 48
    hidden: int = 64
    cube: CubeConfig | None = None
    """The cube that is read; None for radar points."""

    @property
    def rows(self) -> int:
        """Rows of the cell grid."""
        return self.height // STRIDE

    @property
    def columns(self) -> int:
        """Columns of the cell grid."""
        return self.width // STRIDE


class ImageEncoder(nn.Module):
    """Image to one unit descriptor per cell, from a receptive field of 26 pixels.

    Down-sampling is by even kernels with as much padding on either side: their receptive fields
    are centred on the cell, where strided 3x3 kernels drift by pixels with each layer. A small
    receptive field and no positional input keep the descriptor local: it cannot match scenes
    instead of places. The first layer goes to a quarter of the resolution at once: at half of it,
    normalisation and memory traffic would cost as much as all the rest.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()

        def stage(inputs: int, outputs: int, *, kernel: int, stride: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, kernel, stride, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            )

        self.layers = nn.Sequential(
            stage(3, 48, kernel=6, stride=4),
            stage(48, 48, kernel=3, stride=1),
            stage(48, 80, kernel=4, stride=2),
            nn.Conv2d(80, 96, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(96, descriptor, 1),
        ).to(memory_format=torch.channels_last)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to unit descriptors (B, D, h, w)."""
        return F.normalize(self.layers((image - 0.45) / 0.25), dim=1)


class ContentEncoder(nn.Module):
    """What the source of a token looks like: a unit descriptor from the token's content."""

    def __init__(self, features: int, descriptor: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, descriptor),
        )

    def forward(self, content: Tensor) -> Tensor:
        """Content (..., F) of `Tokens` to unit descriptors (..., D)."""
        return F.normalize(self.layers(content), dim=-1)


class RigGeometry(nn.Module):
    """Where the source of a return may lie: a Gaussian over cells, from range and azimuth alone.

    The centre is a pinhole projection whose few numbers (yaw, focal length, horizon, height, lever
    arm) are learnt, plus a small learnt residual for what a pinhole does not say (distortion, the
    usual height of things). The widths start wide, so that the contents may find the rig, and
    narrow as they agree. Mass outside of the image is not in view and is not renormalised.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.rows, self.columns = config.rows, config.columns
        self.yaw = nn.Parameter(torch.zeros(()))
        self.log_focal = nn.Parameter(torch.tensor(math.log(0.75)))
        self.horizon = nn.Parameter(torch.tensor(0.5))
        self.height = nn.Parameter(torch.tensor(0.8))
        self.lever_arm = nn.Parameter(torch.zeros(2))
        last = nn.Linear(32, 5)
        nn.init.zeros_(last.weight)
        with torch.no_grad():
            last.bias.copy_(torch.tensor([0.0, 0.0, math.log(0.12), -2.0, 1.0]))
        self.residual = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), last)
        self.broadening = 1.0
        """Factor on the widths; over 1 only while a rig is searched for from afar."""

    @property
    def focal(self) -> Tensor:
        """Focal length in cells, as learnt."""
        return torch.exp(self.log_focal) * self.columns

    @property
    def rig(self) -> list[nn.Parameter]:
        """The pinhole's few numbers: each one moves every return, and has far to go."""
        return [self.yaw, self.log_focal, self.horizon, self.height, self.lever_arm]

    def forward(self, returns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns (..., 4) to centre (..., 2), width (..., 2), both in cells, and log-odds (...).

        The log-odds are those of the source being in view, before the image is looked at.
        """
        x, y = returns[..., 0], returns[..., 1]
        cosine, sine = torch.cos(self.yaw), torch.sin(self.yaw)
        left = sine * x + cosine * y + self.lever_arm[1]
        ahead = torch.clamp_min(self.ahead(returns), 1.0)
        azimuth = torch.atan2(y, torch.clamp_min(x, 0.1))
        distance = torch.sqrt(x * x + y * y + 1e-6)
        place = torch.stack(
            (azimuth, torch.log(distance + 1.0) - 3.0, 10.0 / (distance + 5.0), azimuth * azimuth),
            -1,
        )
        r = self.residual(place)
        focal = self.focal
        u = (self.columns - 1) / 2 - focal * left / ahead + r[..., 0] * 4.0
        v = self.horizon * (self.rows - 1) + focal * self.height / ahead + r[..., 1] * 4.0
        width_u = 0.6 + self.columns * torch.exp(r[..., 2])
        width_v = 0.6 + self.rows * torch.exp(r[..., 3])
        widths = torch.stack((width_u, width_v), -1) * self.broadening
        return torch.stack((u, v), -1), widths, r[..., 4]

    def ahead(self, returns: Tensor) -> Tensor:
        """How far (...) returns (..., 4) lie in front of the camera, m; negative behind it."""
        x, y = returns[..., 0], returns[..., 1]
        return torch.cos(self.yaw) * x - torch.sin(self.yaw) * y + self.lever_arm[0]

    def mass(self, centre: Tensor, width: Tensor) -> tuple[Tensor, Tensor]:
        """The Gaussian's mass per row (..., h) and per column (..., w) of the grid."""
        rows = torch.arange(self.rows, dtype=centre.dtype, device=centre.device)
        columns = torch.arange(self.columns, dtype=centre.dtype, device=centre.device)
        return (
            _normal(rows, centre[..., 1, None], width[..., 1, None]),
            _normal(columns, centre[..., 0, None], width[..., 0, None]),
        )


def _normal(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Density of the normal distribution: the mass of a cell, whose side is 1."""
    return torch.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * 2.5066283)


@dataclass(frozen=True)
class Evidence:
    """What images say of their tokens.

    z (B, N): log-ratio of the mixture. in_view (B, N): the logarithm of the mean likelihood ratio
    over the prior's cells alone, which unlike z has no floor where the image shows plainly that
    nothing is there. posterior (B, N, h*w): sums to at most one; the rest is that nothing in view
    is the source. inside (B, N): the prior Gaussian's mass within the image, none behind the
    camera. laid (B, LAID, h, w): all tokens laid over the image, see `agreement.lay_over`.
    """

    z: Tensor
    in_view: Tensor
    posterior: Tensor
    inside: Tensor
    laid: Tensor


@dataclass(frozen=True)
class _Look:
    """Tokens (B, N) and the cells of their images: how they match and where each may lie.

    match, gaussian (B, N, h*w); the latter is the product of by_row (B, N, h) and by_column
    (B, N, w), of width (B, N, 2). in_view (B, N): probability of a source in view.
    """

    match: Tensor
    gaussian: Tensor
    by_row: Tensor
    by_column: Tensor
    width: Tensor
    in_view: Tensor


class Correspondence(nn.Module):
    """Evidence that returns and an image show the same instant, and where.

    For return t and cells c of an image, with prior mass pi(c|t) and pi0(t) = 1 - sum_c pi(c|t):
    `z(t) = log(pi0(t) + sum_c pi(c|t) exp(s cos(t, f_c)))`: a mixture over the cells and the
    option that nothing in view is the source (clutter, ghosts, out of view).
    """

    UNIFORM = 0.05
    """Share of the prior spread over the whole image, so that a far-off start can learn."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.image_encoder = ImageEncoder(config.descriptor)
        self.tokens = CubeTokens(config.cube) if config.cube else PointTokens()
        self.content_encoder = ContentEncoder(
            self.tokens.features, config.descriptor, config.hidden
        )
        self.geometry = RigGeometry(config)
        self.log_scale = nn.Parameter(torch.tensor(math.log(6.0)))

    def prior(
        self, tokens: Tokens, shift: Tensor, mirrored: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Where the sources of tokens (T,) may lie in B augmented images not yet looked at.

        `shift` (B, 2) in cells moves the prior with its image, `mirrored` (B,) bool flips it from
        left to right. Gives the Gaussian's mass per row (B, T, h) and per column (B, T, w), and
        the probability of being in view (T,).
        """
        centre, width, in_view = self.geometry(tokens.returns)
        last = self.config.columns - 1
        u = torch.where(mirrored[:, None], last - centre[..., 0], centre[..., 0])
        centre = torch.stack((u, centre[..., 1].expand_as(u)), -1) + shift[:, None]
        by_row, by_column = self.geometry.mass(centre, width)
        return by_row, by_column, torch.sigmoid(in_view + tokens.presence)

    def nothing_in_view(self, by_row: Tensor, by_column: Tensor, in_view: Tensor) -> Tensor:
        """pi0: what the cells leave of the prior. The floor keeps a way out for every return."""
        inside = (1.0 - self.UNIFORM) * by_row.sum(-1) * by_column.sum(-1) + self.UNIFORM
        return torch.clamp_min(1.0 - in_view * inside, 0.02)

    def evidence(
        self,
        tokens: Tokens,
        descriptors: Tensor,
        shift: Tensor,
        mirrored: Tensor,
        hidden: Tensor,
        least_in_view: float = 0.0,
    ) -> Tensor:
        """z of every token against every image: tokens (T,) and (B, D, h, w) to (T, B) float32.

        Hidden cells (B, h, w) bool say nothing about any token: their likelihood ratio is one.
        The Gaussian is separable, so that the sum over the cells is two matrix products and the
        (B, T, h*w) prior is never written out. Under autocast the likelihood ratios have its
        precision; what they are summed into is float32. `least_in_view` bounds the probability of
        being in view from below.
        """
        looks = self.content_encoder(tokens.content) * torch.exp(self.log_scale)
        by_row, by_column, in_view = self.prior(tokens, shift, mirrored)
        in_view = least_in_view + (1.0 - least_in_view) * in_view
        seen = (descriptors * ~hidden[:, None]).flatten(2)
        # As a product a batch, in this order: folded into one it would be written transposed.
        match = torch.bmm(looks.expand(len(seen), -1, -1), seen.contiguous())
        likelihood = torch.exp(match)
        likelihood = likelihood.unflatten(-1, (self.config.rows, self.config.columns))
        everywhere = torch.full_like(by_column, 1.0 / by_column.shape[-1])
        sums = torch.matmul(likelihood, torch.stack((by_column, everywhere), -1)).float()
        gaussian = (sums[..., 0] * by_row).sum(-1)
        uniform = sums[..., 1].mean(-1)
        mixture = in_view * ((1.0 - self.UNIFORM) * gaussian + self.UNIFORM * uniform)
        return torch.log(self.nothing_in_view(by_row, by_column, in_view) + mixture).T

    def forward(self, tokens: Tokens, descriptors: Tensor) -> Evidence:
        """Evidence of each token (B, N) in its own image's descriptors (B, D, h, w)."""
        seen = self._look(tokens, descriptors)
        ratio = torch.exp(seen.match)
        cells = self.config.rows * self.config.columns
        prior = (1.0 - self.UNIFORM) * seen.gaussian + self.UNIFORM / cells
        mass = seen.in_view[..., None] * prior * ratio
        nothing = self.nothing_in_view(seen.by_row, seen.by_column, seen.in_view)
        total = nothing + mass.sum(-1)
        in_view = torch.log((prior * ratio).sum(-1)) - torch.log(prior.sum(-1))
        inside = seen.by_row.sum(-1) * seen.by_column.sum(-1)
        inside = inside * (self.geometry.ahead(tokens.returns) > 0)
        laid = self._lay(tokens, seen)
        return Evidence(torch.log(total), in_view, mass / total[..., None], inside, laid)

    def laid(self, tokens: Tokens, descriptors: Tensor) -> Tensor:
        """`Evidence.laid` alone: (B, LAID, h, w)."""
        return self._lay(tokens, self._look(tokens, descriptors))

    def _look(self, tokens: Tokens, descriptors: Tensor) -> _Look:
        looks = self.content_encoder(tokens.content)
        centre, width, in_view = self.geometry(tokens.returns)
        by_row, by_column = self.geometry.mass(centre, width)
        return _Look(
            match=torch.exp(self.log_scale) * (looks @ descriptors.flatten(2)),
            gaussian=(by_row[..., :, None] * by_column[..., None, :]).flatten(-2),
            by_row=by_row,
            by_column=by_column,
            width=width,
            in_view=torch.sigmoid(in_view + tokens.presence),
        )

    def _lay(self, tokens: Tokens, seen: _Look) -> Tensor:
        grid = (self.config.rows, self.config.columns)
        footprint = seen.gaussian * (2.0 * math.pi * seen.width.prod(-1, keepdim=True))
        return lay_over(
            tokens.returns,
            seen.in_view,
            tokens.mask,
            footprint.unflatten(-1, grid),
            seen.match.unflatten(-1, grid),
        )
