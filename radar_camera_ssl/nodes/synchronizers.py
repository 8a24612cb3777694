# SPDX-License-Identifier: Apache-2.0
"""Who pairs radar and image: our pairing, or message_filters behind the same face."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from radar_camera_ssl.sensors.pairing import NearestTimePairing, Pair, PairingCounts

from . import optional_packages
from .parameters import Settings


class Synchronizer(Protocol):
    """Messages in, pairs out."""

    def add_radar(self, stamp: int, item: Any) -> list[Pair]: ...
    def add_image(self, stamp: int, item: Any) -> list[Pair]: ...
    def flush(self) -> list[Pair]: ...
    def clear(self, reason: str) -> None: ...
    @property
    def counts(self) -> PairingCounts: ...


def make_synchronizer(settings: Settings) -> Synchronizer:
    """Return the synchronizer that the settings ask for.

    Raises MissingPackageError for `message_filters` where it is not installed.
    """
    if settings.synchronizer == 'message_filters':
        return MessageFiltersPairing(settings.slop, settings.queue_size)
    return NearestTimePairing(settings.slop, settings.queue_size)


@dataclass(frozen=True)
class _Stamped:
    """What message_filters reads of a message, around ours."""

    header: Any
    stamp: int
    item: Any


@dataclass
class _Side:
    received: int = 0
    cleared: dict[str, int] = field(default_factory=dict)
    newest: int = 0


class MessageFiltersPairing:
    """`message_filters.ApproximateTimeSynchronizer` with our interface and account.

    Upstream's queue evicts new messages after a backward jump of time and never pairs again; a
    jump by more than the slop therefore starts a new synchronizer, and its queue is counted as
    `time_jump`. Frames that upstream forgot are counted as `no_partner` once they have left its
    queue.
    """

    def __init__(self, slop_s: float, queue_size: int) -> None:
        """Create it; raises MissingPackageError where message_filters is not installed."""
        self._filters = optional_packages.message_filters()
        self._slop_s, self._queue_size = slop_s, queue_size
        self._radar, self._image = _Side(), _Side()
        self._pairs = self._resets = 0
        self._released: list[Pair] = []
        self._start()

    def _start(self) -> None:
        self._inputs = [self._filters.SimpleFilter(), self._filters.SimpleFilter()]
        self._upstream = self._filters.ApproximateTimeSynchronizer(
            self._inputs, self._queue_size, self._slop_s
        )
        # Runs inside upstream's lock, which an exception would leave locked: it only appends.
        self._upstream.registerCallback(self._on_pair)

    def _on_pair(self, radar: _Stamped, image: _Stamped) -> None:
        self._released.append(Pair(radar.stamp, image.stamp, radar.item, image.item))

    def add_radar(self, stamp: int, item: Any) -> list[Pair]:
        """Add a radar frame; return the pairs it completes."""
        return self._add(self._radar, 0, stamp, item)

    def add_image(self, stamp: int, item: Any) -> list[Pair]:
        """Add an image; return the pairs it completes."""
        return self._add(self._image, 1, stamp, item)

    def _add(self, side: _Side, index: int, stamp: int, item: Any) -> list[Pair]:
        side.received += 1
        if stamp < side.newest - self._slop_s * 1e9:
            self.clear('time_jump')
            self._resets += 1
        elif stamp in self._upstream.queues[index]:
            # Upstream would silently replace the waiting message of the same stamp.
            side.cleared['duplicate_stamp'] = side.cleared.get('duplicate_stamp', 0) + 1
            return []
        side.newest = stamp
        self._inputs[index].signalMessage(_Stamped(item.message.header, stamp, item))
        released, self._released = self._released, []
        self._pairs += len(released)
        return released

    def flush(self) -> list[Pair]:
        """Forget what waits: upstream pairs at once or never."""
        self.clear('no_partner')
        return []

    def clear(self, reason: str) -> None:
        """Drop what waits, counted under `reason`."""
        for side, queue in zip((self._radar, self._image), self._upstream.queues, strict=True):
            side.newest = 0
            if queue:
                side.cleared[reason] = side.cleared.get(reason, 0) + len(queue)
        self._start()

    @property
    def counts(self) -> PairingCounts:
        """The account now; what neither waits nor was paired or cleared was forgotten."""
        radar_queue, image_queue = self._upstream.queues
        return PairingCounts(
            radar_received=self._radar.received,
            image_received=self._image.received,
            pairs=self._pairs,
            radar_dropped=self._dropped(self._radar, len(radar_queue)),
            image_dropped=self._dropped(self._image, len(image_queue)),
            radar_pending=len(radar_queue),
            image_pending=len(image_queue),
            resets=self._resets,
        )

    def _dropped(self, side: _Side, pending: int) -> dict[str, int]:
        dropped = dict(side.cleared)
        forgotten = side.received - self._pairs - pending - sum(dropped.values())
        if forgotten:
            dropped['no_partner'] = dropped.get('no_partner', 0) + forgotten
        return dropped
