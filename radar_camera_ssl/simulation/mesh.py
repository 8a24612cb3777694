# SPDX-License-Identifier: Apache-2.0
"""Small polygon meshes, drawn by the painter's algorithm.

A mesh lives in its object's frame: x forward, y left, z up from the ground, metres. A vertex may
swing along x (limbs) and may carry an offset across and up the line of sight, so that round
things (heads, poles, tree crowns) always face the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FACE_VERTICES = 8
"""Every face has this many vertices; shorter ones repeat their last."""

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Mesh:
    """Vertices (V) and faces (F) of one object.

    base (V, 3) m; swing (V,) m along x per unit of the gait's sine; facing (V, 2) m across and up
    the line of sight; faces (F, 8) vertex indices; colour (F, 3) BGR 0..255 in full light;
    normal (F, 3), zero where the shade does not depend on the sun; parent (F,) index of the face
    it is painted on (itself for a face of its own); two_sided (F,); glow (F,) keeps its colour in
    any light; half_extent (3,) m and middle (3,) m of the bounding box.
    """

    base: np.ndarray
    swing: np.ndarray
    facing: np.ndarray
    faces: np.ndarray
    colour: np.ndarray
    normal: np.ndarray
    parent: np.ndarray
    two_sided: np.ndarray
    glow: np.ndarray
    half_extent: np.ndarray
    middle: np.ndarray


class MeshBuilder:
    """Collects quads, boxes, prisms and round things into a Mesh."""

    def __init__(self) -> None:
        self._base: list[Sequence[float]] = []
        self._swing: list[float] = []
        self._facing: list[Sequence[float]] = []
        self._faces: list[list[int]] = []
        self._colour: list[Colour] = []
        self._normal: list[Sequence[float]] = []
        self._parent: list[int] = []
        self._two_sided: list[bool] = []
        self._glow: list[bool] = []

    def polygon(
        self,
        points: Sequence[Sequence[float]] | Sequence[np.ndarray] | np.ndarray,
        colour: Colour,
        *,
        parent: int | None = None,
        two_sided: bool = False,
        glow: bool = False,
        swing: Sequence[float] | float = 0.0,
    ) -> int:
        """Add a flat face, clockwise seen from outside; return its index."""
        first = len(self._base)
        corners = np.asarray(points, dtype=np.float64)
        self._base.extend(corners.tolist())
        self._facing.extend([(0.0, 0.0)] * len(corners))
        self._swing.extend([float(swing)] * len(corners) if np.isscalar(swing) else list(swing))  # type: ignore[arg-type]
        normal = np.cross(corners[2] - corners[1], corners[1] - corners[0])
        length = np.linalg.norm(normal)
        return self._face(
            list(range(first, first + len(corners))),
            colour,
            (normal / length if length > 0 else normal).tolist(),
            parent,
            two_sided,
            glow,
        )

    def facing_polygon(
        self,
        anchors: Sequence[Sequence[float]],
        offsets: Sequence[Sequence[float]],
        colour: Colour,
        *,
        parent: int | None = None,
        glow: bool = False,
    ) -> int:
        """Add a face whose vertices lie at offsets across and up the line of sight of anchors."""
        first = len(self._base)
        self._base.extend([tuple(a) for a in anchors])
        self._facing.extend([tuple(o) for o in offsets])
        self._swing.extend([0.0] * len(offsets))
        indices = list(range(first, first + len(offsets)))
        return self._face(indices, colour, (0.0, 0.0, 0.0), parent, True, glow)

    def _face(
        self,
        indices: list[int],
        colour: Colour,
        normal: Sequence[float],
        parent: int | None,
        two_sided: bool,
        glow: bool,
    ) -> int:
        index = len(self._faces)
        self._faces.append(indices + [indices[-1]] * (FACE_VERTICES - len(indices)))
        self._colour.append(colour)
        self._normal.append(normal)
        self._parent.append(index if parent is None else parent)
        self._two_sided.append(two_sided)
        self._glow.append(glow)
        return index

    def disc(
        self, centre: Sequence[float], radius: float, colour: Colour, stretch: float = 1.0
    ) -> int:
        """Add an octagon that faces the camera; stretch is its height over its width."""
        angles = np.arange(8) * (np.pi / 4) + np.pi / 8
        offsets = np.stack([radius * np.cos(angles), radius * stretch * np.sin(angles)], axis=1)
        return self.facing_polygon([centre] * 8, offsets.tolist(), colour)

    def pole(self, x: float, y: float, z0: float, z1: float, width: float, colour: Colour) -> int:
        """Add a round upright bar."""
        h = 0.5 * width
        anchors = [(x, y, z0), (x, y, z0), (x, y, z1), (x, y, z1)]
        left = self.facing_polygon(anchors, [(-h, 0), (h, 0), (h, 0), (-h, 0)], colour)
        shade = (colour[0] * 0.65, colour[1] * 0.65, colour[2] * 0.65)
        self.facing_polygon(
            anchors, [(0.2 * h, 0), (h, 0), (h, 0), (0.2 * h, 0)], shade, parent=left
        )
        return left

    def box(
        self,
        low: Sequence[float],
        high: Sequence[float],
        colour: Colour,
        *,
        top_inset: tuple[float, float, float] = (0.0, 0.0, 0.0),
        swing: tuple[float, float] = (0.0, 0.0),
    ) -> dict[str, int]:
        """Add a box; top_inset draws its top in at the front, the rear and both sides.

        swing: of its bottom and its top. Returns the indices of its faces by name.
        """
        (x0, y0, z0), (x1, y1, z1) = low, high
        front, rear, side = top_inset
        b = [(x1, y1, z0), (x0, y1, z0), (x0, y0, z0), (x1, y0, z0)]
        t = [
            (x1 - front, y1 - side, z1),
            (x0 + rear, y1 - side, z1),
            (x0 + rear, y0 + side, z1),
            (x1 - front, y0 + side, z1),
        ]
        s0, s1 = swing
        return {
            'left': self.polygon([b[0], t[0], t[1], b[1]], colour, swing=[s0, s1, s1, s0]),
            'rear': self.polygon([b[1], t[1], t[2], b[2]], colour, swing=[s0, s1, s1, s0]),
            'right': self.polygon([b[2], t[2], t[3], b[3]], colour, swing=[s0, s1, s1, s0]),
            'front': self.polygon([b[3], t[3], t[0], b[0]], colour, swing=[s0, s1, s1, s0]),
            'top': self.polygon([t[0], t[3], t[2], t[1]], colour, swing=s1),
        }

    def patch(
        self,
        face: int,
        u: tuple[float, float],
        v: tuple[float, float],
        colour: Colour,
        glow: bool = False,
    ) -> int:
        """Paint a rectangle on a four-cornered face of a box.

        u runs from the face's left to its right as seen from outside, v from bottom to top, both
        0 to 1.
        """
        corners = np.asarray([self._base[i] for i in self._faces[face][:4]])
        # Order of box(): bottom, top, top, bottom; seen from outside the first is on the left.
        bottom_a, top_a, top_b, bottom_b = corners

        def at(p: float, q: float) -> np.ndarray:
            lower = bottom_a + (bottom_b - bottom_a) * p
            upper = top_a + (top_b - top_a) * p
            return lower + (upper - lower) * q

        quad = [at(u[0], v[0]), at(u[0], v[1]), at(u[1], v[1]), at(u[1], v[0])]
        return self.polygon(quad, colour, parent=face, glow=glow)

    def wheels(self, face: int, centres: Sequence[float], radius: float, length: float) -> None:
        """Paint wheels on a side face of a box: centres as shares of its length."""
        angles = np.arange(8) * (np.pi / 4) + np.pi / 8
        corners = np.asarray([self._base[i] for i in self._faces[face][:4]])
        along = (corners[3] - corners[0]) / length
        up = np.array([0.0, 0.0, 1.0])
        base = corners[0] - up * corners[0][2]
        for share in centres:
            hub = base + along * (share * length) + up * radius
            for size, grey in ((1.0, 22.0), (0.55, 120.0)):
                reach = size * radius
                rim = [hub + reach * (along * np.cos(a) + up * np.sin(a)) for a in angles]
                self.polygon(rim, (grey, grey, grey), parent=face)

    def build(self) -> Mesh:
        """Give the finished mesh."""
        base = np.asarray(self._base, dtype=np.float64).reshape(-1, 3)
        facing = np.asarray(self._facing, dtype=np.float64).reshape(-1, 2)
        reach = np.stack([np.abs(facing[:, 0]), np.abs(facing[:, 0]), np.zeros(len(facing))], 1)
        low = (base - reach).min(0)
        high = (base + reach).max(0)
        high[2] = max(high[2], float((base[:, 2] + facing[:, 1]).max()))
        return Mesh(
            base=base,
            swing=np.asarray(self._swing, dtype=np.float64),
            facing=facing,
            faces=np.asarray(self._faces, dtype=np.int32),
            colour=np.asarray(self._colour, dtype=np.float64),
            normal=np.asarray(self._normal, dtype=np.float64),
            parent=np.asarray(self._parent, dtype=np.int32),
            two_sided=np.asarray(self._two_sided, dtype=bool),
            glow=np.asarray(self._glow, dtype=bool),
            half_extent=0.5 * (high - low),
            middle=0.5 * (high + low),
        )
