# SPDX-License-Identifier: Apache-2.0
"""Decodes a radar frame while its image is still to come. Knows no ROS.

What can be done before the pair is complete is not waited for.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from typing import Any

from .decoding import RadarContent, RadarDecoder
from .pair_queue import PairQueue

# Frames that wait for an image at once: more where a camera is late by several of them.
_REMEMBERED = 4


class RadarAhead:
    """A decoder of radar frames that remembers those it was told of before they were asked for."""

    def __init__(self, decode: RadarDecoder, queue: PairQueue[Any]) -> None:
        """Decode with `decode`; the worker of `queue` is who asks."""
        self._decode, self._queue = decode, queue
        self._decoded: deque[tuple[Any, Future[RadarContent]]] = deque(maxlen=_REMEMBERED)

    def waits(self, msg: Any) -> None:
        """Decode a frame that waits for its image, unless the worker has other work.

        Raises nothing: what goes wrong is raised where the frame is asked for.
        """
        if not self._queue.is_idle:
            return
        decoded: Future[RadarContent] = Future()
        try:
            decoded.set_result(self._decode(msg))
        except Exception as error:  # noqa: BLE001 - for the worker, whose pair it will be
            decoded.set_exception(error)
        self._decoded.append((msg, decoded))

    def __call__(self, msg: Any) -> RadarContent:
        """Return the decoded frame; raises what the decoder raises."""
        for known, decoded in tuple(self._decoded):
            if known is msg:
                return decoded.result()
        return self._decode(msg)
