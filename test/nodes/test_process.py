# SPDX-License-Identifier: Apache-2.0
"""The nodes as processes: signals, wrong starts, a missing home."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bag_factory import ros1_bag
from bags import drive_rows, write_bag
from ros_graph import wait_until

NODE = 'radar_camera_ssl.nodes.reflection_heatmap_node'
PLAYER = 'radar_camera_ssl.nodes.bag_player_node'

Start = Callable[..., 'subprocess.Popen[str]']


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    processes: list[subprocess.Popen[str]] = []

    def run(
        module: str, *arguments: str, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        environment = environment if environment is not None else dict(os.environ)
        # A domain of its own: these nodes have global names.
        environment['ROS_DOMAIN_ID'] = str(1 + (os.getpid() + 25) % 100)
        with (tmp_path / f'log_{len(processes)}').open('w') as log:
            process = subprocess.Popen(
                [sys.executable, '-m', module, *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=Path(__file__).parents[2],
                text=True,
            )
        processes.append(process)
        return process

    yield run
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def log_of(tmp_path: Path, number: int = 0) -> str:
    return (tmp_path / f'log_{number}').read_text()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_the_node_ends_with_code_0_on_a_signal(
    start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    process = start(NODE)
    wait_until(lambda: 'started' in log_of(tmp_path), 'no start')
    process.send_signal(number)
    assert process.wait(30) == 0, log_of(tmp_path)
    assert 'Traceback' not in log_of(tmp_path)


@pytest.mark.skipif(not Path('/proc').is_dir(), reason='reads the signal mask from /proc')
@pytest.mark.parametrize('delay_ms', [0, 20, 60])
def test_a_signal_while_it_starts_ends_it_with_code_0(
    start: Start, tmp_path: Path, delay_ms: int
) -> None:
    process = start(NODE)
    wait_until(lambda: _handles_signals(process.pid), 'no signal handler')
    time.sleep(delay_ms / 1000)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, log_of(tmp_path)
    assert 'Traceback' not in log_of(tmp_path)


def _handles_signals(pid: int) -> bool:
    """Whether the process catches SIGTERM, from the kernel's mask: rclpy.init() is through."""
    for line in Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('SigCgt:'):
            return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
    return False


def test_a_playing_player_ends_with_code_0_on_a_signal(start: Start, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', drive_rows(0.5))
    process = start(PLAYER, '--ros-args', '-p', f'bag:={bag}', '-p', 'loop:=true')
    wait_until(lambda: 'playing' in log_of(tmp_path), 'no start')
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, log_of(tmp_path)
    assert 'Traceback' not in log_of(tmp_path)


@pytest.mark.parametrize(
    ('module', 'parameter', 'told'),
    [(NODE, 'radar_format:=lidar', 'radar_format'), (PLAYER, 'rate:=-1.0', 'rate')],
)
def test_a_wrong_parameter_ends_the_start_with_one_line(
    start: Start, tmp_path: Path, module: str, parameter: str, told: str
) -> None:
    process = start(module, '--ros-args', '-p', parameter)
    assert process.wait(30) == 2, log_of(tmp_path)
    assert told in log_of(tmp_path)
    assert 'Traceback' not in log_of(tmp_path)


@pytest.mark.parametrize('wrong', [['--params-file', '/nowhere.yaml'], ['-r', 'no_rule']])
def test_ros_arguments_that_cannot_be_read_end_it_without_a_trace(
    start: Start, tmp_path: Path, wrong: list[str]
) -> None:
    assert start(NODE, '--ros-args', *wrong).wait(30) == 2
    assert 'cannot start with these ROS arguments: failed to initialize rcl' in log_of(tmp_path)
    assert 'Traceback' not in log_of(tmp_path)


def test_a_missing_bag_ends_the_player_with_one_line(start: Start, tmp_path: Path) -> None:
    process = start(PLAYER, '--ros-args', '-p', 'bag:=/nowhere')
    assert process.wait(30) == 2
    assert 'no such bag' in log_of(tmp_path)
    assert 'Traceback' not in log_of(tmp_path)


def test_a_ros_1_bag_ends_the_player_with_one_line(start: Start, tmp_path: Path) -> None:
    process = start(PLAYER, '--ros-args', '-p', f'bag:={ros1_bag(tmp_path / "drive.bag")}')
    assert process.wait(30) == 2
    (line,) = log_of(tmp_path).splitlines()
    assert line.startswith('cannot start: ')
    assert 'rosbags-convert --src' in line


def test_the_player_runs_without_a_home_and_says_where_it_logs(
    start: Start, tmp_path: Path
) -> None:
    bag = write_bag(tmp_path / 'bag', drive_rows(0.1))
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ('HOME', 'ROS_LOG_DIR', 'ROS_HOME')
    } | {'TMPDIR': str(tmp_path)}
    process = start(PLAYER, '--ros-args', '-p', f'bag:={bag}', environment=environment)
    assert process.wait(30) == 0, log_of(tmp_path)
    assert 'neither HOME nor ROS_LOG_DIR is set' in log_of(tmp_path)
    assert (tmp_path / 'ros_log').is_dir()
