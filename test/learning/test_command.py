# SPDX-License-Identifier: Apache-2.0
"""The command line of learning, end to end on short drives."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from toy_bags import CUBE_SHAPE, write_toy_bag

from radar_camera_ssl.cli import main
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.learning import command
from radar_camera_ssl.learning.checkpoint import RunState
from radar_camera_ssl.learning.recipe import Recipe

# Training at the shipped size is slow on a busy machine.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope='module')
def bags(toy_bags):
    return [str(bag) for bag in toy_bags[:2]]


@pytest.fixture(scope='module')
def run(bags, tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / 'first'
    assert train(bags, folder) == 0
    return folder


def train(bags, folder, *options, steps=2):
    common = ['--out', str(folder), '--steps', str(steps), '--workers', '0', '--threads', '1']
    return main(['train', *bags, *common, *options])


def test_train_leaves_a_model_that_describes_itself(run):
    model = CorrespondenceModel.load(run / 'model.onnx')
    assert model.metadata.training['drives'] == ['toy_0', 'toy_1']
    assert model.metadata.training['pairs'] == 60
    assert model.metadata.training['recipe']['steps'] == 2
    assert model.metadata.radar.kind == 'points'
    assert (model.metadata.camera.height, model.metadata.camera.width) == (120, 160)


def test_what_stopped_between_the_stages_goes_on_with_the_second(run, bags, tmp_path, capsys):
    folder = tmp_path / 'run'
    shutil.copytree(run, folder)
    (folder / 'agreement' / 'checkpoint.pt').unlink()
    (folder / 'model.onnx').unlink()
    assert main(['export', str(folder), '--out', str(tmp_path / 'early.onnx')]) == 2
    assert 'is not finished' in capsys.readouterr().err
    assert train(bags, folder, '--store', str(run / 'shards')) == 0
    again, whole = (RunState.load(path / 'agreement').objective for path in (folder, run))
    assert all(torch.equal(again[name], whole[name]) for name in whole)


def test_export_writes_the_same_model_again(run, tmp_path):
    assert main(['export', str(run), '--out', str(tmp_path / 'again.onnx')]) == 0
    assert (tmp_path / 'again.onnx').read_bytes() == (run / 'model.onnx').read_bytes()


def test_a_model_tells_when_and_of_what_its_training_was_begun(run, tmp_path):
    shutil.copytree(run, tmp_path / 'run')
    state = RunState.load(tmp_path / 'run')
    state.commit, state.date = 'abcdef1', '2020-02-20'
    state.save(tmp_path / 'run')
    assert main(['export', str(tmp_path / 'run'), '--out', str(tmp_path / 'm.onnx')]) == 0
    told = CorrespondenceModel.load(tmp_path / 'm.onnx').metadata.training
    assert (told['commit'], told['date']) == ('abcdef1', '2020-02-20')


def test_a_run_starts_from_the_weights_of_another(run, bags, tmp_path, monkeypatch):
    monkeypatch.setattr(command, '_write', lambda *rest: None)
    store = ['--store', str(run / 'shards')]
    for name, start in (('a', run), ('b', run / 'model.onnx')):
        assert train(bags, tmp_path / name, *store, '--start-from', str(start), steps=1) == 0
    assert train(bags, tmp_path / 'c', *store, steps=1) == 0
    a, b, c = (RunState.load(tmp_path / name) for name in 'abc')
    yaw = 'model.correspondence.geometry.yaw'
    start = RunState.load(run).objective[yaw]
    assert a.objective[yaw] == b.objective[yaw]
    rate = 8.0 * Recipe().learning_rate
    assert abs(a.objective[yaw] - start) <= 1.01 * rate
    assert a.objective[yaw] != c.objective[yaw]
    assert a.identity == b.identity != c.identity


def test_another_recipe_in_the_same_folder_is_wrong_use(run, bags, capsys):
    assert train(bags, run, steps=3) == 2
    error = capsys.readouterr().err
    assert 'another recipe' in error
    assert 'recipe.steps' in error


def test_a_finished_run_is_not_given_back_for_another_field(run, bags, capsys):
    assert train(bags, run, '--store', str(run / 'other'), '--field', 'rcs=velocity') == 2
    assert 'shards.toy_0, shards.toy_1' in capsys.readouterr().err


def test_bags_without_points_are_learnt_from_by_their_cubes(tmp_path):
    bags = [str(write_toy_bag(tmp_path / f'c{k}', k, kinds='cube')) for k in range(2)]
    run = tmp_path / 'run'
    assert train(bags, run, '--store', str(tmp_path / 'store'), steps=1) == 0
    radar = CorrespondenceModel.load(run / 'model.onnx').metadata.radar
    assert radar.kind == 'cube'
    assert tuple(radar.shape) == CUBE_SHAPE
    left = {'checkpoint.pt', 'model.onnx', 'tensorboard', 'agreement'}
    assert {path.name for path in run.iterdir()} == left


def test_what_cannot_be_read_is_one_clear_line(tmp_path, capsys):
    assert train([str(tmp_path / 'nothing')], tmp_path / 'run') == 2
    assert 'nothing' in capsys.readouterr().err
    assert main(['export', str(tmp_path / 'norun'), '--out', str(tmp_path / 'm.onnx')]) == 2
    assert 'norun' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        (['--radar-topic', '/radar/points'], '--radar-topic needs --radar'),
        (['--steps', '0'], 'is not between 1 and'),
        (['--threads', '99999999999'], 'is not between 0 and'),
        (['--seed', '99999999999999999999'], 'is not between 0 and'),
        (['--minutes', '1e300'], 'is no duration'),
        (['--cube-axes', '0', '1', '2'], 'expected 6 arguments'),
        (['--cube-axes', *'000000'], 'limits of range_m'),
        (['--field', 'rcs'], 'not NAME=FIELD'),
        (['--start-from', 'no.onnx'], 'no.onnx: no such model or run'),
    ],
)
def test_wrong_use_is_one_clear_line(bags, tmp_path, capsys, options, said):
    assert main(['train', *bags, '--out', str(tmp_path / 'run'), *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count('\n') == 1


def test_ctrl_c_says_how_to_go_on_and_what_is_done_is_kept(run, bags, tmp_path):
    folder = tmp_path / 'run'
    start = [sys.executable, '-m', 'radar_camera_ssl', 'train', *bags, '--out', str(folder)]
    options = ['--steps', '1000', '--workers', '0', '--threads', '1']
    store = ['--store', str(run / 'shards')]
    process = subprocess.Popen([*start, *options, *store], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(folder.glob('tensorboard/events*')) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    # Into the loop: the bar is shown with its first step.
    shown = ''
    while '1/1000' not in shown:
        character = process.stderr.read(1)
        assert character, shown
        shown += character
    os.kill(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert 'interrupted; run the same command again to go on' in rest
    assert 'Traceback' not in rest
    assert 0 < RunState.load(folder).step < 1000


def test_minutes_decide_the_steps_once(bags, tmp_path, monkeypatch, capsys):
    folder = tmp_path / 'run'
    given = ['train', *bags, '--out', str(folder), '--workers', '0', '--threads', '1']
    asked = []

    def three(seconds, *_):
        asked.append(seconds)
        return 3

    monkeypatch.setattr(command, 'steps_within', three)
    assert main([*given, '--minutes', '0.5']) == 0
    assert RunState.load(folder).identity['recipe']['steps'] == 3
    assert main([*given, '--minutes', '0.5']) == 0
    assert asked == [30.0]
    capsys.readouterr()
    assert main([*given, '--minutes', '0.5', '--steps', '3']) == 2
    assert 'not allowed with argument' in capsys.readouterr().err
    assert main([*given, '--minutes', '-1']) == 2


def test_minutes_are_for_one_process(bags, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('WORLD_SIZE', '2')
    assert main(['train', *bags, '--out', str(tmp_path / 'run'), '--minutes', '1']) == 2
    assert '--minutes is for one process on the CPU' in capsys.readouterr().err
