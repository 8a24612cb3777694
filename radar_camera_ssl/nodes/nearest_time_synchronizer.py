# SPDX-License-Identifier: Apache-2.0
"""Our pairing as a filter of message_filters: a drop-in for ApproximateTimeSynchronizer.

Importing this module raises MissingPackageError where message_filters is not installed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from radar_camera_ssl.sensors.pairing import NearestTimePairing, Pair, PairingCounts

from . import optional_packages
from .conversions import stamp_ns

SimpleFilter: Any = optional_packages.message_filters().SimpleFilter


class NearestTimeSynchronizer(SimpleFilter):
    """Calls back with the two messages of each pair, nearest in time, in order of stamps.

    fs: exactly two filters; the callback's arguments come in their order.
    queue_size: messages of each that may wait.   slop: largest time between the two, s.

    Unlike ApproximateTimeSynchronizer it takes the nearest message and not the first within slop,
    goes on after a backward jump of time, and holds no lock while it calls back: an exception of
    a callback reaches the executor, and the pairs after it are still delivered.
    """

    def __init__(self, fs: Sequence[Any], queue_size: int, slop: float) -> None:
        """Connect to the two filters."""
        super().__init__()
        if len(fs) != 2:
            raise ValueError(f'NearestTimeSynchronizer pairs two filters, not {len(fs)}')
        self._pairing = NearestTimePairing(slop, queue_size)
        self._lock = threading.Lock()
        self._ready: deque[Pair] = deque()
        self._delivering = False
        self.input_connections = [
            fs[0].registerCallback(self._add, self._pairing.add_radar),
            fs[1].registerCallback(self._add, self._pairing.add_image),
        ]

    @property
    def counts(self) -> PairingCounts:
        """What became of every message: `radar` is the first filter, `image` the second."""
        with self._lock:
            return self._pairing.counts

    def _add(self, msg: Any, add: Any) -> None:
        with self._lock:
            self._ready.extend(add(stamp_ns(msg.header.stamp), msg))
            # Callbacks of a multi-threaded executor: one thread delivers, so that order is kept.
            if self._delivering:
                return
            self._delivering = True
        try:
            while (pair := self._next()) is not None:
                self.signalMessage(pair.radar, pair.image)
        except BaseException:
            with self._lock:
                self._delivering = False
            raise

    def _next(self) -> Pair | None:
        with self._lock:
            if self._ready:
                return self._ready.popleft()
            self._delivering = False
            return None
