# SPDX-License-Identifier: Apache-2.0
"""Overlays as a video that browsers play, and six moments of a drive on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

MOMENTS = 6
_SHEET_COLUMNS = 2
_MILLISECOND = Fraction(1, 1000)


class OverlayVideo:
    """Writes frames as H.264 (yuv420p, index in front), each shown from its own stamp on.

    A context manager. The first frame's size is the video's, cut to even numbers; others are
    resized to it. Frames whose stamp does not grow, as after a backward jump, follow 1 ms later.
    """

    def __init__(self, path: Path | str, nominal_rate_hz: int = 10) -> None:
        """Write to `path` (.mp4); the nominal rate only helps the encoder's rate control."""
        self._path = Path(path)
        self._rate = nominal_rate_hz
        self._container: Any = None
        self._stream: Any = None
        self._first = 0
        self._last_ms = -1
        self.frames = 0

    def __enter__(self) -> OverlayVideo:
        return self

    def add(self, stamp: int, image: NDArray[np.uint8]) -> None:
        """Append one (H, W, 3) uint8 BGR image with its stamp in ns."""
        if self._stream is None:
            self._open(image.shape[1] // 2 * 2, image.shape[0] // 2 * 2)
            self._first = stamp
        width, height = self._stream.width, self._stream.height
        if abs(image.shape[1] - width) <= 1 and abs(image.shape[0] - height) <= 1:
            image = np.ascontiguousarray(image[:height, :width])
        if image.shape[:2] != (height, width):
            image = np.asarray(cv2.resize(image, (width, height)), np.uint8)
        frame = self._frame_of(image, format='bgr24')
        self._last_ms = max(self._last_ms + 1, (stamp - self._first) // 1_000_000)
        frame.pts = self._last_ms
        frame.time_base = _MILLISECOND
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def _open(self, width: int, height: int) -> None:
        # An optional dependency: everything else works without it.
        import av

        self._frame_of = av.VideoFrame.from_ndarray
        self._container = av.open(str(self._path), 'w', options={'movflags': '+faststart'})
        self._stream = self._container.add_stream('libx264', rate=self._rate)
        self._stream.width, self._stream.height = max(width, 2), max(height, 2)
        self._stream.pix_fmt = 'yuv420p'
        self._stream.time_base = _MILLISECOND
        self._stream.codec_context.time_base = _MILLISECOND
        self._stream.options = {'preset': 'veryfast', 'crf': '23'}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._container is not None:
            self._container.mux(self._stream.encode())
            self._container.close()


class MomentSampler:
    """Keeps a few frames spread evenly over a stream whose length nobody knows.

    At most 4 * MOMENTS frames are held: when full, every second is let go and the spacing
    doubles.
    """

    def __init__(self, moments: int = MOMENTS) -> None:
        """Keep enough to choose `moments` at the end."""
        self._wanted = moments
        self._spacing = 1
        self._seen = 0
        self._held: list[tuple[float, NDArray[np.uint8]]] = []

    @property
    def wants_next(self) -> bool:
        """Whether the next frame will be kept, so that others need not be drawn."""
        return self._seen % self._spacing == 0

    def skip(self) -> None:
        """Count a frame that is not wanted."""
        self._seen += 1

    def add(self, time_s: float, image: NDArray[np.uint8]) -> None:
        """Offer a frame."""
        if self.wants_next:
            self._held.append((time_s, image.copy()))
            if len(self._held) >= 4 * self._wanted:
                self._held = self._held[::2]
                self._spacing *= 2
        self._seen += 1

    def moments(self) -> list[tuple[float, NDArray[np.uint8]]]:
        """Return the chosen (time in s, image), first to last, fewer only if there were fewer."""
        if len(self._held) <= self._wanted:
            return list(self._held)
        index = (np.arange(self._wanted) + 0.5) * len(self._held) / self._wanted
        return [self._held[int(i)] for i in index]


def contact_sheet(
    moments: Sequence[tuple[float, NDArray[np.uint8]]], path: Path | str
) -> NDArray[np.uint8]:
    """Write moments as one PNG in two columns, each labelled with its time; returns the sheet.

    moments: (time in s, (H, W, 3) uint8 BGR); all are shown at the first one's size. Raises
    ValueError without moments, OSError when the file cannot be written.
    """
    if not moments:
        raise ValueError('no moments to show')
    height, width = moments[0][1].shape[:2]
    gap = 6
    rows = -(-len(moments) // _SHEET_COLUMNS)
    columns = min(_SHEET_COLUMNS, len(moments))
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for i, (time_s, image) in enumerate(moments):
        tile = np.asarray(cv2.resize(image, (width, height)), np.uint8)
        _label(tile, f't = {time_s:.1f} s')
        top = gap + i // _SHEET_COLUMNS * (height + gap)
        left = gap + i % _SHEET_COLUMNS * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    if not cv2.imwrite(str(path), sheet):
        raise OSError(f'cannot write {path}')
    return sheet


def _label(tile: NDArray[np.uint8], text: str) -> None:
    scale = max(0.4, tile.shape[0] / 800)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    right, bottom = tile.shape[1] - 1, tile.shape[0] - 1
    corner = (right - width - 10, bottom - height - 12)
    cv2.rectangle(tile, corner, (right, bottom), (0, 0, 0), cv2.FILLED)
    origin = (right - width - 5, bottom - 6)
    cv2.putText(
        tile, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA
    )
