# SPDX-License-Identifier: Apache-2.0
"""The road and the ego vehicle's way along it.

The world is laid out in road coordinates: s along the ego lane's centre line, d to its left,
metres. The centre line turns gently and rises and falls; the ego vehicle stops and goes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radar_camera_ssl.sensors.geometry import yaw_pitch_roll

from .config import generator

_STEP_M = 0.5
_BEHIND_M = 150.0
_AHEAD_M = 350.0
_STEP_S = 0.02
_MARGIN_S = 8.0
"""Tables reach this far beyond both ends: leading vehicles run ahead of the ego's profile."""


@dataclass(frozen=True)
class EgoPose:
    """The ego vehicle (base_link) in the world at one time."""

    rotation: np.ndarray
    translation: np.ndarray
    s: float
    d: float
    yaw: float
    pitch: float
    speed: float
    yaw_rate: float


class Road:
    """Centre line, height profile and the ego vehicle's speed along them.

    speed_range: lowest and highest cruising speed, m/s; stops: whether it may halt.
    """

    def __init__(
        self, seed: int, duration_s: float, speed_range: tuple[float, float], stops: bool
    ) -> None:
        rng = generator(seed, 'road')
        self._build_speed(rng, duration_s, speed_range, stops)
        self.length_m = float(self._travelled[-1])
        self._build_line(rng)
        self._vibration = rng.uniform(0.0, 2.0 * np.pi, 4)
        self._weave = rng.uniform(0.0, 2.0 * np.pi, 2)

    def _build_speed(
        self,
        rng: np.random.Generator,
        duration_s: float,
        speed_range: tuple[float, float],
        stops: bool,
    ) -> None:
        low, high = speed_range
        knots_t, knots_v = [-_MARGIN_S], [rng.uniform(low, high)]
        while knots_t[-1] < duration_s + _MARGIN_S:
            knots_t.append(knots_t[-1] + rng.uniform(4.0, 9.0))
            knots_v.append(rng.uniform(low, high))
            if stops and rng.random() < 0.25:
                knots_v[-1] = 0.0
                knots_t.append(knots_t[-1] + rng.uniform(1.5, 4.0))
                knots_v.append(0.0)
        self._time = np.arange(-_MARGIN_S, duration_s + _MARGIN_S, _STEP_S)
        position = np.interp(self._time, knots_t, np.arange(len(knots_t)))
        before = np.minimum(position.astype(int), len(knots_v) - 2)
        blend = 0.5 - 0.5 * np.cos(np.pi * (position - before))
        v = np.asarray(knots_v)
        self._speed = v[before] * (1.0 - blend) + v[before + 1] * blend
        travelled = np.concatenate([[0.0], np.cumsum(self._speed[:-1] * _STEP_S)])
        self._travelled = travelled - np.interp(0.0, self._time, travelled)

    def _build_line(self, rng: np.random.Generator) -> None:
        self._s = np.arange(self._travelled[0] - _BEHIND_M, self.length_m + _AHEAD_M, _STEP_M)
        curvature = np.zeros_like(self._s)
        height = np.zeros_like(self._s)
        for wavelength, radius in ((rng.uniform(250, 500), 170.0), (rng.uniform(110, 220), 240.0)):
            phase = rng.uniform(0.0, 2.0 * np.pi)
            amplitude = rng.uniform(0.2, 1.0) / radius
            curvature += amplitude * np.sin(2.0 * np.pi * self._s / wavelength + phase)
        for wavelength in (rng.uniform(150, 400), rng.uniform(70, 130), rng.uniform(35, 60)):
            phase = rng.uniform(0.0, 2.0 * np.pi)
            slope = rng.uniform(0.002, 0.012)
            wave = 2.0 * np.pi / wavelength
            height += slope / wave * np.sin(wave * self._s + phase)
        self._heading = np.cumsum(curvature) * _STEP_M
        self._curvature = curvature
        self._x = np.cumsum(np.cos(self._heading)) * _STEP_M
        self._y = np.cumsum(np.sin(self._heading)) * _STEP_M
        self._z = height
        self._slope = np.gradient(height, _STEP_M)

    def travelled(self, time_s: np.ndarray | float) -> np.ndarray:
        """Give the ego's s at a time, or at several."""
        return np.interp(time_s, self._time, self._travelled)

    def ego_speed(self, time_s: np.ndarray | float) -> np.ndarray:
        """Give the ego's speed at a time, or at several, m/s."""
        return np.interp(time_s, self._time, self._speed)

    def to_world(self, s: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Take road coordinates (n,), (n,) to world points on the ground (n, 3) and headings."""
        s = np.asarray(s, dtype=np.float64)
        heading = np.interp(s, self._s, self._heading)
        x = np.interp(s, self._s, self._x) - d * np.sin(heading)
        y = np.interp(s, self._s, self._y) + d * np.cos(heading)
        return np.stack([x, y, np.interp(s, self._s, self._z)], axis=-1), heading

    def curvature(self, s: np.ndarray) -> np.ndarray:
        """Give the centre line's curvature at s (n,), 1/m, positive to the left."""
        return np.interp(s, self._s, self._curvature)

    def ego(self, time_s: float) -> EgoPose:
        """Give the ego vehicle's pose: on the slope, weaving and nodding a little."""
        s = float(self.travelled(time_s))
        speed = float(self.ego_speed(time_s))
        lively = min(speed / 8.0, 1.0)
        w0, w1 = self._weave
        d = 0.18 * np.sin(0.045 * s + w0) + 0.08 * np.sin(0.11 * s + w1)
        drift = 0.18 * 0.045 * np.cos(0.045 * s + w0) + 0.08 * 0.11 * np.cos(0.11 * s + w1)
        p = self._vibration
        nod = np.radians(0.25) * lively * np.sin(2 * np.pi * 1.3 * time_s + p[0])
        nod += np.radians(0.1) * lively * np.sin(2 * np.pi * 3.1 * time_s + p[1])
        sway = np.radians(0.08) * lively * np.sin(2 * np.pi * 0.9 * time_s + p[2])
        slope = np.interp([s, s + 2.7], self._s, self._slope).mean()
        pitch = float(nod - np.arctan(slope))
        point, heading = self.to_world(np.array([s]), np.array([d]))
        yaw = float(heading[0] + drift + sway)
        yaw_rate = speed * float(np.interp(s, self._s, self._curvature))
        return EgoPose(
            rotation=yaw_pitch_roll((yaw, pitch, 0.0)),
            translation=point[0],
            s=s,
            d=float(d),
            yaw=yaw,
            pitch=pitch,
            speed=speed,
            yaw_rate=yaw_rate,
        )
