# SPDX-License-Identifier: Apache-2.0
"""`train` in two processes under torchrun, gloo on loopback; as a script this file is one of them.

Export is left out: it is slow, and tested with the command.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from radar_camera_ssl.cli import main
from radar_camera_ssl.learning import command
from radar_camera_ssl.learning.checkpoint import RunState
from radar_camera_ssl.learning.training import process_rank

pytestmark = pytest.mark.timeout(300)
TORCHRUN = (sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2')


def touch(run, drives, path):
    path.touch()


def arguments(bags, folder):
    run = str(folder / 'run')
    return ['train', *bags, '--out', run, '--steps', '2', '--workers', '0', '--threads', '1']


def process(folder: Path, bags: list[str]) -> int:
    """Train by the command line and leave beside the run what this process has of it."""
    stamps = []
    train = command.train

    def watched_train(objective, *rest):
        loss = objective.training_loss

        def training_loss(batch, rng):
            stamps.append(batch.stamp)
            return loss(batch, rng)

        objective.training_loss = training_loss
        finish = objective.finish

        def keep_weights():
            weights = {n: p.detach().clone() for n, p in objective.named_parameters()}
            content = {'weights': weights, 'stamps': torch.cat(stamps)}
            torch.save(content, folder / f'rank_{process_rank()}.pt')

        def watched_finish(*arguments):
            keep_weights()
            return finish(*arguments)

        objective.finish = watched_finish
        train(objective, *rest)
        if process_rank() > 0:
            keep_weights()

    command.train, command._write = watched_train, touch
    return main(arguments(bags, folder))


@pytest.fixture(scope='module')
def bags(toy_bags):
    return [str(bag) for bag in toy_bags[:2]]


@pytest.fixture(scope='module')
def two(bags, tmp_path_factory):
    folder = tmp_path_factory.mktemp('two')
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [*TORCHRUN, __file__, str(folder), *bags],
        env={**os.environ, 'PYTHONPATH': root, 'GLOO_SOCKET_IFNAME': 'lo', 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder, done


def test_both_processes_end_with_the_same_weights_from_pairs_of_their_own(two):
    first, second = (torch.load(two[0] / f'rank_{k}.pt', weights_only=True) for k in (0, 1))
    for name, tensor in first['weights'].items():
        assert torch.equal(tensor, second['weights'][name]), name
    assert not torch.equal(first['stamps'].sort()[0], second['stamps'].sort()[0])


def test_two_processes_learn_otherwise_than_one(two, bags, tmp_path, monkeypatch):
    monkeypatch.setattr(command, '_write', touch)
    assert main(arguments(bags, tmp_path)) == 0
    states = [RunState.load(folder / 'run') for folder in (two[0], tmp_path)]
    name = 'model.correspondence.geometry.yaw'
    assert states[0].objective[name] != states[1].objective[name]
    assert states[0].step == states[1].step == 2
    assert states[0].identity['processes'] == 2


def test_the_first_process_alone_writes_and_speaks(two):
    folder, done = two
    written = {path.name for path in (folder / 'run').iterdir()}
    assert written == {'agreement', 'checkpoint.pt', 'model.onnx', 'shards', 'tensorboard'}
    assert len(list((folder / 'run' / 'tensorboard').glob('events*'))) == 1
    assert RunState.load(folder / 'run').finished
    assert done.stdout.count('2 drives, 60 pairs') == 1
    assert 'Warning' not in done.stderr


if __name__ == '__main__':
    sys.exit(process(Path(sys.argv[1]), sys.argv[2:]))
