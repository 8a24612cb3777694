# SPDX-License-Identifier: Apache-2.0
"""The node's first half: stamp check, pairing, hand-over to the worker's queue. Knows no ROS.

Used by the executor's thread alone, and quick: it runs inside the subscriptions' callbacks.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from radar_camera_ssl.sensors.pairing import Pair

from .monitor import InputMeter
from .pair_queue import PairQueue
from .stamp_guard import stamp_problem
from .synchronizers import Synchronizer


@dataclass(frozen=True)
class Arrival:
    """A message and when it arrived by the steady clock, s."""

    message: Any
    arrived_s: float


def ready_since(pair: Pair) -> float:
    """When the younger of the two messages arrived: the pair could not have been sooner."""
    return max(pair.radar.arrived_s, pair.image.arrived_s)


@dataclass(frozen=True)
class Account:
    """Where every message is: received == published + sum(dropped) + pending, for each sensor.

    `pending` waits for a partner, for the worker, or is in its hands.
    """

    radar_received: int
    image_received: int
    pairs: int
    published: int
    radar_dropped: dict[str, int]
    image_dropped: dict[str, int]
    radar_pending: int
    image_pending: int


class Intake:
    """Takes stamped messages, gives pairs to the queue, keeps the account."""

    def __init__(
        self,
        synchronizer: Synchronizer,
        queue: PairQueue[Pair],
        on_drop: Callable[[str, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect synchronizer and queue; `on_drop(reason, text)` is told of refused stamps."""
        self._synchronizer, self._queue = synchronizer, queue
        self._on_drop, self._clock = on_drop, clock
        self.meters = {'image': InputMeter(), 'radar': InputMeter()}
        self._refused: dict[str, Counter[str]] = {'image': Counter(), 'radar': Counter()}

    def image(self, message: Any, stamp: int, now: int, tolerance_s: float) -> None:
        """Take an image of `stamp`, ns, at clock time `now`, ns."""
        if (arrival := self._accept('image', message, stamp, now, tolerance_s)) is not None:
            self._hand_over(self._synchronizer.add_image(stamp, arrival))

    def radar(self, message: Any, stamp: int, now: int, tolerance_s: float) -> None:
        """Take a radar frame of `stamp`, ns, at clock time `now`, ns."""
        if (arrival := self._accept('radar', message, stamp, now, tolerance_s)) is not None:
            self._hand_over(self._synchronizer.add_radar(stamp, arrival))

    def _accept(
        self, sensor: str, message: Any, stamp: int, now: int, tolerance_s: float
    ) -> Arrival | None:
        arrival = Arrival(message, self._clock())
        self.meters[sensor].arrived(arrival.arrived_s)
        reason = stamp_problem(stamp, now, tolerance_s)
        if reason is None:
            return arrival
        self._refused[sensor][reason] += 1
        self._on_drop(
            reason,
            f'{sensor} message dropped: {reason} (stamp {stamp * 1e-9:.3f} s, clock '
            f'{now * 1e-9:.3f} s, stamp_tolerance {tolerance_s:g} s)',
        )
        return None

    def _hand_over(self, pairs: list[Pair]) -> None:
        for pair in pairs:
            self._queue.put(pair)

    def flush_if_silent(self, silent_s: float) -> None:
        """When neither sensor has sent for `silent_s`, let the last frames find their partner.

        Pairing waits for the other stream's next stamp; at the end of a recording none comes.
        """
        now = self._clock()
        ages = [meter.age_s(now) for meter in self.meters.values()]
        counts = self._synchronizer.counts
        waiting = counts.radar_pending or counts.image_pending
        if waiting and all(age is None or age > silent_s for age in ages):
            self._hand_over(self._synchronizer.flush())

    def clear(self, reason: str) -> None:
        """Drop what waits for a partner, counted under `reason`."""
        self._synchronizer.clear(reason)

    @property
    def account(self) -> Account:
        """Where every message is now."""
        pairing, queue = self._synchronizer.counts, self._queue.counts
        in_queue = queue.waiting + queue.in_work
        radar = Counter(pairing.radar_dropped) + self._refused['radar'] + Counter(queue.dropped)
        image = Counter(pairing.image_dropped) + self._refused['image'] + Counter(queue.dropped)
        return Account(
            radar_received=self.meters['radar'].received,
            image_received=self.meters['image'].received,
            pairs=pairing.pairs,
            published=queue.finished,
            radar_dropped=dict(radar),
            image_dropped=dict(image),
            radar_pending=pairing.radar_pending + in_queue,
            image_pending=pairing.image_pending + in_queue,
        )
