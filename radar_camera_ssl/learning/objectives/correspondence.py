# SPDX-License-Identifier: Apache-2.0
"""Our objective: a mixture over cells with a learnt geometric prior, told by its own pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from radar_camera_ssl.learning import calibration
from radar_camera_ssl.learning.batches import Batch, augment, gather
from radar_camera_ssl.learning.losses import frame_loss, return_loss
from radar_camera_ssl.learning.model import CorrespondenceNetwork, CubeModel, PointsModel
from radar_camera_ssl.learning.network import Evidence, NetworkConfig
from radar_camera_ssl.learning.objectives.base import Objective
from radar_camera_ssl.learning.sampling import misaligned, spaced_choice
from radar_camera_ssl.learning.tokens import Tokens, sample_tokens

TOKENS_PER_FRAME, STRONGEST = 12, 4
_HIDDEN = 0.4
_RIG_SPEED, _SELECTION_SPEED = 8.0, 0.05
_PATIENCE = 0.3
"""Share of the training in which returns may not yet be given up."""
_SETTLING_BATCHES = 12
_CALIBRATION_PAIRS = 1600
_CUBE_CAUTION = 0.03
"""A cube always gives its K tokens, returns or not; chosen on simulated development drives."""


class CorrespondenceObjective(Objective):
    """InfoNCE per token and per frame on the evidence `z` of `Correspondence.evidence`.

    Aligned pairs attract and the batch's other pairs repel, over partly hidden images. No label
    and no extrinsics are read: the geometry is learnt along with the descriptors.
    """

    TITLE = (
        'Mixture over cells with a learnt geometric prior and a nothing-in-view option; '
        'InfoNCE per return and per frame, over partly hidden images'
    )

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.needs_cube = config.cube is not None
        self.model: CorrespondenceNetwork = (CubeModel if config.cube else PointsModel)(config)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Three speeds: the network's, the rig's, and that of a cube's selection.

        The rig's few numbers each move every return, and have far to go. The selection waits:
        before the descriptors tell anything, to give up every return is the quickest way down.
        """
        net = self.model.correspondence
        rig = net.geometry.rig
        selection = net.tokens.selection if self.needs_cube else []
        apart = {id(p) for p in (*rig, *selection)}
        rest = [p for p in net.parameters() if id(p) not in apart]
        return [
            {'params': rest, 'weight_decay': 1e-4, 'speed': 1.0},
            {'params': rig, 'weight_decay': 0.0, 'speed': _RIG_SPEED},
            {'params': selection, 'weight_decay': 0.0, 'speed': _SELECTION_SPEED},
        ]

    def training_loss(
        self, batch: Batch, rng: np.random.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum of both losses; figures are the two and the share of tokens that find their pair."""
        net = self.model.correspondence
        images, augmentation = augment(batch.images, rng, _HIDDEN)
        tokens = self.model.tokens(batch)
        frame, chosen = sample_tokens(tokens, rng, TOKENS_PER_FRAME)
        descriptors = net.image_encoder(images.contiguous(memory_format=torch.channels_last))
        z = net.evidence(
            tokens[frame, chosen],
            descriptors.float(),
            augmentation.shift,
            augmentation.mirrored,
            augmentation.hidden,
            self._least_in_view(),
        )
        per_return = return_loss(z, frame)
        per_frame = frame_loss(z, frame, STRONGEST)
        hit = (z.detach().argmax(1) == frame).float().mean()
        figures = {
            'return_loss': per_return.detach(),
            'frame_loss': per_frame.detach(),
            'retrieval': hit,
        }
        return per_return + per_frame, figures

    def _least_in_view(self) -> float:
        """Lower bound of a return's probability of being in view, from 0.7 down to none.

        As long as the descriptors tell nothing, to take every return for clutter is the quickest
        way down and a dead end.
        """
        return 0.7 * max(0.0, 1.0 - self.progress / _PATIENCE)

    def validation_loss(self, batch: Batch, rng: np.random.Generator) -> Tensor:
        """The training's loss, over images that are partly hidden in the same way.

        Whole images would reward matching by what lies around a source.
        """
        return self.training_loss(batch, rng)[0]

    def finish(self, drives: Sequence[Any], rng: np.random.Generator) -> dict[str, float]:
        """Settle the normalisation on whole images, then calibrate on misaligned pairs."""
        self._settle_normalisation(drives, rng)
        return self._calibrate(drives, rng)

    @torch.no_grad()
    def _settle_normalisation(self, drives: Sequence[Any], rng: np.random.Generator) -> None:
        """Take the normalisation's statistics from whole images: training hides parts of them."""
        encoder = self.model.correspondence.image_encoder.train()
        layers = [m for m in encoder.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
        for _ in range(_SETTLING_BATCHES):
            encoder(self._batch(drives, rng).images)

    def _calibrate(self, drives: Sequence[Any], rng: np.random.Generator) -> dict[str, float]:
        model = self.model.eval()
        # Of few recordings, no pair is needed more than a few times.
        pairs = min(_CALIBRATION_PAIRS, 4 * sum(len(drive) for drive in drives))
        own, foreign, tokens = self._evidence_of_pairs(drives, rng, pairs)
        there = tokens.mask
        calibration.fit_likelihood(
            model.likelihood,
            own[there],
            foreign[there],
            tokens[there],
            _CUBE_CAUTION if self.needs_cube else 0.0,
        )
        with torch.no_grad():
            mean_likelihood = float(model.likelihood(own, tokens)[there].mean())
        return {'mean_likelihood': mean_likelihood}

    @torch.no_grad()
    def _evidence_of_pairs(
        self, drives: Sequence[Any], rng: np.random.Generator, pairs: int
    ) -> tuple[Tensor, Tensor, Tokens]:
        """In-view evidence (pairs, N) of the same tokens with their own and a foreign image."""
        net = self.model.correspondence
        own: list[Evidence] = []
        foreign: list[Evidence] = []
        tokens: list[Tokens] = []
        done = 0
        while done < pairs:
            batch = self._batch(drives, rng)
            these = self.model.tokens(batch)
            descriptors = net.image_encoder(batch.images)
            other = misaligned(batch, rng).to(descriptors.device)
            own.append(net(these, descriptors))
            foreign.append(net(these, descriptors[other]))
            tokens.append(these)
            done += len(batch.images)
        return (
            _joined(own, 'in_view'),
            _joined(foreign, 'in_view'),
            Tokens(
                *(_joined(tokens, name) for name in ('returns', 'content', 'presence', 'mask'))
            ),
        )

    def _batch(self, drives: Sequence[Any], rng: np.random.Generator) -> Batch:
        device = next(self.parameters()).device
        batch = gather(drives, spaced_choice(drives, rng, 10, 4), cube=self.needs_cube)
        return batch.to(device)


def _joined(parts: Sequence[Any], name: str) -> Tensor:
    """One attribute (B, N, ...) of many batches along the first axis, N padded with zeros."""
    values = [getattr(part, name) for part in parts]
    most = max(value.shape[1] for value in values)
    return torch.cat(
        [
            torch.nn.functional.pad(value, [0, 0] * (value.dim() - 2) + [0, most - value.shape[1]])
            for value in values
        ]
    )
