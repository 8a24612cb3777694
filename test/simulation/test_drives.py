# SPDX-License-Identifier: Apache-2.0
"""Drives that are simulated once."""

from __future__ import annotations

from dataclasses import replace

from radar_camera_ssl.simulation import DriveConfig, simulate_missing

CONFIG = DriveConfig(seed=3, duration_s=0.3, cube=False)


def content(bag):
    return [path.read_bytes() for path in sorted(bag.iterdir())]


def test_a_bag_is_kept_unless_its_configuration_is_another(tmp_path):
    bag = tmp_path / 'drives' / 'a'
    simulate_missing({bag: CONFIG}, 1)
    first = content(bag)
    (bag / 'mark').touch()
    simulate_missing({bag: CONFIG}, 1)
    assert (bag / 'mark').exists()
    simulate_missing({bag: replace(CONFIG, density=0.5)}, 1)
    assert not (bag / 'mark').exists()
    assert content(bag) != first
    simulate_missing({bag: CONFIG}, 1)
    assert content(bag) == first


def test_a_bag_that_nothing_tells_of_is_taken_as_it_is(tmp_path):
    bag = tmp_path / 'a'
    simulate_missing({bag: CONFIG}, 1)
    (tmp_path / '.a.json').unlink()
    (bag / 'mark').touch()
    simulate_missing({bag: replace(CONFIG, seed=4)}, 1)
    assert (bag / 'mark').exists()
