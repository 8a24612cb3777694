# SPDX-License-Identifier: Apache-2.0
"""`warmup` on ONNX Runtime's CPU, which plays the accelerator (conftest.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from radar_camera_ssl.cli import main
from radar_camera_ssl.inference.session import CPU, CUDA, TENSORRT


def test_it_says_what_runs_and_how_far_off(
    accelerator: Any, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accelerator()
    assert main(['warmup', str(tiny_model), '--providers', CUDA, '--precision', 'fp16']) == 0
    out, err = capsys.readouterr()
    for told in (
        str(tiny_model),
        f'on {CUDA}, in tf32',
        f'(an engine is one): {out.split("one): ")[1].split()[0]} on {CUDA}\n',
        "against the CPU's answers: likelihoods differ by 0.0000 at most",
    ):
        assert told in out
    assert err == ''


def test_an_accelerator_without_work_is_a_failure(
    accelerator: Any, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accelerator(runs_on=CPU)
    assert main(['warmup', str(tiny_model), '--providers', CUDA]) == 2
    assert 'takes no operator of this model' in capsys.readouterr().err


def test_the_second_choice_is_a_failure(
    accelerator: Any, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accelerator()
    assert main(['warmup', str(tiny_model), '--providers', TENSORRT, CUDA]) == 1
    assert f'{TENSORRT} does not run: {TENSORRT} is not in this build' in capsys.readouterr().err


def test_wrong_answers_are_a_failure(
    accelerator: Any, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accelerator(lambda name, value: value * 0 if name == 'likelihood' else value)
    assert main(['warmup', str(tiny_model), '--providers', CUDA]) == 2
    assert "does not give the CPU's answers" in capsys.readouterr().err


def test_what_is_not_in_the_build_is_one_line(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['warmup', str(tiny_model), '--providers', TENSORRT]) == 2
    err = capsys.readouterr().err
    assert err.count('\n') == 1
    assert f'{TENSORRT} is not in this build' in err


def test_the_cpu_warms_up_too(
    tiny_model: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = ['warmup', str(tiny_model), '--providers', CPU, '--cache', str(tmp_path / 'cache')]
    assert main(command) == 0
    assert f'on {CPU}, in fp32' in capsys.readouterr().out
    assert not (tmp_path / 'cache').exists()


def test_engines_that_were_built_are_told_from_those_that_were_there(
    accelerator: Any,
    tiny_model: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    accelerator(name=TENSORRT, engine='sm90.engine')
    command = ['warmup', str(tiny_model), '--providers', TENSORRT, '--cache', str(tmp_path)]
    for told in ('engines: 1 built, 0 were there', 'engines: 0 built, 1 were there'):
        assert main(command) == 0
        out = capsys.readouterr().out
        assert told in out
        assert str(tmp_path) in out
