# SPDX-License-Identifier: Apache-2.0
"""Choice of the best weights on held-out drives, without labels."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from toy_training import ToyDrive, ToyObjective, silent, toy_drives

from radar_camera_ssl.learning import selection
from radar_camera_ssl.learning.checkpoint import RunState, copied
from radar_camera_ssl.learning.recipe import Recipe
from radar_camera_ssl.learning.selection import Selection, hold_out
from radar_camera_ssl.learning.training import train

RECIPE = Recipe(steps=9, drives_per_batch=3, frames_per_drive=2)


class Scripted(ToyObjective):
    """Its validation loss falls, then rises; remembers its weights at each validation."""

    def __init__(self, losses):
        super().__init__()
        self.losses, self.seen = list(losses), []

    def validation_loss(self, batch, rng):
        assert not self.training
        assert not torch.is_grad_enabled()
        assert self.progress == 1.0
        if not self.seen or self.steps > self.seen[-1][0]:
            self.seen.append((self.steps, copied(self.state_dict())))
        return torch.tensor(self.losses[len(self.seen) - 1])


@pytest.mark.parametrize(('losses', 'best'), [((3.0, 1.0, 2.0), 1), ((3.0, 2.0, 1.0), 2)])
def test_training_ends_with_the_weights_of_the_lowest_loss(tmp_path, monkeypatch, losses, best):
    monkeypatch.setattr(selection, 'EVERY', 3)
    objective = Scripted(losses)
    train(objective, toy_drives(), RECIPE, tmp_path, progress=False)
    assert [step for step, _ in objective.seen] == [3, 6, 9]
    expected = objective.seen[best][1]
    for name, tensor in objective.state_dict().items():
        assert name == 'scale' or torch.equal(tensor, expected[name]), name
    history = RunState.load(tmp_path).history
    logged = [entry['validation_loss'] for entry in history if 'validation_loss' in entry]
    assert tuple(logged) == losses


def test_held_out_drives_are_not_trained_on(tmp_path):
    objective = ToyObjective()
    read = {True: set(), False: set()}

    class Watched(ToyDrive):
        def image(self, i):
            read[objective.training].add(self.name)
            return super().image(i)

    drives = [Watched(drive.name, k) for k, drive in enumerate(toy_drives())]
    train(objective, drives, RECIPE, tmp_path, progress=False, workers=0)
    training, held = hold_out(drives, RECIPE)
    assert read == {True: {d.name for d in training}, False: {d.name for d in held}}


def test_a_tenth_is_held_out_but_none_of_few():
    counts = {n: len(hold_out(toy_drives(n), RECIPE)[1]) for n in (1, 4, 5, 14, 20)}
    assert counts == {1: 0, 4: 0, 5: 1, 14: 1, 20: 2}


def test_drives_that_tell_nothing_are_not_held_out():
    silent_ones = [silent(ToyDrive(f'silent_{k}', k)) for k in range(5)]
    short = [ToyDrive(f'short_{k}', k, pairs=2) for k in range(20)]
    long = toy_drives(5)
    for seed in range(10):
        recipe = replace(RECIPE, seed=seed)
        training, held = hold_out(silent_ones + short + long, recipe)
        assert len(held) == 1
        assert held[0] in long
        assert len(training) == 29
    assert hold_out(silent_ones + short + long[:4], RECIPE)[1] == []
    assert len(hold_out(silent_ones, RECIPE, cube=True)[1]) == 1


def test_a_validation_loss_that_is_not_finite_counts_for_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(selection, 'EVERY', 3)
    objective = Scripted([float('nan'), 2.0, float('nan')])
    train(objective, toy_drives(), RECIPE, tmp_path, progress=False)
    state = RunState.load(tmp_path)
    assert state.best_loss == 2.0
    logged = [entry['validation_loss'] for entry in state.history if 'validation_loss' in entry]
    assert logged == [2.0]
    said = capsys.readouterr().err
    assert 'validation loss of step 3 is not finite' in said
    assert said.count('\n') == 2


def test_without_held_out_drives_the_last_weights_are_taken(tmp_path):
    objective = Scripted([])
    train(objective, toy_drives(4), RECIPE, tmp_path, progress=False)
    assert objective.seen == []
    assert objective.steps == RECIPE.steps


def test_the_same_weights_have_the_same_loss_and_keep_their_mode():
    objective = ToyObjective().train()
    chooser = Selection(toy_drives(2), RECIPE, RunState({}))
    device = torch.device('cpu')
    assert chooser.loss(objective, device) == chooser.loss(objective, device)
    assert objective.training
    assert objective.progress == 0.0
