# SPDX-License-Identifier: Apache-2.0
"""The second stage: is this image the radar frame's own? On a network that is otherwise done."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from radar_camera_ssl.learning.batches import Batch
from radar_camera_ssl.learning.model import CorrespondenceNetwork
from radar_camera_ssl.learning.objectives.base import Objective
from radar_camera_ssl.learning.sampling import misaligned

_DECAY = 1e-2


class AgreementObjective(Objective):
    """Aligned against misaligned pairs of whole images, told by `AgreementNetwork` alone.

    The rest of the network is left as it is. The loss is binary cross-entropy over as many
    misaligned pairs as aligned ones, so that the probability is that of even odds.
    """

    def __init__(self, model: CorrespondenceNetwork) -> None:
        super().__init__()
        self.needs_cube = model.config.cube is not None
        self.model = model

    def train(self, mode: bool = True) -> AgreementObjective:
        """Put only what is trained here in training mode."""
        super().train(mode)
        self.model.eval()
        self.model.agreement.train(mode)
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        """One group: the agreement's own."""
        parameters = list(self.model.agreement.parameters())
        return [{'params': parameters, 'weight_decay': _DECAY, 'speed': 1.0}]

    def training_loss(
        self, batch: Batch, rng: np.random.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy; figures are it and the share of pairs told right.

        Each pair is mirrored or not: descriptors were learnt from images of either kind.
        """
        descriptors, laid, aligned = self._pairs(batch, rng)
        mirrored = torch.from_numpy(rng.random(len(laid)) < 0.5).to(laid.device)
        mirrored = mirrored[:, None, None, None]
        descriptors = torch.where(mirrored, descriptors.flip(-1), descriptors)
        laid = torch.where(mirrored, laid.flip(-1), laid)
        log_odds = self.model.agreement.log_odds(descriptors, laid).float()
        loss = F.binary_cross_entropy_with_logits(log_odds, aligned)
        right = ((log_odds > 0) == (aligned > 0)).float().mean()
        return loss, {'agreement_loss': loss.detach(), 'told_right': right.detach()}

    def validation_loss(self, batch: Batch, rng: np.random.Generator) -> Tensor:
        """The training's loss, of pairs as they are."""
        descriptors, laid, aligned = self._pairs(batch, rng)
        log_odds = self.model.agreement.log_odds(descriptors, laid).float()
        return F.binary_cross_entropy_with_logits(log_odds, aligned)

    @torch.no_grad()
    def _pairs(self, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Descriptors and layers of all aligned pairs, then of as many others, and 1 or 0."""
        net = self.model.correspondence
        images = batch.images.contiguous(memory_format=torch.channels_last)
        descriptors = net.image_encoder(images).float()
        descriptors = torch.cat(
            (descriptors, descriptors[misaligned(batch, rng).to(images.device)])
        )
        # The geometry's densities need more precision than the descriptors.
        with torch.autocast(images.device.type, enabled=False):
            tokens = self.model.tokens(batch)
            twice = torch.arange(len(images), device=images.device).repeat(2)
            laid = net(tokens[twice], descriptors).laid
        aligned = torch.ones(len(descriptors), device=images.device)
        aligned[len(images) :] = 0.0
        return descriptors, laid, aligned
