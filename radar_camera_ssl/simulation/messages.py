# SPDX-License-Identifier: Apache-2.0
"""The messages of a drive, serialised (CDR): topics, types and fields of its bag."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from rosbags.typesys import Stores, get_typestore

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

# PointField's constants, by NumPy's kind.
_DATATYPES = {'f': 7, 'u': 4}

typestore = get_typestore(Stores.ROS2_JAZZY)
_T = typestore.types


def topics(config: DriveConfig) -> list[str]:
    """Give the topics of a drive's bag."""
    chosen = [TF_STATIC, COMPRESSED if config.compressed else IMAGE, CAMERA_INFO, POINTS]
    if config.cube:
        chosen += [CUBE_INFO, CUBE]
    if config.ground_truth:
        chosen += [INSTANCES, TRUE_POINTS]
    return chosen


def serialise(topic: str, message: Any) -> bytes:
    """Serialise a topic's message."""
    return bytes(typestore.serialize_cdr(message, TYPES[topic]))


def _time(stamp_ns: int) -> Any:
    return _T['builtin_interfaces/msg/Time'](
        sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000
    )


def _header(stamp_ns: int, frame: str) -> Any:
    return _T['std_msgs/msg/Header'](stamp=_time(stamp_ns), frame_id=frame)


def image(stamp_ns: int, frame: str, pixels: np.ndarray, encoding: str) -> Any:
    """Make an Image of an array (H, W) or (H, W, C), C-contiguous, little-endian."""
    raw = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1)
    return _T['sensor_msgs/msg/Image'](
        header=_header(stamp_ns, frame),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=len(raw) // pixels.shape[0],
        data=raw,
    )


def compressed_image(stamp_ns: int, frame: str, pixels: np.ndarray, quality: int) -> Any:
    """Make a CompressedImage (JPEG) of (H, W, 3) uint8 BGR."""
    done, jpeg = cv2.imencode('.jpg', pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError('OpenCV could not encode a JPEG image')
    return _T['sensor_msgs/msg/CompressedImage'](
        header=_header(stamp_ns, frame), format='bgr8; jpeg compressed bgr8', data=jpeg.reshape(-1)
    )


def camera_info(stamp_ns: int, intrinsics: Intrinsics) -> Any:
    """Make the CameraInfo of a rectified pinhole."""
    k = intrinsics.matrix
    return _T['sensor_msgs/msg/CameraInfo'](
        header=_header(stamp_ns, OPTICAL_FRAME),
        height=intrinsics.height,
        width=intrinsics.width,
        distortion_model='plumb_bob',
        d=np.zeros(5),
        k=k.reshape(-1),
        r=np.eye(3).reshape(-1),
        p=np.hstack([k, np.zeros((3, 1))]).reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=_T['sensor_msgs/msg/RegionOfInterest'](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        ),
    )


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
    field = _T['sensor_msgs/msg/PointField']
    members = dict(dtype.fields or {})
    fields = [
        field(name=name, offset=offset, datatype=_DATATYPES[kind.kind], count=1)
        for name, (kind, offset, *_) in members.items()
    ]
    return _T['sensor_msgs/msg/PointCloud2'](
        header=_header(stamp_ns, RADAR_FRAME),
        height=1,
        width=len(table),
        fields=fields,
        is_bigendian=False,
        point_step=dtype.itemsize,
        row_step=dtype.itemsize * len(table),
        data=np.frombuffer(table.tobytes(), dtype=np.uint8),
        is_dense=True,
    )


def cube_info(config: DriveConfig) -> Any:
    """Make the DiagnosticStatus that carries the cube's axis limits."""
    pair = _T['diagnostic_msgs/msg/KeyValue']
    values = [pair(key=k, value=v) for k, v in cube_axes(config.radar).to_key_values()]
    return _T['diagnostic_msgs/msg/DiagnosticStatus'](
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
    transforms = []
    for parent, child, link in links:
        x, y, z, w = (float(q) for q in link.quaternion)
        tx, ty, tz = (float(t) for t in link.translation)
        transforms.append(
            _T['geometry_msgs/msg/TransformStamped'](
                header=_header(stamp_ns, parent),
                child_frame_id=child,
                transform=_T['geometry_msgs/msg/Transform'](
                    translation=_T['geometry_msgs/msg/Vector3'](x=tx, y=ty, z=tz),
                    rotation=_T['geometry_msgs/msg/Quaternion'](x=x, y=y, z=z, w=w),
                ),
            )
        )
    return _T['tf2_msgs/msg/TFMessage'](transforms=transforms)
