# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path

import pytest
from model_factory import tiny_metadata, write_tiny_model

from radar_camera_ssl.cli import main
from radar_camera_ssl.model_metadata import ModelMetadata


def test_info_tells_a_person_everything(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['info', str(tiny_model)]) == 0
    text = capsys.readouterr().out
    for told in (
        'points, the 128 strongest returns at most',
        'x [m], y [m], velocity [m/s], rcs [dBsm]',
        '320 x 240 px, BGR, intrinsics not used',
        '40 x 30 cells of 8 x 8 px',
        'method: none',
        'objective: none: a model for tests',
        'Apache-2.0',
        'CPUExecutionProvider',
    ):
        assert told in text


def test_info_of_a_cube_model(tiny_cube_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['info', str(tiny_cube_model)]) == 0
    text = capsys.readouterr().out
    for told in ('cube, 32 range x 24 azimuth x 16 Doppler bins', '-51.6 to 51.6 degrees',
                 '-16 to 16 m/s', '20 returns selected'):  # fmt: skip
        assert told in text


def test_info_as_json(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['info', '--json', str(tiny_model)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert ModelMetadata.from_json(json.dumps(told['metadata'])) == tiny_metadata()
    assert told['bytes'] == tiny_model.stat().st_size
    assert len(told['sha256']) == 64
    assert told['inputs'][1] == {'name': 'points', 'dtype': 'float32', 'shape': [1, 128, 4]}


def test_long_training_lists_and_nested_metrics_are_readable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = tiny_metadata()
    metadata.training.update(
        drives=[f'drive_{i}' for i in range(40)],
        metrics={'pointing_accuracy': 0.87654321, 'by_range': {'near': 1, 'far': None}},
    )
    path = write_tiny_model(tmp_path / 'm.onnx', description=metadata)
    assert main(['info', str(path)]) == 0
    text = capsys.readouterr().out
    assert '... (40 in all)' in text
    assert 'pointing_accuracy: 0.8765\n' in text
    assert 'far: null' in text


@pytest.mark.parametrize('content', [None, b'nonsense'])
def test_a_bad_file_is_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    path = tmp_path / 'm.onnx'
    if content:
        path.write_bytes(content)
    assert main(['info', str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ''
    assert err.count('\n') == 1
    assert str(path) in err
