# SPDX-License-Identifier: Apache-2.0
"""What an overlay says in words: a strip along the top, a caption at the bottom left."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from .colour_map import colourise
from .marks import draw_ghost, draw_source

_TEXT_COLOUR = (245, 245, 245)
_QUIET_COLOUR = (190, 190, 190)
_STRIP_COLOUR = (30, 26, 22)
_STRIP_OPACITY = 0.75
_GOOD, _DOUBTFUL, _BAD = (130, 205, 105), (70, 190, 245), (90, 90, 245)
_EMPTY_BAR_COLOUR = (80, 76, 72)
_STRIP_PX, _LETTER_PX, _GAP_PX, _BAR_PX = 26, 9, 14, 68
_FONT = cv2.FONT_HERSHEY_SIMPLEX
# Hershey letters drawn this much larger and averaged down are far more legible when small.
_SUPERSAMPLING = 4

Patch = NDArray[np.uint8]
"""A piece of the strip on black, (strip height, any width, 3) uint8 BGR."""


@dataclass(frozen=True)
class Legend:
    """Contents of the strip: returns by their mark, and the agreement in [0, 1]."""

    matched: int
    ghosts: int
    agreement: float


def draw_legend(canvas: NDArray[np.uint8], legend: Legend, scale: float) -> None:
    """Draw the strip into ``canvas`` (H, W, 3) uint8 BGR, in place.

    ``scale`` is 1 for a VGA image. What does not fit the width is left out, the agreement last;
    on an image too low for a strip nothing is drawn.
    """
    height, width = canvas.shape[:2]
    strip = round(_STRIP_PX * scale)
    if 4 * strip > height:
        return
    gap = round(_GAP_PX * scale)
    # In order of need; drawn in the order of place, given by the number.
    patches = [
        (3, _agreement(round(legend.agreement, 2), scale)),
        (1, _mark(f'{legend.matched} matched', False, scale)),
        (2, _mark(f'{legend.ghosts} ghost' + 's' * (legend.ghosts != 1), True, scale)),
        (0, _colour_scale(scale)),
    ]
    line = np.zeros((strip, width, 3), np.uint8)
    left = gap // 2
    room = width - left - gap // 2
    fitting = []
    for place, patch in patches:
        if patch.shape[1] <= room:
            fitting.append((place, patch))
            room -= patch.shape[1] + gap
    for _, patch in sorted(fitting, key=lambda entry: entry[0]):
        line[:, left : left + patch.shape[1]] = patch
        left += patch.shape[1] + gap
    _lay(canvas[:strip], line)


def draw_caption(canvas: NDArray[np.uint8], caption: str, scale: float) -> None:
    """Write one line (ASCII) at the bottom left of ``canvas``, in place, cut at its width."""
    height, width = canvas.shape[:2]
    if 4 * round(_STRIP_PX * scale) > height:
        return
    side = _blank(round(0.5 * _GAP_PX * scale), scale)
    patch = np.hstack([side, _text(caption, _TEXT_COLOUR, scale), side])[:, :width]
    _lay(canvas[height - patch.shape[0] :, : patch.shape[1]], patch)


def _lay(ground: NDArray[np.uint8], patch: Patch) -> None:
    """Darken ``ground`` in place and lay a patch on it; both (h, w, 3)."""
    dark = np.full_like(ground, _STRIP_COLOUR)
    darkened = cv2.addWeighted(ground, 1 - _STRIP_OPACITY, dark, _STRIP_OPACITY, 0)
    ground[:] = cv2.max(darkened, patch)


@lru_cache(maxsize=64)
def _agreement(agreement: float, scale: float) -> Patch:
    colour = _GOOD if agreement >= 0.7 else _DOUBTFUL if agreement >= 0.4 else _BAD
    bar = _blank(round(0.5 * _BAR_PX * scale), scale)
    top, bottom = _bar_rows(scale)
    bar[top:bottom] = _EMPTY_BAR_COLOUR
    bar[top:bottom, : round(min(max(agreement, 0.0), 1.0) * bar.shape[1])] = colour
    return _row(
        [_text('agreement', _QUIET_COLOUR, scale), bar, _text(f'{agreement:.2f}', colour, scale)],
        scale,
    )


@lru_cache(maxsize=512)
def _mark(label: str, ghost: bool, scale: float) -> Patch:
    patch = _blank(round(12 * scale), scale)
    centre = (patch.shape[1] - 1) / 2, (patch.shape[0] - 1) / 2
    (draw_ghost if ghost else draw_source)(patch, *centre, 4.5 * scale)
    return _row([patch, _text(label, _TEXT_COLOUR, scale)], scale)


@lru_cache(maxsize=16)
def _colour_scale(scale: float) -> Patch:
    bar = _blank(round(_BAR_PX * scale), scale)
    top, bottom = _bar_rows(scale)
    bar[top:bottom] = colourise(np.linspace(0, 1, bar.shape[1])[None])
    return _row(
        [_text('likelihood  0', _QUIET_COLOUR, scale), bar, _text('1', _QUIET_COLOUR, scale)],
        scale,
    )


@lru_cache(maxsize=512)
def _text(text: str, colour: tuple[int, int, int], scale: float) -> Patch:
    """Text in ASCII (other letters become '?', the font has none), on the strip's middle line."""
    letters = text.encode('ascii', 'replace').decode()
    size = _LETTER_PX * scale * _SUPERSAMPLING / 21  # A capital of this font is 21 px high.
    thickness = max(1, round(1.6 * size))
    (width, _), _ = cv2.getTextSize(letters, _FONT, size, thickness)
    patch = _blank(-(-width // _SUPERSAMPLING) + 1, scale)
    height = patch.shape[0]
    large = np.zeros((height * _SUPERSAMPLING, patch.shape[1] * _SUPERSAMPLING), np.uint8)
    baseline = round((height + _LETTER_PX * scale) / 2 * _SUPERSAMPLING)
    cv2.putText(large, letters, (0, baseline), _FONT, size, 255, thickness, cv2.LINE_AA)
    mask = cv2.resize(large, (patch.shape[1], height), interpolation=cv2.INTER_AREA)
    return np.rint(mask[..., None] / 255 * np.array(colour)).astype(np.uint8)


def _blank(width: int, scale: float) -> Patch:
    return np.zeros((round(_STRIP_PX * scale), max(1, width), 3), np.uint8)


def _bar_rows(scale: float) -> tuple[int, int]:
    middle = round(_STRIP_PX * scale) / 2
    return round(middle - 4.5 * scale), round(middle + 4.5 * scale)


def _row(patches: list[Patch], scale: float) -> Patch:
    space = _blank(round(6 * scale), scale)
    row = [patches[0]]
    for patch in patches[1:]:
        row += [space, patch]
    return np.hstack(row)
