# SPDX-License-Identifier: Apache-2.0
"""The bounded queue between pairing and the worker: drop-oldest, and nothing leaves uncounted.

It follows each item until its work is finished, so that at any moment
`put == finished + sum(dropped.values()) + waiting + in_work`. Knows no ROS.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar('Item')

OVERFLOW = 'worker_busy'


@dataclass(frozen=True)
class QueueCounts:
    """A consistent snapshot of what became of the items."""

    put: int
    finished: int
    dropped: dict[str, int]
    waiting: int
    in_work: int


class PairQueue(Generic[Item]):
    """First in, first out, at most `depth` items; beyond, the oldest is dropped and counted."""

    def __init__(self, depth: int) -> None:
        """Create a queue of at most `depth` >= 1 waiting items."""
        if depth < 1:
            raise ValueError(f'depth must be at least 1, got {depth}')
        self._depth = depth
        self._items: deque[Item] = deque()
        lock = threading.Lock()
        self._changed = threading.Condition(lock)
        # Of its own, so that the taker alone is woken for an item that need not wait.
        self._line_moved = threading.Condition(lock)
        self._closed = False
        self._put = 0
        self._finished = 0
        self._in_work = 0
        self._dropped: Counter[str] = Counter()

    def put(self, item: Item) -> None:
        """Add an item; never blocks. On a closed queue the item is dropped as `closed`."""
        with self._changed:
            self._put += 1
            if self._closed:
                self._dropped['closed'] += 1
                return
            if len(self._items) == self._depth:
                self._items.popleft()
                self._dropped[OVERFLOW] += 1
            self._items.append(item)
            self._changed.notify()
            if self._in_work:
                self._line_moved.notify()

    def take(self, timeout_s: float | None = None) -> Item | None:
        """Take the oldest waiting item into work; None when closed or after `timeout_s`.

        Each item taken must be given back to the account by `finish`.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout_s)
            if not self._items:
                return None
            self._in_work += 1
            item = self._items.popleft()
            if self._items:
                self._line_moved.notify()
            return item

    def next_in_line(self, last: Item | None) -> Item | None:
        """Wait for an item, other than `last`, that is the next to be taken while one is in work.

        Return it, left where it is; None when closed.
        """
        with self._changed:
            self._line_moved.wait_for(
                lambda: (
                    self._closed or (self._in_work and self._items and self._items[0] is not last)
                )
            )
            return None if self._closed else self._items[0]

    def finish(self, dropped: str | None = None) -> None:
        """End the work on an item: finished, or dropped for the reason given."""
        with self._changed:
            if self._in_work == 0:
                raise RuntimeError('finish() without a taken item')
            self._in_work -= 1
            if dropped is None:
                self._finished += 1
            else:
                self._dropped[dropped] += 1

    def close(self, reason: str) -> None:
        """Drop what waits, for `reason`, and wake every taker with None."""
        with self._changed:
            self._closed = True
            if self._items:
                self._dropped[reason] += len(self._items)
            self._items.clear()
            self._changed.notify_all()
            self._line_moved.notify_all()

    def open(self) -> None:
        """Accept items again after `close`."""
        with self._changed:
            self._closed = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is in work."""
        with self._changed:
            return not self._items and not self._in_work

    @property
    def counts(self) -> QueueCounts:
        """The account now."""
        with self._changed:
            return QueueCounts(
                self._put, self._finished, dict(self._dropped), len(self._items), self._in_work
            )
