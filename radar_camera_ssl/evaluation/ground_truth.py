# SPDX-License-Identifier: Apache-2.0
"""Ground truth of a recording, by the sensors' own stamps. Nothing else reads these topics."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.sensors.radar_points import RadarPoints, structured_view
from radar_camera_ssl.sensors.recording import AHEAD_BYTES, Recording, stamp_ns

INSTANCES_TOPIC = '/ground_truth/instances'
RADAR_POINTS_TOPIC = '/ground_truth/radar_points'

# A message and its ground truth are recorded together; further ahead than this is another moment.
_LOOK_AHEAD = 64

# A cell of a cube within these of a true return shows that return.
_MATCH_RANGE_M = 2.0
_MATCH_AZIMUTH_RAD = np.deg2rad(5.0)


@dataclass(frozen=True)
class FrameTruth:
    """What one pair really shows.

    instances: (H, W) unsigned, 0 where nothing reflects, k on the visible pixels of source k.
    return_instance: (M,) unsigned, the source of each row of the radar message, 0 for clutter and
    ghosts. return_position: (M, 3) m in the radar's frame, needed only for cubes.
    """

    instances: NDArray[np.integer[Any]]
    return_instance: NDArray[np.integer[Any]]
    return_position: NDArray[np.floating[Any]] | None = None
    _columns: dict[int, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def pixel_count(self) -> NDArray[np.int64]:
        """Visible pixels of each source, by its number, long enough for every return's source."""
        largest = int(self.return_instance.max(initial=0))
        return np.bincount(self.instances.ravel(), minlength=largest + 1)

    def misfit(self, image_shape: tuple[int, ...], radar: object) -> str | None:
        """Say why this cannot be the truth of an image and a radar frame; None where it can."""
        if self.instances.shape != image_shape[:2]:
            return f'ground truth of {self.instances.shape} for an image of {image_shape[:2]}'
        if isinstance(radar, RadarPoints):
            rows = len(self.return_instance)
            if radar.row.max(initial=-1) >= rows:
                return 'ground truth of fewer returns than its radar frame has'
        return None

    def visible(self, source: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Whether each source number is a real source with at least one pixel in this image."""
        return (source > 0) & (self.pixel_count[source] > 0)

    def columns_of(self, source: int) -> NDArray[np.int64]:
        """Sorted image columns in which a source is visible."""
        if source not in self._columns:
            self._columns[source] = np.flatnonzero((self.instances == source).any(axis=0))
        return self._columns[source]

    def source_of(self, returns: RadarPoints, by_row: bool = True) -> NDArray[np.int64]:
        """Source number (N,) of each return a model used; 0 for clutter and ghosts.

        by_row: the returns are rows of the radar message. Otherwise (a cube, whose returns the
        network selects) each takes the source of the nearest true return within 2 m of range and
        5 degrees of azimuth, in units of these, and counts as clutter where there is none.
        """
        if by_row:
            return self.return_instance[returns.row].astype(np.int64)
        source = np.zeros(len(returns), np.int64)
        if self.return_position is None or not len(self.return_instance) or not len(returns):
            return source
        true = self.return_position
        true_range = np.linalg.norm(true, axis=1)
        true_azimuth = np.arctan2(true[:, 1], true[:, 0])
        turn = returns.azimuth[:, None] - true_azimuth
        turn = np.abs(np.arctan2(np.sin(turn), np.cos(turn))) / _MATCH_AZIMUTH_RAD
        away = np.abs(returns.range[:, None] - true_range) / _MATCH_RANGE_M
        distance = np.where((turn <= 1) & (away <= 1), np.hypot(turn, away), np.inf)
        nearest = distance.argmin(axis=1)
        matched = np.isfinite(distance[np.arange(len(returns)), nearest])
        return np.where(matched, self.return_instance[nearest], 0).astype(np.int64)

    @cached_property
    def reflecting_sources(self) -> NDArray[np.int64]:
        """Visible sources with at least one return in this radar frame."""
        sources = np.unique(self.return_instance).astype(np.int64)
        return sources[self.visible(sources)]


def decode_instances(msg: Any) -> NDArray[np.uint16]:
    """Instance image (H, W) of a 16UC1 message, honouring step and byte order.

    Raises ValueError for another encoding or too little data.
    """
    if msg.encoding not in ('16UC1', 'mono16'):
        raise ValueError(f'{INSTANCES_TOPIC} is {msg.encoding!r}, expected 16UC1')
    height, width, step = int(msg.height), int(msg.width), int(msg.step)
    data = np.frombuffer(msg.data, np.uint8)
    if step < 2 * width or len(data) < height * step:
        raise ValueError(
            f'{INSTANCES_TOPIC} has {len(data)} bytes for {height} rows of {step} '
            f'and {width} columns'
        )
    rows = data[: height * step].reshape(height, step)[:, : 2 * width]
    big = bool(msg.is_bigendian)
    values = np.ascontiguousarray(rows).view('>u2' if big else '<u2')
    return values.astype(np.uint16, copy=False)


class GroundTruthReader:
    """Reads a recording's ground truth alongside a replay of it; a context manager.

    Pairs come in the order of their stamps, so the reader runs ahead only as far as the wanted
    stamps and forgets what lies behind them: memory is flat in the recording's length.
    """

    def __init__(self, recording: Recording) -> None:
        """Look for ground truth; where there is any, the recording is opened once more for it."""
        topics = (INSTANCES_TOPIC, RADAR_POINTS_TOPIC)
        self.available = set(topics) <= recording.topics.keys()
        self._instances: dict[int, Any] = {}
        self._returns: dict[int, Any] = {}
        self._held = ExitStack()
        if self.available:
            again = self._held.enter_context(Recording(recording.path))
            self._messages = again.messages(topics, AHEAD_BYTES)
            self._held.callback(self._messages.close)

    def __enter__(self) -> GroundTruthReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.close()

    def at(self, image_stamp: int, radar_stamp: int) -> FrameTruth | None:
        """Ground truth of the pair with these stamps (ns); None where the recording has none.

        Raises ValueError when it is there and cannot be read.
        """
        if not self.available:
            return None
        while image_stamp not in self._instances or radar_stamp not in self._returns:
            if max(len(self._instances), len(self._returns)) > _LOOK_AHEAD:
                break
            message = next(self._messages, None)
            if message is None:
                break
            topic, _, msg = message
            held = self._instances if topic == INSTANCES_TOPIC else self._returns
            stamp = stamp_ns(msg)
            wanted = image_stamp if topic == INSTANCES_TOPIC else radar_stamp
            if stamp >= wanted:
                held[stamp] = msg
        _forget_before(self._instances, image_stamp)
        _forget_before(self._returns, radar_stamp)
        instances, returns = self._instances.get(image_stamp), self._returns.get(radar_stamp)
        if instances is None or returns is None:
            return None
        points = structured_view(returns)
        if points.dtype.names is None or 'instance' not in points.dtype.names:
            raise ValueError(f'{RADAR_POINTS_TOPIC} has no field "instance"')
        labels = np.ascontiguousarray(points['instance']).ravel().astype(np.uint16)
        position = None
        if all(name in points.dtype.names for name in 'xyz'):
            position = np.stack([points[name].astype(np.float64) for name in 'xyz'], axis=-1)
        return FrameTruth(decode_instances(instances), labels, position)


def _forget_before(held: dict[int, Any], stamp: int) -> None:
    for old in [s for s in held if s < stamp]:
        del held[old]
