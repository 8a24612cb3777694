# SPDX-License-Identifier: Apache-2.0
"""The node's first half: stamp check, pairing, hand-over to the worker's queue. Knows no ROS.

Fed by the executor's thread, and quick: it runs inside the subscriptions' callbacks. The account
can be read from any thread: nothing that may block, no log line, is done while its lock is held.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from radar_camera_ssl.sensors.pairing import Pair

from .input_meter import InputMeter
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
    time_jumps: int
    """How often the stamps jumped back."""

    @property
    def counters(self) -> dict[str, int]:
        """What only grows, as `radar.received` and `radar.dropped.too_old`."""
        radar = {f'radar.dropped.{reason}': n for reason, n in self.radar_dropped.items()}
        image = {f'image.dropped.{reason}': n for reason, n in self.image_dropped.items()}
        received = {'radar.received': self.radar_received, 'image.received': self.image_received}
        return received | radar | image


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
        self._lock = threading.Lock()
        self.meters = {'image': InputMeter(), 'radar': InputMeter()}
        self._refused: dict[str, Counter[str]] = {'image': Counter(), 'radar': Counter()}

    def take(self, sensor: str, message: Any, stamp: int, now: int, tolerance_s: float) -> bool:
        """Take a message of `image` or `radar`, of `stamp`, ns, at clock time `now`, ns.

        Returns whether that gave the worker a pair.
        """
        arrived_s = self._clock()
        comparable = stamp > 0 and now > 0 and tolerance_s > 0
        delay_s = (now - stamp) * 1e-9 if comparable else None
        reason = stamp_problem(stamp, now, tolerance_s)
        with self._lock:
            self.meters[sensor].arrived(arrived_s, stamp, delay_s)
            if reason is None:
                return self._pair(sensor, stamp, Arrival(message, arrived_s))
            self._refused[sensor][reason] += 1
        self._on_drop(
            reason,
            f'{sensor} message dropped: {reason} (stamp {stamp * 1e-9:.3f} s, clock '
            f'{now * 1e-9:.3f} s, stamp_tolerance {tolerance_s:g} s)',
        )
        return False

    def _pair(self, sensor: str, stamp: int, arrival: Arrival) -> bool:
        is_image = sensor == 'image'
        add = self._synchronizer.add_image if is_image else self._synchronizer.add_radar
        pairs = add(stamp, arrival)
        self._hand_over(pairs)
        return bool(pairs)

    def _hand_over(self, pairs: list[Pair]) -> None:
        for pair in pairs:
            self._queue.put(pair)

    def flush_if_silent(self, silent_s: float) -> None:
        """When neither sensor has sent for `silent_s`, let the last frames find their partner.

        Pairing waits for the other stream's next stamp; at the end of a recording none comes.
        """
        now = self._clock()
        ages = [meter.age_s(now) for meter in self.meters.values()]
        with self._lock:
            counts = self._synchronizer.counts
            waiting = counts.radar_pending or counts.image_pending
            if waiting and all(age is None or age > silent_s for age in ages):
                self._hand_over(self._synchronizer.flush())

    def clear(self, reason: str) -> None:
        """Drop what waits for a partner, counted under `reason`."""
        with self._lock:
            self._synchronizer.clear(reason)

    @property
    def account(self) -> Account:
        """Where every message is now."""
        with self._lock:
            pairing, queue = self._synchronizer.counts, self._queue.counts
            refused = {sensor: Counter(counts) for sensor, counts in self._refused.items()}
            received = {sensor: meter.received for sensor, meter in self.meters.items()}
        in_queue = queue.waiting + queue.in_work
        radar = Counter(pairing.radar_dropped) + refused['radar'] + Counter(queue.dropped)
        image = Counter(pairing.image_dropped) + refused['image'] + Counter(queue.dropped)
        return Account(
            radar_received=received['radar'],
            image_received=received['image'],
            pairs=pairing.pairs,
            published=queue.finished,
            radar_dropped=dict(radar),
            image_dropped=dict(image),
            radar_pending=pairing.radar_pending + in_queue,
            image_pending=pairing.image_pending + in_queue,
            time_jumps=pairing.resets,
        )
