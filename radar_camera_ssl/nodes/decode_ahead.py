# SPDX-License-Identifier: Apache-2.0
"""Decodes the next pair while the worker is at another. Knows no ROS.

Only a pair that waits for a busy worker is decoded ahead: at rates that the worker keeps up with,
nothing happens here. Above, decoding and inference of neighbouring pairs go on at the same time.
The pair stays in the queue meanwhile, and may still be dropped.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from .pair_queue import PairQueue

Item = TypeVar('Item')
Decoded = TypeVar('Decoded')


class DecodeAhead(Generic[Item, Decoded]):
    """A thread beside the one that takes from the queue; it ends when the queue is closed."""

    def __init__(self, queue: PairQueue[Item], decode: Callable[[Item], Decoded]) -> None:
        """Prepare the thread; `decode` is called in it, and may raise."""
        self._queue, self._decode = queue, decode
        self._lock = threading.Lock()
        # In the order of the queue: one that the worker has just taken, and the next.
        self._begun: deque[tuple[Item, Future[Decoded]]] = deque(maxlen=2)
        self._taken: Item | None = None
        self._thread = threading.Thread(target=self._run, name='decode_ahead', daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread after the queue was closed; False when it is still at work."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def result(self, item: Item) -> Decoded | None:
        """What became of an item that was just taken from the queue; None where nothing did yet.

        Waits where it is being decoded, and raises what decoding it raised.
        """
        with self._lock:
            self._taken = item
            future = next((future for begun, future in self._begun if begun is item), None)
            if future is None:
                return None
            while self._begun.popleft()[0] is not item:
                pass
        return future.result()

    def _run(self) -> None:
        item: Item | None = None
        while (item := self._queue.next_in_line(item)) is not None:
            future: Future[Decoded] = Future()
            with self._lock:
                if self._taken is item:
                    continue
                self._begun.append((item, future))
            try:
                future.set_result(self._decode(item))
            except Exception as error:  # noqa: BLE001 - for the worker, whose pair it is
                future.set_exception(error)
