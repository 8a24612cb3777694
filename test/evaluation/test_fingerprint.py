# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from radar_camera_ssl.evaluation.evaluate import evaluate_bags
from radar_camera_ssl.evaluation.fingerprint import fingerprint
from radar_camera_ssl.sensors.recording import Recording


def of(bag: Path) -> dict[str, Any]:
    with Recording(bag) as recording:
        return fingerprint(recording)


def test_it_says_what_is_in_the_bag(block_drive: Callable[..., Path]) -> None:
    bag = block_drive(frames=11)
    found = of(bag)
    content = (bag / 'drive.mcap').read_bytes()
    assert found['sha256'] == hashlib.sha256(content).hexdigest()
    assert found['bytes'] == len(content)
    assert found['start_ns'] == 1_700_000_000_000_000_000
    assert found['duration_s'] == pytest.approx(1.01)
    cloud = {'type': 'sensor_msgs/msg/PointCloud2', 'messages': 11}
    assert found['topics']['/radar/points'] == cloud
    assert found['topics']['/ground_truth/radar_points'] == cloud


def test_it_is_of_the_content_not_of_names(
    block_drive: Callable[..., Path], tmp_path: Path
) -> None:
    bag = block_drive(frames=3)
    moved = shutil.copytree(bag, tmp_path / 'elsewhere')
    assert of(moved) == of(bag)
    (file,) = moved.glob('*.mcap')
    assert of(file) == of(bag)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert of(moved)['sha256'] != of(bag)['sha256']


def test_a_split_bag_is_all_its_files(block_drive: Callable[..., Path], tmp_path: Path) -> None:
    one, two = block_drive('one', frames=3), block_drive('two', frames=3, seed=2)
    split = tmp_path / 'split'
    split.mkdir()
    shutil.copy(one / 'one.mcap', split / 'b.mcap')
    shutil.copy(two / 'two.mcap', split / 'a.mcap')
    joined = (two / 'two.mcap').read_bytes() + (one / 'one.mcap').read_bytes()
    assert of(split)['sha256'] == hashlib.sha256(joined).hexdigest()


def test_each_bag_of_an_evaluation_has_its_own(
    block_drive: Callable[..., Path], tiny_model: Path
) -> None:
    bags = [block_drive('a', frames=3), block_drive('b', frames=3, seed=1)]
    metrics = evaluate_bags(bags, tiny_model, None)
    assert [row['fingerprint'] for row in metrics['bags']] == [of(bag) for bag in bags]
