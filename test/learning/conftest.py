# SPDX-License-Identifier: Apache-2.0
"""Toy drives, from bags through the shards that are learnt from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

# So that `from toy_bags import write_toy_bag` works.
sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope='session')
def toy_bags(tmp_path_factory) -> list[Path]:
    """Bags of six drives of 30 pairs, with points and cubes."""
    from toy_bags import write_toy_bag

    folder = tmp_path_factory.mktemp('toy_bags')
    return [write_toy_bag(folder / f'toy_{seed}', seed) for seed in range(6)]


@pytest.fixture(scope='module')
def bag(tmp_path_factory) -> Path:
    """One of few pairs, under a name that has to be taken as it is."""
    from toy_bags import write_toy_bag
    from toy_shards import FRAMES

    return write_toy_bag(tmp_path_factory.mktemp('bags') / 'toy.drive 1%', 1, FRAMES)


@pytest.fixture(scope='session')
def toy_drives(toy_bags, tmp_path_factory):
    """The drives of `toy_bags`: images of 120x160, 32 returns at most."""
    pytest.importorskip('torch', reason='torch is not installed: learning is optional')
    from radar_camera_ssl.learning.prepare import prepare_drives
    from radar_camera_ssl.learning.shards import SampleFormat

    store = tmp_path_factory.mktemp('toy_store')
    form = SampleFormat(height=120, width=160, max_returns=32)
    return prepare_drives(toy_bags, store, form, report=lambda line: None)


@pytest.fixture(scope='session', autouse=True)
def one_thread():
    """Toy networks are slower with threads, and far slower when the machine is busy."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
