# SPDX-License-Identifier: Apache-2.0
"""The picture a person reads at a glance: where the radar's reflections come from."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.sensors.camera_image import ImageLike

from .colour_map import blend, to_levels
from .legend import Legend, draw_caption, draw_legend
from .marks import draw_ghost, draw_source
from .model import Correspondence

GHOST_BELOW = 0.5
"""A return less likely than this to have a visible source is drawn as a ghost."""

_NEAR_M, _FAR_M = 5.0, 60.0
_NEAR_RADIUS_PX, _FAR_RADIUS_PX = 7.0, 3.0
_CONTOUR_COLOUR = (235, 245, 255)


def draw_overlay(
    image: ImageLike,
    correspondence: Correspondence,
    *,
    caption: str = '',
    legend: bool = True,
) -> NDArray[np.uint8]:
    """Draw an answer over its image; (H, W, 3) uint8 BGR of the image's size, a new array.

    image: (H, W, 3) uint8 BGR, the one that was given to ``infer``; never modified. The heatmap
    is laid over it, transparent where it is near zero, with a thin line at likelihood 0.5. Each
    return is marked at its pixel: a disc where it has a source, the larger the nearer; a grey
    cross where it is taken for a ghost (likelihood below ``GHOST_BELOW``). ``legend`` adds a strip
    along the top with the colour scale, the counts and the agreement, as far as they fit;
    ``caption`` (ASCII) is written at the bottom left.
    """
    height, width = image.shape[:2]
    levels = to_levels(correspondence.heatmap, height, width)
    canvas = blend(np.ascontiguousarray(image), levels)
    scale = max(0.6, min(height / 480, width / 640))
    _draw_contour(canvas, levels, scale)
    source = correspondence.likelihood >= GHOST_BELOW
    _draw_returns(canvas, correspondence, source, scale)
    if legend:
        content = Legend(
            matched=int(source.sum()),
            ghosts=int((~source).sum()),
            agreement=correspondence.agreement,
        )
        draw_legend(canvas, content, scale)
    if caption:
        draw_caption(canvas, caption, scale)
    return canvas


def _draw_contour(canvas: NDArray[np.uint8], levels: NDArray[np.uint8], scale: float) -> None:
    _, likely = cv2.threshold(levels, 127, 255, cv2.THRESH_BINARY)
    lines, _ = cv2.findContours(likely, cv2.RETR_LIST, cv2.CHAIN_APPROX_TC89_L1)
    cv2.polylines(canvas, lines, True, _CONTOUR_COLOUR, max(1, round(0.7 * scale)), cv2.LINE_AA)


def _draw_returns(
    canvas: NDArray[np.uint8],
    correspondence: Correspondence,
    source: NDArray[np.bool_],
    scale: float,
) -> None:
    distance = correspondence.returns.range
    nearness = np.clip((_FAR_M - distance) / (_FAR_M - _NEAR_M), 0, 1)
    radius = scale * (_FAR_RADIUS_PX + (_NEAR_RADIUS_PX - _FAR_RADIUS_PX) * nearness)
    # Ghosts first, then from far to near, so that the marks that matter most lie on top.
    for index in np.lexsort((-distance, source)):
        u, v = correspondence.pixel[index]
        draw = draw_source if source[index] else draw_ghost
        draw(canvas, float(u), float(v), float(radius[index]))
