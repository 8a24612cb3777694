# SPDX-License-Identifier: Apache-2.0
"""Returns laid over an image, and what is made of it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from radar_camera_ssl.learning.agreement import LAID, lay_over
from radar_camera_ssl.learning.batches import gather
from radar_camera_ssl.learning.checkpoint import copied
from radar_camera_ssl.learning.network import NetworkConfig
from radar_camera_ssl.learning.objectives.agreement import AgreementObjective, thrice
from radar_camera_ssl.learning.objectives.correspondence import CorrespondenceObjective
from radar_camera_ssl.learning.recipe import Recipe, agreement_recipe
from radar_camera_ssl.learning.sampling import misaligned
from radar_camera_ssl.learning.tokens import PointTokens, turned
from radar_camera_ssl.learning.training import train

CONFIG = NetworkConfig(height=120, width=160, descriptor=16, hidden=32)
ROWS, COLUMNS = CONFIG.rows, CONFIG.columns
COUNT, NEAREST = 0, 8


def laid(places, mask):
    """Lay returns straight ahead over an image, each seen in one cell (row, column) alone."""
    count = len(places)
    returns = torch.zeros(1, count, 4)
    returns[0, :, 0] = 20.0
    footprint = torch.zeros(1, count, ROWS, COLUMNS)
    for k, (row, column) in enumerate(places):
        footprint[0, k, row, column] = 1.0
    match = torch.full_like(footprint, 2.0)
    there = torch.tensor([mask])
    return lay_over(returns, torch.full((1, count), 0.5), there, footprint, match)


def test_each_return_lies_in_its_cell_and_padding_nowhere():
    layers = laid([(3, 4), (3, 4), (7, 9)], [True, True, False])
    assert layers.shape == (1, LAID, ROWS, COLUMNS)
    assert layers[0, COUNT, 3, 4] == 2.0
    assert layers[0, NEAREST, 3, 4] == 0.5
    covered = (layers != 0).any(1)[0]
    assert covered.nonzero().tolist() == [[3, 4]]
    assert not laid([(1, 1)], [False]).any()


@pytest.fixture(scope='module')
def trained(toy_drives, tmp_path_factory):
    """A model of both stages, and its weights between them."""
    torch.manual_seed(1)
    recipe = Recipe(steps=60, drives_per_batch=5, frames_per_drive=3)
    quiet = {'progress': False, 'workers': 0}
    objective = CorrespondenceObjective(CONFIG)
    train(objective, toy_drives, recipe, tmp_path_factory.mktemp('first'), **quiet)
    before = copied(objective.model.state_dict())
    second = AgreementObjective(objective.model)
    train(second, toy_drives, recipe, tmp_path_factory.mktemp('second'), **quiet)
    return objective.model, before


def test_only_the_agreement_is_trained(trained):
    model, before = trained
    changed = {name for name, value in model.state_dict().items() if (value != before[name]).any()}
    assert changed
    assert {name.split('.')[0] for name in changed} == {'agreement'}


def returns_in_a_sector(seed, half_rad):
    """Tokens of frames whose returns fill a sector, the last column padding."""
    rng = np.random.default_rng(seed)
    azimuth = rng.uniform(-half_rad, half_rad, (8, 41))
    distance = rng.uniform(5, 60, azimuth.shape)
    returns = np.zeros((8, 41, 4), np.float32)
    returns[..., 0], returns[..., 1] = distance * np.cos(azimuth), distance * np.sin(azimuth)
    mask = torch.ones(8, 41, dtype=torch.bool)
    mask[:, -1] = False
    return PointTokens()(torch.from_numpy(returns), mask)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 99), half_rad=st.floats(0.3, 3.1))
def test_no_edge_of_the_sector_gives_a_turn_away(seed, half_rad):
    tokens = returns_in_a_sector(seed, half_rad)
    turn = torch.from_numpy(np.random.default_rng(seed).uniform(-0.17, 0.17, 8)).float()
    shown = thrice(tokens, turn)
    azimuth = torch.atan2(shown.returns[..., 1], shown.returns[..., 0])
    whole = torch.atan2(tokens.returns[..., 1], tokens.returns[..., 0])[tokens.mask]
    for k in range(24):
        seen, by = azimuth[k][shown.mask[k]], float(turn[k % 8])
        assert not shown.mask[k, -1]
        assert len(seen) > 10
        assert float(seen.min()) >= float(whole.min()) + max(by, 0.0) - 1e-5
        assert float(seen.max()) <= float(whole.max()) + min(by, 0.0) + 1e-5


def test_turned_returns_keep_all_but_their_azimuth():
    tokens = returns_in_a_sector(3, 0.5)
    turn = torch.linspace(-0.1, 0.1, 8)
    after = turned(tokens, turn)
    torch.testing.assert_close(after.returns[..., 2:], tokens.returns[..., 2:])
    assert after.content is tokens.content
    x, y = (after.returns[..., k][tokens.mask] for k in (0, 1))
    x0, y0 = (tokens.returns[..., k][tokens.mask] for k in (0, 1))
    torch.testing.assert_close(torch.hypot(x, y), torch.hypot(x0, y0))
    difference = torch.atan2(y, x) - torch.atan2(y0, x0)
    torch.testing.assert_close(difference.reshape(8, 40), turn[:, None].expand(8, 40))


def test_aligned_pairs_agree_more_than_misaligned_ones(trained, toy_drives):
    model, _ = trained
    rng = np.random.default_rng(9)
    chosen = [(d, i) for d in range(len(toy_drives)) for i in range(0, 30, 6)]
    batch = gather(toy_drives, chosen)
    images = (batch.images * 255).to(torch.uint8).permute(0, 2, 3, 1)
    other = misaligned(batch, rng)
    with torch.no_grad():
        own = model(images, batch.returns, batch.mask)[3]
        foreign = model(images[other], batch.returns, batch.mask)[3]
        tokens = PointTokens()(batch.returns, batch.mask)
        aside = turned(tokens, torch.full((len(images),), math.radians(8.0))).returns
        beside = model(images, aside, batch.mask)[3]
    assert float((own[:, None] > foreign[None]).float().mean()) > 0.8
    assert float((own[:, None] > beside[None]).float().mean()) > 0.6
    assert ((own >= 0) & (own <= 1)).all()


def test_both_stages_are_the_same_run_but_for_its_length():
    recipe = Recipe(seed=3, steps=10)
    assert agreement_recipe(recipe) == dataclasses.replace(recipe, steps=4)
    assert agreement_recipe(Recipe(steps=1)).steps == 1
