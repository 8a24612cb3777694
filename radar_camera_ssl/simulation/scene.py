# SPDX-License-Identifier: Apache-2.0
"""The scene: what is where at a time. Image, points and cube are all made from its state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import layout, street_objects
from .config import DriveConfig, generator
from .mesh import Mesh
from .radar_signature import Signature, signature
from .road import EgoPose, Road

GRID_S = 0.05
VIEW_AHEAD_M = 110.0
VIEW_BEHIND_M = 12.0
MAX_SOURCES = 65535


@dataclass(frozen=True)
class SceneObject:
    """One thing of the drive.

    instance: the source's number, 1 and up; 0 for what hardly reflects.
    """

    kind: str
    instance: int
    mesh: Mesh
    signature: Signature
    backdrop: bool = False


@dataclass(frozen=True)
class SceneState:
    """Everything near the ego vehicle at one time; arrays over the n objects.

    index (n,) into Scene.objects; s, d (n,) road coordinates, m; position (n, 3) world, m; yaw
    (n,) world, rad; velocity (n, 3) world, m/s; gait (n,) phase of the limbs, rad.
    """

    time_s: float
    ego: EgoPose
    index: np.ndarray
    s: np.ndarray
    d: np.ndarray
    yaw: np.ndarray
    heading: np.ndarray
    position: np.ndarray
    velocity: np.ndarray
    gait: np.ndarray


class Scene:
    """A drive's road and things, fixed by the configuration's seed."""

    def __init__(self, config: DriveConfig) -> None:
        rng = generator(config.seed, 'scene')
        drawn = str(rng.choice(['city', 'rural', 'highway'], p=[0.5, 0.3, 0.2]))
        self.theme_name = config.theme or drawn
        self.theme = layout.THEMES[self.theme_name]
        self.road = Road(config.seed, config.duration_s, self.theme.speed, self.theme.stops)
        self._times = np.arange(-1.0, config.duration_s + 1.0 + GRID_S, GRID_S)
        looks = generator(config.seed, 'appearance')
        self.lights_on = bool(looks.random() < 0.35)
        placements = layout.place_everything(
            self.theme, self.road, self._times, config.density, rng
        )
        self.objects: list[SceneObject] = []
        used = 0
        for placement in placements:
            mesh = layout.MESHES[placement.kind](looks, self.lights_on)
            centres = signature(placement.kind, mesh, looks)
            reflects = len(centres) > 0
            used += reflects
            self.objects.append(
                SceneObject(placement.kind, used if reflects else 0, mesh, centres)
            )
        if used > MAX_SOURCES:
            raise ValueError(
                f'the drive holds {used} sources, more than {MAX_SOURCES}: make it shorter'
            )
        placements += self._backdrop(rng, looks)
        self.sources = used
        fixed = [p.fixed for p in placements]
        size = len(self._times)
        self._moving = np.flatnonzero(~np.asarray(fixed, dtype=bool))
        self._fixed_s, self._fixed_d, self._fixed_heading = (
            np.array([getattr(p, name)[0] for p in placements]) for name in ('s', 'd', 'heading')
        )
        self._s, self._d, self._heading = (
            np.array([getattr(placements[i], name) for i in self._moving]).reshape(-1, size)
            for name in ('s', 'd', 'heading')
        )
        self._gait = generator(config.seed, 'appearance', 1).uniform(0, 6.28, len(placements))

    def _backdrop(
        self, rng: np.random.Generator, looks: np.random.Generator
    ) -> list[layout.Placement]:
        gap = self.theme.building_gap_m
        if gap is None:
            return []
        placements = []
        first = float(self.road.travelled(self._times[0])) - 30.0
        last = float(self.road.travelled(self._times[-1])) + VIEW_AHEAD_M
        clear = 4.0 if self.theme.verge == 'pavement' else 16.0
        for side in (-1, 1):
            s = first + rng.uniform(0.0, gap)
            while s < last:
                length, depth = rng.uniform(9.0, 24.0), rng.uniform(8.0, 14.0)
                edge = self.theme.road[0 if side < 0 else 1] + side * (clear + 4.0)
                d = edge + side * (rng.uniform(0.0, 4.0) + 0.5 * depth)
                point = np.array([s + 0.5 * length]), np.array([d]), np.zeros(1)
                placements.append(layout.Placement('building', *point))
                mesh = street_objects.building(looks, length, depth)
                empty = signature('building', mesh, looks)
                self.objects.append(SceneObject('building', 0, mesh, empty, backdrop=True))
                s += length + 0.5 + rng.exponential(gap)
        return placements

    @cached_property
    def half_lengths(self) -> np.ndarray:
        """Largest horizontal half extent of each object (n,), m."""
        return np.array([np.abs(o.mesh.base[:, :2]).max() + 0.5 for o in self.objects])

    def state(self, time_s: float) -> SceneState:
        """Give the state at a time within the drive."""
        ego = self.road.ego(time_s)
        s, d, heading = self._fixed_s.copy(), self._fixed_d.copy(), self._fixed_heading.copy()
        rate_s, rate_d = np.zeros_like(s), np.zeros_like(s)
        place = np.clip((time_s - self._times[0]) / GRID_S, 0.0, len(self._times) - 1.0 - 1e-9)
        k = int(place)
        for table, values, rate in ((self._s, s, rate_s), (self._d, d, rate_d)):
            step = table[:, k + 1] - table[:, k]
            values[self._moving] = table[:, k] + (place - k) * step
            rate[self._moving] = step / GRID_S
        heading[self._moving] = self._heading[:, k]
        reach = self.half_lengths if len(s) else s
        near = np.flatnonzero(
            (s + reach > ego.s - VIEW_BEHIND_M) & (s - reach < ego.s + VIEW_AHEAD_M)
        )
        position, along = self.road.to_world(s[near], d[near])
        direction = np.stack([np.cos(along), np.sin(along)], axis=1)
        velocity = np.zeros((len(near), 3))
        # The inside of a bend is shorter than its centre line.
        pace = rate_s[near] * (1.0 - self.road.curvature(s[near]) * d[near])
        velocity[:, :2] = pace[:, None] * direction
        velocity[:, :2] += rate_d[near, None] * np.stack([-direction[:, 1], direction[:, 0]], 1)
        distance = rate_s[near] * time_s + rate_d[near] * time_s
        return SceneState(
            time_s=time_s,
            ego=ego,
            index=near,
            s=s[near],
            d=d[near],
            yaw=along + heading[near],
            heading=heading[near],
            position=position,
            velocity=velocity,
            gait=self._gait[near] + 4.2 * distance,
        )
