# SPDX-License-Identifier: Apache-2.0
"""Overlays as a video that browsers play, and six moments of a drive on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

MOMENTS = 6
_SHEET_COLUMNS = 2
_MILLISECOND = Fraction(1, 1000)

Picture = NDArray[np.uint8]
T = TypeVar('T')


class OverlayVideo:
    """Writes frames as H.264 (yuv420p, index in front), each shown from its own stamp on.

    A context manager. The first frame's size is the video's, cut to even numbers; others are
    resized to it. Frames whose stamp does not grow, as after a backward jump, follow 1 ms later.
    """

    def __init__(
        self,
        path: Path | str,
        size: tuple[int, int] | None = None,
        nominal_rate_hz: int = 10,
    ) -> None:
        """Write to `path` (.mp4).

        size: width and height, even, instead of the first frame's. The nominal rate only helps
        the encoder's rate control.
        """
        self._path = Path(path)
        self._size = size
        self._rate = nominal_rate_hz
        self._container: Any = None
        self._stream: Any = None
        self._first = 0
        self._last_ms = -1
        self.frames = 0

    def __enter__(self) -> OverlayVideo:
        return self

    def add(self, stamp: int, image: Picture) -> None:
        """Append one (H, W, 3) uint8 BGR image with its stamp in ns."""
        if self._stream is None:
            even = (image.shape[1] // 2 * 2, image.shape[0] // 2 * 2)
            self._open(*(self._size or even))
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
        # Without frames that refer to later ones, parts can be put one after another.
        self._stream.options = {'preset': 'veryfast', 'crf': '23', 'bf': '0'}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._container is not None:
            self._container.mux(self._stream.encode())
            self._container.close()


def join_videos(parts: Sequence[tuple[Path, float]], path: Path) -> None:
    """Write videos of `OverlayVideo` one after another as one, the compressed frames as they are.

    parts: (file, second at which it begins in the whole), in order. A part of another size than
    the first is compressed anew at that size.
    """
    import av

    with av.open(str(parts[0][0])) as container:
        wanted = container.streams.video[0].codec_context
        size, header = (wanted.width, wanted.height), wanted.extradata
    last = -1
    with ExitStack() as stack:
        whole = stack.enter_context(av.open(str(path), 'w', options={'movflags': '+faststart'}))
        stream: Any = None
        for part, start_s in parts:
            container = stack.enter_context(av.open(str(part)))
            codec = container.streams.video[0].codec_context
            if (codec.width, codec.height, codec.extradata) != (*size, header):
                container = stack.enter_context(av.open(str(_resized(part, size))))
            if stream is None:
                stream = whole.add_stream_from_template(container.streams.video[0])
            for packet in container.demux(video=0):
                if packet.pts is None:  # the demuxer's last, empty one
                    continue
                shown_s = start_s + float(packet.pts * packet.time_base)
                last = max(last + 1, round(shown_s * 1000))
                packet.time_base = _MILLISECOND
                packet.pts = packet.dts = last
                packet.stream = stream
                whole.mux(packet)


def _resized(part: Path, size: tuple[int, int]) -> Path:
    """Compress a video anew at another size, beside it."""
    import av

    resized = part.with_stem(f'{part.stem}_resized')
    with av.open(str(part)) as container, OverlayVideo(resized, size) as video:
        for frame in container.decode(video=0):
            stamp = round(float(frame.pts * frame.time_base) * 1e9)
            video.add(stamp, frame.to_ndarray(format='bgr24'))
    return resized


class MomentSampler(Generic[T]):
    """Keeps a few frames spread evenly over a stream whose length nobody knows.

    At most 4 * MOMENTS frames are held: when full, every second is let go and the spacing
    doubles.
    """

    def __init__(self, moments: int = MOMENTS) -> None:
        """Keep enough to choose `moments` at the end."""
        self._wanted = moments
        self._spacing = 1
        self._seen = 0
        self._held: list[tuple[float, T]] = []

    @property
    def wants_next(self) -> bool:
        """Whether the next frame will be kept, so that others need not be drawn."""
        return self._seen % self._spacing == 0

    def skip(self) -> None:
        """Count a frame that is not wanted."""
        self._seen += 1

    def add(self, time_s: float, frame: T) -> None:
        """Offer a frame, the caller's to leave alone from now on."""
        if self.wants_next:
            self._held.append((time_s, frame))
            if len(self._held) >= 4 * self._wanted:
                self._held = self._held[::2]
                self._spacing *= 2
        self._seen += 1

    def moments(self) -> list[tuple[float, T]]:
        """Return the chosen (time in s, frame), first to last, fewer only if there were fewer."""
        return spread(self._held, self._wanted)


def spread(items: Sequence[T], wanted: int) -> list[T]:
    """Return at most `wanted` items, spread evenly."""
    if len(items) <= wanted:
        return list(items)
    index = (np.arange(wanted) + 0.5) * len(items) / wanted
    return [items[int(i)] for i in index]


def picture_of(jpeg: bytes) -> Picture:
    """Return the (H, W, 3) uint8 BGR picture of a JPEG."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError('not a JPEG')
    return np.asarray(picture, np.uint8)


def contact_sheet(moments: Sequence[tuple[float, Picture]], path: Path | str) -> Picture:
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


def _label(tile: Picture, text: str) -> None:
    scale = max(0.4, tile.shape[0] / 800)
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    right, bottom = tile.shape[1] - 1, tile.shape[0] - 1
    corner = (right - width - 10, bottom - height - 12)
    cv2.rectangle(tile, corner, (right, bottom), (0, 0, 0), cv2.FILLED)
    origin = (right - width - 5, bottom - 6)
    cv2.putText(
        tile, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA
    )
