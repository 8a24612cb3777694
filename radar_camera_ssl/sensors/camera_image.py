# SPDX-License-Identifier: Apache-2.0
"""A camera's image at the size that somebody needs it at, for no more work than that takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .camera import JPEG_READING, decode_image, decode_jpeg, jpeg_size


class CameraImage:
    """The image of a message. A JPEG is decoded no further than the size asked for needs.

    It stands in for the array of its pixels: it has its `shape`, and numpy.asarray(image) is
    (H, W, 3) uint8 BGR at the camera's size, decoded when first asked for.

    Where the message holds no image, SensorDataError (see `decode_image`) is raised here, or, for
    the data of a JPEG, by the first that asks for pixels.
    """

    def __init__(self, msg: Any, decode: Callable[[Any], NDArray[np.uint8]] | None = None) -> None:
        """Take an Image or CompressedImage, whose memory is used and must not change.

        decode: makes the pixels, of any message, instead of what is here.
        """
        self._jpeg: Any = None
        self._pixels: NDArray[np.uint8] | None = None
        self._scaled: NDArray[np.uint8] | None = None
        self.shape: tuple[int, ...]
        if decode is None and (size := jpeg_size(msg)) is not None:
            self._jpeg, self.shape = msg, (*size, 3)
        else:
            self._pixels = (decode or decode_image)(msg)
            self.shape = self._pixels.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if self._pixels is None:
            self._pixels = decode_image(self._jpeg)
        # NumPy 1 knows no copy=None in its own functions.
        return self._pixels.astype(dtype or self._pixels.dtype, copy=bool(copy))

    def scaled(self, height: int, width: int) -> NDArray[np.uint8]:
        """Return the image resized to (height, width, 3), the last one kept; not to be written to.

        A JPEG gives the same pixels whether it was decoded as a whole before or not.
        """
        if self._scaled is None or self._scaled.shape[:2] != (height, width):
            self._scaled = resize_image(self._at_least(height, width), height, width)
        return self._scaled

    def _at_least(self, height: int, width: int) -> NDArray[np.uint8]:
        if self._jpeg is None:
            return np.asarray(self)
        divisor = _divisor(self.shape, (height, width))
        return decode_jpeg(self._jpeg, min(divisor, max(JPEG_READING)))


ImageLike = NDArray[np.uint8] | CameraImage
"""(H, W, 3) uint8 BGR, or what stands in for it."""


def resize_image(image: ImageLike, height: int, width: int) -> NDArray[np.uint8]:
    """Resize (H, W, C) uint8 to `height` x `width`, C-contiguous; the same array if it is so.

    Means of 2x2 as long as both sides stay large enough (the one area average for which OpenCV
    has vector code: at 1920x1080 it takes a fifth of the time of one step), then bilinear; area
    averages where a side still shrinks by more than two. Pixel centres follow
    u' = (u + 0.5) * W'/W - 0.5.
    """
    if isinstance(image, CameraImage):
        return image.scaled(height, width)
    for _ in range(_divisor(image.shape, (height, width)).bit_length() - 1):
        half = image.shape[1] // 2, image.shape[0] // 2
        image = np.asarray(cv2.resize(image, half, interpolation=cv2.INTER_AREA), np.uint8)
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    by_more_than_two = image.shape[0] > 2 * height or image.shape[1] > 2 * width
    average = shrinks and by_more_than_two
    interpolation = cv2.INTER_AREA if average else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=interpolation), np.uint8)


def _divisor(shape: Sequence[int], wanted: tuple[int, int]) -> int:
    """The largest power of two that divides both sides and leaves them as large as wanted."""
    divisor = 1
    while all(
        size % (2 * divisor) == 0 and size >= 2 * divisor * least
        for size, least in zip(shape[:2], wanted, strict=True)
    ):
        divisor *= 2
    return divisor
