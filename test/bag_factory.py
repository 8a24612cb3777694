# SPDX-License-Identifier: Apache-2.0
"""Bags of serialised messages, of every storage and compression that a test wants."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

Row = tuple[str, str, int, bytes]
"""Topic, type, bag time ns, CDR."""
PIXELS = np.full((4, 6, 3), 77, np.uint8)
POINTS = np.ones(3, [(name, 'f4') for name in ('x', 'y', 'z', 'velocity', 'rcs')])
_STORE = get_typestore(Stores.ROS2_JAZZY)


def write_rows(
    path: Path,
    rows: Iterable[Row],
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
) -> Path:
    """Write a bag of these rows in their order; a topic has the type of its first row."""
    writer = Writer(path, version=9, storage_plugin=storage)
    if compression != CompressionMode.NONE:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections: dict[str, Any] = {}
        for topic, kind, time_ns, data in rows:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=_STORE)
            writer.write(connections[topic], time_ns, data)
    return path


def ros1_bag(path: Path) -> Path:
    """Write a second of a camera, PIXELS, and a radar, POINTS, at 10 Hz as ROS 1 records it."""
    store = get_typestore(Stores.ROS1_NOETIC)
    t = store.types

    def header(frame: str, stamp_ns: int) -> Any:
        stamp = t['builtin_interfaces/msg/Time'](*divmod(stamp_ns, 10**9))
        return t['std_msgs/msg/Header'](0, stamp, frame)

    fields = [
        t['sensor_msgs/msg/PointField'](name, 4 * i, 7, 1)
        for i, name in enumerate(POINTS.dtype.names or ())
    ]
    data = np.frombuffer(POINTS.tobytes(), np.uint8)
    region = t['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    k = np.diag([100.0, 100.0, 1.0]).ravel()
    with Ros1Writer(path) as writer:
        connections: dict[str, Any] = {}
        for stamp in range(10**9, 2 * 10**9, 10**8):
            camera, radar = header('camera', stamp), header('radar', stamp)
            content = {
                '/usb_cam/image_raw': t['sensor_msgs/msg/Image'](
                    camera, 4, 6, 'bgr8', 0, 18, PIXELS.ravel()
                ),
                '/usb_cam/camera_info': t['sensor_msgs/msg/CameraInfo'](
                    camera, 4, 6, 'plumb_bob', np.zeros(5), k, np.eye(3).ravel(), np.zeros(12),
                    0, 0, region,
                ),
                '/ti_mmwave/radar_scan_pcl': t['sensor_msgs/msg/PointCloud2'](
                    radar, 1, 3, fields, False, 20, 60, data, True
                ),
            }  # fmt: skip
            for topic, msg in content.items():
                if topic not in connections:
                    connection = writer.add_connection(topic, msg.__msgtype__, typestore=store)
                    connections[topic] = connection
                raw = store.serialize_ros1(msg, msg.__msgtype__)
                writer.write(connections[topic], stamp, raw)
    return path
