# SPDX-License-Identifier: Apache-2.0
"""A model taken to another rig: found again, refused, left as it was."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from toy_bags import HEIGHT, WIDTH, write_toy_bag

from radar_camera_ssl.cli import main
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.learning import adapt_command, adaptation
from radar_camera_ssl.learning.adaptation import adapt
from radar_camera_ssl.learning.checkpoint import copied
from radar_camera_ssl.learning.export import describe, export_model
from radar_camera_ssl.learning.network import NetworkConfig
from radar_camera_ssl.learning.objectives.agreement import AgreementObjective
from radar_camera_ssl.learning.objectives.correspondence import CorrespondenceObjective
from radar_camera_ssl.learning.recipe import Recipe
from radar_camera_ssl.learning.training import train
from radar_camera_ssl.learning.warm_start import load_model

pytestmark = pytest.mark.timeout(300)
WRONG_RAD = math.radians(8.0)


@pytest.fixture(scope='module')
def model(toy_drives, tmp_path_factory):
    """A model of both stages, trained on the toy rig."""
    torch.manual_seed(1)
    recipe = Recipe(steps=80, drives_per_batch=5, frames_per_drive=3)
    quiet = {'progress': False, 'workers': 0}
    first = CorrespondenceObjective(NetworkConfig(120, 160, descriptor=16, hidden=32))
    train(first, toy_drives, recipe, tmp_path_factory.mktemp('first'), **quiet)
    second = AgreementObjective(first.model)
    train(second, toy_drives, recipe, tmp_path_factory.mktemp('second'), **quiet)
    return first.model.eval()


@pytest.fixture
def misplaced(model):
    """The same model, as if of a rig whose radar looks elsewhere."""
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.correspondence.geometry.yaw += WRONG_RAD
    return other


def columns_ahead(model):
    """Column of the grid in which a return straight ahead is looked for."""
    with torch.no_grad():
        centre, _, _ = model.correspondence.geometry(torch.tensor([[20.0, 0.0, 0.0, 0.0]]))
    return float(centre[0, 0])


def test_the_rig_is_found_from_one_drive(model, misplaced, toy_drives):
    before = copied(misplaced.state_dict())
    steps = []
    found = adapt(misplaced, toy_drives[:1], np.random.default_rng(0), 60, steps.append)
    assert sum(steps) == 60
    assert found.loss_after < found.loss_before
    assert found.agreement_after > found.agreement_before
    left = [columns_ahead(m) for m in (model, misplaced)]
    wrong = float(model.correspondence.geometry.focal.detach()) * math.tan(WRONG_RAD)
    assert abs(left[0] - left[1]) < 0.4 * wrong
    changed = {k for k, v in misplaced.state_dict().items() if (v != before[k]).any()}
    assert all(name.startswith('correspondence.geometry.') for name in changed)
    last = misplaced.correspondence.geometry.residual[-1].bias
    untouched = before['correspondence.geometry.residual.2.bias']
    assert torch.equal(last[[0, 1, 4]], untouched[[0, 1, 4]])
    assert misplaced.correspondence.geometry.broadening == 1.0
    assert all(parameter.requires_grad for parameter in misplaced.parameters())


def test_an_interrupted_search_leaves_the_model_as_it_was(misplaced, toy_drives):
    before = copied(misplaced.state_dict())

    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adapt(misplaced, toy_drives[:1], np.random.default_rng(0), 5, stop)
    assert all(torch.equal(v, before[k]) for k, v in misplaced.state_dict().items())
    assert misplaced.correspondence.geometry.broadening == 1.0


def test_too_little_driving_is_refused(misplaced, toy_drives, monkeypatch):
    monkeypatch.setattr(adaptation, 'FEWEST_FRAMES', 1000)
    with pytest.raises(ValueError, match='in which the car has moved'):
        adapt(misplaced, toy_drives[:1], np.random.default_rng(0), 5)


@pytest.fixture(scope='module')
def file(model, toy_drives, tmp_path_factory):
    """The model as a file."""
    path = tmp_path_factory.mktemp('model') / 'toy.onnx'
    metadata = describe(model, 32, {}, {'drives': ['toy']})
    export_model(model, metadata, path, toy_drives)
    return path


def test_a_model_file_gives_back_the_network_it_was_made_of(file, model):
    loaded, metadata = load_model(file)
    assert loaded.config == model.config
    assert metadata.training == {'drives': ['toy']}
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_the_command_writes_a_model_that_says_what_it_was_adapted_to(
    file, toy_bags, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(adapt_command, 'STEPS', 3)
    monkeypatch.setattr(adapt_command, 'LEAST_AGREEMENT', 0.0)
    out = tmp_path / 'mine.onnx'
    said = ['adapt', str(file), str(toy_bags[0]), '--out', str(out), '--seconds', '26.5']
    assert main(said) == 0
    assert 'agreement' in capsys.readouterr().out
    metadata = CorrespondenceModel.load(out).metadata
    assert metadata.camera.adapted_to == (HEIGHT, WIDTH)
    assert main(['info', str(out)]) == 0
    assert f'adapted to images of {WIDTH} x {HEIGHT} px' in capsys.readouterr().out
    adapted = metadata.training['adaptation']
    assert adapted['drives'] == ['0_toy_0']
    assert len(adapted['from']) == 64
    assert adapted['pairs'] == 28


@pytest.mark.parametrize('agreement', [0.69, math.nan])
def test_where_the_rig_is_not_found_nothing_is_written(
    file, toy_bags, tmp_path, monkeypatch, capsys, agreement
):
    found = adaptation.Adapted(5.0, 4.0, 0.1, agreement)
    monkeypatch.setattr(adapt_command, 'adapt', lambda *rest: found)
    out = tmp_path / 'mine.onnx'
    assert main(['adapt', str(file), str(toy_bags[0]), '--out', str(out)]) == 1
    assert 'was not found, nothing is written' in capsys.readouterr().err
    assert not out.exists()


def test_a_search_that_is_no_longer_finite_is_one_clear_line(
    file, toy_bags, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(adaptation, '_RATE', math.nan)
    out = tmp_path / 'mine.onnx'
    assert main(['adapt', str(file), str(toy_bags[0]), '--out', str(out)]) == 1
    assert 'no longer finite' in capsys.readouterr().err
    assert not out.exists()


def test_what_cannot_be_adapted_is_one_clear_line(file, toy_bags, tmp_path, capsys):
    (tmp_path / 'other.onnx').write_bytes(b'no model')
    for model, *bags in (
        (tmp_path / 'other.onnx', toy_bags[0]),
        (tmp_path / 'none.onnx', toy_bags[0]),
        (file, tmp_path / 'nothing'),
        (file, toy_bags[0], toy_bags[0]),
    ):
        assert main(['adapt', str(model), *map(str, bags), '--out', str(tmp_path / 'm.onnx')]) == 2
        error = capsys.readouterr().err
        assert error.count('\n') == 1, error


def test_a_cube_model_is_adapted_to_cubes_of_its_own_axes_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(adapt_command, 'STEPS', 2)
    monkeypatch.setattr(adapt_command, 'LEAST_AGREEMENT', 0.0)
    bag, more = (write_toy_bag(tmp_path / f'cubes_{k}', k, kinds='cube') for k in range(2))
    run = tmp_path / 'run'
    quick = ['--steps', '1', '--workers', '0', '--threads', '1']
    assert main(['train', str(bag), str(more), '--out', str(run), *quick]) == 0
    model, out = str(run / 'model.onnx'), tmp_path / 'mine.onnx'
    assert main(['adapt', model, str(bag), '--out', str(out), '--seconds', '60']) == 0
    assert CorrespondenceModel.load(out).metadata.radar.kind == 'cube'
    other = ['--cube-axes', '0', '80', '-0.7', '0.7', '-16', '16']
    assert main(['adapt', model, str(bag), '--out', str(out), *other]) == 2
    assert 'other axes than the model' in capsys.readouterr().err
