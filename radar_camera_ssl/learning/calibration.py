# SPDX-License-Identifier: Apache-2.0
"""Label-free calibration: evidence to probabilities, from aligned against misaligned pairs.

A misaligned image cannot be the source of a return: what its evidence looks like is what
background looks like. Among aligned pairs a share alpha of the returns (clutter, ghosts, out of
view) looks the same, and the rest does not. So the ratio of the two densities is
`L(z) = alpha + (1 - alpha) r(z)`, where r is the ratio of visible source to background, and the
likelihood of a visible source is `(1 - alpha) r / L`: two-component learning from positive and
unlabelled data (Elkan and Noto, KDD 2008). log r is linear in the evidence, with a second, steeper
slope below a knee: cosines are bounded, so evidence against a source is understated.
"""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from radar_camera_ssl.learning.tokens import RETURN_FEATURES, Tokens, return_features


class LikelihoodCalibration(nn.Module):
    """In-view evidence z of a return to the likelihood that a visible cell is its source."""

    def __init__(self) -> None:
        super().__init__()
        self.log_slope = nn.Parameter(torch.zeros(()))
        self.offset = nn.Parameter(torch.zeros(()))
        self.log_extra_slope = nn.Parameter(torch.zeros(()))
        self.knee = nn.Parameter(torch.zeros(()))
        # alpha may depend on the return: weak returns are clutter more often than strong ones.
        self.background = nn.Linear(RETURN_FEATURES + 1, 1)
        nn.init.zeros_(self.background.weight)
        nn.init.zeros_(self.background.bias)

    def _parts(self, z: Tensor, tokens: Tokens) -> tuple[Tensor, Tensor]:
        background = self._background(tokens)
        below = F.softplus(self.knee - z, beta=4.0)
        log_ratio = torch.exp(self.log_slope) * z + self.offset
        log_ratio = log_ratio - torch.exp(self.log_extra_slope) * below
        return F.logsigmoid(background), F.logsigmoid(-background) + log_ratio

    def source_share(self, tokens: Tokens) -> Tensor:
        """1 - alpha: share of sources in view among tokens like these, (...)."""
        return torch.sigmoid(-self._background(tokens))

    def _background(self, tokens: Tokens) -> Tensor:
        known = torch.cat((return_features(tokens.returns), tokens.presence[..., None]), -1)
        return self.background(known)[..., 0]

    def log_ratio(self, z: Tensor, tokens: Tokens) -> Tensor:
        """log L: aligned against misaligned, per token, (...) as z."""
        return torch.logsumexp(torch.stack(self._parts(z, tokens), -1), -1)

    def forward(self, z: Tensor, tokens: Tokens) -> Tensor:
        """Likelihood in [0, 1] of a visible source, (...)."""
        nothing, source = self._parts(z, tokens)
        return torch.sigmoid(source - nothing)


def minimise(module: nn.Module, loss: Callable[[], Tensor], iterations: int = 150) -> float:
    """Minimise a loss over a module's few parameters by L-BFGS and return what is left of it.

    A line search may run out to where the loss overflows: the best parameters met are kept.
    Raises FloatingPointError where the loss is not finite to begin with.
    """
    optimiser = torch.optim.LBFGS(
        module.parameters(), lr=0.5, max_iter=iterations, line_search_fn='strong_wolfe'
    )
    least, best = math.inf, copy.deepcopy(module.state_dict())

    def closure() -> Tensor:
        nonlocal least, best
        optimiser.zero_grad()
        value = loss()
        value.backward()
        if float(value.detach()) < least:
            least, best = float(value.detach()), copy.deepcopy(module.state_dict())
        return value

    # RuntimeError: a step too long for a float.
    with contextlib.suppress(RuntimeError):
        optimiser.step(closure)
    if not math.isfinite(least):
        raise FloatingPointError('the loss of the calibration is not finite')
    module.load_state_dict(best)
    return least


def fit_likelihood(
    calibration: LikelihoodCalibration,
    aligned: Tensor,
    misaligned: Tensor,
    tokens: Tokens,
    caution: float = 0.0,
) -> float:
    """Fit on evidence of the same tokens (n,) with their own (n,) and a foreign image (n,).

    Where the evidence of a kind of token is that of background in both, r = 1 explains it as well
    as alpha = 1 does. `caution` is the price, in nats, of taking such a token for a source.
    """
    # Keeps the few weights finite where a token's content tells nothing.
    decay = 1e-3

    def loss() -> Tensor:
        own = F.softplus(-calibration.log_ratio(aligned, tokens)).mean()
        foreign = F.softplus(calibration.log_ratio(misaligned, tokens)).mean()
        weight = calibration.background.weight
        claimed = calibration.source_share(tokens).mean()
        return own + foreign + decay * (weight**2).sum() + caution * claimed

    return minimise(calibration, loss)
