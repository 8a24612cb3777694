# SPDX-License-Identifier: Apache-2.0
"""The inputs of benchmarks/pipeline.py: serialised before anything is timed."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image, PointCloud2

from radar_camera_ssl.nodes.conversions import compressed_message
from radar_camera_ssl.sensors.camera import decode_image
from radar_camera_ssl.sensors.radar_points import RadarPoints, decode_points
from radar_camera_ssl.sensors.recording import Recording
from radar_camera_ssl.simulation import CameraConfig, DriveConfig, RadarConfig, simulate_missing

IMAGE_TOPIC, RADAR_TOPIC = '/camera/image_raw', '/radar/points'
KINDS: dict[str, Any] = {'raw': Image, 'jpeg': CompressedImage}
DRIVE = DriveConfig(
    seed=9500,
    duration_s=0.6,
    camera=CameraConfig(width=1280, height=720, jitter_s=0.0, drop_rate=0.0),
    radar=RadarConfig(rate_hz=20.0, jitter_s=0.0, drop_rate=0.0),
    cube=False,
    ground_truth=False,
)


@dataclass(frozen=True)
class Inputs:
    """Serialised messages, sent again and again, and one pair of them decoded.

    kind: `raw` (Image bgr8) or `jpeg` (CompressedImage). sha256: of all the messages.
    """

    kind: str
    image_type: Any
    images: list[bytes]
    radars: list[bytes]
    image: NDArray[np.uint8]
    returns: RadarPoints
    sha256: str

    def serialised(self, topic: str, number: int, stamp: int) -> bytes:
        """Message `number` of a topic with another stamp, ns."""
        kept = self.images if topic == IMAGE_TOPIC else self.radars
        data = kept[number % len(kept)]
        # The header's stamp is first in either message, after CDR's four bytes of its own.
        return data[:4] + struct.pack('<iI', *divmod(stamp, 10**9)) + data[12:]

    def message_type(self, topic: str) -> Any:
        """The ROS class of a topic's messages."""
        return self.image_type if topic == IMAGE_TOPIC else PointCloud2


def load(folder: Path, kind: str) -> Inputs:
    """Simulate the drive into `folder` if it is not there, and hold its messages in memory."""
    drive = folder / 'pipeline_drive'
    simulate_missing({drive: DRIVE}, 1)
    kept: dict[str, list[bytes]] = {IMAGE_TOPIC: [], RADAR_TOPIC: []}
    with Recording(drive) as recording:
        for topic, _, _, data in recording.raw_messages(list(kept)):
            kept[topic].append(bytes(data))
    if kind == 'jpeg':
        kept[IMAGE_TOPIC] = [_as_jpeg(data) for data in kept[IMAGE_TOPIC]]
    first = deserialize_message(kept[IMAGE_TOPIC][0], KINDS[kind])
    digest = hashlib.sha256()
    for data in kept[IMAGE_TOPIC] + kept[RADAR_TOPIC]:
        digest.update(data)
    return Inputs(
        kind=kind,
        image_type=KINDS[kind],
        images=kept[IMAGE_TOPIC],
        radars=kept[RADAR_TOPIC],
        image=decode_image(first),
        returns=decode_points(deserialize_message(kept[RADAR_TOPIC][0], PointCloud2)),
        sha256=digest.hexdigest(),
    )


def _as_jpeg(data: bytes) -> bytes:
    """A serialised Image as a serialised CompressedImage."""
    message = deserialize_message(data, Image)
    return serialize_message(compressed_message(decode_image(message), message.header))
