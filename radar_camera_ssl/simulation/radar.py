# SPDX-License-Identifier: Apache-2.0
"""The radar: echoes of the scene with ghosts and clutter, and the points it reports of them.

Points and cube are made of the same echoes: what fades in one fades in the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .config import DriveConfig, generator
from .radar_signature import aspect_gain_db
from .scene import Scene, SceneState

OPAQUE_KINDS = frozenset({'car', 'van', 'truck', 'dumpster', 'building'})
SNR_DB_AT_REFERENCE = 12.0
REFERENCE_M = 40.0
"""0 dBsm at 40 m stands 12 dB above the noise: a pedestrian is seen up to about 35 m."""
_THRESHOLD_DB = 10.0
_SHADOWED_DB = 20.0
_MISSED_DB = 18.0
_MISS_PERIOD_S = 0.4
_GHOST_PERIOD_S = 0.5
_RESOLUTION = (0.8, np.radians(3.5), 0.4)
_FLUCTUATION_SHAPE = 2.0
"""Chi-squared with four degrees of freedom (Swerling III): a few centres, one dominant."""


@dataclass(frozen=True)
class Echoes:
    """What comes back to the antenna, in the radar's frame; arrays over the n echoes.

    range_m, azimuth, elevation (n,) m and rad; velocity (n,) m/s, positive receding; rcs_dbsm
    and snr_db (n,) with this frame's fading; instance (n,) source, 0 for clutter and ghosts;
    ghost (n,) bool; shadowed (n,) bool: something solid stands in between.
    """

    range_m: np.ndarray
    azimuth: np.ndarray
    elevation: np.ndarray
    velocity: np.ndarray
    rcs_dbsm: np.ndarray
    snr_db: np.ndarray
    instance: np.ndarray
    ghost: np.ndarray
    shadowed: np.ndarray

    def __len__(self) -> int:
        """Give the number of echoes."""
        return len(self.range_m)

    def __getitem__(self, chosen: np.ndarray) -> Echoes:
        """Give some of the echoes."""
        return Echoes(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    @staticmethod
    def join(parts: list[Echoes]) -> Echoes:
        """Put several together."""
        return Echoes(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in Echoes.__dataclass_fields__
            )
        )


@dataclass(frozen=True)
class RadarFrame:
    """The points of one radar frame: position (N, 3) m, velocity (N,), rcs (N,), instance (N,).

    echoes are those that the points were measured from, in the same order, free of noise.
    """

    position: np.ndarray
    velocity: np.ndarray
    rcs: np.ndarray
    instance: np.ndarray
    echoes: Echoes


def cartesian(range_m: np.ndarray, azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    """Take polar coordinates to points (n, 3) in the radar's frame (REP 103)."""
    flat = range_m * np.cos(elevation)
    return np.stack(
        [flat * np.cos(azimuth), flat * np.sin(azimuth), range_m * np.sin(elevation)], axis=-1
    )


class Radar:
    """The radar of a drive; every frame can be made on its own."""

    def __init__(self, config: DriveConfig, scene: Scene) -> None:
        self._seed, self._config, self._scene = config.seed, config.radar, scene
        self._mount = config.radar.mounting.transform()

    def echoes(self, state: SceneState, frame: int) -> Echoes:
        """Give all echoes of one frame within the field of view, strong and weak."""
        rng = generator(self._seed, 'echoes', 1, frame)
        direct, velocity_world, owner = self._direct(state, rng)
        parts = [direct, self._clutter(state, rng)]
        if len(direct):
            parts.insert(1, self._ghosts(state, direct, owner, velocity_world))
        echoes = Echoes.join(parts)
        c = self._config
        inside = (
            (echoes.range_m < c.max_range_m)
            & (echoes.range_m > 0.7)
            & (np.abs(echoes.azimuth) < c.azimuth_fov_rad)
            & (np.abs(echoes.elevation) < c.elevation_fov_rad)
            & np.isfinite(echoes.snr_db)
        )
        return echoes[inside]

    def _pose(self, state: SceneState) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Give rotation (radar to world), place and velocity of the radar in the world."""
        ego = state.ego
        rotation = ego.rotation @ self._mount.rotation
        place = ego.translation + ego.rotation @ self._mount.translation
        velocity = ego.rotation[:, 0] * ego.speed
        lever = ego.rotation @ self._mount.translation
        velocity = velocity + ego.yaw_rate * np.array([-lever[1], lever[0], 0.0])
        return rotation, place, velocity

    def _direct(
        self, state: SceneState, rng: np.random.Generator
    ) -> tuple[Echoes, np.ndarray, np.ndarray]:
        rotation, place, own_velocity = self._pose(state)
        reach = np.linalg.norm(state.position - place, axis=1)
        objects = self._scene.objects
        near = [
            i
            for i, k in enumerate(state.index)
            if objects[k].instance and reach[i] < self._config.max_range_m + 8.0
        ]
        signatures = [objects[state.index[i]].signature for i in near]
        owner = np.repeat(near, [len(s) for s in signatures]).astype(int)
        if len(owner) == 0:
            return _no_echoes(), np.zeros((0, 3)), owner
        local = np.concatenate([s.position for s in signatures])
        towards = np.concatenate([s.direction for s in signatures])
        yaw = state.yaw[owner]
        world = state.position[owner] + _turn(local, yaw)
        outward = _turn(towards, yaw)
        sight = place - world
        distance = np.linalg.norm(sight, axis=1)
        sight /= distance[:, None]
        flat = np.linalg.norm(towards, axis=1) < 0.5
        cosine = np.where(flat, 1.0, (outward * sight).sum(1))
        velocity = state.velocity[owner]
        range_m, azimuth, elevation = _polar((world - place) @ rotation)
        rcs = np.concatenate([s.rcs_dbsm for s in signatures])
        rcs = rcs + aspect_gain_db(cosine, np.concatenate([s.sharpness for s in signatures]))
        fading = rng.gamma(_FLUCTUATION_SHAPE, 1.0 / _FLUCTUATION_SHAPE, len(rcs))
        rcs = rcs + 10.0 * np.log10(np.maximum(fading, 1e-3))
        shadowed = self._shadowed(state, place, world, owner)
        rcs = rcs - _SHADOWED_DB * shadowed - _MISSED_DB * self._missed(state)[owner]
        echoes = Echoes(
            range_m=range_m,
            azimuth=azimuth,
            elevation=elevation,
            velocity=((own_velocity - velocity) * sight).sum(1),
            rcs_dbsm=rcs,
            snr_db=self._snr_db(rcs, range_m, azimuth, elevation),
            instance=np.array([objects[k].instance for k in state.index])[owner],
            ghost=np.zeros(len(rcs), dtype=bool),
            shadowed=shadowed,
        )
        return echoes, velocity, owner

    def _missed(self, state: SceneState) -> np.ndarray:
        """Tell which objects (n,) the radar loses for a moment: interference, bad angles."""
        period = int((state.time_s + 10.0) / _MISS_PERIOD_S)
        rng = generator(self._seed, 'echoes', 0, period)
        lost = rng.random(len(self._scene.objects)) < self._config.miss_rate
        return lost[state.index]

    def _snr_db(
        self, rcs: np.ndarray, range_m: np.ndarray, azimuth: np.ndarray, elevation: np.ndarray
    ) -> np.ndarray:
        """Apply the radar equation (power falls with the fourth power of range) and the beam."""
        c = self._config
        beam = (
            6.0 * (azimuth / c.azimuth_fov_rad) ** 2 + 6.0 * (elevation / c.elevation_fov_rad) ** 2
        )
        spread = 40.0 * np.log10(REFERENCE_M / np.maximum(range_m, 1.0))
        return rcs + SNR_DB_AT_REFERENCE + spread - beam

    def _shadowed(
        self, state: SceneState, place: np.ndarray, targets: np.ndarray, owner: np.ndarray
    ) -> np.ndarray:
        """Tell which targets (m, 3) have an opaque object before them (slab test on its box)."""
        objects = self._scene.objects
        walls = np.array(
            [i for i, k in enumerate(state.index) if objects[k].kind in OPAQUE_KINDS], dtype=int
        )
        if len(walls) == 0:
            return np.zeros(len(targets), dtype=bool)
        half = np.array([objects[state.index[i]].mesh.half_extent for i in walls]) * 0.96
        middle = np.array([objects[state.index[i]].mesh.middle for i in walls])
        yaw = state.yaw[walls]
        start = _turn(place - state.position[walls], -yaw) - middle
        ends = targets[:, None] - state.position[walls][None]
        c, s = np.cos(yaw), np.sin(yaw)
        end = np.stack(
            [
                c * ends[..., 0] + s * ends[..., 1],
                -s * ends[..., 0] + c * ends[..., 1],
                ends[..., 2],
            ],
            axis=-1,
        )
        way = end - middle - start
        way = np.where(np.abs(way) < 1e-9, 1e-9, way)
        a, b = (-half - start) / way, (half - start) / way
        enter = np.minimum(a, b).max(-1)
        leave = np.maximum(a, b).min(-1)
        blocked = (enter < leave) & (leave > 0.0) & (enter < 0.999)
        blocked &= walls[None, :] != owner[:, None]
        return blocked.any(1)

    def _ghosts(
        self, state: SceneState, direct: Echoes, owner: np.ndarray, velocity_world: np.ndarray
    ) -> Echoes:
        """Give multipath ghosts: a second bounce, a mirrored image, a longer way round.

        They keep their kind for half a second, as a wall or a bumper that mirrors does.
        """
        rotation, _, own_velocity = self._pose(state)
        period = int((state.time_s + 10.0) / _GHOST_PERIOD_S)
        rng = generator(self._seed, 'echoes', 2, period)
        draws = rng.random((len(self._scene.objects), 5))
        rate = self._config.ghost_rate
        parts = []
        for thing in np.unique(owner):
            kind, a, b, c, e = draws[state.index[thing]]
            members = np.flatnonzero(owner == thing)
            best = members[np.argmax(direct.snr_db[members])]
            if not np.isfinite(direct.snr_db[best]) or direct.shadowed[best]:
                continue
            echo = direct[np.array([best])]
            range_m, azimuth, elevation = echo.range_m, echo.azimuth, echo.elevation
            velocity, loss = echo.velocity, 6.0 + 8.0 * c
            if kind < 0.07 * rate:
                range_m, velocity = 2.0 * range_m + 0.3 * a, 2.0 * velocity
            elif kind < 0.19 * rate:
                # The mirror is a wall or a rail along the road, on the left or the right.
                mirror = (3.0 + 5.0 * a) * (1.0 if b < 0.5 else -1.0)
                point = cartesian(range_m, azimuth, elevation)
                point[:, 1] = 2.0 * mirror - point[:, 1]
                relative = (velocity_world[best] - own_velocity) @ rotation * [1.0, -1.0, 1.0]
                range_m, azimuth, elevation = _polar(point)
                velocity = (relative * point).sum(1) / range_m
            elif kind < 0.29 * rate:
                range_m = range_m + 1.5 + 8.0 * a
                azimuth = azimuth + np.radians(8.0) * (b - 0.5)
            else:
                continue
            rcs = echo.rcs_dbsm - loss + 3.0 * (e - 0.5)
            # The way back through a mirror loses less with range than a second target would.
            snr = self._snr_db(rcs, range_m, azimuth, elevation) + 5.0
            one = np.ones(1, dtype=bool)
            nobody = np.zeros(1, dtype=int)
            parts.append(
                Echoes(range_m, azimuth, elevation, velocity, rcs, snr, nobody, one, ~one)
            )
        return Echoes.join(parts) if parts else _no_echoes()

    def _clutter(self, state: SceneState, rng: np.random.Generator) -> Echoes:
        """Give clutter of road and plants, mostly standing still, some false alarms."""
        c = self._config
        # Under half of it is detected: the far and the weak stay below the noise.
        count = int(rng.poisson(2.2 * c.clutter_per_frame))
        range_m = rng.uniform(2.0, c.max_range_m, count)
        azimuth = rng.uniform(-c.azimuth_fov_rad, c.azimuth_fov_rad, count)
        elevation = rng.normal(0.0, np.radians(1.5), count)
        rotation, _, own_velocity = self._pose(state)
        sight = cartesian(np.ones(count), azimuth, elevation) @ rotation.T
        velocity = -(sight @ own_velocity)
        alarm = rng.random(count) < 0.25
        velocity = np.where(alarm, rng.uniform(-15, 15, count), velocity)
        # An RCS like that of small things, whatever the range: drawn by its SNR, near clutter
        # would give itself away by an RCS that no thing has.
        rcs = rng.normal(-7.0, 6.0, count)
        snr = self._snr_db(rcs, range_m, azimuth, elevation)
        nobody = np.zeros(count, dtype=int)
        none = np.zeros(count, dtype=bool)
        return Echoes(range_m, azimuth, elevation, velocity, rcs, snr, nobody, none, none)

    def frame(self, echoes: Echoes, frame: int) -> RadarFrame:
        """Detect and measure: the points reported of a frame's echoes, by range."""
        rng = generator(self._seed, 'points', frame)
        c = self._config
        chance = 1.0 / (1.0 + np.exp(-(echoes.snr_db - _THRESHOLD_DB) / 1.5))
        found = np.flatnonzero(rng.random(len(echoes)) < chance)
        found = found[_resolved(echoes[found])]
        found = found[np.argsort(echoes.range_m[found], kind='stable')]
        seen = echoes[found]
        n = len(seen)
        # The error of an angle grows as the signal nears the noise (Cramer and Rao).
        weak = np.sqrt(1.0 + np.clip(10.0 ** (-(seen.snr_db - 10.0) / 10.0), 0.0, 1.5))
        range_m = seen.range_m + c.range_noise_m * rng.standard_normal(n)
        azimuth = seen.azimuth + c.azimuth_noise_rad * weak * rng.standard_normal(n)
        spread = c.elevation_noise_rad * weak
        measured = seen.elevation + spread * rng.standard_normal(n)
        trust = c.elevation_prior_rad**2 / (c.elevation_prior_rad**2 + spread**2)
        elevation = trust * measured
        velocity = seen.velocity + c.doppler_noise_mps * rng.standard_normal(n)
        return RadarFrame(
            position=cartesian(np.maximum(range_m, 0.1), azimuth, elevation),
            velocity=velocity,
            rcs=seen.rcs_dbsm + rng.normal(0.0, 1.0, n),
            instance=seen.instance,
            echoes=seen,
        )


def _no_echoes() -> Echoes:
    zero, nobody, none = np.zeros(0), np.zeros(0, dtype=int), np.zeros(0, dtype=bool)
    return Echoes(zero, zero, zero, zero, zero, zero, nobody, none, none)


def _turn(points: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """Turn points (n, 3) about z by angles (n,)."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.stack(
        [
            c * points[:, 0] - s * points[:, 1],
            s * points[:, 0] + c * points[:, 1],
            points[:, 2],
        ],
        axis=1,
    )


def _polar(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    range_m = np.linalg.norm(points, axis=1)
    azimuth = np.arctan2(points[:, 1], points[:, 0])
    elevation = np.arcsin(np.clip(points[:, 2] / np.maximum(range_m, 1e-9), -1.0, 1.0))
    return range_m, azimuth, elevation


def _resolved(echoes: Echoes) -> np.ndarray:
    """Keep, of echoes in one resolution cell, the strongest: sorted indices (m,)."""
    kept: list[int] = []
    table = np.stack([echoes.range_m, echoes.azimuth, echoes.velocity], axis=1)
    for i in np.argsort(-echoes.snr_db, kind='stable'):
        if kept and (np.abs(table[kept] - table[i]) < _RESOLUTION).all(1).any():
            continue
        kept.append(int(i))
    return np.sort(np.array(kept, dtype=int))
