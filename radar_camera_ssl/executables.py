# SPDX-License-Identifier: Apache-2.0
"""The nodes as executables: where there is no ROS they say so in one line."""

from __future__ import annotations

import importlib
import sys


def reflection_heatmap_node() -> int:
    """Run the node and return its exit code."""
    return _run('reflection_heatmap_node')


def bag_player_node() -> int:
    """Run the player and return its exit code."""
    return _run('bag_player_node')


def _run(name: str) -> int:
    try:
        node = importlib.import_module(f'radar_camera_ssl.nodes.{name}')
    except ModuleNotFoundError as error:
        if (error.name or '').partition('.')[0] == 'radar_camera_ssl':
            raise
        print(
            f'{name}: needs the Python package {error.name}: source the setup.bash of a ROS 2 '
            'distribution, or install requirements/ros-jazzy.txt and requirements/run.txt',
            file=sys.stderr,
        )
        return 2
    return int(node.main() or 0)
