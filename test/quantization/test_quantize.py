# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from radar_camera_ssl.cli import main
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.quantization.quantize import FrameSource, image_convolutions, read_frames
from radar_camera_ssl.resources import default_model_path

sys.path.append(str(Path(__file__).parents[1] / 'evaluation'))

from block_drive import BlockDrive, write_block_drive


@pytest.fixture
def drives(tmp_path: Path) -> list[Path]:
    """Two drives of a second each, of which 20 images find a radar frame."""
    return [
        write_block_drive(tmp_path / f'drive_{seed}', BlockDrive(seed=seed, frames=10))
        for seed in (1, 2)
    ]


def test_the_shipped_models_image_encoder_becomes_int8(
    tmp_path: Path, drives: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    shipped, out = default_model_path(), tmp_path / 'made' / 'int8.onnx'
    command = ['quantize', str(shipped), *map(str, drives), '--frames', '6', '--out', str(out)]
    assert main(command) == 0
    assert 'calibrated on 6 frames; likelihoods differ by' in capsys.readouterr().out
    assert [path.name for path in out.parent.iterdir()] == ['int8.onnx']

    quantized = onnx.load(out)
    chosen = image_convolutions(onnx.load(shipped).graph)
    made = {output for node in quantized.graph.node for output in node.output
            if node.op_type == 'DequantizeLinear'}  # fmt: skip
    fed = {node.name for node in quantized.graph.node
           if node.op_type == 'Conv' and set(node.input[:2]) <= made}  # fmt: skip
    assert fed == set(chosen)
    others = [node for node in quantized.graph.node if node.op_type in ('MatMul', 'Softplus')]
    assert others
    assert not [node.name for node in others if made & set(node.input)]
    assert [entry.key for entry in quantized.metadata_props] == ['radar_camera_ssl']

    original, int8 = CorrespondenceModel.load(shipped), CorrespondenceModel.load(out)
    told = int8.metadata.training['quantization']
    assert told['of'] == original.sha256
    assert told['drives'] == ['drive_1', 'drive_2']
    assert told['frames'] == 6
    assert int8.metadata.calibration == original.metadata.calibration
    frames, _ = read_frames(drives, original, FrameSource(frames=4))
    for frame in frames:
        ours, theirs = int8.infer(*frame), original.infer(*frame)
        assert ours.likelihood == pytest.approx(theirs.likelihood, abs=0.3)
        assert 0 < np.abs(ours.heatmap - theirs.heatmap).max() < 0.3


def test_frames_are_spread_over_the_drives_and_none_is_judged_twice(
    drives: list[Path], tiny_model: Path
) -> None:
    model = CorrespondenceModel.load(tiny_model)
    calibrating, held_out = read_frames(drives, model, FrameSource(frames=6))
    assert (len(calibrating), len(held_out)) == (6, 6)
    images = {image.tobytes() for image, _, _ in calibrating + held_out}
    assert len(images) == 12


def test_a_model_without_convolutions_is_refused(
    tmp_path: Path, drives: list[Path], tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'int8.onnx'
    assert main(['quantize', str(tiny_model), str(drives[0]), '--out', str(out)]) == 2
    assert 'no convolution sees the image alone' in capsys.readouterr().err
    assert not out.exists()


def test_drives_without_a_pair_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drive = write_block_drive(tmp_path / 'apart', BlockDrive(frames=4, radar_delay_s=0.04))
    command = ['quantize', str(default_model_path()), str(drive), '--slop', '0.001']
    assert main([*command, '--out', str(tmp_path / 'int8.onnx')]) == 2
    assert 'no frame to calibrate on in' in capsys.readouterr().err


def test_a_deviation_is_of_frames(
    tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drive = write_block_drive(tmp_path / 'short', BlockDrive(frames=1))
    command = ['quantize', str(default_model_path()), str(drive)]
    assert main([*command, '--out', str(tmp_path / 'int8.onnx')]) == 2
    assert 'no frame to judge by in' in capsys.readouterr().err
    assert not (tmp_path / 'int8.onnx').exists()


def test_a_quantized_model_is_not_quantized_again(
    tmp_path: Path, drives: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    int8 = default_model_path().with_stem('points_int8')
    assert main(['quantize', str(int8), str(drives[0]), '--out', str(tmp_path / 'x.onnx')]) == 2
    assert 'is quantized already' in capsys.readouterr().err


def test_a_folder_is_no_file_to_write(
    tmp_path: Path, drives: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ['quantize', str(default_model_path()), str(drives[0]), '--out']
    assert main([*command, str(tmp_path)]) == 2
    assert 'is a folder' in capsys.readouterr().err
    (tmp_path / 'file').touch()
    assert main([*command, str(tmp_path / 'file' / 'deep' / 'int8.onnx')]) == 2
    assert 'file is no folder to write to' in capsys.readouterr().err
