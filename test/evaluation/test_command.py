# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_sample import sample_metrics

from radar_camera_ssl import cli
from radar_camera_ssl.evaluation import command
from radar_camera_ssl.evaluation.comparison import ComparisonError
from radar_camera_ssl.evaluation.evaluate import EvaluationOptions
from radar_camera_ssl.evaluation.summary import HEADLINES
from radar_camera_ssl.inference.errors import ModelError
from radar_camera_ssl.inference.session import Acceleration


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
    model = json.loads((out / 'metrics.json').read_text())['model']
    assert (model['provider'], model['arithmetic']) == ('CPUExecutionProvider', 'fp32')
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
    ('arguments', 'wanted'),
    [
        (['--max-pairs', '2'], EvaluationOptions(max_pairs=2)),
        (['--camera-info-topic', '/info'], EvaluationOptions(camera_info_topic='/info')),
        (
            ['--cache', 'engines', '--precision', 'fp16'],
            EvaluationOptions(acceleration=Acceleration('fp16', Path('engines'))),
        ),
    ],
)
def test_options_reach_the_evaluation(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], wanted: EvaluationOptions
) -> None:
    asked: list[EvaluationOptions] = []

    def evaluate(*_: object, options: EvaluationOptions, **more: object) -> dict[str, Any]:
        asked.append(options)
        return sample_metrics()

    monkeypatch.setattr(command, 'evaluate_bags', evaluate)
    command.run(parse('bag', '--out', 'out', *arguments))
    assert asked == [wanted]


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


def compared(bag: Path, model: Path, out: Path, *more: str) -> argparse.Namespace:
    return parse(str(bag), '--model', str(model), '--out', str(out), '--no-video', *more)


def with_pointing_accuracy(value: float) -> dict[str, Any]:
    """An earlier evaluation's metrics, with one figure."""
    metrics = sample_metrics()
    metrics |= dict.fromkeys(HEADLINES)
    metrics['pointing_accuracy'] = value
    metrics['confidence_95']['pointing_accuracy'] = [value, value]
    return metrics


def test_a_regression_is_told_and_has_an_exit_code_of_its_own(
    block_drive: Callable[..., Path],
    tiny_model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bag, out = block_drive(frames=27, period_s=0.4), tmp_path / 'out'
    earlier = tmp_path / 'earlier.json'
    gate = ('--compare', str(earlier), '--fail-on-regression')
    earlier.write_text(json.dumps(with_pointing_accuracy(0.0)))
    assert command.run(compared(bag, tiny_model, out, *gate)) == 0
    assert 'regression' not in capsys.readouterr().err
    earlier.write_text(json.dumps(with_pointing_accuracy(2.0)))
    assert command.run(compared(bag, tiny_model, out, *gate)) == 3
    printed = capsys.readouterr()
    assert 'pointing_accuracy' in printed.out
    assert printed.err.count('regression: pointing_accuracy: ') == 1
    assert 'was 2.000 (worse)' in printed.err
    assert 'Compared with ' in (out / 'report.html').read_text()


@pytest.mark.parametrize(
    ('arguments', 'says'),
    [
        (['--fail-on-regression'], 'needs --compare'),
        (['--compare', 'nowhere.json'], 'cannot read nowhere.json'),
    ],
)
def test_a_comparison_that_cannot_be_made_costs_no_evaluation(
    arguments: list[str], says: str, tmp_path: Path
) -> None:
    out = tmp_path / 'out'
    with pytest.raises(ComparisonError, match=says):
        command.run(compared(tmp_path / 'no bag', tmp_path / 'no model', out, *arguments))
    assert not out.exists()


def test_a_broken_reference_is_wrong_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / 'metrics.json'
    other.write_text('{"schema": 0}')
    arguments = ['evaluate', 'bag', '--out', str(tmp_path / 'out'), '--compare', str(other)]
    assert cli.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert 'schema 0, this version writes' in line


def test_a_rerun_recording_must_end_as_its_viewer_wants(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert parse('bag', '--out', 'out', '--rerun', 'a.rrd').rerun == Path('a.rrd')
    with pytest.raises(SystemExit):
        parse('bag', '--out', 'out', '--rerun', 'a.mcap')
    assert 'a.mcap does not end in .rrd' in capsys.readouterr().err


def test_an_accelerator_that_is_not_there_is_refused(
    block_drive: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    bag, tensorrt = block_drive(frames=3), 'TensorrtExecutionProvider'
    args = parse(str(bag), '--model', str(tiny_model), '--out', str(tmp_path / 'out'))
    assert args.providers == ['CPUExecutionProvider']
    args.providers = [tensorrt]
    with pytest.raises(ModelError, match=f'{tensorrt} is not in this build'):
        command.run(args)
