# SPDX-License-Identifier: Apache-2.0
"""What stands and moves along the road: drawn by the seed, per theme, in road coordinates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from . import street_objects, vehicles
from .mesh import Mesh
from .road import Road

MESHES: Mapping[str, Callable[[np.random.Generator, bool], Mesh]] = {
    'car': vehicles.car,
    'van': vehicles.van,
    'truck': vehicles.truck,
    'pedestrian': lambda rng, lights: street_objects.pedestrian(rng),
    'cyclist': lambda rng, lights: street_objects.cyclist(rng),
    'lamp_post': lambda rng, lights: street_objects.lamp_post(rng),
    'traffic_sign': lambda rng, lights: street_objects.traffic_sign(rng),
    'guard_rail': lambda rng, lights: street_objects.guard_rail(6.0),
    'dumpster': lambda rng, lights: street_objects.dumpster(rng),
    'wooden_post': lambda rng, lights: street_objects.wooden_post(rng),
    'poster': lambda rng, lights: street_objects.poster(rng),
    'wooden_fence': lambda rng, lights: street_objects.wooden_fence(rng, 6.0),
    'cardboard': lambda rng, lights: street_objects.cardboard(rng),
    'painted_vehicle': lambda rng, lights: vehicles.painted_vehicle(rng),
    'cone': lambda rng, lights: street_objects.cone(rng),
    'bush': lambda rng, lights: street_objects.bush(rng),
    'tree': lambda rng, lights: street_objects.tree(rng),
}
RAIL_PITCH_M = 6.0


@dataclass(frozen=True)
class Placement:
    """One thing and its way: s, d and heading against the road's, per time of the grid (T,).

    A single value stands for something that never moves.
    """

    kind: str
    s: np.ndarray
    d: np.ndarray
    heading: np.ndarray
    fixed: bool = True


@dataclass(frozen=True)
class Track:
    """A strip along the road on which things stand one after another.

    d: lateral positions it may take; gap_m: mean free length between two; kinds: weights.
    """

    d: tuple[float, float]
    gap_m: float
    kinds: Mapping[str, float]
    heading_spread: float = 0.06


@dataclass(frozen=True)
class Theme:
    """A kind of road.

    road: right and left edge of the asphalt; lanes_left: lateral position and direction of the
    lanes beside the ego's; building_gap_m: mean gap between buildings, None for no buildings.
    """

    road: tuple[float, float]
    verge: str
    speed: tuple[float, float]
    stops: bool
    tracks: tuple[Track, ...]
    lanes: tuple[tuple[float, int], ...]
    traffic_gap_m: float
    lead_rate: float
    walkers_per_100m: float
    building_gap_m: float | None
    rails: float


_PARKED = {
    'car': 0.44,
    'van': 0.1,
    'truck': 0.06,
    'dumpster': 0.1,
    'cardboard': 0.16,
    'painted_vehicle': 0.14,
}
_FURNITURE = {
    'lamp_post': 0.2,
    'traffic_sign': 0.17,
    'wooden_post': 0.2,
    'poster': 0.17,
    'cone': 0.1,
    'cardboard': 0.16,
}
_WALKWAY = {'bush': 0.25, 'painted_vehicle': 0.45, 'cardboard': 0.2, 'dumpster': 0.1}
_GREEN = {'tree': 0.55, 'bush': 0.35, 'painted_vehicle': 0.1}
_ROADSIDE = {
    'traffic_sign': 0.22,
    'poster': 0.22,
    'lamp_post': 0.16,
    'wooden_post': 0.2,
    'cone': 0.08,
    'cardboard': 0.06,
    'bush': 0.06,
}
_LAYBY = {'car': 0.4, 'van': 0.1, 'truck': 0.1, 'painted_vehicle': 0.3, 'dumpster': 0.1}

THEMES: Mapping[str, Theme] = {
    'city': Theme(
        road=(-4.4, 7.6),
        verge='pavement',
        speed=(4.0, 12.5),
        stops=True,
        tracks=(
            Track((-3.4, -3.1), 24.0, _PARKED),
            Track((6.4, 6.7), 24.0, _PARKED),
            Track((-5.2, -4.9), 20.0, _FURNITURE, 0.2),
            Track((8.1, 8.5), 20.0, _FURNITURE, 0.2),
            Track((-8.0, -7.0), 24.0, _WALKWAY, 0.2),
            Track((10.2, 11.2), 24.0, _WALKWAY, 0.2),
            Track((-10.2, -9.4), 16.0, _GREEN),
            Track((12.6, 13.4), 16.0, _GREEN),
        ),
        lanes=((3.3, -1),),
        traffic_gap_m=75.0,
        lead_rate=0.6,
        walkers_per_100m=2.0,
        building_gap_m=7.0,
        rails=0.05,
    ),
    'rural': Theme(
        road=(-1.9, 5.2),
        verge='grass',
        speed=(7.0, 18.0),
        stops=True,
        tracks=(
            Track((-4.6, -3.4), 20.0, _ROADSIDE, 0.2),
            Track((6.8, 8.2), 20.0, _ROADSIDE, 0.2),
            Track((-8.5, -6.0), 22.0, {**_LAYBY, 'bush': 0.3, 'cardboard': 0.15}, 0.35),
            Track((9.5, 12.0), 22.0, {**_LAYBY, 'bush': 0.3, 'cardboard': 0.15}, 0.35),
            Track((-16.0, -10.5), 7.0, _GREEN),
            Track((14.0, 20.0), 7.0, _GREEN),
        ),
        lanes=((3.4, -1),),
        traffic_gap_m=75.0,
        lead_rate=0.65,
        walkers_per_100m=1.0,
        building_gap_m=90.0,
        rails=0.14,
    ),
    'highway': Theme(
        road=(-4.6, 6.0),
        verge='grass',
        speed=(13.0, 20.0),
        stops=False,
        tracks=(
            Track((-3.6, -3.4), 60.0, {'car': 0.5, 'truck': 0.2, 'cardboard': 0.2, 'cone': 0.3}),
            Track((-7.6, -6.2), 16.0, _ROADSIDE, 0.2),
            Track((7.8, 9.0), 20.0, _ROADSIDE, 0.2),
            Track((-13.0, -9.5), 11.0, {**_GREEN, 'painted_vehicle': 0.3, 'cardboard': 0.2}),
            Track((17.5, 20.0), 11.0, {**_GREEN, 'painted_vehicle': 0.3}),
        ),
        lanes=((3.5, 1), (11.5, -1), (15.0, -1)),
        traffic_gap_m=60.0,
        lead_rate=0.8,
        walkers_per_100m=0.0,
        building_gap_m=140.0,
        rails=0.3,
    ),
}


def place_everything(
    theme: Theme, road: Road, times: np.ndarray, density: float, rng: np.random.Generator
) -> list[Placement]:
    """Draw all things of a drive."""
    first, last = float(road.travelled(times[0])) - 20.0, float(road.travelled(times[-1])) + 140.0
    things: list[Placement] = []
    if density > 0.0:
        for track in theme.tracks:
            things += _stand(track, first, last, density, rng)
        things += _rails(theme, first, last, density, rng)
        things += _traffic(theme, road, times, first, last, density, rng)
        things += _walkers(theme, road, times, first, last, density, rng)
    return things


def _fixed(kind: str, s: float, d: float, heading: float) -> Placement:
    return Placement(kind, np.array([s]), np.array([d]), np.array([heading]))


_LENGTHS = {'car': 5.2, 'van': 6.5, 'truck': 11.5, 'tree': 4.0, 'painted_vehicle': 4.0}


def _stand(
    track: Track, first: float, last: float, density: float, rng: np.random.Generator
) -> list[Placement]:
    names = list(track.kinds)
    weights = np.array([track.kinds[name] for name in names])
    things = []
    s = first + rng.uniform(0.0, track.gap_m)
    # Things come in clusters: a crowded stretch, then an empty one.
    crowd = 1.0
    while s < last:
        if rng.random() < 0.12:
            crowd = float(rng.choice([0.5, 1.0, 2.2]))
        kind = names[rng.choice(len(names), p=weights / weights.sum())]
        length = _LENGTHS.get(kind, 2.5)
        heading = rng.normal(0.0, track.heading_spread)
        if kind in ('car', 'van', 'truck', 'cardboard', 'dumpster') and rng.random() < 0.4:
            heading += np.pi
        things.append(_fixed(kind, s + 0.5 * length, rng.uniform(*track.d), heading))
        s += length + rng.exponential(track.gap_m * crowd / density)
    return things


def _rails(
    theme: Theme, first: float, last: float, density: float, rng: np.random.Generator
) -> list[Placement]:
    things = []
    for d in (theme.road[0] - 0.5, theme.road[1] + 0.5):
        s = first
        while s < last:
            run = rng.uniform(3, 9) * RAIL_PITCH_M
            kind = None
            if rng.random() < theme.rails * min(density, 1.5):
                kind = 'guard_rail'
            elif rng.random() < theme.rails * 0.5:
                kind = 'wooden_fence'
            if kind is not None:
                things += [
                    _fixed(kind, s + (k + 0.5) * RAIL_PITCH_M, d, 0.0)
                    for k in range(int(run // RAIL_PITCH_M))
                ]
            s += run + rng.uniform(5.0, 25.0)
    return things


def _vehicle_kind(rng: np.random.Generator) -> str:
    return str(rng.choice(['car', 'van', 'truck', 'cyclist'], p=[0.64, 0.13, 0.17, 0.06]))


def _traffic(
    theme: Theme,
    road: Road,
    times: np.ndarray,
    first: float,
    last: float,
    density: float,
    rng: np.random.Generator,
) -> list[Placement]:
    things = []
    ego = road.travelled(times)
    ones = np.ones_like(times)
    if rng.random() < theme.lead_rate:
        # The one in front drives the ego's own profile a little earlier: it is never hit.
        lag, gap = rng.uniform(0.6, 1.8), rng.uniform(7.0, 16.0)
        s = road.travelled(times + lag) + gap
        swing = rng.normal(0.0, 0.25) + 0.2 * np.sin(0.3 * times + rng.uniform(0, 6))
        things.append(Placement(_vehicle_kind(rng), s, swing, 0.0 * ones, False))
    for d, direction in theme.lanes:
        speed = rng.uniform(*theme.speed) * direction
        if direction > 0:
            # Faster and slower than the ego by turns, so that it overtakes and is overtaken.
            wander = 12.0 * np.sin(2 * np.pi * times / rng.uniform(15, 35) + rng.uniform(0, 6))
            base = ego + wander
            low, high = -60.0, 120.0
        else:
            base = speed * times
            low, high = first, last - min(0.0, speed) * times[-1]
        start = low + rng.uniform(0.0, theme.traffic_gap_m)
        while start < high:
            wobble = rng.normal(0.0, 0.15)
            heading = (0.0 if direction > 0 else np.pi) * ones
            things.append(
                Placement(_vehicle_kind(rng), start + base, (d + wobble) * ones, heading, False)
            )
            start += 14.0 + rng.exponential(theme.traffic_gap_m / density)
    count = rng.poisson(0.35 * (last - first) / 100.0 * density * (theme.walkers_per_100m > 0))
    for _ in range(count):
        side = rng.choice([-1.65, theme.road[1] - 2.6 if theme.verge == 'pavement' else 4.6])
        pace = rng.uniform(3.0, 5.5) * (1 if side < 0 else -1)
        s = rng.uniform(first, last) + pace * times
        heading = (0.0 if side < 0 else np.pi) * ones
        things.append(Placement('cyclist', s, side * ones, heading, False))
    return things


def _walkers(
    theme: Theme,
    road: Road,
    times: np.ndarray,
    first: float,
    last: float,
    density: float,
    rng: np.random.Generator,
) -> list[Placement]:
    things = []
    ego = road.travelled(times)
    ones = np.ones_like(times)
    for _ in range(rng.poisson(theme.walkers_per_100m * (last - first) / 100.0 * density)):
        side = rng.random() < 0.5
        d = (
            theme.road[0] - rng.uniform(0.8, 2.6)
            if side
            else theme.road[1] + rng.uniform(0.8, 2.6)
        )
        pace = 0.0 if rng.random() < 0.3 else rng.uniform(0.8, 1.7) * rng.choice([-1.0, 1.0])
        heading = 0.0 if pace > 0 else np.pi
        if pace == 0.0:
            heading = rng.uniform(-np.pi, np.pi)
        s = rng.uniform(first, last) + pace * times
        things.append(Placement('pedestrian', s, d * ones, heading * ones, False))
    for _ in range(rng.poisson(0.5 * theme.walkers_per_100m * (last - first) / 100.0 * density)):
        crossing = rng.uniform(times[0], times[-1])
        pace = rng.uniform(0.9, 1.8) * rng.choice([-1.0, 1.0])
        place = float(road.travelled(crossing)) + rng.uniform(9.0, 35.0)
        edges = theme.road[0] - 1.5, theme.road[1] + 1.5
        d = np.clip(0.5 * sum(edges) + pace * (times - crossing), *edges)
        near = np.abs(ego + 1.5 - place) < 4.5
        if (np.abs(d[near]) < 2.2).any():
            continue
        heading = np.copysign(0.5 * np.pi, pace) * ones
        things.append(Placement('pedestrian', place * ones, d, heading, False))
    return things
