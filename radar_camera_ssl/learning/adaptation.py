# SPDX-License-Identifier: Apache-2.0
"""A model taken to another rig by half a minute of driving, without training.

What things look like to a radar and to a camera is the same on every vehicle; where they are seen
is a matter of the few numbers in `RigGeometry.rig`, and of how wide the returns scatter. Those
alone are searched, by the objective of the training, on the unlabelled frames themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from radar_camera_ssl.learning.batches import gather
from radar_camera_ssl.learning.drives import Drive
from radar_camera_ssl.learning.losses import frame_loss, return_loss
from radar_camera_ssl.learning.model import CorrespondenceNetwork
from radar_camera_ssl.learning.objectives.correspondence import STRONGEST, TOKENS_PER_FRAME
from radar_camera_ssl.learning.sampling import spaced_choice
from radar_camera_ssl.learning.tokens import Tokens, sample_tokens

STEPS = 200
FRAMES_PER_STEP = 32
FEWEST_FRAMES = 12
"""Fewer frames that differ, and whatever is found may be chance."""

_RATE, _LEAST_RATE, _WARM_STEPS = 0.03, 1e-4, 10
_BROADEST, _NARROWING = 4.0, 0.6
"""The search starts with the widths times _BROADEST; it is back at 1 after this share of it."""
_ENCODED_AT_ONCE = 32
_WIDTHS = slice(2, 4)
"""Of the residual's outputs: the logarithms of the widths."""


@dataclass(frozen=True)
class Adapted:
    """What an adaptation did: loss of the objective and mean agreement, before and after.

    agreement: the mean of the frames' log-odds as a probability.
    """

    loss_before: float
    loss_after: float
    agreement_before: float
    agreement_after: float


def adapt(
    model: CorrespondenceNetwork,
    drives: Sequence[Drive],
    rng: np.random.Generator,
    steps: int = STEPS,
    progress: Callable[[int], object] = lambda done: None,
) -> Adapted:
    """Search the rig of the drives, in place; progress is called with 1 for each step.

    Raises ValueError where the drives hold too few frames in which the car has moved, and
    FloatingPointError where the search leaves what is finite; the model is then as it was.
    """
    frames = _Frames(model.eval(), drives)
    if len(frames.choose(np.random.default_rng(0))) < FEWEST_FRAMES:
        raise ValueError(
            f'fewer than {FEWEST_FRAMES} frames a second apart in which the car has moved'
        )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    start = frames.loss(), frames.agreement()
    geometry = model.correspondence.geometry
    try:
        with _only_the_rig(model) as parameters:
            optimiser = torch.optim.Adam(parameters)
            for step in range(steps):
                geometry.broadening = _broadening(step / steps)
                for group in optimiser.param_groups:
                    group['lr'] = _rate(step, steps)
                optimiser.zero_grad()
                loss = frames.batch_loss(rng)
                loss.backward()
                optimiser.step()
                if not math.isfinite(float(loss.detach())):
                    raise FloatingPointError(f'the search is no longer finite at step {step}')
                progress(1)
    except BaseException:
        model.load_state_dict(before)
        raise
    finally:
        geometry.broadening = 1.0
    return Adapted(start[0], frames.loss(), start[1], frames.agreement())


class _Frames:
    """All frames of some drives, encoded once: neither images nor contents change."""

    def __init__(self, model: CorrespondenceNetwork, drives: Sequence[Drive]) -> None:
        self.model, self.net, self.drives = model, model.correspondence, drives
        self.first = np.cumsum([0, *(len(drive) for drive in drives)])
        self.descriptors: list[Tensor] = []
        self.tokens: list[Tokens] = []
        everything = [(d, i) for d, drive in enumerate(drives) for i in range(len(drive))]
        cube = model.config.cube is not None
        with torch.no_grad():
            for k in range(0, len(everything), _ENCODED_AT_ONCE):
                batch = gather(drives, everything[k : k + _ENCODED_AT_ONCE], cube=cube)
                tokens = model.tokens(batch)
                self.descriptors += self.net.image_encoder(batch.images)
                self.tokens += [tokens[torch.tensor(j)] for j in range(len(batch.images))]

    def choose(self, rng: np.random.Generator) -> list[tuple[int, int]]:
        """Frames for one step: spaced, and the car has moved between them."""
        each = math.ceil(FRAMES_PER_STEP / len(self.drives))
        return spaced_choice(self.drives, rng, len(self.drives), each)

    def batch_loss(self, rng: np.random.Generator) -> Tensor:
        """Loss () of the training's objective over whole images."""
        chosen = [int(self.first[d]) + i for d, i in self.choose(rng)]
        descriptors = torch.stack([self.descriptors[k] for k in chosen])
        tokens = _stacked([self.tokens[k] for k in chosen])
        frame, token = sample_tokens(tokens, rng, TOKENS_PER_FRAME)
        images = len(chosen)
        z = self.net.evidence(
            tokens[frame, token],
            descriptors,
            torch.zeros(images, 2),
            torch.zeros(images, dtype=torch.bool),
            torch.zeros(images, *descriptors.shape[-2:], dtype=torch.bool),
        )
        return return_loss(z, frame) + frame_loss(z, frame, STRONGEST)

    @torch.no_grad()
    def loss(self) -> float:
        """Mean loss of a few fixed batches."""
        return float(np.mean([float(self.batch_loss(np.random.default_rng(k))) for k in range(5)]))

    @torch.no_grad()
    def agreement(self) -> float:
        """Mean log-odds of the agreement of all frames, as a probability."""
        log_odds = []
        for descriptors, tokens in zip(self.descriptors, self.tokens, strict=True):
            one = descriptors[None]
            laid = self.net(tokens[None], one).laid
            log_odds.append(float(self.model.agreement.log_odds(one, laid)))
        return 1.0 / (1.0 + math.exp(-float(np.mean(log_odds))))


def _stacked(frames: Sequence[Tokens]) -> Tokens:
    """Tokens (B, N) of single frames' tokens (n_i), padded."""
    most = max(len(frame.mask) for frame in frames)

    def padded(values: Tensor) -> Tensor:
        missing = most - len(values)
        return torch.cat((values, values.new_zeros(missing, *values.shape[1:])))

    return Tokens(
        *(
            torch.stack([padded(getattr(frame, name)) for frame in frames])
            for name in ('returns', 'content', 'presence', 'mask')
        )
    )


@contextmanager
def _only_the_rig(model: CorrespondenceNetwork) -> Iterator[list[nn.Parameter]]:
    """Give the pinhole's numbers and the bias of the widths; all else is frozen meanwhile."""
    geometry = model.correspondence.geometry
    bias = geometry.residual[-1].bias
    searched = [*geometry.rig, bias]
    trained = [p for p in model.parameters() if p.requires_grad]
    kept = torch.zeros_like(bias)
    kept[_WIDTHS] = 1.0
    hook = bias.register_hook(lambda gradient: gradient * kept)
    for parameter in trained:
        parameter.requires_grad_(False)
    for parameter in searched:
        parameter.requires_grad_(True)
    try:
        yield searched
    finally:
        hook.remove()
        for parameter in trained:
            parameter.requires_grad_(True)


def _broadening(progress: float) -> float:
    return max(1.0, _BROADEST - (_BROADEST - 1.0) * progress / _NARROWING)


def _rate(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / _WARM_STEPS)
    return _RATE * warm * 0.5 * (1.0 + math.cos(math.pi * step / steps)) + _LEAST_RATE
