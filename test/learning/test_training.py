# SPDX-License-Identifier: Apache-2.0
"""The training of any objective: resumable, reproducible, and quiet about itself."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from functools import partial

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from toy_training import ToyDrive, ToyObjective, silent, toy_drives

from radar_camera_ssl.learning import progress, selection, training
from radar_camera_ssl.learning.checkpoint import FILE_NAME, RunState
from radar_camera_ssl.learning.recipe import Recipe, schedule
from radar_camera_ssl.learning.training import train

RECIPE = Recipe(steps=10, drives_per_batch=3, frames_per_drive=2)


def run(folder, objective=None, recipe=RECIPE, drives=None, **options):
    objective = objective or ToyObjective(recipe.seed)
    train(objective, drives or toy_drives(), recipe, folder, progress=False, **options)
    return RunState.load(folder)


@pytest.fixture(scope='module', autouse=True)
def whole(tmp_path_factory):
    """A run that nothing interrupted, with figures, validations and checkpoints within it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, 'FIGURES_EVERY', 2)
        patch.setattr(progress, 'CHECKPOINT_EVERY', 4)
        patch.setattr(selection, 'EVERY', 3)
        yield run(tmp_path_factory.mktemp('whole'))


def assert_same(state, other):
    assert state.objective.keys() == other.objective.keys()
    for name, tensor in state.objective.items():
        assert torch.equal(tensor, other.objective[name]), name
    assert state.history == other.history
    assert state.finished
    assert other.finished


class Disturbed(ToyObjective):
    """Does something within a step, after the forward pass has changed the running statistics."""

    def __init__(self, step, disturb):
        super().__init__()
        self.step, self.disturb = step, disturb

    def training_loss(self, batch, rng):
        loss, figures = super().training_loss(batch, rng)
        if self.training and self.steps == self.step:
            self.disturb()
        return loss, figures

    def validation_loss(self, batch, rng):
        self.steps -= 1
        return super().validation_loss(batch, rng)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step_and_the_run_goes_on_as_if_nothing_had_happened(
    tmp_path, whole, number
):
    before = signal.getsignal(number)
    objective = Disturbed(6, lambda: os.kill(os.getpid(), number))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, objective)
    assert signal.getsignal(number) is before
    state = RunState.load(tmp_path)
    assert (state.step, state.finished) == (6, False)
    assert_same(run(tmp_path), whole)


def test_a_crash_within_a_step_leaves_the_last_whole_state(tmp_path, whole):
    def crash():
        raise RuntimeError('out of memory')

    with pytest.raises(RuntimeError, match='out of memory'):
        run(tmp_path, Disturbed(7, crash))
    assert RunState.load(tmp_path).step == 4
    assert_same(run(tmp_path), whole)


def test_an_error_between_steps_loses_nothing(tmp_path, whole):
    drives = toy_drives()
    training_drives, _ = selection.hold_out(drives, RECIPE)
    read = []

    def image(drive, i):
        read.append(i)
        if len(read) > 33:
            raise OSError('the disk is gone')
        return ToyDrive.image(drive, i)

    for drive in training_drives:
        drive.image = partial(image, drive)
    with pytest.raises(OSError, match='the disk is gone'):
        run(tmp_path, drives=drives, workers=0)
    assert RunState.load(tmp_path).step == 5
    assert_same(run(tmp_path), whole)


def test_a_run_interrupted_before_its_calibration_only_calibrates(tmp_path, whole):
    class Impatient(ToyObjective):
        def finish(self, drives, rng):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Impatient())
    last = ToyObjective()
    assert_same(run(tmp_path, last), whole)
    assert last.steps == 0


def test_equal_seeds_give_equal_runs_and_other_seeds_do_not(tmp_path, whole):
    assert_same(run(tmp_path / 'again'), whole)
    other = run(tmp_path / 'other', recipe=replace(RECIPE, seed=1))
    assert not torch.equal(other.objective['radar.0.weight'], whole.objective['radar.0.weight'])


def test_a_run_goes_on_in_its_own_precision_where_another_is_fast(tmp_path, monkeypatch):
    monkeypatch.setattr(training, 'training_precision', lambda asked: '32-true')
    expected = run(tmp_path / 'uninterrupted')
    objective = Disturbed(6, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / 'moved', objective)
    monkeypatch.setattr(training, 'training_precision', lambda asked: 'bf16-mixed')
    moved = run(tmp_path / 'moved')
    assert_same(moved, expected)
    assert moved.identity['recipe']['precision'] == '32-true'
    assert run(tmp_path / 'new').identity['recipe']['precision'] == 'bf16-mixed'


def test_workers_change_nothing_but_speed(tmp_path, whole):
    assert_same(run(tmp_path, workers=2), whole)


@pytest.mark.parametrize(
    ('cores', 'bytes_needed', 'workers'), [(2, 0, 0), (4, 0, 2), (64, 0, 8), (64, 2**62, 0)]
)
def test_workers_are_as_many_as_cores_and_shared_memory_allow(
    monkeypatch, tmp_path, cores, bytes_needed, workers
):
    monkeypatch.setattr(os, 'cpu_count', lambda: cores)
    monkeypatch.setattr(training, 'SHARED_MEMORY', tmp_path)
    monkeypatch.setattr(training, 'LEAST_SHARED_MEMORY', bytes_needed)
    assert training._spare_workers() == workers


def test_a_finished_run_is_given_back_as_it_is(tmp_path, whole):
    run(tmp_path)
    objective = ToyObjective()
    assert_same(run(tmp_path, objective), whole)
    assert objective.steps == 0
    assert not objective.training
    assert objective.scale.item() == whole.history[-1]['scale']


@pytest.mark.parametrize(
    ('change', 'named'),
    [
        ({'recipe': replace(RECIPE, seed=5)}, 'recipe.seed'),
        ({'drives': toy_drives(5)}, 'drives'),
        ({'drives': [ToyDrive('toy_0', 9), *toy_drives()[1:]]}, 'shards.toy_0'),
        ({'settings': {'network': {'width': 9}}}, 'settings.network'),
    ],
)
def test_a_folder_of_another_run_is_refused(tmp_path, change, named):
    run(tmp_path)
    with pytest.raises(ValueError, match=f'another recipe, other drives or .* .{named}[,)]'):
        run(tmp_path, **change)


def test_a_run_that_does_not_tell_what_its_drives_held_is_refused(tmp_path):
    state = run(tmp_path)
    del state.identity['shards']
    state.save(tmp_path)
    with pytest.raises(ValueError, match='a run of an earlier version'):
        run(tmp_path)


def test_commit_and_date_stay_those_of_the_beginning(tmp_path, monkeypatch):
    monkeypatch.setattr(training, 'source_commit', lambda: 'begun')
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Disturbed(6, lambda: os.kill(os.getpid(), signal.SIGINT)))
    date = RunState.load(tmp_path).date
    monkeypatch.setattr(training, 'source_commit', lambda: 'later')
    state = run(tmp_path)
    assert (state.commit, state.date) == ('begun', date)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b'no archive')
    with pytest.raises(ValueError, match='not the state of a run'):
        run(tmp_path)


def test_too_few_pairs_are_refused_before_any_work(tmp_path):
    with pytest.raises(ValueError, match='too few pairs to train on: of 11, 11 have returns'):
        run(tmp_path / 'run', drives=[ToyDrive('short', 0, pairs=11)])
    parked = ToyDrive('parked', 0, pairs=100)
    parked.speeds[:] = 0.0
    with pytest.raises(ValueError, match='of 100, 1 have returns'):
        run(tmp_path / 'run', drives=[parked])
    assert not (tmp_path / 'run').exists()


def test_drives_without_returns_are_refused_before_any_work(tmp_path):
    drives = [silent(drive) for drive in toy_drives(2)]
    with pytest.raises(ValueError, match='of 60, 0 have returns'):
        run(tmp_path / 'run', drives=drives)
    drives[0].has_points = False
    with pytest.raises(ValueError, match='of 60, 0 have returns'):
        run(tmp_path / 'run', drives=drives)


def test_a_loss_that_is_not_finite_is_refused_with_its_step(tmp_path):
    objective = ToyObjective()
    objective.fails_at = 2
    with pytest.raises(FloatingPointError, match='at step 2'):
        run(tmp_path, objective, drives=toy_drives(4))
    assert all(parameter.isfinite().all() for parameter in objective.parameters())


def test_each_group_has_its_rate_and_what_is_in_none_is_left_alone(tmp_path):
    objective = Disturbed(6, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, objective)
    rate = RECIPE.learning_rate * schedule(5, RECIPE.steps)
    groups = RunState.load(tmp_path).optimiser['param_groups']
    assert [group['lr'] for group in groups] == pytest.approx([rate, 4 * rate])
    assert [group['weight_decay'] for group in groups] == [1e-4, 0.0]
    assert objective.scale.item() == 0.0
    assert objective.scale.requires_grad


def test_rates_rise_over_a_twentieth_and_fall_to_nothing():
    factors = [schedule(step, 200) for step in range(200)]
    assert factors[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert factors[10] == 1.0
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[-1] < 1e-3


def test_nothing_is_written_outside_the_folder_nor_said(tmp_path, monkeypatch, capfd, recwarn):
    working = tmp_path / 'working'
    working.mkdir()
    monkeypatch.chdir(working)
    run(tmp_path / 'run')
    assert list(working.iterdir()) == []
    assert {path.name for path in (tmp_path / 'run').iterdir()} == {FILE_NAME, 'tensorboard'}
    assert capfd.readouterr() == ('', '')
    assert [str(warning.message) for warning in recwarn] == []


def test_the_bar_counts_from_where_the_run_goes_on(tmp_path, capfd):
    objective = Disturbed(6, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, objective)
    capfd.readouterr()
    train(ToyObjective(), toy_drives(), RECIPE, tmp_path)
    shown = capfd.readouterr().err
    assert ' 6/10 ' in shown
    assert '10/10' in shown
    assert 'loss=' in shown
