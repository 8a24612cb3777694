# SPDX-License-Identifier: Apache-2.0
"""Work that a thread of its own does a little behind whoever has it to do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Queue
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar('T')

_BEHIND = 4


class WriteBehind(Generic[T]):
    """Does one thing with each item, in order, in a thread; a context manager.

    At most four items wait. What goes wrong is raised at the next item, or at the end; the items
    after it are let go.
    """

    def __init__(self, work: Callable[[T], None]) -> None:
        self._work = work
        self._items: Queue[T | None] = Queue(_BEHIND)
        self._error: Exception | None = None
        self._given_up = False
        self._thread = threading.Thread(target=self._run, name='write_behind', daemon=True)

    def __enter__(self) -> WriteBehind[T]:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait until all is done, or where the context failed for what has been begun."""
        self._given_up = error is not None
        self._items.put(None)
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def put(self, item: T) -> None:
        """Have an item worked on; waits while too many are before it."""
        if self._error is not None:
            raise self._error
        self._items.put(item)

    def _run(self) -> None:
        while (item := self._items.get()) is not None:
            if self._error is None and not self._given_up:
                try:
                    self._work(item)
                except Exception as error:  # noqa: BLE001 - raised again in the other thread
                    self._error = error
