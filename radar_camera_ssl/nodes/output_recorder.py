# SPDX-License-Identifier: Apache-2.0
"""Records the node's outputs byte for byte to an MCAP bag, and counts them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from .endpoints import type_name

DIAGNOSTICS = '/diagnostics'
OUTPUTS: dict[str, Any] = {
    'heatmap': Image,
    'camera_info': CameraInfo,
    'overlay': Image,
    'overlay/compressed': CompressedImage,
    'reflections': PointCloud2,
}


def header_stamp_ns(data: bytes) -> int:
    """Return the stamp of a serialised message whose first field is a std_msgs/Header.

    CDR: four bytes of encapsulation, the second of which tells little endian (1), then int32
    seconds and uint32 nanoseconds.
    """
    seconds, nanoseconds = struct.unpack_from('<iI' if data[1] & 1 else '>iI', data, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


class OutputRecorder(Node):
    """Node `output_recorder`: one reliable raw subscription per output, one bag.

    A message's bag time is its header stamp, so that the outputs lie beside the recorded inputs;
    a diagnostic array's is that of the latest output. `counts` tells how many of each topic.
    """

    def __init__(
        self,
        path: Path,
        node_name: str = '/reflection_heatmap',
        outputs: tuple[str, ...] = ('heatmap', 'camera_info', 'overlay/compressed', 'reflections'),
        depth: int = 200,
        **node_options: Any,
    ) -> None:
        """Open the bag at `path` (must not exist) and subscribe to the outputs of `node_name`."""
        super().__init__('output_recorder', **node_options)
        self.path = path
        self.counts: dict[str, int] = {}
        self.diagnostics: dict[str, str] = {}
        self._prefix = '/' + node_name.strip('/')
        self._latest_stamp: int | None = None
        self._early: list[bytes] = []
        writer = Writer(path, version=9, storage_plugin=StoragePlugin.MCAP)
        writer.open()
        self._writer: Writer | None = writer
        reliable = QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE)
        types: Mapping[str, Any] = {
            f'{self._prefix}/output/{name}': OUTPUTS[name] for name in outputs
        } | {DIAGNOSTICS: DiagnosticArray}
        typestore = get_typestore(Stores.ROS2_JAZZY)
        self._connections = {}
        for topic, message_type in types.items():
            self.counts[topic] = 0
            self._connections[topic] = writer.add_connection(
                topic, type_name(message_type), typestore=typestore
            )
            self.create_subscription(
                message_type,
                topic,
                partial(self._record, topic),
                reliable,
                raw=True,
            )

    def count(self, output: str) -> int:
        """Return how many messages of an output (`heatmap`) have been recorded."""
        return self.counts[f'{self._prefix}/output/{output}']

    def _record(self, topic: str, data: bytes) -> None:
        writer = self._writer
        if writer is None:
            return
        self.counts[topic] += 1
        if topic == DIAGNOSTICS:
            self._read_diagnostics(data)
            if self._latest_stamp is None:
                self._early.append(data)
                return
            stamp = self._latest_stamp
        else:
            stamp = header_stamp_ns(data)
            self._latest_stamp = max(stamp, self._latest_stamp or 0)
            early, self._early = self._early, []
            for message in early:
                writer.write(self._connections[DIAGNOSTICS], stamp, message)
        writer.write(self._connections[topic], stamp, data)

    def _read_diagnostics(self, data: bytes) -> None:
        ours = {
            status.name.rpartition(': ')[2]: status
            for status in deserialize_message(data, DiagnosticArray).status
            if status.name.startswith(f'{self._prefix[1:]}: ')
        }
        if 'perception' not in ours:
            return
        values = {value.key: value.value for status in ours.values() for value in status.values}
        verdict = ours['perception']
        self.diagnostics = values | {
            'level': str(verdict.level[0]),
            'message': verdict.message,
        }

    def destroy_node(self) -> None:
        """Close the bag and the node."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        super().destroy_node()
