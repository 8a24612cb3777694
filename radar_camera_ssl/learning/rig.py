# SPDX-License-Identifier: Apache-2.0
"""What a user's own bags tell about their rig, so that nobody has to write it down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from radar_camera_ssl.learning.bag_pairs import KINDS, BagSource
from radar_camera_ssl.learning.network import STRIDE
from radar_camera_ssl.sensors.camera import decode_image
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.geometry import same_shape
from radar_camera_ssl.sensors.recording import Recording, RecordingError

PIXELS = 320 * 240
"""Of an image as the network takes it: what a vehicle's processor has time for."""


@dataclass(frozen=True)
class Rig:
    """Which radar data to learn from, and the size of the images as the network takes them."""

    radar: str
    height: int
    width: int


def read_rig(bags: Sequence[Path], source: BagSource, radar: str = 'auto') -> Rig:
    """Read a rig from its bags.

    radar: `points`, `cube`, or `auto`: points where every bag has them, else the cube. Raises
    RecordingError for a bag that cannot be read or has no image, and ValueError, naming the bags,
    where the radar data wanted are not in all of them or their images have different shapes.
    """
    reasons = []
    for kind in KINDS if radar == 'auto' else (radar,):
        without = [str(bag) for bag in bags if not _has(bag, kind, source)]
        if not without:
            return Rig(kind, *input_size(*image_size(bags, source)))
        reasons.append(f'no radar {kind} in {", ".join(without)}')
    raise ValueError('; '.join(reasons))


def input_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of the network's input for a camera's images.

    Of the same shape, in whole cells, and of PIXELS in all or of as many as the camera has.
    """
    scale = math.sqrt(min(1.0, PIXELS / (height * width))) / STRIDE
    return STRIDE * max(1, round(height * scale)), STRIDE * max(1, round(width * scale))


def _has(bag: Path, kind: str, source: BagSource) -> bool:
    with Recording(bag) as recording:
        return source.radar_topic(recording, kind) is not None


def image_size(bags: Sequence[Path], source: BagSource) -> tuple[int, int]:
    """Height and width of the bags' images; where they differ in size only, the first one's.

    Raises RecordingError for a bag that has none, ValueError where their shapes differ.
    """
    first: tuple[int, int] | None = None
    for bag in bags:
        with Recording(bag) as recording:
            height, width = _first_image(recording, source.image_topic)
        first = first or (height, width)
        if not same_shape((height, width), first):
            raise ValueError(f'{bags[0]} and {bag} have images of different shapes: not one rig')
    assert first is not None
    return first


def _first_image(recording: Recording, topic: str | None) -> tuple[int, int]:
    """Height and width of the first image that can be decoded."""
    topic = recording.required_topic('image', topic)
    for _, _, msg in recording.messages([topic]):
        try:
            height, width = decode_image(msg).shape[:2]
        except SensorDataError:
            continue
        return height, width
    raise RecordingError(f'{recording.path}: {topic} has no image that can be decoded')
