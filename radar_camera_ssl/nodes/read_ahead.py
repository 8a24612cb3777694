# SPDX-License-Identifier: Apache-2.0
"""A bag's messages, read ahead so that a slow disk delays none. No ROS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from radar_camera_ssl.sensors.read_ahead import ReadAhead
from radar_camera_ssl.sensors.recording import Recording

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class RawMessage:
    """A serialised message and when it was recorded, ns of bag time."""

    topic: str
    time_ns: int
    data: bytes


def messages_ahead(
    bag: Path, topics: list[str], limit_mib: float, on_damage: Callable[[str], None]
) -> ReadAhead[RawMessage]:
    """Read `topics` of `bag` in recorded order, at most `limit_mib` ahead.

    `on_damage` is told, in the reading thread and before iterating ends, of each part of the bag
    that could not be read. Iterating raises what reading raised (RecordingError) when it comes to
    it.
    """

    def messages() -> Iterator[RawMessage]:
        with Recording(bag) as recording:
            for topic, _, time_ns, data in recording.raw_messages(topics):
                yield RawMessage(topic, time_ns, bytes(data))
            for damage in recording.damages:
                on_damage(damage)

    return ReadAhead(messages(), lambda message: len(message.data), limit_mib * MEBIBYTE)
