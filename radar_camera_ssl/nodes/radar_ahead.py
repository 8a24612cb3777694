# SPDX-License-Identifier: Apache-2.0
"""Decodes a radar frame while its image is still to come. Knows no ROS.

After a pause each Python call costs a multiple of what it costs in a loop: what can be done before
the pair is complete is not waited for.
"""

from __future__ import annotations

from collections import deque
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
        self._decoded: deque[tuple[Any, RadarContent]] = deque(maxlen=_REMEMBERED)

    def waits(self, msg: Any) -> None:
        """Decode a frame that waits for its image, unless the worker has other work.

        A frame that cannot be decoded is left for the worker, which drops its pair and tells why.
        """
        if self._queue.is_idle:
            try:
                self._decoded.append((msg, self._decode(msg)))
            except Exception:  # noqa: BLE001 - the worker meets it again
                return

    def __call__(self, msg: Any) -> RadarContent:
        """Return the decoded frame; raises what the decoder raises."""
        for known, content in tuple(self._decoded):
            if known is msg:
                return content
        return self._decode(msg)
