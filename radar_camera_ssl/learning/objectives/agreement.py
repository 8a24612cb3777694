# SPDX-License-Identifier: Apache-2.0
"""The second stage: is this image the radar frame's own? On a network that is otherwise done."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from radar_camera_ssl.learning.batches import Batch
from radar_camera_ssl.learning.model import CorrespondenceNetwork
from radar_camera_ssl.learning.objectives.base import Objective
from radar_camera_ssl.learning.sampling import misaligned
from radar_camera_ssl.learning.tokens import Tokens, turned

_DECAY = 1e-2
_LEAST_TURN_RAD, _MOST_TURN_RAD = math.radians(2.0), math.radians(10.0)


class AgreementObjective(Objective):
    """Aligned against misaligned pairs of whole images, told by `AgreementNetwork` alone.

    Misaligned is half of them by time, with the image of another moment, and half by place, with
    the pair's own returns turned about the radar: a mounting that gave way is told by the same
    number as clocks that drifted apart. The rest of the network is left as it is. The loss is
    binary cross-entropy over as much of misaligned pairs as of aligned ones, so that the
    probability is that of even odds.
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
        descriptors, laid, pairs = self._pairs(batch, rng)
        mirrored = torch.from_numpy(rng.random(len(laid)) < 0.5).to(laid.device)
        mirrored = mirrored[:, None, None, None]
        descriptors = torch.where(mirrored, descriptors.flip(-1), descriptors)
        laid = torch.where(mirrored, laid.flip(-1), laid)
        log_odds = self.model.agreement.log_odds(descriptors, laid).float()
        loss = pairs.cross_entropy(log_odds)
        right = pairs.mean(((log_odds > 0) == (pairs.aligned > 0)).float())
        return loss, {'agreement_loss': loss.detach(), 'told_right': right.detach()}

    def validation_loss(self, batch: Batch, rng: np.random.Generator) -> Tensor:
        """The training's loss, of pairs as they are."""
        descriptors, laid, pairs = self._pairs(batch, rng)
        return pairs.cross_entropy(self.model.agreement.log_odds(descriptors, laid).float())

    @torch.no_grad()
    def _pairs(self, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, Tensor, _Pairs]:
        """Descriptors and layers of all aligned pairs, of other moments' and of turned ones."""
        net = self.model.correspondence
        images = batch.images.contiguous(memory_format=torch.channels_last)
        count, device = len(images), images.device
        own = net.image_encoder(images).float()
        foreign = own[misaligned(batch, rng).to(device)]
        size = rng.uniform(_LEAST_TURN_RAD, _MOST_TURN_RAD, count) * rng.choice([-1.0, 1.0], count)
        turn = torch.from_numpy(size.astype(np.float32)).to(device)
        descriptors = torch.cat((own, foreign, own))
        # The geometry's densities need more precision than the descriptors.
        with torch.autocast(device.type, enabled=False):
            laid = net.laid(thrice(self.model.tokens(batch), turn), descriptors)
        return descriptors, laid, _Pairs.of(count, device)


def thrice(tokens: Tokens, turn: Tensor) -> Tokens:
    """Tokens (B, N) twice as they are, then turned by turn (B,), rad: (3 B, N).

    Turned returns end where the radar's sector does, turned; those of a radar that has turned do
    not. Where the camera sees farther to the side than the radar, that edge would give the turn
    away. So all three show only what the sector, which is the one that the batch's tokens fill,
    has in common with itself turned.
    """
    there = tokens.mask
    together = tokens[torch.arange(len(turn), device=turn.device).repeat(3)]
    if not there.any():
        return together
    whole = _azimuth(tokens)[there]
    least = (whole.min() + torch.clamp_min(turn, 0.0)).repeat(3)[:, None]
    most = (whole.max() + torch.clamp_max(turn, 0.0)).repeat(3)[:, None]
    none = torch.zeros_like(turn)
    together = turned(together, torch.cat((none, none, turn)))
    azimuth = _azimuth(together)
    return replace(together, mask=together.mask & (azimuth >= least) & (azimuth <= most))


def _azimuth(tokens: Tokens) -> Tensor:
    return torch.atan2(tokens.returns[..., 1], tokens.returns[..., 0])


@dataclass(frozen=True)
class _Pairs:
    """Which of the pairs (n,) are aligned, 1 or 0, and the weight of each."""

    aligned: Tensor
    weight: Tensor

    @classmethod
    def of(cls, count: int, device: torch.device) -> _Pairs:
        """As many aligned pairs, then pairs of other moments, then turned ones."""
        kinds = torch.tensor([[1.0, 1.0], [0.0, 0.5], [0.0, 0.5]], device=device)
        aligned, weight = kinds.repeat_interleave(count, 0).unbind(1)
        return cls(aligned, weight)

    def mean(self, values: Tensor) -> Tensor:
        return (values * self.weight).sum() / self.weight.sum()

    def cross_entropy(self, log_odds: Tensor) -> Tensor:
        return self.mean(
            F.binary_cross_entropy_with_logits(log_odds, self.aligned, reduction='none')
        )
