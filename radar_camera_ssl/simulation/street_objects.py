# SPDX-License-Identifier: Apache-2.0
"""How everything but vehicles looks: people, street furniture, plants and litter."""

from __future__ import annotations

import numpy as np

from .mesh import Colour, Mesh, MeshBuilder
from .vehicles import BLACK, GLASS, darker, paint

_SKIN: tuple[Colour, ...] = ((150, 180, 225), (110, 145, 195), (70, 95, 140), (45, 60, 95))
_BARK: tuple[Colour, ...] = ((55, 75, 95), (60, 70, 80), (40, 55, 70))
_LEAVES: tuple[Colour, ...] = ((40, 95, 60), (45, 110, 95), (35, 75, 50), (40, 105, 125))


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    base = np.asarray(colours[rng.integers(len(colours))], dtype=np.float64)
    b, g, r = np.clip(base * rng.uniform(0.8, 1.2) + rng.normal(0, 5, 3), 10, 245)
    return float(b), float(g), float(r)


def pedestrian(rng: np.random.Generator) -> Mesh:
    """Make a walker whose legs and arms swing."""
    height = rng.uniform(1.5, 1.95)
    girth = rng.uniform(0.85, 1.2)
    coat, trousers, skin = paint(rng), paint(rng), _pick(rng, _SKIN)
    hip, shoulder = 0.48 * height, 0.83 * height
    person = MeshBuilder()
    for y, swing in ((0.09, 0.3), (-0.09, -0.3)):
        y0, y1 = y * girth - 0.07, y * girth + 0.07
        person.box((-0.08, y0, 0.0), (0.08, y1, hip), trousers, swing=(swing, 0.0))
    coat_end = hip - rng.uniform(0.0, 0.3)
    w = 0.2 * girth
    for y, swing in ((w + 0.05, -0.22), (-w - 0.05, 0.22)):
        arm = (swing, 0.0)
        person.box(
            (-0.06, y - 0.05, hip),
            (0.06, y + 0.05, shoulder - 0.03),
            darker(coat, 0.85),
            swing=arm,
        )
    person.box((-0.13, -w, coat_end), (0.13, w, shoulder), coat, top_inset=(0.03, 0.03, 0.03))
    if rng.random() < 0.4:
        person.box((-0.3, -0.15, 0.62 * height), (-0.13, 0.15, 0.8 * height), paint(rng))
    person.disc((0, 0, 0.92 * height), 0.105, skin, 1.2)
    person.disc((-0.02, 0, 0.955 * height), 0.1, _pick(rng, _BARK), 0.75)
    return person.build()


def cyclist(rng: np.random.Generator) -> Mesh:
    """Make a person on a bicycle."""
    coat, frame = paint(rng), paint(rng)
    rider = MeshBuilder()
    angles = np.arange(8) * (np.pi / 4)
    for x in (-0.52, 0.52):
        for radius, colour in ((0.35, BLACK), (0.28, (135.0, 135.0, 130.0))):
            ring = [(x + radius * np.cos(a), 0.0, 0.35 + radius * np.sin(a)) for a in angles]
            rider.polygon(ring, colour, two_sided=True)
        rider.pole(x, 0.0, 0.0, 0.7, 0.06, BLACK)
    rider.box((-0.45, -0.03, 0.5), (0.45, 0.03, 0.6), frame)
    for y in (0.1, -0.1):
        rider.box((-0.1, y - 0.07, 0.3), (0.15, y + 0.07, 0.95), paint(rng), swing=(y * 1.5, 0.0))
    rider.box((-0.2, -0.21, 0.9), (0.2, 0.21, 1.45), coat, top_inset=(0.0, 0.15, 0.03))
    rider.disc((0.15, 0, 1.62), 0.12, paint(rng), 1.1)
    return rider.build()


def lamp_post(rng: np.random.Generator) -> Mesh:
    """Make a metal pole: a street lamp, a traffic light or a bare one."""
    grey = rng.uniform(70, 165)
    tint = (grey, grey * rng.uniform(0.95, 1.05), grey * rng.uniform(0.9, 1.05))
    post = MeshBuilder()
    height = rng.uniform(3.0, 7.0)
    post.pole(0, 0, 0, height, rng.uniform(0.12, 0.22), tint)
    style = rng.random()
    if style < 0.4:
        post.box((-0.2, -0.9, height - 0.12), (0.2, 0.9, height), tint)
    elif style < 0.7:
        top = min(height, 3.4)
        head = post.box((-0.16, -0.17, top - 0.9), (0.16, 0.17, top), (35, 40, 35))
        lit = int(rng.integers(3))
        lamps: tuple[Colour, ...] = ((60, 200, 70), (40, 170, 230), (40, 40, 230))
        for k, lamp in enumerate(lamps):
            shade = lamp if k == lit else darker(lamp, 0.25)
            span = (0.07 + 0.31 * k, 0.31 + 0.31 * k)
            post.patch(head['rear'], (0.2, 0.8), span, shade, glow=k == lit)
    return post.build()


def wooden_post(rng: np.random.Generator) -> Mesh:
    """Make a wooden or plastic pole: looks much like a metal one."""
    if rng.random() < 0.5:
        colour = _pick(rng, _BARK)
    else:
        grey = rng.uniform(80, 170)
        colour = (grey, grey, grey * rng.uniform(0.95, 1.1))
    post = MeshBuilder()
    post.pole(0, 0, 0, rng.uniform(2.0, 6.0), rng.uniform(0.12, 0.25), colour)
    return post.build()


def _board(rng: np.random.Generator, mount: Colour) -> Mesh:
    sign = MeshBuilder()
    bottom = rng.uniform(1.2, 2.2)
    half = rng.uniform(0.3, 0.5)
    face_colours: tuple[Colour, ...] = (
        (40, 40, 200),
        (180, 90, 30),
        (230, 230, 230),
        (40, 190, 220),
        (60, 130, 40),
    )
    outer = face_colours[rng.integers(len(face_colours))]
    inner = face_colours[rng.integers(len(face_colours))]
    top = bottom + 2 * half
    sign.pole(0.05, 0, 0, top, 0.08, mount)
    board = sign.box((-0.04, -half, bottom), (0.02, half, top), outer)
    sign.patch(board['rear'], (0.15, 0.85), (0.15, 0.85), inner)
    if rng.random() < 0.6:
        sign.patch(board['rear'], (0.42, 0.58), (0.25, 0.75), (35, 35, 35))
    sign.patch(board['front'], (0, 1), (0, 1), (120, 120, 120))
    return sign.build()


def traffic_sign(rng: np.random.Generator) -> Mesh:
    """Make a metal traffic sign on its pole, facing along -x."""
    return _board(rng, (125, 125, 125))


def poster(rng: np.random.Generator) -> Mesh:
    """Make a paper or plastic sign on a wooden stake: a traffic sign to the eye alone."""
    return _board(rng, _pick(rng, _BARK) if rng.random() < 0.6 else (120, 120, 120))


def guard_rail(length: float) -> Mesh:
    """Make one segment of a steel guard rail with its posts."""
    rail = MeshBuilder()
    h = 0.5 * length
    for x in (-h + 0.3, h * 0.35):
        rail.box((x, -0.06, 0.0), (x + 0.12, 0.06, 0.75), (95, 98, 98))
    faces = rail.box((-h, -0.06, 0.42), (h, 0.06, 0.78), (168, 168, 165))
    for side in ('left', 'right'):
        rail.patch(faces[side], (0, 1), (0.38, 0.62), (95, 95, 95))
    return rail.build()


def wooden_fence(rng: np.random.Generator, length: float) -> Mesh:
    """Make one segment of a wooden fence."""
    colour = _pick(rng, _BARK) if rng.random() < 0.6 else (185.0, 188.0, 188.0)
    fence = MeshBuilder()
    h = 0.5 * length
    for x in (-h, 0.0, h - 0.12):
        fence.box((x, -0.05, 0.0), (x + 0.12, 0.05, 1.0), darker(colour, 0.8))
    for z in (0.35, 0.75):
        fence.box((-h, -0.04, z), (h, 0.04, z + 0.14), colour)
    return fence.build()


def dumpster(rng: np.random.Generator) -> Mesh:
    """Make a steel waste container."""
    colour = paint(rng)
    bin_ = MeshBuilder()
    half = rng.uniform(0.6, 1.0)
    top = rng.uniform(1.1, 1.5)
    faces = bin_.box((-half, -0.55, 0.12), (half, 0.55, top), colour, top_inset=(0.0, 0.0, 0.1))
    for side in ('left', 'right', 'rear', 'front'):
        bin_.patch(faces[side], (0, 1), (0.82, 1.0), darker(colour, 0.55))
    return bin_.build()


def cardboard(rng: np.random.Generator) -> Mesh:
    """Make a stack of cardboard boxes, as large as a container or a small car may be."""
    boxes = MeshBuilder()
    tone = rng.uniform(0.75, 1.15)
    colour = (95 * tone, 140 * tone, 180 * tone) if rng.random() < 0.7 else paint(rng)
    half = rng.uniform(0.35, 1.0)
    top = rng.uniform(0.5, 1.3)
    lower = boxes.box((-half, -half * 0.8, 0), (half, half * 0.8, top), colour)
    for side in ('left', 'right', 'rear', 'front'):
        boxes.patch(lower[side], (0.46, 0.54), (0, 1), darker(colour, 0.8))
    if rng.random() < 0.6:
        h = half * rng.uniform(0.4, 0.8)
        boxes.box((-h, -h, top), (h, h * 0.5, top + rng.uniform(0.3, 0.7)), darker(colour, 0.9))
    return boxes.build()


def cone(rng: np.random.Generator) -> Mesh:
    """Make a plastic traffic cone."""
    item = MeshBuilder()
    height = rng.uniform(0.5, 0.9)
    anchor = (0.0, 0.0, 0.0)
    body = item.facing_polygon(
        [anchor] * 4,
        [(-0.22, 0), (0.22, 0), (0.05, height), (-0.05, height)],
        (30.0, 95.0, 225.0),
    )
    band = [
        (-0.15, 0.4 * height),
        (0.15, 0.4 * height),
        (0.1, 0.65 * height),
        (-0.1, 0.65 * height),
    ]
    item.facing_polygon([anchor] * 4, band, (230.0, 230.0, 230.0), parent=body)
    return item.build()


def bush(rng: np.random.Generator) -> Mesh:
    """Make a bush, from knee high to as large as a car."""
    plant = MeshBuilder()
    size = rng.uniform(0.4, 1.3)
    leaves = _pick(rng, _LEAVES)
    for _ in range(7):
        x, y = rng.normal(0, 0.45 * size, 2)
        radius = size * rng.uniform(0.4, 0.7)
        plant.disc((x, y, radius * 0.9), radius, darker(leaves, rng.uniform(0.65, 1.2)), 0.95)
    return plant.build()


def tree(rng: np.random.Generator) -> Mesh:
    """Make a tree."""
    plant = MeshBuilder()
    trunk = rng.uniform(1.6, 3.2)
    crown = rng.uniform(1.3, 2.6)
    leaves = _pick(rng, _LEAVES)
    plant.pole(0, 0, 0, trunk + 0.6 * crown, rng.uniform(0.2, 0.45), _pick(rng, _BARK))
    for k in range(9):
        x, y, z = rng.normal(0, 0.45 * crown, 3)
        tone = rng.uniform(0.65, 0.95) + 0.04 * k
        radius = crown * rng.uniform(0.4, 0.65)
        plant.disc((x, y, trunk + crown + 0.8 * z), radius, darker(leaves, tone), 0.95)
    return plant.build()


def building(rng: np.random.Generator, length: float, depth: float) -> Mesh:
    """Make a house or a block with rows of windows on the sides that can be seen."""
    height = rng.uniform(4.5, 14.0)
    shade = rng.uniform(95, 210)
    tint = np.clip(shade * (1.0 + rng.normal(0, 0.1, 3)), 40, 240)
    colour: Colour = (float(tint[0]), float(tint[1]), float(tint[2]))
    house = MeshBuilder()
    h, w = 0.5 * length, 0.5 * depth
    gable = rng.random() < 0.4
    faces = house.box((-h, -w, -1.0), (h, w, height), colour)
    if gable:
        house.box(
            (-h - 0.3, -w - 0.3, height),
            (h + 0.3, w + 0.3, height + 2.5),
            _pick(rng, ((50, 60, 110), (60, 65, 70))),
            top_inset=(0.2, 0.2, w),
        )
    pane = GLASS if rng.random() < 0.6 else (150.0, 130.0, 110.0)
    floors = int(height // 2.9)
    for side, span in (('left', length), ('right', length), ('rear', depth)):
        columns = max(2, int(span // rng.uniform(2.2, 3.5)))
        for floor in range(floors):
            v0 = (1.0 + floor * 2.9 + 0.9) / (height + 1.0)
            v1 = (1.0 + floor * 2.9 + 2.2) / (height + 1.0)
            for column in range(columns):
                u0 = (column + 0.25) / columns
                house.patch(
                    faces[side],
                    (u0, u0 + 0.5 / columns),
                    (v0, v1),
                    darker(pane, rng.uniform(0.7, 1.2)),
                )
    return house.build()
