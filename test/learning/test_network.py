# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from radar_camera_ssl.learning.extent import ExtentHead, hold_out_loss, returns_to_mass
from radar_camera_ssl.learning.network import STRIDE, Correspondence, NetworkConfig
from radar_camera_ssl.learning.points_model import PointsModel

CONFIG = NetworkConfig(height=120, width=160)


@pytest.fixture
def correspondence() -> Correspondence:
    torch.manual_seed(1)
    return Correspondence(CONFIG).eval()


def some_returns(count: int) -> torch.Tensor:
    ahead = torch.rand(count) * 40 + 4
    left = (torch.rand(count) - 0.5) * ahead
    return torch.stack((ahead, left, torch.randn(count) * 5, torch.randn(count) * 10), -1)


def test_evidence_of_the_own_image_is_the_same_in_training_and_in_use(correspondence):
    images = torch.rand(3, 3, CONFIG.height, CONFIG.width)
    returns = some_returns(12).reshape(3, 4, 4)
    descriptors = correspondence.image_encoder(images)
    z, posterior = correspondence(returns, descriptors)
    none = torch.zeros(3, 2), torch.zeros(3, dtype=torch.bool)
    every = correspondence.evidence(returns.reshape(12, 4), descriptors, *none)
    for frame in range(3):
        torch.testing.assert_close(every[frame * 4 : frame * 4 + 4, frame], z[frame])
    assert (posterior.sum(-1) < 1.0).all()
    assert (posterior >= 0.0).all()


def test_mirroring_and_shifting_move_the_prior_with_the_image(correspondence):
    returns = some_returns(5)
    rows, columns, in_view = correspondence.prior(returns)
    moved_rows, moved_columns, _ = correspondence.prior(
        returns, torch.tensor([3.0, 0.0]), torch.tensor(True)
    )
    torch.testing.assert_close(moved_rows, rows)
    torch.testing.assert_close(moved_columns[:, 3:], columns.flip(-1)[:, :-3])
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
    assert rows.max() - rows.min() < 70


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


def test_pixel_lies_at_the_peak_of_the_posterior():
    model = PointsModel(CONFIG).eval()
    posterior = torch.full((1, 1, CONFIG.rows * CONFIG.columns), 1e-5)
    posterior[0, 0, 4 * CONFIG.columns + 9] = 0.6
    pixel = model.pixel(posterior)[0, 0]
    expected = torch.tensor([(9 + 0.5) * STRIDE - 0.5, (4 + 0.5) * STRIDE - 0.5])
    torch.testing.assert_close(pixel, expected, atol=0.05, rtol=0)


def test_extent_learns_that_returns_scatter_over_what_looks_alike():
    torch.manual_seed(0)
    head = ExtentHead(CONFIG)
    descriptors = torch.nn.functional.normalize(
        torch.randn(1, CONFIG.descriptor, 1, 1) + torch.zeros(1, 1, CONFIG.rows, CONFIG.columns),
        dim=1,
    ).clone()
    thing = (slice(5, 9), slice(6, 12))
    descriptors[0, :, thing[0], thing[1]] *= -1.0
    given = torch.zeros(1, CONFIG.rows, CONFIG.columns)
    given[0, 7, 8] = 1.0
    held_out = torch.zeros(1, CONFIG.rows, CONFIG.columns)
    held_out[0, thing[0], thing[1]] = 1.0 / 8
    range_map = torch.full((1, CONFIG.rows * CONFIG.columns), 0.1)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(120):
        intensity = head(descriptors, given.flatten(1), range_map)
        loss = hold_out_loss(intensity, held_out.flatten(1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    intensity = head(descriptors, given.flatten(1), range_map).reshape(CONFIG.rows, -1)
    inside = float(intensity[thing[0], thing[1]].mean())
    beside = float(intensity[5:9, 12:16].mean())
    assert inside > 5 * beside


def test_mass_is_weighted_by_likelihood_and_carries_range():
    posterior = torch.zeros(1, 2, 10)
    posterior[0, 0, 3], posterior[0, 1, 6] = 0.9, 0.9
    returns = torch.tensor([[[10.0, 0, 0, 0], [20.0, 0, 0, 0]]])
    likelihood = torch.tensor([[1.0, 0.25]])
    mass, inverse = returns_to_mass(posterior, likelihood, returns, torch.ones(1, 2).bool())
    torch.testing.assert_close(mass[0, [3, 6]], torch.tensor([1.0, 0.25]))
    torch.testing.assert_close(inverse[0, [3, 6]], torch.tensor([0.1, 0.05]), rtol=1e-3, atol=0)
