# SPDX-License-Identifier: Apache-2.0
"""Messages of a bag, read in a thread of their own so that a slow disk delays none. No ROS."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from radar_camera_ssl.sensors.recording import Recording

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class RawMessage:
    """A serialised message and when it was recorded, ns of bag time."""

    topic: str
    time_ns: int
    data: bytes


class ReadAhead:
    """Iterates once over a bag's messages in recorded order, at most `limit_mib` ahead."""

    def __init__(self, bag: Path, topics: list[str], limit_mib: float = 64.0) -> None:
        """Start reading `topics` of `bag`."""
        self._bag, self._topics = bag, topics
        self._limit = limit_mib * MEBIBYTE
        self._messages: deque[RawMessage] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._ended = False
        self._closed = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._read, name='read_ahead', daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            with Recording(self._bag) as recording:
                for topic, _, time_ns, data in recording.raw_messages(self._topics):
                    if not self._put(RawMessage(topic, time_ns, bytes(data))):
                        return
        except Exception as error:  # noqa: BLE001 - raised again in the reader's thread
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, message: RawMessage) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._bytes < self._limit or self._closed)
            if self._closed:
                return False
            self._messages.append(message)
            self._bytes += len(message.data)
            self._changed.notify_all()
            return True

    def __iter__(self) -> Iterator[RawMessage]:
        """Yield the messages; raises what reading raised (RecordingError) when it comes to it."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._messages or self._ended)
                if not self._messages:
                    if self._error is not None:
                        raise self._error
                    return
                message = self._messages.popleft()
                self._bytes -= len(message.data)
                self._changed.notify_all()
            yield message

    def close(self) -> None:
        """Stop reading."""
        with self._changed:
            self._closed = True
            self._messages.clear()
            self._changed.notify_all()
        self._thread.join()
