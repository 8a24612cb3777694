# SPDX-License-Identifier: Apache-2.0
"""Two cameras with one radar: a node for each camera, in its namespace, with its own model.

An example to copy: each camera is another mounting, so each needs a model of its own.
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

CAMERAS = ('left', 'right')

# Of each camera; the name and the default are preceded by the camera's.
OF_A_CAMERA = (
    ('image_topic', '/{camera}/image_raw', 'Image or CompressedImage of the {camera} camera'),
    ('camera_info_topic', '/{camera}/camera_info', 'CameraInfo of the {camera} camera'),
    ('model', '', 'The .onnx file for the {camera} camera; empty: as in params_file'),
)

# Of both; passed on to perception.launch.py as they are.
OF_BOTH = (
    ('radar_topic', '/radar/points', 'Radar points, scan or cube to listen to'),
    ('radar_format', '', 'points, radar_scan or cube; empty: as in params_file'),
    ('image_transport', '', 'raw or compressed; empty: as in params_file'),
    ('use_sim_time', '', 'Take the time from /clock; empty: as in params_file'),
    ('autostart', 'true', 'The nodes go to active; false leaves that to a supervisor'),
    ('respawn', 'true', 'Start a process again when it ends unasked'),
    ('log_level', 'info', 'debug, info, warn, error'),
)


def generate_launch_description() -> LaunchDescription:
    """Describe both nodes: /left/reflection_heatmap and /right/reflection_heatmap."""
    share = FindPackageShare('radar_camera_ssl')
    parameter_file = PathJoinSubstitution([share, 'config', 'reflection_heatmap.yaml'])
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(
                    f'{camera}_{name}',
                    default_value=default.format(camera=camera),
                    description=text.format(camera=camera),
                )
                for camera in CAMERAS
                for name, default, text in OF_A_CAMERA
            ),
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, default, text in OF_BOTH
            ),
            DeclareLaunchArgument(
                'params_file', default_value=parameter_file, description='Parameters (YAML)'
            ),
            *(_perception(camera) for camera in CAMERAS),
        ]
    )


def _perception(camera: str) -> GroupAction:
    """The node of one camera. In a group: what is set for one must not reach the other."""
    share = FindPackageShare('radar_camera_ssl')
    passed_on = ('params_file', *(name for name, _, _ in OF_BOTH))
    return GroupAction(
        [
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(
                    PathJoinSubstitution([share, 'launch', 'perception.launch.py'])
                ),
                launch_arguments={
                    'namespace': camera,
                    **{name: LaunchConfiguration(name) for name in passed_on},
                    **{
                        name: LaunchConfiguration(f'{camera}_{name}') for name, _, _ in OF_A_CAMERA
                    },
                }.items(),
            )
        ]
    )
