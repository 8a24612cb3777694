# SPDX-License-Identifier: Apache-2.0
"""The command line: what each way of calling it prints and returns."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from radar_camera_ssl import __version__, cli

ROOT = Path(__file__).parents[1]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', 'radar_camera_ssl', *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, 'COLUMNS': '100', **environment},
    )


def only_line(text: str) -> str:
    lines = text.strip().splitlines()
    assert len(lines) == 1, text
    return lines[0]


def test_help_lists_every_command() -> None:
    done = run('--help')
    assert done.returncode == 0
    for name, command in cli.COMMANDS.items():
        assert re.search(rf'^ +{name} +{command.help[:20]}', done.stdout, re.MULTILINE)


def test_help_of_the_program_imports_no_room() -> None:
    program = (
        'import sys\n'
        'from radar_camera_ssl import cli\n'
        "cli.main(['--help'])\n"
        "print('loaded:', *sorted(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, '-c', program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = done.stdout.partition('loaded:')[2].split()
    assert 'radar_camera_ssl.cli' in loaded
    assert not {'numpy', 'cv2', 'torch', 'onnxruntime', 'rosbags'} & set(loaded)


@pytest.mark.parametrize('name', sorted(cli.COMMANDS))
def test_help_of_a_command_names_its_arguments(name: str) -> None:
    if cli.COMMANDS[name].extra == 'learning':
        pytest.importorskip('torch', reason='train and export need torch')
    done = run(name, '--help')
    assert done.returncode == 0, done.stderr
    assert f'radar_camera_ssl {name}' in done.stdout
    assert cli.COMMANDS[name].help[1:] in ' '.join(done.stdout.split())
    assert 'None)' not in done.stdout


def test_version() -> None:
    done = run('--version')
    assert (done.returncode, done.stdout.strip()) == (0, f'radar_camera_ssl {__version__}')


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (
            [],
            'which command? one of: simulate, train, export, adapt, quantize, evaluate, '
            'warmup, info',
        ),
        (['fly'], "invalid choice: 'fly'"),
        (['--fast'], 'unrecognized arguments: --fast'),
        (['info'], 'the following arguments are required'),
        (['info', 'model.onnx', '--fly'], 'unrecognized arguments: --fly'),
        (['info', 'no/such/model.onnx'], 'no/such/model.onnx'),
        (['evaluate', 'no_such_bag', '--out', 'out'], 'no_such_bag'),
    ],
)
def test_wrong_use_is_one_line_and_code_2(
    arguments: list[str], said: str, tmp_path: Path, tiny_model: Path
) -> None:
    if arguments[:1] == ['evaluate']:
        arguments = [*arguments[:-1], str(tmp_path / 'out'), '--model', str(tiny_model)]
    done = run(*arguments)
    assert done.returncode == cli.WRONG_USE, done.stderr
    assert said in only_line(done.stderr)
    assert not done.stdout


def test_missing_extra_is_one_line_and_code_2(without: Callable[[str], Path]) -> None:
    done = run('train', '--help', PYTHONPATH=str(without('torch')))
    assert done.returncode == cli.WRONG_USE, done.stderr
    said = only_line(done.stderr)
    assert 'torch' in said
    assert 'requirements/learning.txt' in said


@pytest.mark.parametrize('name', ['train', 'export', 'adapt'])
def test_an_opencv_that_subsamples_chroma_is_one_line_and_code_2(
    name: str, tmp_path: Path
) -> None:
    """Such is 4.6, of Jazzy: it lets flags pass that it does not know."""
    pytest.importorskip('torch', reason='train, export and adapt need torch')
    (tmp_path / 'sitecustomize.py').write_text(
        'import cv2\n\ndel cv2.IMWRITE_JPEG_SAMPLING_FACTOR\n'
    )
    done = run(name, '--help', PYTHONPATH=str(tmp_path))
    assert done.returncode == cli.WRONG_USE, done.stderr
    said = only_line(done.stderr)
    assert 'opencv-python-headless>=4.7 (the extra "learning", requirements/learning.txt)' in said


def test_a_missing_package_of_one_option_is_one_line_and_code_2(
    without: Callable[[str], Path], tmp_path: Path
) -> None:
    done = run(
        *('evaluate', str(tmp_path), '--out', str(tmp_path / 'out'), '--rerun', 'a.rrd'),
        PYTHONPATH=str(without('rerun')),
    )
    assert done.returncode == cli.WRONG_USE, done.stderr
    said = only_line(done.stderr)
    assert 'the Python package rerun (the extra "rerun", requirements/rerun.txt)' in said


@pytest.mark.parametrize('node', ['reflection_heatmap_node', 'bag_player_node'])
def test_a_node_without_ros_is_one_line_and_code_2(
    node: str, without: Callable[[str], Path]
) -> None:
    program = (
        f'import sys; from radar_camera_ssl import executables; sys.exit(executables.{node}())'
    )
    done = subprocess.run(
        [sys.executable, '-c', program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, 'PYTHONPATH': str(without('rclpy'))},
    )
    assert done.returncode == cli.WRONG_USE, done.stderr
    assert only_line(done.stderr).startswith(f'{node}: needs the Python package ')


def test_a_module_of_our_own_that_is_missing_is_no_wrong_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(cli.COMMANDS, 'gone', cli.Command('radar_camera_ssl.gone', 'nothing'))
    with pytest.raises(ModuleNotFoundError):
        cli.main(['gone'])


def test_interrupt_says_how_to_go_on(tmp_path: Path) -> None:
    arguments = f'--seed 1 --duration 600 --out {tmp_path}/drive'.split()
    process = subprocess.Popen(
        [sys.executable, '-m', 'radar_camera_ssl', 'simulate', *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As from a terminal: a job in the background inherits that interrupts are ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        # Once it writes, it is past its imports and at work.
        deadline = time.monotonic() + 30
        while not any(tmp_path.iterdir()) and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == cli.INTERRUPTED, said
    assert said.strip().splitlines()[-1].startswith('radar_camera_ssl simulate: interrupted; ')
    assert 'Traceback' not in said


def test_a_reader_that_leaves_is_no_error(tiny_model: Path) -> None:
    command = f'{sys.executable} -m radar_camera_ssl info {tiny_model} | head -c 1; '
    done = subprocess.run(
        ['bash', '-c', command + 'echo "${PIPESTATUS[0]}"'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.endswith('0\n')
    assert 'Traceback' not in done.stderr
