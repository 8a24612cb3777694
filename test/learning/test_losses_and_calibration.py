# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from radar_camera_ssl.learning.batches import augment, gather
from radar_camera_ssl.learning.calibration import (
    LikelihoodCalibration,
    fit_likelihood,
    minimise,
)
from radar_camera_ssl.learning.losses import frame_loss, return_loss
from radar_camera_ssl.learning.tokens import PointTokens


def test_losses_are_zero_where_each_return_finds_its_image_and_log_n_where_none_does():
    frame = torch.tensor([0, 0, 1, 2, 2, 2])
    sure = torch.full((6, 3), -40.0)
    sure[torch.arange(6), frame] = 40.0
    assert float(return_loss(sure, frame)) < 1e-6
    assert float(frame_loss(sure, frame, 2)) < 1e-6
    blind = torch.zeros(6, 3)
    assert math.isclose(float(return_loss(blind, frame)), math.log(3), rel_tol=1e-6)
    assert math.isclose(float(frame_loss(blind, frame, 2)), math.log(3), rel_tol=1e-6)


def test_a_frame_without_returns_attracts_and_repels_nothing():
    z = torch.randn(4, 3, requires_grad=True)
    loss = frame_loss(z, torch.tensor([0, 0, 2, 2]), 4)
    assert torch.isfinite(loss)


def test_calibration_recovers_the_share_of_sources_without_being_told():
    """Evidence drawn from a known mixture: likelihoods must be true on average in every bin."""
    rng = np.random.default_rng(3)
    count, share = 20000, 0.6
    is_source = rng.random(count) < share
    z = np.where(is_source, rng.normal(1.5, 1.0, count), rng.normal(0.0, 1.0, count))
    foreign = rng.normal(0.0, 1.0, count)
    returns = torch.from_numpy(rng.normal(10, 3, (count, 4)).astype(np.float32))
    tokens = PointTokens()(returns, torch.ones(count, dtype=torch.bool))
    module = LikelihoodCalibration()
    as_tensor = [torch.from_numpy(a.astype(np.float32)) for a in (z, foreign)]
    fit_likelihood(module, *as_tensor, tokens)
    likelihood = module(as_tensor[0], tokens).detach().numpy()
    for low in np.arange(0.1, 0.9, 0.2):
        chosen = (likelihood >= low) & (likelihood < low + 0.2)
        assert abs(is_source[chosen].mean() - likelihood[chosen].mean()) < 0.08


def test_a_minimum_is_kept_though_the_search_runs_away():
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(module.weight, 3.0)

    def cliff():
        weight = module.weight.squeeze()
        # Falls ever steeper to one, and is not a number beyond.
        return torch.where(weight > 1.0, torch.log(weight), weight * math.nan)

    assert math.isfinite(minimise(module, cliff))
    assert float(module.weight.detach()) > 1.0
    with pytest.raises(FloatingPointError, match='calibration'):
        minimise(module, lambda: module.weight.sum() * math.nan)


def test_augmentation_tells_truly_what_it_did(toy_drives):
    batch = gather(toy_drives, [(0, 0), (1, 3), (2, 5), (3, 1)])
    images = torch.zeros_like(batch.images)
    images[:, :, 60, 40] = 1.0
    moved, done = augment(images, np.random.default_rng(1), hide=0.0)
    for k in range(4):
        brightest = int(moved[k, 1].argmax())
        v, u = divmod(brightest, images.shape[-1])
        start = images.shape[-1] - 1 - 40 if bool(done.mirrored[k]) else 40
        assert (u, v) == (
            start + round(float(done.shift[k, 0]) * 8),
            60 + round(float(done.shift[k, 1]) * 8),
        )


def test_hidden_cells_are_painted_over_whole(toy_drives):
    batch = gather(toy_drives, [(0, 0), (1, 3)])
    moved, done = augment(batch.images, np.random.default_rng(1), hide=0.5)
    share = float(done.hidden.float().mean())
    assert 0.3 < share < 0.7
    for k in range(2):
        pixels = done.hidden[k].repeat_interleave(8, 0).repeat_interleave(8, 1)
        assert float(moved[k][:, pixels].std(1).max()) < 1e-5


def test_augmentation_stays_on_the_device_of_the_images():
    """Meta tensors refuse to meet those of the processor, as a GPU's do."""
    images = torch.zeros(3, 3, 64, 96, device='meta')
    moved, done = augment(images, np.random.default_rng(1), hide=0.4)
    for tensor in (moved, done.shift, done.mirrored, done.hidden):
        assert tensor.device.type == 'meta'
    assert moved.shape == images.shape
