# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from radar_camera_ssl.evaluation import command


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(arguments)


def test_evaluate_writes_and_tells_the_figures(
    block_drive: Callable[..., Path],
    tiny_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / 'out'
    bag = block_drive(frames=25)
    args = parse(str(bag), '--model', str(tiny_model), '--out', str(out), '--no-video')
    assert command.run(args) == 0
    printed = capsys.readouterr().out
    assert 'pointing_accuracy' in printed
    assert 'best blind baseline' in printed
    assert 'oracle' in printed
    assert (out / 'metrics.json').exists()
    assert not (out / 'overlay.mp4').exists()


def test_nothing_paired_is_no_success(
    block_drive: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    bag = block_drive(radar_delay_s=0.04, frames=3)
    args = parse(
        *(str(bag), '--model', str(tiny_model), '--out', str(tmp_path), '--slop', '0.001')
    )
    assert command.run(args) == 1


def test_topics_and_fields_are_passed_on(
    block_drive: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    args = parse(
        *(str(block_drive(frames=3)), '--model', str(tiny_model), '--out', str(tmp_path)),
        *('--image-topic', '/camera/image_raw', '--radar-topic', '/radar/points'),
        *('--field', 'rcs=rcs', '--max-pairs', '2', '--no-video'),
    )
    assert command.run(args) == 0


@pytest.mark.parametrize(
    'wrong', [['--slop', '-1'], ['--slop', 'nan'], ['--max-pairs', '0'], ['--field', 'rcs']]
)
def test_wrong_use_is_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse('bag', '--out', 'somewhere', *wrong)
    assert stop.value.code == 2


def test_nothing_decodable_is_no_success(
    block_drive: Callable[..., Path],
    tiny_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    args = parse(
        *(str(block_drive(frames=3)), '--model', str(tiny_model), '--out', str(tmp_path)),
        *('--field', 'rcs=strength'),
    )
    assert command.run(args) == 1
    assert "{'points_field_missing': 3}" in capsys.readouterr().err
