# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from radar_camera_ssl.learning import budget
from radar_camera_ssl.learning.network import NetworkConfig
from radar_camera_ssl.learning.objectives.agreement import AgreementObjective
from radar_camera_ssl.learning.objectives.correspondence import CorrespondenceObjective
from radar_camera_ssl.learning.recipe import Recipe

RECIPE = Recipe(drives_per_batch=2, frames_per_drive=2)


@pytest.fixture
def objective(toy_drives):
    torch.manual_seed(0)
    height, width = toy_drives[0].image_size
    return CorrespondenceObjective(NetworkConfig(height, width))


def test_timing_steps_leaves_weights_and_random_numbers_alone(objective, toy_drives):
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    random = torch.random.get_rng_state()
    for timed in (objective, AgreementObjective(objective.model)):
        assert budget.step_seconds(timed, toy_drives, RECIPE) > 0.0
    assert torch.equal(random, torch.random.get_rng_state())
    after = objective.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_both_stages_and_what_belongs_to_them_fit(objective, toy_drives, monkeypatch):
    def took(timed, drives, recipe):
        return 0.5 if isinstance(timed, AgreementObjective) else 0.8

    monkeypatch.setattr(budget, 'step_seconds', took)
    steps = budget.steps_within(600.0, objective, toy_drives, RECIPE)
    # 0.4 steps of the second stage for each of the first.
    assert steps * (0.8 + 0.4 * 0.5) < 600.0
    assert steps > 450
    with pytest.raises(ValueError, match=r'only 1 steps of 1\.0 s fit into 2 s'):
        budget.steps_within(2.0, objective, toy_drives, RECIPE)
