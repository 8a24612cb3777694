# SPDX-License-Identifier: Apache-2.0
"""A bag, or a drive simulated first, through the node, watched in RViz."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit, OnShutdown
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

PACKAGE = 'radar_camera_ssl'
ARGUMENTS = (
    ('bag', '', 'The bag to play; empty: simulate a drive first'),
    ('seed', '7', 'Seed of the simulated drive'),
    ('duration', '20', 'Seconds of the simulated drive'),
    ('rate', '1.0', 'Speed of the player'),
    ('loop', 'true', 'Play again and again; false: the launch ends with the bag'),
    ('model', '', "The .onnx file; empty: the package's own"),
    ('radar_format', 'points', 'points, or cube with radar_topic:=/radar/cube'),
    ('image_topic', '/camera/image_raw', 'Image topic of the bag'),
    ('image_transport', 'raw', 'raw or compressed'),
    ('radar_topic', '/radar/points', 'Radar topic of the bag'),
    ('camera_info_topic', '/camera/camera_info', 'CameraInfo topic of the bag'),
)


def generate_launch_description() -> LaunchDescription:
    """Describe player (or simulator), node and RViz."""
    share = Path(get_package_share_directory(PACKAGE))
    profile = str(share / 'config' / 'fastdds_large_images.xml')
    passed_on = (
        'model',
        'radar_format',
        'image_topic',
        'image_transport',
        'radar_topic',
        'camera_info_topic',
    )
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, default, text in ARGUMENTS
            ),
            DeclareLaunchArgument(
                'rviz', default_value=str(_has('rviz2')).lower(), description='Start RViz'
            ),
            # Images of 640x480 are lost between processes without it.
            SetEnvironmentVariable('FASTRTPS_DEFAULT_PROFILES_FILE', profile),
            SetEnvironmentVariable('FASTDDS_DEFAULT_PROFILES_FILE', profile),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(share / 'launch' / 'perception.launch.py')),
                launch_arguments={
                    'use_sim_time': 'true',
                    **{name: LaunchConfiguration(name) for name in passed_on},
                }.items(),
            ),
            Node(
                package='rviz2',
                executable='rviz2',
                arguments=['-d', str(share / 'config' / 'perception.rviz')],
                parameters=[{'use_sim_time': True}],
                condition=IfCondition(LaunchConfiguration('rviz')),
            ),
            OpaqueFunction(function=_play),
        ]
    )


def _has(package: str) -> bool:
    try:
        get_package_share_directory(package)
    except PackageNotFoundError:
        return False
    return True


def _play(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    bag = context.launch_configurations['bag']
    if bag:
        return _player(context, bag)
    values = context.launch_configurations
    folder = tempfile.mkdtemp(prefix='radar_camera_ssl_demo_')
    bag = str(Path(folder) / f'drive_{values["seed"]}')
    # The command line's own Python: the module need not be installed for ROS.
    simulator = ExecuteProcess(
        cmd=[
            *(sys.executable, '-m', PACKAGE, 'simulate', '--out', bag),
            *('--seed', values['seed'], '--duration', values['duration']),
        ],
        output='screen',
    )

    def simulated(event: ProcessExited, _: LaunchContext) -> list[LaunchDescriptionEntity]:
        if event.returncode == 0:
            return _player(context, bag)
        return [EmitEvent(event=Shutdown(reason='the simulation failed'))]

    return [
        RegisterEventHandler(
            OnShutdown(on_shutdown=lambda *_: shutil.rmtree(folder, ignore_errors=True))
        ),
        LogInfo(msg=f'simulating a drive of {values["duration"]} s to {bag}'),
        RegisterEventHandler(OnProcessExit(target_action=simulator, on_exit=simulated)),
        simulator,
    ]


def _player(context: LaunchContext, bag: str) -> list[LaunchDescriptionEntity]:
    values = context.launch_configurations
    player = Node(
        package=PACKAGE,
        executable='bag_player_node',
        parameters=[
            {
                'bag': bag,
                'rate': float(values['rate']),
                'loop': values['loop'].lower() == 'true',
                'wait_for_subscribers': [values['image_topic'], values['radar_topic']],
                'wait_timeout': 120.0,
            }
        ],
        output='screen',
    )
    ended = RegisterEventHandler(
        OnProcessExit(
            target_action=player,
            on_exit=[EmitEvent(event=Shutdown(reason='the player has ended'))],
        )
    )
    return [ended, player]
