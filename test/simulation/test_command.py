# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
import math
from pathlib import Path

import pytest

from radar_camera_ssl.sensors.recording import Recording
from radar_camera_ssl.simulation.command import add_arguments, drive_config, run
from radar_camera_ssl.simulation.config import DriveConfig


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


def test_defaults_are_the_default_rig(tmp_path: Path) -> None:
    config = drive_config(parse('--out', str(tmp_path / 'bag')))
    default = DriveConfig()
    assert config.camera.intrinsics().matrix == pytest.approx(default.camera.intrinsics().matrix)
    for sensor in ('camera', 'radar'):
        got, want = getattr(config, sensor).mounting, getattr(default, sensor).mounting
        assert (got.x, got.y, got.z) == (want.x, want.y, want.z)
        assert (got.yaw, got.pitch) == pytest.approx((want.yaw, want.pitch), abs=2e-5)


def test_writes_a_bag_and_says_what_is_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'deep' / 'bag'
    options = ['--seed', '4', '--duration', '0.5', '--image-size', '160x120', '--workers', '1']
    assert run(parse('--out', str(out), *options, '--radar-yaw', '5', '--no-cube')) == 0
    assert '/radar/points' in capsys.readouterr().out
    with Recording(out) as recording:
        rig = recording.static_transforms()
        assert '/radar/cube' not in recording.topics
    forward = rig['base_link', 'radar'].rotation[:, 0]
    assert math.atan2(forward[1], forward[0]) == pytest.approx(math.radians(5.0))
    assert run(parse('--out', str(out), *options)) == 2
    assert '--force' in capsys.readouterr().err


@pytest.mark.parametrize(
    'wrong',
    [
        ['--image-size', 'large'],
        ['--duration', '-3'],
        ['--density', '50'],
        ['--workers', '0'],
        ['--camera-z', '-1'],
        ['--camera-x', 'nan'],
        ['--radar-yaw', 'inf'],
        ['--elevation-noise', 'nan'],
        ['--ghosts', 'nan'],
        ['--clutter', '1e9'],
    ],
)
def test_wrong_use_is_one_clear_line(
    wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(parse('--out', str(tmp_path / 'bag'), *wrong)) == 2
    error = capsys.readouterr().err
    assert error.startswith('simulate: ')
    assert error.count('\n') == 1
    assert not (tmp_path / 'bag').exists()
