# SPDX-License-Identifier: Apache-2.0
"""The two marks of a radar return: a disc for one with a source, a cross for a ghost."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

SOURCE_COLOUR = (255, 229, 64)
GHOST_COLOUR = (200, 200, 200)
OUTLINE_COLOUR = (24, 20, 16)

# OpenCV draws at sub-pixel positions given as fixed-point numbers with this many bits.
_SHIFT = 4
_FAR_OUTSIDE_PX = 1e5


def draw_source(canvas: NDArray[np.uint8], u: float, v: float, radius: float) -> None:
    """Draw a disc of ``radius`` px at (u, v), outlined to be seen on any ground."""
    centre, rim = _fixed(u, v), max(1.0, 0.25 * radius)
    for r, colour in ((radius + rim, OUTLINE_COLOUR), (radius, SOURCE_COLOUR)):
        cv2.circle(canvas, centre, round(r * 2**_SHIFT), colour, -1, cv2.LINE_AA, _SHIFT)


def draw_ghost(canvas: NDArray[np.uint8], u: float, v: float, radius: float) -> None:
    """Draw a grey cross that fills a disc of ``radius`` px at (u, v)."""
    arm = 0.8 * radius
    thick = max(1, round(0.3 * radius))
    for thickness, colour in ((thick + 2, OUTLINE_COLOUR), (thick, GHOST_COLOUR)):
        for side in (-1, 1):
            start, end = _fixed(u - arm, v - side * arm), _fixed(u + arm, v + side * arm)
            cv2.line(canvas, start, end, colour, thickness, cv2.LINE_AA, _SHIFT)


def _fixed(u: float, v: float) -> tuple[int, int]:
    """Fixed-point position; one far outside stays outside instead of overflowing."""
    limited = np.clip([u, v], -_FAR_OUTSIDE_PX, _FAR_OUTSIDE_PX)
    x, y = np.rint(limited * 2**_SHIFT).astype(int).tolist()
    return x, y
