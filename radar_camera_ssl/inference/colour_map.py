# SPDX-License-Identifier: Apache-2.0
"""Likelihoods as colours: one perceptual map for overlays, videos and reports."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

MAXIMUM_OPACITY = 0.66
_TRANSPARENT_BELOW = 0.04
_OPAQUE_ABOVE = 0.75


def _tables() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Colour; colour times opacity; 255 times (1 - opacity); each (256, 1, 3) by likelihood."""
    ramp = np.arange(256, dtype=np.uint8)[:, None]
    # Inferno (van der Walt and Smith, 2015) is perceptually uniform and safe for the colour
    # blind. It is entered where it leaves black: shadows on the road must not look like heat.
    entered = np.rint(np.linspace(60, 255, 256)).astype(np.uint8)[:, None]
    colour = cv2.applyColorMap(entered, cv2.COLORMAP_INFERNO)
    level = (ramp / 255.0 - _TRANSPARENT_BELOW) / (_OPAQUE_ABOVE - _TRANSPARENT_BELOW)
    level = np.clip(level, 0, 1)
    opacity = (MAXIMUM_OPACITY * level * level * (3 - 2 * level))[:, :, None]
    weighted = np.rint(colour * opacity).astype(np.uint8)
    remaining = np.rint(255 * (1 - opacity)).astype(np.uint8).repeat(3, axis=2)
    return np.asarray(colour, np.uint8), weighted, remaining


_COLOUR, _WEIGHTED_COLOUR, _REMAINING = _tables()


def to_levels(
    likelihood: NDArray[Any], height: int | None = None, width: int | None = None
) -> NDArray[np.uint8]:
    """Likelihoods (h, w) in [0, 1] as levels 0 to 255, interpolated to ``height`` x ``width``.

    Cell centres follow the half-pixel rule, so a cell's value lies where its pixels are.
    """
    smooth: NDArray[Any] = np.ascontiguousarray(likelihood, np.float32)
    if height is not None and width is not None and smooth.shape != (height, width):
        smooth = cv2.resize(smooth, (width, height), interpolation=cv2.INTER_CUBIC)
    # The cubic rings a little beyond [0, 1].
    return (np.clip(smooth, 0, 1) * 255 + 0.5).astype(np.uint8)


def colourise(likelihood: NDArray[Any]) -> NDArray[np.uint8]:
    """Colour likelihoods (h, w) in [0, 1] as an opaque (h, w, 3) uint8 BGR image."""
    return np.asarray(cv2.applyColorMap(to_levels(likelihood), _COLOUR), np.uint8)


def blend(image: NDArray[np.uint8], levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay levels (H, W) uint8 over an image (H, W, 3): the more likely, the more opaque."""
    kept = cv2.multiply(image, cv2.applyColorMap(levels, _REMAINING), scale=1 / 255)
    return np.asarray(cv2.add(kept, cv2.applyColorMap(levels, _WEIGHTED_COLOUR)), np.uint8)
