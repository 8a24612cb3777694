# SPDX-License-Identifier: Apache-2.0
"""The inputs of benchmarks/pipeline.py: messages made before anything is timed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image, PointCloud2

from radar_camera_ssl.nodes.conversions import compressed_message, stamp_message
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
    """Messages in memory, sent again and again with other stamps, and one pair of them decoded.

    kind: `raw` (Image bgr8) or `jpeg` (CompressedImage). sha256: of all of them, serialised.
    """

    kind: str
    messages: dict[str, list[Any]]
    image: NDArray[np.uint8]
    returns: RadarPoints
    sha256: str

    def stamped(self, topic: str, number: int, stamp: int) -> Any:
        """Message `number` of a topic with another stamp, ns."""
        kept = self.messages[topic]
        message = kept[number % len(kept)]
        message.header.stamp = stamp_message(stamp)
        return message


def load(folder: Path, kind: str) -> Inputs:
    """Simulate the drive into `folder` if it is not there, and hold its messages in memory."""
    drive = folder / 'pipeline_drive'
    simulate_missing({drive: DRIVE}, 1)
    types = {IMAGE_TOPIC: Image, RADAR_TOPIC: PointCloud2}
    messages: dict[str, list[Any]] = {topic: [] for topic in types}
    with Recording(drive) as recording:
        for topic, _, _, data in recording.raw_messages(list(types)):
            messages[topic].append(deserialize_message(bytes(data), types[topic]))
    if kind == 'jpeg':
        messages[IMAGE_TOPIC] = [
            compressed_message(decode_image(message), message.header)
            for message in messages[IMAGE_TOPIC]
        ]
    digest = hashlib.sha256()
    for message in messages[IMAGE_TOPIC] + messages[RADAR_TOPIC]:
        digest.update(serialize_message(message))
    image, radar = messages[IMAGE_TOPIC][0], messages[RADAR_TOPIC][0]
    return Inputs(kind, messages, decode_image(image), decode_points(radar), digest.hexdigest())
