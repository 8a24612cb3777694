# SPDX-License-Identifier: Apache-2.0
"""What the radar sees of an object: a handful of scattering centres per kind.

A centre with a direction is a plate or a corner, strong when it looks at the radar (aspect); one
without is a rod or a body, seen from everywhere. Strengths follow published orders of magnitude
at 77 GHz: pedestrians -8 to 0 dBsm, cyclists about 0, cars 5 to 15, lorries 15 to 25.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .mesh import Mesh

_FLOOR = 0.03
"""Share of a plate's strength that is left at its edge-on side (diffuse scattering)."""


@dataclass(frozen=True)
class Signature:
    """Scattering centres of one object, in its frame.

    position (M, 3) m; direction (M, 3) unit, zero for no preferred side; rcs_dbsm (M,) when
    looked at squarely; sharpness (M,) exponent of the aspect's cosine.
    """

    position: np.ndarray
    direction: np.ndarray
    rcs_dbsm: np.ndarray
    sharpness: np.ndarray

    def __len__(self) -> int:
        """Give the number of scattering centres."""
        return len(self.rcs_dbsm)


def aspect_gain_db(cosine: np.ndarray, sharpness: np.ndarray) -> np.ndarray:
    """Loss against the square view, dB; -inf for centres on the far side.

    cosine (M,): between the centre's direction and the way to the radar; 1 where it has none.
    """
    with np.errstate(divide='ignore'):
        lobe = _FLOOR + (1.0 - _FLOOR) * np.clip(cosine, 0.0, 1.0) ** sharpness
        return np.where(cosine > 0.02, 10.0 * np.log10(lobe), -np.inf)


_NONE = Signature(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros(0))


def signature(kind: str, mesh: Mesh, rng: np.random.Generator) -> Signature:
    """Make the signature of an object; empty for a kind that hardly reflects."""
    if kind in _VEHICLES:
        rows = _vehicle(mesh, *_VEHICLES[kind])
    elif kind in _SIMPLE:
        rows = _SIMPLE[kind](mesh)
    else:
        return _NONE
    table = np.asarray(rows, dtype=np.float64)
    offset = rng.normal(0.0, 1.5)
    return Signature(
        position=table[:, 0:3],
        direction=table[:, 3:6],
        rcs_dbsm=table[:, 6] + offset + rng.normal(0.0, 1.5, len(table)),
        sharpness=table[:, 7],
    )


# Corner, end and side strengths, dBsm.
_VEHICLES = {
    'car': (3.0, 10.0, 13.0),
    'van': (6.0, 13.0, 16.0),
    'truck': (10.0, 18.0, 21.0),
}


def _vehicle(mesh: Mesh, corner: float, end: float, side: float) -> list[list[float]]:
    h, w = 0.88 * mesh.half_extent[0], 0.84 * mesh.half_extent[1]
    diagonal = np.sqrt(0.5)
    ends = (-1.0, 1.0)
    rows = [
        [x * h, y * w, 0.6, x * diagonal, y * diagonal, 0, corner, 1.0] for x in ends for y in ends
    ]
    rows += [
        [x * h * 1.04, y * w, 0.65, x, 0, 0, end - 2.0, 6.0] for x in ends for y in (-0.4, 0.4)
    ]
    rows += [[x * h * 1.04, 0.0, 0.5, x, 0, 0, end, 8.0] for x in ends]
    # Wheel arches, panels and the door between them.
    rows += [
        [x * h, y * w * 1.04, 0.4, 0, y, 0, corner + 1.0, 2.0] for y in ends for x in (-0.62, 0.62)
    ]
    rows += [
        [x * h, y * w * 1.04, 0.7, 0, y, 0, side - 3.0, 8.0] for y in ends for x in (-0.3, 0.3)
    ]
    rows += [[0.0, y * w * 1.06, 0.7, 0, y, 0, side, 14.0] for y in ends]
    return rows


def _pedestrian(mesh: Mesh) -> list[list[float]]:
    top = 2.0 * mesh.half_extent[2]
    return [
        [0, 0, 0.6 * top, 0, 0, 0, -3.0, 1.0],
        [0, 0, 0.72 * top, 0, 0, 0, -5.0, 1.0],
        [0, 0.05, 0.4 * top, 0, 0, 0, -9.0, 1.0],
    ]


def _cyclist(mesh: Mesh) -> list[list[float]]:
    del mesh
    return [
        [0, 0, 1.1, 0, 0, 0, 0.0, 1.0],
        [0.0, 0, 0.55, 0, 0, 0, -1.0, 1.0],
        [-0.5, 0, 0.35, 0, 0, 0, -4.0, 1.0],
        [0.5, 0, 0.35, 0, 0, 0, -4.0, 1.0],
    ]


def _lamp_post(mesh: Mesh) -> list[list[float]]:
    del mesh
    return [[0, 0, 0.6, 0, 0, 0, 1.5, 1.0], [0, 0, 1.3, 0, 0, 0, -1.0, 1.0]]


def _traffic_sign(mesh: Mesh) -> list[list[float]]:
    top = mesh.middle[2] + mesh.half_extent[2]
    middle = top - mesh.half_extent[1]
    return [
        [-0.03, 0, middle, -1, 0, 0, 9.0, 10.0],
        [0.05, 0, 0.6, 0, 0, 0, -3.0, 1.0],
    ]


def _guard_rail(mesh: Mesh) -> list[list[float]]:
    h = mesh.half_extent[0]
    return [
        [-h + 0.36, 0, 0.55, 0, 0, 0, 0.0, 1.0],
        [0.35 * h + 0.06, 0, 0.55, 0, 0, 0, 0.0, 1.0],
        [-0.2 * h, 0.06, 0.6, 0, 1, 0, 14.0, 30.0],
        [-0.2 * h, -0.06, 0.6, 0, -1, 0, 14.0, 30.0],
    ]


def _dumpster(mesh: Mesh) -> list[list[float]]:
    h, w = 0.95 * mesh.half_extent[0], 0.9 * mesh.half_extent[1]
    rows = [[x * h, 0, 0.65, x, 0, 0, 9.0, 5.0] for x in (-1.0, 1.0)]
    rows += [[0, y * w, 0.65, 0, y, 0, 10.0, 6.0] for y in (-1.0, 1.0)]
    rows += [
        [x * h * 0.9, y * w * 0.9, 0.6, x * 0.7071, y * 0.7071, 0, 3.0, 1.0]
        for x in (-1.0, 1.0)
        for y in (-1.0, 1.0)
    ]
    return rows


_SIMPLE = {
    'pedestrian': _pedestrian,
    'cyclist': _cyclist,
    'lamp_post': _lamp_post,
    'traffic_sign': _traffic_sign,
    'guard_rail': _guard_rail,
    'dumpster': _dumpster,
}
REFLECTING_KINDS = (*_VEHICLES, *_SIMPLE)
