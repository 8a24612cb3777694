# SPDX-License-Identifier: Apache-2.0
"""Start reflection_heatmap, which brings itself to active, and again when it dies."""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

# Argument, default, what it is. An output keeps its private name unless told otherwise.
REMAPPINGS = (
    ('input/image', 'image_topic', '/camera/image_raw', 'Image or CompressedImage to listen to'),
    ('input/radar', 'radar_topic', '/radar/points', 'Radar points, scan or cube to listen to'),
    ('input/camera_info', 'camera_info_topic', '/camera/camera_info', 'CameraInfo to listen to'),
    ('output/heatmap', 'heatmap_topic', '~/output/heatmap', 'Where the heatmap goes'),
    (
        'output/camera_info',
        'heatmap_camera_info_topic',
        '~/output/camera_info',
        'Where the CameraInfo of the heatmap goes',
    ),
    ('output/overlay', 'overlay_topic', '~/output/overlay', 'Where the overlay goes'),
    (
        'output/overlay/compressed',
        'overlay_compressed_topic',
        '~/output/overlay/compressed',
        'Where the JPEG of the overlay goes',
    ),
    ('output/reflections', 'reflections_topic', '~/output/reflections', 'Where the returns go'),
)

# Parameters that have an argument of their own: argument, parameter, type, what it is.
PARAMETERS = (
    ('model', 'model_path', str, 'The .onnx file'),
    ('radar_format', 'radar_format', str, 'points, radar_scan or cube'),
    ('image_transport', 'image_transport', str, 'raw or compressed'),
    ('use_sim_time', 'use_sim_time', bool, 'Take the time from /clock: simulation and replay'),
)

ARGUMENTS = (
    ('namespace', '', 'Namespace of the node'),
    ('autostart', 'true', 'The node goes to active; false leaves that to a supervisor'),
    ('respawn', 'true', 'Start the process again when it ends unasked'),
    ('log_level', 'info', 'debug, info, warn, error'),
)


def generate_launch_description() -> LaunchDescription:
    """Describe the node and its arguments."""
    share = FindPackageShare('radar_camera_ssl')
    parameter_file = PathJoinSubstitution([share, 'config', 'reflection_heatmap.yaml'])
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, default, text in ARGUMENTS
            ),
            DeclareLaunchArgument(
                'params_file', default_value=parameter_file, description='Parameters (YAML)'
            ),
            *(
                DeclareLaunchArgument(
                    argument, default_value='', description=f'{text}; empty: as in params_file'
                )
                for argument, _, _, text in PARAMETERS
            ),
            *(
                DeclareLaunchArgument(argument, default_value=default, description=text)
                for _, argument, default, text in REMAPPINGS
            ),
            OpaqueFunction(function=_node),
        ]
    )


def _node(context: LaunchContext) -> list[LifecycleNode]:
    """The node, with those parameters over the file's that an argument was given for."""
    values = context.launch_configurations
    # A path or a word: never to be read as YAML.
    given = {
        parameter: ParameterValue(LaunchConfiguration(argument), value_type=value_type)
        for argument, parameter, value_type, _ in PARAMETERS
        if values[argument]
    }
    # By the node itself: a change_state request of the launch system, sent when a killed process
    # starts again, goes to the dead one's service and is lost.
    given['autostart'] = ParameterValue(LaunchConfiguration('autostart'), value_type=bool)
    return [
        LifecycleNode(
            package='radar_camera_ssl',
            executable='reflection_heatmap_node',
            name='reflection_heatmap',
            namespace=LaunchConfiguration('namespace'),
            parameters=[LaunchConfiguration('params_file'), given],
            remappings=[
                (f'~/{private}', LaunchConfiguration(argument))
                for private, argument, _, _ in REMAPPINGS
            ],
            arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')],
            output='screen',
            emulate_tty=True,
            respawn=LaunchConfiguration('respawn'),
            respawn_delay=2.0,
        )
    ]
