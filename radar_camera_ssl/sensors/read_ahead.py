# SPDX-License-Identifier: Apache-2.0
"""Things read in a thread of their own, so that whoever uses them need not wait for the disc."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar('T')


class ReadAhead(Generic[T]):
    """Iterates once over what a thread reads, at most `limit` of `size` ahead; a context manager.

    What reading raises is raised when its turn comes. Reading stops when the context ends.
    """

    def __init__(self, items: Iterable[T], size: Callable[[T], int], limit: float) -> None:
        """Start reading; size: of an item, in the unit of the limit. One item is always read."""
        self._items, self._size, self._limit = items, size, limit
        self._read: deque[T] = deque()
        self._held = 0
        self._changed = threading.Condition()
        self._ended = False
        self._closed = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name='read_ahead', daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except Exception as error:  # noqa: BLE001 - raised again in the thread that iterates
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, item: T) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._held < self._limit or self._closed)
            if self._closed:
                return False
            self._read.append(item)
            self._held += self._size(item)
            self._changed.notify_all()
            return True

    def __iter__(self) -> Iterator[T]:
        """Yield the items."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._read or self._ended)
                if not self._read:
                    if self._error is not None:
                        raise self._error
                    return
                item = self._read.popleft()
                self._held -= self._size(item)
                self._changed.notify_all()
            yield item

    def __enter__(self) -> ReadAhead[T]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading; closing twice is harmless."""
        with self._changed:
            self._closed = True
            self._read.clear()
            self._changed.notify_all()
        self._thread.join()
