# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from radar_camera_ssl.learning.extent import Extent
from radar_camera_ssl.learning.model import PointsModel
from radar_camera_ssl.learning.network import STRIDE, Correspondence, NetworkConfig
from radar_camera_ssl.learning.tokens import PointTokens, Tokens

CONFIG = NetworkConfig(height=120, width=160)


@pytest.fixture
def correspondence() -> Correspondence:
    torch.manual_seed(1)
    return Correspondence(CONFIG).eval()


def some_returns(count: int) -> torch.Tensor:
    ahead = torch.rand(count) * 40 + 4
    left = (torch.rand(count) - 0.5) * ahead
    return torch.stack((ahead, left, torch.randn(count) * 5, torch.randn(count) * 10), -1)


def as_tokens(returns: torch.Tensor) -> Tokens:
    """Tokens of returns (..., 4), all of them real."""
    return PointTokens()(returns, torch.ones(returns.shape[:-1], dtype=torch.bool))


def test_evidence_of_the_own_image_is_the_same_in_training_and_in_use(correspondence):
    images = torch.rand(3, 3, CONFIG.height, CONFIG.width)
    returns = some_returns(12).reshape(3, 4, 4)
    descriptors = correspondence.image_encoder(images)
    answer = correspondence(as_tokens(returns), descriptors)
    z, evidence, posterior = answer.z, answer.in_view, answer.posterior
    none = (
        torch.zeros(3, 2),
        torch.zeros(3, dtype=torch.bool),
        torch.zeros(3, CONFIG.rows, CONFIG.columns, dtype=torch.bool),
    )
    every = correspondence.evidence(as_tokens(returns.reshape(12, 4)), descriptors, *none)
    for frame in range(3):
        torch.testing.assert_close(every[frame * 4 : frame * 4 + 4, frame], z[frame])
    assert (posterior.sum(-1) < 1.0).all()
    assert (posterior >= 0.0).all()
    # In view or not: z mixes the evidence with 'nothing in view', whose ratio is one.
    assert ((z - evidence) * evidence <= 1e-4).all()


def test_a_hidden_image_is_no_evidence(correspondence):
    descriptors = correspondence.image_encoder(torch.rand(2, 3, CONFIG.height, CONFIG.width))
    tokens = as_tokens(some_returns(5))
    shift, mirrored = torch.zeros(2, 2), torch.zeros(2, dtype=torch.bool)
    hidden = torch.zeros(2, CONFIG.rows, CONFIG.columns, dtype=torch.bool)
    hidden[0] = True
    z = correspondence.evidence(tokens, descriptors, shift, mirrored, hidden)
    # Zero but for the floor under 'nothing in view' and the Gaussian's discretisation.
    assert float(z[:, 0].abs().max()) < 0.05
    assert float(z[:, 1].abs().max()) > 0.05


def test_mirroring_and_shifting_move_the_prior_with_the_image(correspondence):
    tokens = as_tokens(some_returns(5))
    rows, columns, in_view = correspondence.prior(tokens, torch.zeros(1, 2), torch.tensor([False]))
    moved_rows, moved_columns, _ = correspondence.prior(
        tokens, torch.tensor([[3.0, 0.0]]), torch.tensor([True])
    )
    torch.testing.assert_close(moved_rows, rows)
    torch.testing.assert_close(moved_columns[..., 3:], columns.flip(-1)[..., :-3])
    assert ((in_view > 0) & (in_view < 1)).all()


def test_a_cell_sees_its_own_neighbourhood_centred(correspondence):
    image = torch.rand(1, 3, CONFIG.height, CONFIG.width, requires_grad=True)
    descriptors = correspondence.image_encoder(image)
    row, column = 7, 10
    descriptors[0, :, row, column].abs().sum().backward()
    assert image.grad is not None
    seen = image.grad[0].abs().sum(0) > 0
    rows, columns = torch.nonzero(seen).T
    centre = (row + 0.5) * STRIDE - 0.5, (column + 0.5) * STRIDE - 0.5
    assert (float(rows.min() + rows.max()) / 2, float(columns.min() + columns.max()) / 2) == centre
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == 26


def test_a_bound_keeps_returns_in_view(correspondence):
    descriptors = correspondence.image_encoder(torch.rand(2, 3, CONFIG.height, CONFIG.width))
    given_up = as_tokens(some_returns(5))
    given_up = dataclasses.replace(given_up, presence=torch.full((5,), -30.0))
    nothing = torch.zeros(2, CONFIG.rows, CONFIG.columns, dtype=torch.bool)
    still = torch.zeros(2, 2), torch.zeros(2, dtype=torch.bool)
    silent = correspondence.evidence(given_up, descriptors, *still, nothing)
    assert float(silent.abs().max()) < 1e-3
    bound = correspondence.evidence(given_up, descriptors, *still, nothing, least_in_view=0.7)
    assert float(bound.abs().max()) > 0.05


def test_geometry_reads_neither_doppler_nor_rcs(correspondence):
    returns = some_returns(6)
    other = returns.clone()
    other[:, 2:] += 3.0
    for a, b in zip(correspondence.geometry(returns), correspondence.geometry(other), strict=True):
        torch.testing.assert_close(a, b)


def test_an_empty_radar_frame_gives_an_empty_heatmap():
    torch.manual_seed(0)
    model = PointsModel(CONFIG).eval()
    image = torch.randint(0, 255, (1, CONFIG.height, CONFIG.width, 3), dtype=torch.uint8)
    mask = torch.zeros(1, 8, dtype=torch.bool)
    heatmap, likelihood, pixel, agreement, _ = model(image, torch.rand(1, 8, 4) * 50, mask)
    assert float(heatmap.abs().max()) == 0.0
    assert float(likelihood.abs().max()) == 0.0
    assert torch.isfinite(pixel).all()
    assert 0.0 <= float(agreement) <= 1.0


def test_padding_changes_nothing():
    torch.manual_seed(0)
    model = PointsModel(CONFIG).eval()
    image = torch.randint(0, 255, (1, CONFIG.height, CONFIG.width, 3), dtype=torch.uint8)
    returns = some_returns(5)[None]
    short = model(image, returns, torch.ones(1, 5, dtype=torch.bool))
    padded = torch.cat((returns, torch.full((1, 7, 4), 99.0)), 1)
    long = model(image, padded, torch.arange(12)[None] < 5)
    for a, b in zip(short[:1] + short[3:4], long[:1] + long[3:4], strict=True):
        torch.testing.assert_close(a, b)
    torch.testing.assert_close(short[2], long[2][:, :5])


def test_the_peak_is_that_of_the_posterior():
    model = PointsModel(CONFIG).eval()
    posterior = torch.full((1, 1, CONFIG.rows * CONFIG.columns), 1e-5)
    posterior[0, 0, 4 * CONFIG.columns + 9] = 0.6
    torch.testing.assert_close(
        model.peak(posterior)[0, 0], torch.tensor([9.0, 4.0]), atol=0.01, rtol=0
    )


def heatmap_of(ahead: float, likelihood: float, posterior: float = 1.0) -> torch.Tensor:
    """Heatmap of one return that lies in row 8, column 10."""
    place = torch.zeros(1, 1, CONFIG.rows * CONFIG.columns)
    place[0, 0, 8 * CONFIG.columns + 10] = posterior
    returns = torch.tensor([[[ahead, 0.0, 0.0, 0.0]]])
    focal = torch.tensor(20.0)
    return Extent(CONFIG)(place, torch.tensor([[likelihood]]), returns, focal)[0]


def test_a_source_is_as_likely_as_its_return_and_rises_above_it():
    near = heatmap_of(10.0, 0.8)
    assert float(near.max()) == pytest.approx(1 - (1 - 0.8) ** 0.4, abs=0.02)
    weight = near.sum(1)
    assert float((weight * torch.arange(CONFIG.rows)).sum() / weight.sum()) < 7.5
    assert float(near.sum()) > 2 * float(heatmap_of(30.0, 0.8).sum())
    left, right = near[:, 1:10].flip(1), near[:, 11:20]
    torch.testing.assert_close(left, right)


def test_several_returns_of_one_source_make_it_more_likely_never_certain():
    place = torch.zeros(1, 6, CONFIG.rows * CONFIG.columns)
    place[:, :, 8 * CONFIG.columns + 10] = 1.0
    returns = torch.tensor([10.0, 0.0, 0.0, 0.0]).expand(1, 6, 4)
    extent, focal = Extent(CONFIG), torch.tensor(20.0)
    one, two, six = (
        float(extent(place[:, :n], torch.full((1, n), 0.5), returns[:, :n], focal).max())
        for n in (1, 2, 6)
    )
    # Five returns of a thing are as good as two that are independent.
    assert one < two == pytest.approx(1 - 0.5**0.8, abs=0.02)
    assert 0.75 < six < 1.0
