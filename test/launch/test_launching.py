# SPDX-License-Identifier: Apache-2.0
"""The launch files with the real `launch` and `launch_ros`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

pytest.importorskip('launch_ros', reason='the ROS packages launch and launch_ros are absent')

ROOT = Path(__file__).parents[2]

# What runs a launch file, as `ros2 launch` does.
LAUNCHER = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
arguments = dict(argument.split(':=', 1) for argument in sys.argv[2:])
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments=arguments.items())]))
sys.exit(service.run())
"""


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An install prefix as colcon lays it out, over the source tree."""
    prefix = tmp_path / 'install'
    index = prefix / 'share' / 'ament_index' / 'resource_index' / 'packages'
    index.mkdir(parents=True)
    (index / 'radar_camera_ssl').touch()
    share = prefix / 'share' / 'radar_camera_ssl'
    share.mkdir()
    for folder in ('launch', 'config', 'models'):
        if (ROOT / folder).is_dir():
            shutil.copytree(ROOT / folder, share / folder)
    scripts = prefix / 'lib' / 'radar_camera_ssl'
    scripts.mkdir(parents=True)
    for name in ('reflection_heatmap_node', 'bag_player_node'):
        script = scripts / name
        script.write_text(
            f'#!{sys.executable}\nimport sys\n'
            f'from radar_camera_ssl.nodes.{name} import main\nsys.exit(main())\n'
        )
        script.chmod(0o755)
    return prefix


class Launched:
    """A launch file in a process group of its own, with its output in a file."""

    def __init__(self, prefix: Path, file: str, *arguments: str) -> None:
        self._log = prefix / 'launch.log'
        environment = dict(os.environ)
        environment |= {
            'AMENT_PREFIX_PATH': f'{prefix}{os.pathsep}{os.environ.get("AMENT_PREFIX_PATH", "")}',
            'PYTHONPATH': f'{ROOT}{os.pathsep}{os.environ.get("PYTHONPATH", "")}',
            'ROS_DOMAIN_ID': str(1 + (os.getpid() + 50) % 100),
            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            'ROS_LOG_DIR': str(prefix / 'log'),
            'TMPDIR': str(prefix / 'tmp'),
        }
        (prefix / 'tmp').mkdir(exist_ok=True)
        path = str(prefix / 'share' / 'radar_camera_ssl' / 'launch' / file)
        with self._log.open('w') as log:
            self.process = subprocess.Popen(
                [sys.executable, '-c', LAUNCHER, path, *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str, times: int = 1, deadline_s: float = 40.0) -> None:
        deadline = time.monotonic() + deadline_s
        while self.log.count(text) < times:
            assert time.monotonic() < deadline, f'no {text!r} in:\n{self.log}'
            assert self.process.poll() is None, f'ended without {text!r}:\n{self.log}'
            time.sleep(0.02)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise


def test_perception_brings_the_node_to_active_and_again_after_a_crash(
    prefix: Path, tiny_model: Path
) -> None:
    launched = Launched(
        prefix, 'perception.launch.py', f'model:={tiny_model}', 'image_topic:=/front/image'
    )
    try:
        launched.wait_for('active on /front/image')
        (pid,) = started_pids(launched)
        os.kill(pid, signal.SIGKILL)
        launched.wait_for('active on /front/image', times=2)
    finally:
        code = launched.stop()
    assert code == 0, launched.log


def started_pids(launched: Launched) -> list[int]:
    return [
        int(line.rpartition('[')[2].rstrip(']'))
        for line in launched.log.splitlines()
        if 'process started with pid' in line
    ]


def test_two_cameras_share_a_radar_and_one_goes_on_while_the_other_starts_again(
    prefix: Path, tiny_model: Path
) -> None:
    launched = Launched(
        prefix,
        'two_cameras.launch.py',
        f'left_model:={tiny_model}',
        f'right_model:={tiny_model}',
        'right_image_topic:=/rear/image',
        'radar_topic:=/front/radar',
    )
    try:
        left = '[left.reflection_heatmap]: active on /left/image_raw, /front/radar'
        right = '[right.reflection_heatmap]: active on /rear/image, /front/radar'
        launched.wait_for(left)
        launched.wait_for(right)
        os.kill(started_pids(launched)[1], signal.SIGKILL)
        launched.wait_for(right, times=2)
        assert launched.log.count(left) == 1
    finally:
        code = launched.stop()
    assert code == 0, launched.log


def test_a_model_that_is_not_there_is_told(prefix: Path) -> None:
    launched = Launched(prefix, 'perception.launch.py', 'model:=/nowhere.onnx')
    try:
        launched.wait_for('no model file at /nowhere.onnx')
    finally:
        launched.stop()


def test_a_parameter_file_is_overruled_only_by_arguments_that_are_given(
    prefix: Path, tiny_model: Path, tmp_path: Path
) -> None:
    file = tmp_path / 'rig.yaml'
    parameters = {'model_path': str(tiny_model), 'radar_format': 'cube'}
    file.write_text(yaml.safe_dump({'/**': {'ros__parameters': parameters}}))
    launched = Launched(prefix, 'perception.launch.py', f'params_file:={file}')
    try:
        launched.wait_for('the model reads points, but radar_format is cube')
    finally:
        launched.stop()
    launched = Launched(
        prefix, 'perception.launch.py', f'params_file:={file}', 'radar_format:=points'
    )
    try:
        launched.wait_for(f'configured: {tiny_model}')
    finally:
        launched.stop()


def test_the_demo_plays_a_bag_and_ends_with_it(
    prefix: Path, tiny_model: Path, tmp_path: Path
) -> None:
    sys.path.append(str(ROOT / 'test' / 'nodes'))
    from bags import drive_rows, write_bag

    bag = write_bag(tmp_path / 'bag', drive_rows(1.0))
    launched = Launched(
        prefix,
        'demo.launch.py',
        f'bag:={bag}',
        f'model:={tiny_model}',
        'loop:=false',
        'rviz:=false',
    )
    try:
        launched.wait_for('"/radar/points": 10')
        assert launched.process.wait(30) == 0, launched.log
    finally:
        launched.stop()


def test_the_demo_simulates_a_drive_when_it_is_given_none(prefix: Path, tiny_model: Path) -> None:
    launched = Launched(
        prefix,
        'demo.launch.py',
        f'model:={tiny_model}',
        'duration:=1',
        'loop:=false',
        'rviz:=false',
    )
    try:
        launched.wait_for('"/camera/image_raw"', deadline_s=90.0)
        assert launched.process.wait(30) == 0, launched.log
    finally:
        launched.stop()
    assert not list((prefix / 'tmp').glob('radar_camera_ssl_demo_*'))
