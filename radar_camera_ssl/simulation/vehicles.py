# SPDX-License-Identifier: Apache-2.0
"""How vehicles look: cars, vans, trucks and buses, each one different."""

from __future__ import annotations

import numpy as np

from .mesh import Colour, Mesh, MeshBuilder

GLASS: Colour = (70.0, 58.0, 48.0)
TAIL_LIGHT: Colour = (20.0, 20.0, 190.0)
HEAD_LIGHT: Colour = (215.0, 225.0, 225.0)
PLATE: Colour = (190.0, 205.0, 205.0)
BLACK: Colour = (28.0, 28.0, 28.0)

_PAINTS: tuple[Colour, ...] = (
    (232, 232, 230),
    (190, 190, 188),
    (120, 118, 116),
    (60, 58, 56),
    (30, 28, 27),
    (35, 30, 150),
    (120, 60, 25),
    (150, 110, 60),
    (60, 105, 45),
    (40, 150, 200),
    (120, 150, 165),
    (40, 70, 120),
)


def paint(rng: np.random.Generator) -> Colour:
    """Choose a body colour."""
    base = np.asarray(_PAINTS[rng.integers(len(_PAINTS))], dtype=np.float64)
    b, g, r = np.clip(base * rng.uniform(0.85, 1.1) + rng.normal(0, 8, 3), 15, 245)
    return float(b), float(g), float(r)


def darker(colour: Colour, factor: float) -> Colour:
    """Give the colour times a factor."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def car(rng: np.random.Generator, lights: bool) -> Mesh:
    """Make a saloon, an estate or a compact."""
    length = rng.uniform(3.6, 4.9)
    width = rng.uniform(1.65, 1.9)
    height = rng.uniform(1.4, 1.75)
    waist = rng.uniform(0.52, 0.6) * height
    colour = paint(rng)
    h, w = 0.5 * length, 0.5 * width
    body = MeshBuilder()
    lower = body.box((-h, -w, 0.22), (h, w, waist), colour, top_inset=(0.1, 0.06, 0.04))
    estate = rng.random() < 0.5
    bonnet = rng.uniform(0.2, 0.27) * length
    boot = rng.uniform(0.02, 0.06) * length if estate else rng.uniform(0.12, 0.2) * length
    cabin = body.box(
        (-h + boot, -w + 0.06, waist),
        (h - bonnet, w - 0.06, height),
        colour,
        top_inset=(rng.uniform(0.5, 0.8), 0.25 if estate else rng.uniform(0.4, 0.7), 0.16),
    )
    for side in ('left', 'right'):
        body.wheels(lower[side], (0.17, 0.81), rng.uniform(0.3, 0.36), length)
        split = rng.uniform(0.45, 0.55)
        body.patch(cabin[side], (0.08, split), (0.14, 0.86), GLASS)
        body.patch(cabin[side], (split + 0.04, 0.93), (0.14, 0.86), GLASS)
        body.patch(lower[side], (0.0, 1.0), (0.0, 0.14), darker(colour, 0.45))
    body.patch(cabin['front'], (0.06, 0.94), (0.08, 0.92), GLASS)
    body.patch(cabin['rear'], (0.08, 0.92), (0.15, 0.9), GLASS)
    _lamps(body, lower, lights)
    body.patch(lower['front'], (0.3, 0.7), (0.3, 0.55), BLACK)
    return body.build()


def _lamps(body: MeshBuilder, faces: dict[str, int], lights: bool) -> None:
    body.patch(faces['rear'], (0.0, 1.0), (0.0, 0.22), BLACK)
    body.patch(faces['rear'], (0.38, 0.62), (0.36, 0.54), PLATE)
    body.patch(faces['front'], (0.0, 1.0), (0.0, 0.2), BLACK)
    for u in ((0.03, 0.2), (0.8, 0.97)):
        body.patch(faces['rear'], u, (0.55, 0.85), TAIL_LIGHT, glow=lights)
        body.patch(faces['front'], u, (0.55, 0.82), HEAD_LIGHT, glow=lights)


def van(rng: np.random.Generator, lights: bool) -> Mesh:
    """Make a delivery van."""
    length, width = rng.uniform(4.9, 6.2), rng.uniform(1.9, 2.1)
    height = rng.uniform(2.0, 2.6)
    colour = paint(rng) if rng.random() < 0.5 else (225.0, 226.0, 226.0)
    h, w = 0.5 * length, 0.5 * width
    body = MeshBuilder()
    faces = body.box((-h, -w, 0.25), (h - 0.7, w, height), colour, top_inset=(0.5, 0.05, 0.08))
    nose = body.box((h - 0.75, -w, 0.25), (h, w, 1.15), colour, top_inset=(0.15, 0.0, 0.05))
    for side in ('left', 'right'):
        front = (0.04, 0.2) if side == 'left' else (0.8, 0.96)
        body.patch(faces[side], front, (0.5, 0.82), GLASS)
        body.wheels(
            faces[side], (0.08, 0.8) if side == 'left' else (0.2, 0.92), 0.36, length - 0.7
        )
        if rng.random() < 0.5:
            body.patch(faces[side], (0.35, 0.8), (0.4, 0.75), paint(rng))
    body.patch(faces['front'], (0.06, 0.94), (0.45, 0.9), GLASS)
    body.patch(faces['rear'], (0.1, 0.46), (0.55, 0.88), GLASS)
    body.patch(faces['rear'], (0.54, 0.9), (0.55, 0.88), GLASS)
    body.patch(faces['rear'], (0.36, 0.64), (0.2, 0.28), PLATE)
    for u in ((0.0, 0.08), (0.92, 1.0)):
        body.patch(faces['rear'], u, (0.2, 0.5), TAIL_LIGHT, glow=lights)
    for u in ((0.03, 0.2), (0.8, 0.97)):
        body.patch(nose['front'], u, (0.5, 0.8), HEAD_LIGHT, glow=lights)
    body.patch(nose['front'], (0.3, 0.7), (0.35, 0.65), BLACK)
    return body.build()


def truck(rng: np.random.Generator, lights: bool) -> Mesh:
    """Make a truck: a cab and a box or a tarpaulin behind it."""
    length, width = rng.uniform(7.0, 11.0), rng.uniform(2.35, 2.5)
    height = rng.uniform(3.0, 3.8)
    cab_height = rng.uniform(2.5, 3.1)
    colour, load = paint(rng), paint(rng)
    h, w = 0.5 * length, 0.5 * width
    body = MeshBuilder()
    chassis = body.box((-h, -w + 0.1, 0.45), (h, w - 0.1, 1.0), (45, 45, 45))
    cab = body.box((h - 2.0, -w, 0.5), (h, w, cab_height), colour, top_inset=(0.15, 0, 0.05))
    box = body.box((-h, -w, 1.0), (h - 2.15, w, height), load)
    for side in ('left', 'right'):
        spots = (0.11, 0.7, 0.82) if side == 'left' else (0.18, 0.3, 0.89)
        body.wheels(chassis[side], spots, 0.48, length)
        u = (0.15, 0.6) if side == 'left' else (0.4, 0.85)
        body.patch(cab[side], u, (0.5, 0.82), GLASS)
        if rng.random() < 0.6:
            body.patch(box[side], (0.2, 0.75), (0.35, 0.75), paint(rng))
    body.patch(cab['front'], (0.06, 0.94), (0.5, 0.85), GLASS)
    body.patch(cab['front'], (0.15, 0.85), (0.18, 0.4), BLACK)
    body.patch(box['rear'], (0.48, 0.52), (0.0, 1.0), darker(load, 0.6))
    body.patch(chassis['rear'], (0.36, 0.64), (0.3, 0.6), PLATE)
    for u in ((0.02, 0.16), (0.84, 0.98)):
        body.patch(chassis['rear'], u, (0.25, 0.7), TAIL_LIGHT, glow=lights)
        body.patch(cab['front'], u, (0.06, 0.16), HEAD_LIGHT, glow=lights)
    return body.build()


def painted_vehicle(rng: np.random.Generator) -> Mesh:
    """Make a wooden panel with a life-size vehicle painted on it, as on a hoarding.

    The panel faces along -x (as a rear view does) or along +y (as a side view does).
    """
    source = car(rng, lights=False) if rng.random() < 0.75 else van(rng, lights=False)
    rear = rng.random() < 0.6
    axis, sign = (0, -1.0) if rear else (1, 1.0)
    base = source.base.copy()
    base[:, axis] *= 0.01
    panel = MeshBuilder()
    backing: int | None = None
    if rng.random() < 0.5:
        margin = rng.uniform(0.1, 0.5)
        side = source.half_extent[1 - axis] + margin
        top = 2.0 * source.half_extent[2] + rng.uniform(0.1, 0.5)
        low = [0.06, -side, 0.0] if rear else [-side, -0.12, 0.0]
        high = [0.12, side, top] if rear else [side, -0.06, top]
        shade = rng.uniform(110, 215)
        faces = panel.box(low, high, (shade, shade * rng.uniform(0.9, 1.0), shade))
        backing = faces['rear' if rear else 'left']
    view = source.normal[source.parent][:, axis] * sign
    # The top's faces lean on neither axis: they stay out of a flat painting.
    for face in np.flatnonzero(view > 0.3):
        count = len(dict.fromkeys(source.faces[face].tolist()))
        b, g, r = source.colour[face]
        painted = panel.polygon(
            base[source.faces[face][:count]], (float(b), float(g), float(r)), parent=backing
        )
        backing = painted if backing is None else backing
    return panel.build()
