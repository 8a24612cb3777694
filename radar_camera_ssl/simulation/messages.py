# SPDX-License-Identifier: Apache-2.0
"""The messages that only a drive has: topics, types and fields of its bag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from radar_camera_ssl.sensors import messages as standard
from radar_camera_ssl.sensors.geometry import (
    OPTICAL_FROM_BODY,
    Intrinsics,
    RigidTransform,
)

from .config import DriveConfig
from .cube import cube_axes
from .radar import RadarFrame

CAMERA_FRAME = 'camera_link'
OPTICAL_FRAME = 'camera_optical_frame'
RADAR_FRAME = 'radar'
BASE_FRAME = 'base_link'

IMAGE = '/camera/image_raw'
COMPRESSED = '/camera/image_raw/compressed'
CAMERA_INFO = '/camera/camera_info'
POINTS = '/radar/points'
CUBE = '/radar/cube'
CUBE_INFO = '/radar/cube_info'
TF_STATIC = '/tf_static'
INSTANCES = '/ground_truth/instances'
TRUE_POINTS = '/ground_truth/radar_points'

TYPES: Mapping[str, str] = MappingProxyType(
    {
        TF_STATIC: 'tf2_msgs/msg/TFMessage',
        CUBE_INFO: 'diagnostic_msgs/msg/DiagnosticStatus',
        IMAGE: 'sensor_msgs/msg/Image',
        COMPRESSED: 'sensor_msgs/msg/CompressedImage',
        CAMERA_INFO: 'sensor_msgs/msg/CameraInfo',
        POINTS: 'sensor_msgs/msg/PointCloud2',
        CUBE: 'sensor_msgs/msg/Image',
        INSTANCES: 'sensor_msgs/msg/Image',
        TRUE_POINTS: 'sensor_msgs/msg/PointCloud2',
    }
)
LATCHED = frozenset({TF_STATIC, CUBE_INFO})

_POINT_FIELDS = ('x', 'y', 'z', 'velocity', 'rcs')
POINT_DTYPE = np.dtype([(name, '<f4') for name in _POINT_FIELDS])
TRUE_POINT_DTYPE = np.dtype([*((name, '<f4') for name in _POINT_FIELDS), ('instance', '<u2')])


def topics(config: DriveConfig) -> list[str]:
    """Give the topics of a drive's bag."""
    chosen = [TF_STATIC, COMPRESSED if config.compressed else IMAGE, CAMERA_INFO, POINTS]
    if config.cube:
        chosen += [CUBE_INFO, CUBE]
    if config.ground_truth:
        chosen += [INSTANCES, TRUE_POINTS]
    return chosen


def camera_info(stamp_ns: int, intrinsics: Intrinsics) -> Any:
    """Make the CameraInfo of a rectified pinhole."""
    rectified = replace(intrinsics, distortion=np.zeros(5), distortion_model='plumb_bob')
    return standard.camera_info(stamp_ns, OPTICAL_FRAME, rectified)


def points(stamp_ns: int, frame: RadarFrame, with_instance: bool) -> Any:
    """Make the PointCloud2 of a radar frame; with_instance adds the ground truth's field."""
    dtype = TRUE_POINT_DTYPE if with_instance else POINT_DTYPE
    table = np.zeros(len(frame.position), dtype=dtype)
    for axis, name in enumerate('xyz'):
        table[name] = frame.position[:, axis]
    table['velocity'] = frame.velocity
    table['rcs'] = frame.rcs
    if with_instance:
        table['instance'] = frame.instance
    return standard.point_cloud(stamp_ns, RADAR_FRAME, table)


def cube_info(config: DriveConfig) -> Any:
    """Make the DiagnosticStatus that carries the cube's axis limits."""
    types = standard.typestore.types
    pair = types['diagnostic_msgs/msg/KeyValue']
    values = [pair(key=k, value=v) for k, v in cube_axes(config.radar).to_key_values()]
    return types['diagnostic_msgs/msg/DiagnosticStatus'](
        level=0,
        name='radar cube',
        message='axis limits of /radar/cube: rows range, columns azimuth, channels Doppler, dB',
        hardware_id='simulated radar',
        values=values,
    )


def static_transforms(stamp_ns: int, config: DriveConfig) -> Any:
    """Make the TFMessage of the rig."""
    optical = RigidTransform(OPTICAL_FROM_BODY.T.copy(), np.zeros(3))
    links = (
        (BASE_FRAME, CAMERA_FRAME, config.camera.mounting.transform()),
        (CAMERA_FRAME, OPTICAL_FRAME, optical),
        (BASE_FRAME, RADAR_FRAME, config.radar.mounting.transform()),
    )
    return standard.static_transforms(
        stamp_ns, {(parent, child): link for parent, child, link in links}
    )
