# SPDX-License-Identifier: Apache-2.0
"""Recordings: bags (sqlite3 and MCAP, ROS 1 too) read without ROS, and the pairs in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection

from .bag_files import open_bag, storage_files
from .decompression import unpacked
from .errors import SensorDataError
from .geometry import Intrinsics, RigidTransform, decode_camera_info
from .pairing import NearestTimePairing, Pair
from .read_ahead import ReadAhead
from .salvage import SalvagedBag
from .topics import (
    COMPRESSED_TYPE,
    GROUND_TRUTH_PREFIX,
    KIND_TYPES,
    PREFERRED_TOPICS,
    image_kind,
    likeliest,
)

# Of serialised messages, for those who read a whole recording.
AHEAD_BYTES = 32 << 20


class RecordingError(RuntimeError):
    """A bag that is missing, corrupt, or lacks what was asked of it."""


def stamp_ns(msg: Any) -> int:
    """Return the header's stamp, ns (ROS 1 and 2 field names)."""
    stamp = msg.header.stamp
    if hasattr(stamp, 'nanosec'):
        return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
    return int(stamp.secs) * 1_000_000_000 + int(stamp.nsecs)


class Recording:
    """A bag, open for reading; a context manager.

    path: a bag's directory, or one .mcap, .db3 or (ROS 1) .bag file. A directory whose
    metadata.yaml is missing, as a crashed recorder leaves it, is read from its storage files; of
    files that are cut off or damaged what is whole is read, and `damages` says what is not.
    Every failure of a file is a RecordingError that names the bag.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise RecordingError(f'{self.path}: no such bag')
        try:
            self._reader, self._reason = open_bag(self.path)
        except Exception as error:
            raise self._unreadable(error) from error
        self._salvaged = self._reader if isinstance(self._reader, SalvagedBag) else None
        self._corrupt: dict[str, tuple[int, str]] = {}

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the bag; closing twice is harmless."""
        if self._salvaged is not None:
            self._salvaged.close()
        if not isinstance(self._reader, SalvagedBag) and self._reader.stack is not None:
            self._reader.close()

    @property
    def damages(self) -> list[str]:
        """What of the bag cannot be read, as far as reading has come; empty for a whole one."""
        found = [] if self._reason is None else [f'not a whole bag: {self._reason}']
        found += self._salvaged.damages if self._salvaged is not None else []
        return found + [
            f'{topic}: {count} messages are corrupt, the first {first}'
            for topic, (count, first) in self._corrupt.items()
        ]

    @property
    def topics(self) -> dict[str, str]:
        """Topic to message type, ground truth included."""
        # Of several types under one name, the one with most messages.
        by_count = sorted(self._reader.connections, key=lambda connection: connection.msgcount)
        return {connection.topic: connection.msgtype for connection in by_count}

    @property
    def message_counts(self) -> dict[str, int]:
        """Topic to number of messages."""
        counts: dict[str, int] = {}
        for connection in self._reader.connections:
            counts[connection.topic] = counts.get(connection.topic, 0) + connection.msgcount
        return counts

    @property
    def duration_s(self) -> float:
        """Bag time from the first to the last message, s; 0 for an empty bag."""
        if not self._reader.message_count:
            return 0.0
        return max(0.0, (self._reader.end_time - self._reader.start_time) * 1e-9)

    @property
    def start_ns(self) -> int | None:
        """Bag time of the first message, ns; None for an empty bag."""
        return int(self._reader.start_time) if self._reader.message_count else None

    def require_cdr(self) -> None:
        """Raise RecordingError for a bag whose raw messages are no CDR: one of ROS 1."""
        if isinstance(self._reader, AnyReader) and not self._reader.is2:
            raise RecordingError(
                f'{self.path}: a ROS 1 bag, whose messages no ROS 2 node can read; convert it: '
                f'rosbags-convert --src {self.path} --dst {self.path.with_suffix("")}'
            )

    def topics_of(self, kind: str) -> list[str]:
        """Return the topics of a kind: image, points, cube or camera_info; no ground truth."""
        topics = self._of_type(kind)
        if kind in ('image', 'cube'):
            topics = [topic for topic in topics if self._image_kind(topic) == kind]
        return topics

    def find_topic(self, kind: str, image_topic: str | None = None) -> str | None:
        """Return the topic of `kind`: image, points, cube or camera_info; None if there is none.

        The names of this project's drives first, then the only topic of a fitting type, then the
        only one with a telling name; of several camera_info the one of image_topic (found if not
        given), by its name or its frame. Raises RecordingError when several remain: name one then.
        """
        preferred = [topic for topic in PREFERRED_TOPICS[kind] if topic in self._of_type(kind)]
        if preferred and image_topic is None:
            return preferred[0]
        topics = self.topics_of(kind)
        if kind == 'camera_info' and len(topics) > 1:
            image_topic = image_topic or self.find_topic('image')
            topics = likeliest(kind, topics, image_topic)
            if len(topics) > 1 and image_topic is not None:
                frame = self._frame_id(image_topic)
                topics = [topic for topic in topics if self._frame_id(topic) == frame] or topics
        elif len(topics) > 1:
            topics = likeliest(kind, topics)
        if len(topics) > 1:
            raise RecordingError(f'{self.path}: several topics of kind {kind}: {topics}')
        return topics[0] if topics else None

    def required_topic(self, kind: str, named: str | None = None) -> str:
        """Return `named`, or the topic of `kind` where None.

        RecordingError when there is none, for one of another type, and for ground truth.
        """
        topic = named or self.find_topic(kind)
        if topic is None:
            raise RecordingError(f'{self.path}: no topic of kind {kind}; there are {self.topics}')
        if topic not in self.topics:
            raise RecordingError(f'{self.path}: no topic {topic}; there are {self.topics}')
        if topic.startswith(GROUND_TRUTH_PREFIX):
            raise RecordingError(f'{self.path}: {topic} is ground truth, no input')
        if (found := self.topics[topic]) not in (known := KIND_TYPES[kind]):
            raise RecordingError(f'{self.path}: {topic} is {found}, not {" or ".join(known)}')
        return topic

    def messages(
        self, topics: Iterable[str], ahead_bytes: int = 0
    ) -> Generator[tuple[str, int, Any], None, None]:
        """Yield (topic, bag time ns, message) of the named topics, ordered as `raw_messages`.

        Messages that are corrupt are left out, and counted in `damages`. With ahead_bytes a
        thread reads as much ahead; nothing else may be read of this recording in the meantime.
        """
        raw = self.raw_messages(list(topics))
        if ahead_bytes:
            with ReadAhead(raw, lambda item: len(item[3]), ahead_bytes) as ahead:
                yield from self._deserialised(ahead)
        else:
            yield from self._deserialised(raw)

    def _deserialised(
        self, raw: Iterable[tuple[str, str, int, bytes]]
    ) -> Iterator[tuple[str, int, Any]]:
        for topic, msgtype, time_ns, data in raw:
            try:
                msg = self._reader.deserialize(data, msgtype)
            except KeyError as error:
                raise RecordingError(
                    f'{self.path}: {topic}: no definition of {msgtype} in the bag'
                ) from error
            except Exception as error:  # noqa: BLE001 - of bytes anything can be made
                self._leave_out(topic, time_ns, error)
                continue
            yield topic, time_ns, msg

    def raw_messages(
        self, topics: Iterable[str] | None = None
    ) -> Iterator[tuple[str, str, int, bytes]]:
        """Yield (topic, type, bag time ns, serialised message) in the order of bag time.

        Serialised as recorded: by CDR, but for a bag of ROS 1 (see `require_cdr`).
        `topics` None means all but ground truth, which is given only where it is named. What is
        not whole comes in the order in which it was recorded.
        """
        connections = self._connections(topics)
        if not connections:
            return
        messages = iter(self._reader.messages(connections))
        salvaging = isinstance(self._reader, SalvagedBag)
        given: Counter[str] = Counter()
        while True:
            try:
                item = next(messages, None)
            except Exception as error:
                if salvaging:
                    raise self._unreadable(error) from error
                wanted = {connection.topic for connection in connections}
                messages = self._salvage(error).messages_behind(wanted, given)
                salvaging = True
                continue
            if item is None:
                return
            connection, time_ns, data = item
            given[connection.topic] += 1
            try:
                data = unpacked(data)
            except ValueError as error:
                self._leave_out(connection.topic, time_ns, error)
                continue
            yield connection.topic, connection.msgtype, time_ns, data

    def _leave_out(self, topic: str, time_ns: int, error: Exception) -> None:
        count, first = self._corrupt.get(topic, (0, f'at {time_ns} ns ({error})'))
        self._corrupt[topic] = (count + 1, first)

    def _salvage(self, error: Exception) -> SalvagedBag:
        """Open for what can still be read a bag that seemed whole until this error."""
        if self._salvaged is None:
            self._salvaged = SalvagedBag.of(storage_files(self.path))
            self._reason = str(error)
        if self._salvaged is None:
            raise self._unreadable(error) from error
        return self._salvaged

    def static_transforms(self) -> dict[tuple[str, str], RigidTransform]:
        """Return (parent, child) to T_parent_child of every tf_static topic."""
        topics = [
            topic
            for topic, msgtype in self.topics.items()
            if msgtype == 'tf2_msgs/msg/TFMessage' and topic.endswith('tf_static')
        ]
        transforms = {}
        for _, _, msg in self.messages(topics):
            for stamped in msg.transforms:
                q, t = stamped.transform.rotation, stamped.transform.translation
                frames = (stamped.header.frame_id, stamped.child_frame_id)
                try:
                    transform = RigidTransform.from_quaternion(
                        (q.x, q.y, q.z, q.w), (t.x, t.y, t.z)
                    )
                except SensorDataError as error:
                    raise RecordingError(f'{self.path}: transform {frames}: {error}') from error
                transforms[frames] = transform
        return transforms

    def camera_info(self, topic: str | None = None, image_topic: str | None = None) -> Any | None:
        """Return the first calibrated CameraInfo message, None where there is none.

        Found if not named: the one of image_topic, which is found too if not named.
        """
        if topic is not None:
            self.required_topic('camera_info', topic)
        topic = topic or self.find_topic('camera_info', image_topic)
        for _, _, msg in self.messages([topic] if topic else []):
            with suppress(SensorDataError):
                decode_camera_info(msg)
                return msg
        return None

    def intrinsics(self, topic: str | None = None) -> Intrinsics | None:
        """Return those of the first calibrated CameraInfo, None where there is none."""
        info = self.camera_info(topic)
        return None if info is None else decode_camera_info(info)

    def _connections(self, topics: Iterable[str] | None) -> list[Connection]:
        if topics is None:
            return [
                c for c in self._reader.connections if not c.topic.startswith(GROUND_TRUTH_PREFIX)
            ]
        wanted = set(topics)
        if unknown := wanted - self.topics.keys():
            raise RecordingError(
                f'{self.path}: no topic {sorted(unknown)}; there are {sorted(self.topics)}'
            )
        return [
            connection for connection in self._reader.connections if connection.topic in wanted
        ]

    def _of_type(self, kind: str) -> list[str]:
        counts = self.message_counts
        return [
            topic
            for topic, msgtype in self.topics.items()
            if msgtype in KIND_TYPES[kind]
            and counts[topic]
            and not topic.startswith(GROUND_TRUTH_PREFIX)
        ]

    def _image_kind(self, topic: str) -> str:
        """Tell a camera's from a radar cube's Image topic by the first message."""
        if self.topics[topic] == COMPRESSED_TYPE:
            return 'image'
        for _, _, msg in self.messages([topic]):
            return image_kind(msg.encoding)
        return 'other'

    def _frame_id(self, topic: str) -> str | None:
        for _, _, msg in self.messages([topic]):
            return str(msg.header.frame_id)
        return None

    def _unreadable(self, error: Exception) -> RecordingError:
        detail = str(error) or type(error).__name__
        return RecordingError(f'{self.path}: cannot be read ({detail})')


@dataclass(frozen=True)
class RecordedPair(Pair):
    """A pair, and the bag times, ns, of its two messages."""

    radar_time: int
    image_time: int


class PairReader:
    """Iterates over the pairs of a recording: messages in arrival order through the pairing.

    `pairing.counts` tells what became of every message; `stamp_zero` counts messages without a
    stamp, by topic, which never reach the pairing.
    """

    def __init__(
        self,
        recording: Recording,
        image_topic: str,
        radar_topic: str,
        slop_s: float,
        queue_size: int = 50,
    ) -> None:
        self.recording = recording
        self.image_topic = image_topic
        self.radar_topic = radar_topic
        self.pairing = NearestTimePairing(slop_s, queue_size)
        self.stamp_zero = {image_topic: 0, radar_topic: 0}

    def __iter__(self) -> Iterator[RecordedPair]:
        topics = [self.image_topic, self.radar_topic]
        for topic, time_ns, msg in self.recording.messages(topics, AHEAD_BYTES):
            stamp = stamp_ns(msg)
            if stamp == 0:
                self.stamp_zero[topic] += 1
            elif topic == self.radar_topic:
                yield from map(_recorded, self.pairing.add_radar(stamp, (time_ns, msg)))
            else:
                yield from map(_recorded, self.pairing.add_image(stamp, (time_ns, msg)))
        yield from map(_recorded, self.pairing.flush())


def _recorded(pair: Pair) -> RecordedPair:
    """Take the messages of a pair apart from their bag times."""
    (radar_time, radar), (image_time, image) = pair.radar, pair.image
    return RecordedPair(pair.radar_stamp, pair.image_stamp, radar, image, radar_time, image_time)


def read_pairs(
    recording: Recording,
    radar_kind: str,
    slop_s: float,
    image_topic: str | None = None,
    radar_topic: str | None = None,
) -> PairReader:
    """Return the pairs of a recording, iterable once.

    radar_kind: `points` or `cube`. Topics not given are found; RecordingError when there is none.
    """
    image_topic = recording.required_topic('image', image_topic)
    radar_topic = recording.required_topic(radar_kind, radar_topic)
    return PairReader(recording, image_topic, radar_topic, slop_s)
