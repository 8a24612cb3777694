# SPDX-License-Identifier: Apache-2.0
"""Which of a bag's topics is the camera's, the radar's, the camera_info: by type, then by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

IMAGE_TYPE = 'sensor_msgs/msg/Image'
COMPRESSED_TYPE = 'sensor_msgs/msg/CompressedImage'
GROUND_TRUTH_PREFIX = '/ground_truth/'

KIND_TYPES = {
    'image': (IMAGE_TYPE, COMPRESSED_TYPE),
    'cube': (IMAGE_TYPE,),
    'points': ('sensor_msgs/msg/PointCloud2', 'radar_msgs/msg/RadarScan'),
    'camera_info': ('sensor_msgs/msg/CameraInfo',),
}
PREFERRED_TOPICS = {
    'image': ('/camera/image_raw', '/camera/image_raw/compressed'),
    'cube': ('/radar/cube',),
    'points': ('/radar/points',),
    'camera_info': ('/camera/camera_info',),
}
# A word in the name that tells one of several topics of a type.
TOPIC_HINTS = {'image': 'image_raw', 'cube': 'cube', 'points': 'radar', 'camera_info': 'camera'}


def image_kind(encoding: str) -> str:
    """Tell by its encoding what an Image topic is: `image`, `cube` or `other`."""
    if encoding.startswith('32FC'):
        # One channel of float is a depth image or a heatmap, not a cube.
        return 'other' if encoding in ('32FC', '32FC1') else 'cube'
    return 'other' if encoding == '16UC1' else 'image'


def likeliest(kind: str, topics: Sequence[str], image_topic: str | None = None) -> list[str]:
    """Return those among the topics of a kind that their names speak for; all if none do.

    image_topic: the camera whose camera_info is wanted.
    """
    # Of one camera's images the raw ones: the others hold the same, and less.
    left = [topic for topic in topics if str(PurePosixPath(topic).parent) not in topics]
    if kind == 'camera_info' and image_topic is not None:
        camera = PurePosixPath(image_topic.removesuffix('/compressed')).parent
        left = [topic for topic in left if PurePosixPath(topic).parent == camera] or left
    if len(left) > 1:
        left = [topic for topic in left if TOPIC_HINTS[kind] in topic.lower()] or left
    return left
