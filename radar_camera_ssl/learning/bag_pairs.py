# SPDX-License-Identifier: Apache-2.0
"""The pairs of a bag with everything that its radar tells: points, cube, or both of one frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.pairing import NS_PER_S, Pair
from radar_camera_ssl.sensors.radar_cube import CubeAxes
from radar_camera_ssl.sensors.recording import Recording, RecordingError, read_pairs, stamp_ns

KINDS = ('points', 'cube')
AXES_TOPIC = '/radar/cube_info'


@dataclass(frozen=True)
class BagSource:
    """What to read of a bag; a topic that is None is found by its type and name.

    kinds: the radar data to take where the bag has them, of `points` and `cube`; a topic that is
    named must be there. aliases: (quantity, field) of the points, as in sensors.radar_points.
    cube_axes: the cube's limits where the bag does not tell them, or tells them wrong.
    """

    kinds: tuple[str, ...] = KINDS
    image_topic: str | None = None
    points_topic: str | None = None
    cube_topic: str | None = None
    aliases: tuple[tuple[str, str], ...] = ()
    cube_axes: CubeAxes | None = None

    def __post_init__(self) -> None:
        """Refuse kinds of radar data that there are not."""
        if not self.kinds or set(self.kinds) - set(KINDS):
            raise ValueError(f'kinds of radar data are {KINDS}, not {self.kinds}')

    def radar_topic(self, recording: Recording, kind: str) -> str | None:
        """Find the topic of a kind of radar data; None where it is not wanted or not there."""
        if kind not in self.kinds:
            return None
        named = self.points_topic if kind == 'points' else self.cube_topic
        return recording.required_topic(kind, named) if named else recording.find_topic(kind)


class BagPairs:
    """Iterates once over a bag's pairs as (pair, points message, cube message); closes the bag.

    `kinds` tells which of the two messages there are: the other one is None. Where there are both,
    images are paired with the points, and the cube is that of the points' stamp; a frame without
    is given with None. `axes` are those of the cube.
    Raises RecordingError for a bag that cannot be read or has no fitting topic, and ValueError
    for a cube whose axes nobody tells.
    """

    def __init__(self, bag: Path, source: BagSource, slop_s: float) -> None:
        with ExitStack() as stack:
            recording = stack.enter_context(Recording(bag))
            topics = {kind: source.radar_topic(recording, kind) for kind in KINDS}
            self.kinds = tuple(kind for kind in KINDS if topics[kind])
            if not self.kinds:
                raise RecordingError(
                    f'{bag}: no radar topic of kind {" or ".join(source.kinds)}; '
                    f'there are {recording.topics}'
                )
            cube = topics['cube']
            self.axes = _axes(recording, cube, source) if cube else None
            self._reader = read_pairs(
                recording, self.kinds[0], slop_s, source.image_topic, topics[self.kinds[0]]
            )
            self._cubes = None
            if cube and len(self.kinds) > 1:
                self._cubes = _ByStamp(stack.enter_context(Recording(bag)), cube)
            self._stack = stack.pop_all()

    def __enter__(self) -> BagPairs:
        """Give the pairs; they can be read while the context lasts."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the bag."""
        self._stack.close()

    def __iter__(self) -> Iterator[tuple[Pair, Any, Any]]:
        """Yield (pair, points or None, cube or None)."""
        for pair in self._reader:
            if self._cubes is not None:
                yield pair, pair.radar, self._cubes.find(pair.radar_stamp)
            elif self.kinds == ('points',):
                yield pair, pair.radar, None
            else:
                yield pair, None, pair.radar

    @property
    def damages(self) -> list[str]:
        """What of the bag could not be read so far; empty for a whole one."""
        return self._reader.recording.damages

    @property
    def unpaired(self) -> dict[str, int]:
        """Messages that found no partner so far, by sensor and reason."""
        counts = self._reader.pairing.counts
        reasons: Counter[str] = Counter()
        for sensor, dropped in (('radar', counts.radar_dropped), ('image', counts.image_dropped)):
            reasons.update({f'{sensor}_{reason}': n for reason, n in dropped.items()})
        reasons['stamp_zero'] += sum(self._reader.stamp_zero.values())
        return {reason: number for reason, number in reasons.items() if number}


class _ByStamp:
    """The messages of one topic by their stamps, which are asked for in order.

    They are read from a recording of their own, beside the pairs and as far as those have come,
    so that few wait here.
    """

    AHEAD_NS = NS_PER_S

    def __init__(self, recording: Recording, topic: str) -> None:
        self._messages = recording.messages([topic])
        self._waiting: dict[int, Any] = {}

    def find(self, stamp: int) -> Any | None:
        """Give the message of a stamp, None where there is none."""
        while stamp not in self._waiting:
            item = next(self._messages, None)
            if item is None:
                break
            found = stamp_ns(item[2])
            self._waiting[found] = item[2]
            if found > stamp + self.AHEAD_NS:
                break
        msg = self._waiting.pop(stamp, None)
        # A stamp that is far ahead is from before a jump back in time.
        latest = stamp + 2 * self.AHEAD_NS
        self._waiting = {s: m for s, m in self._waiting.items() if stamp < s <= latest}
        return msg


def _axes(recording: Recording, cube_topic: str, source: BagSource) -> CubeAxes:
    """The cube's axes as handed in, or as the recorder wrote them down."""
    if source.cube_axes is not None:
        return source.cube_axes
    there = [t for t in (f'{cube_topic}_info', AXES_TOPIC) if t in recording.topics]
    told = next(recording.messages(there[:1]), None)
    if told is None:
        raise ValueError(
            f'{recording.path}: nothing tells the axis limits of {cube_topic}: '
            f'there is no {AXES_TOPIC}, and none were handed in'
        )
    try:
        return CubeAxes.from_key_values(told[2].values)
    except (SensorDataError, AttributeError) as error:
        raise ValueError(f'{recording.path}: {told[0]}: {error}') from error
