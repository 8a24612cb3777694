# SPDX-License-Identifier: Apache-2.0
"""The whole model as it is exported: from image and radar frame to the answer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radar_camera_ssl.learning.agreement import AgreementNetwork
from radar_camera_ssl.learning.batches import Batch
from radar_camera_ssl.learning.calibration import LikelihoodCalibration
from radar_camera_ssl.learning.extent import Extent, rise_cells
from radar_camera_ssl.learning.network import STRIDE, Correspondence, NetworkConfig
from radar_camera_ssl.learning.tokens import Tokens

OUTPUT_NAMES = ('heatmap', 'likelihood', 'pixel', 'agreement', 'prior_pixel')


class CorrespondenceNetwork(nn.Module):
    """Correspondence, extent and calibrations; the radar kinds differ in their tokens only."""

    output_names: tuple[str, ...] = OUTPUT_NAMES

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.correspondence = Correspondence(config)
        self.extent = Extent(config)
        self.likelihood = LikelihoodCalibration()
        self.agreement = AgreementNetwork(config.descriptor)

    def tokens(self, batch: Batch) -> Tokens:
        """Tokens (B, N) of the batch's radar frames, of the kind that this model reads."""
        if self.config.cube is not None:
            return self.correspondence.tokens(batch.cube)
        return self.correspondence.tokens(batch.returns, batch.mask)

    def answer(self, image: Tensor, tokens: Tokens) -> tuple[Tensor, ...]:
        """Answer to B pairs: image (B, H, W, 3) uint8 BGR and tokens (B, N).

        Gives heatmap (B, h, w) and likelihood (B, N) in [0, 1], pixel (B, N, 2) as (u, v) with
        pixel centres at integers, agreement (B) in [0, 1], and prior_pixel (B, N, 2): where the
        geometry alone would look, the radar-only baseline. What repeats best in images of things
        is where they touch the ground; both pixels lie above it by `rise_cells`.
        """
        descriptors = self.correspondence.image_encoder(image.permute(0, 3, 1, 2).float() / 255.0)
        evidence = self.correspondence(tokens, descriptors)
        weight = tokens.mask.to(evidence.z.dtype)
        geometry = self.correspondence.geometry
        # The calibration knows what evidence looks like, not where it was looked for. Half of the
        # mass is what a source at the very edge has.
        inside = torch.clamp_max(2.0 * evidence.inside, 1.0)
        likelihood = self.likelihood(evidence.in_view, tokens) * inside * weight
        focal = geometry.focal
        heatmap = self.extent(evidence.posterior, likelihood, tokens.returns, focal)
        agreement = self.agreement(descriptors, evidence.laid)
        rise = rise_cells(tokens.returns, focal)
        centre, _, _ = geometry(tokens.returns)
        prior_pixel = _cell_to_pixel(centre - rise) * weight[..., None]
        pixel = _cell_to_pixel(self.peak(evidence.posterior) - rise) * weight[..., None]
        return heatmap, likelihood, pixel, agreement, prior_pixel

    def peak(self, posterior: Tensor) -> Tensor:
        """Most likely cell (u, v) (B, N, 2) of each token from its posterior (B, N, h*w).

        The peak of the posterior summed over 3x3 cells (a lone cell is noise, a source is not),
        then the mean position within those cells.
        """
        rows, columns = self.config.rows, self.config.columns
        batch, count, cells = posterior.shape
        maps = posterior.reshape(batch * count, 1, rows, columns)
        summed = F.avg_pool2d(maps, 3, stride=1, padding=1).reshape(batch, count, cells)
        best = summed.argmax(-1, keepdim=True)
        index = torch.arange(cells, device=posterior.device)
        row, column = index // columns, index % columns
        near = (torch.abs(row - best // columns) <= 1) & (torch.abs(column - best % columns) <= 1)
        weight = posterior * near.to(posterior.dtype)
        weight = weight / (weight.sum(-1, keepdim=True) + 1e-20)
        place = torch.stack((column, row), -1).to(posterior.dtype)
        return weight @ place


class PointsModel(CorrespondenceNetwork):
    """The model that reads radar points."""

    def forward(self, image: Tensor, points: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """Answer as `answer`: points (B, N, 4: x, y, velocity, rcs) float32, mask (B, N) bool."""
        return self.answer(image, self.correspondence.tokens(points, mask))


class CubeModel(CorrespondenceNetwork):
    """The model that reads the raw cube and finds the returns itself."""

    output_names = (*OUTPUT_NAMES, 'return_polar')

    def forward(self, image: Tensor, cube: Tensor) -> tuple[Tensor, ...]:
        """Answer as `answer` to a cube (B, R, A, D) float32 in dB, and return_polar (B, K, 3).

        Range m, azimuth rad, Doppler m/s of the K returns; zeros where fewer were found.
        """
        tokens, polar = self.correspondence.tokens.select(cube)
        return *self.answer(image, tokens), polar


def _cell_to_pixel(cell: Tensor) -> Tensor:
    return (cell + 0.5) * STRIDE - 0.5
