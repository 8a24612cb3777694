# SPDX-License-Identifier: Apache-2.0
"""The whole model for radar points, as it is exported: from image and returns to the answer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radar_camera_ssl.learning.calibration import AgreementCalibration, LikelihoodCalibration
from radar_camera_ssl.learning.extent import Extent
from radar_camera_ssl.learning.network import STRIDE, Correspondence, NetworkConfig

OUTPUT_NAMES = ('heatmap', 'likelihood', 'pixel', 'agreement', 'prior_pixel')


class PointsModel(nn.Module):
    """Correspondence, extent and calibration behind the tensors of the model file."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.correspondence = Correspondence(config)
        self.extent = Extent(config)
        self.likelihood = LikelihoodCalibration()
        self.agreement = AgreementCalibration()

    def forward(self, image: Tensor, points: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """Answer for a batch of pairs; the exported file has B = 1.

        image (B, H, W, 3) uint8 BGR; points (B, N, 4) float32 x, y, velocity, rcs in the radar's
        frame; mask (B, N) bool. Gives heatmap (B, h, w) and likelihood (B, N) in [0, 1], pixel
        (B, N, 2) as (u, v) with pixel centres at integers, agreement (B) in [0, 1], and
        prior_pixel (B, N, 2): where the geometry alone would look, the radar-only baseline.
        """
        points = points * mask[..., None].to(points.dtype)
        descriptors = self.correspondence.image_encoder(image.permute(0, 3, 1, 2).float() / 255.0)
        _, evidence, posterior = self.correspondence(points, descriptors)
        likelihood = self.likelihood(evidence, points) * mask.to(evidence.dtype)
        focal = self.correspondence.geometry.focal
        heatmap = self.extent(posterior, likelihood, points, focal)
        agreement = self.agreement(self.likelihood.log_ratio(evidence, points), mask)
        centre, _, _ = self.correspondence.geometry(points)
        prior_pixel = _cell_to_pixel(centre) * mask[..., None].to(centre.dtype)
        pixel = self.pixel(posterior) * mask[..., None].to(centre.dtype)
        return heatmap, likelihood, pixel, agreement, prior_pixel

    def pixel(self, posterior: Tensor) -> Tensor:
        """Most likely source (B, N, 2) of each return from its posterior (B, N, h*w).

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
        return _cell_to_pixel(weight @ place)


def _cell_to_pixel(cell: Tensor) -> Tensor:
    return (cell + 0.5) * STRIDE - 0.5
