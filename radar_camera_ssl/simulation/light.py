# SPDX-License-Identifier: Apache-2.0
"""Light, haze, lens and sensor: from albedo to the picture a camera delivers."""

from __future__ import annotations

import cv2
import numpy as np

from .config import generator

_TILE_MARGIN = 96


class Light:
    """A drive's light, fixed by its seed.

    sun (3,) unit vector towards the sun in the world; ambient and diffuse are shares of full
    light; haze (3,) BGR with the distance haze_m at which it covers 63 %; has_shadows tells
    whether the sun casts shadows.
    """

    def __init__(self, seed: int) -> None:
        rng = generator(seed, 'light')
        self.kind = str(rng.choice(['sun', 'overcast', 'dusk'], p=[0.45, 0.33, 0.22]))
        azimuth, elevation = rng.uniform(-np.pi, np.pi), np.radians(rng.uniform(22, 60))
        if self.kind == 'dusk':
            elevation = np.radians(rng.uniform(8, 18))
        self.sun = np.array(
            [
                np.cos(azimuth) * np.cos(elevation),
                np.sin(azimuth) * np.cos(elevation),
                np.sin(elevation),
            ]
        )
        self.has_shadows = self.kind == 'sun'
        levels = {'sun': (0.5, 0.55), 'overcast': (0.75, 0.15), 'dusk': (0.36, 0.16)}
        self.ambient, self.diffuse = (x * rng.uniform(0.9, 1.1) for x in levels[self.kind])
        skies = {
            'sun': ((205, 165, 110), (225, 215, 200)),
            'overcast': ((190, 185, 180), (205, 203, 200)),
            'dusk': ((110, 75, 60), (120, 130, 165)),
        }
        top, low = (np.asarray(c, dtype=np.float64) for c in skies[self.kind])
        self.zenith = np.clip(top * rng.uniform(0.9, 1.1, 3), 0, 250)
        self.haze = np.clip(low * rng.uniform(0.93, 1.07, 3), 0, 250)
        self.haze_m = rng.uniform(150.0, 500.0)
        self.shadow = 0.52 if self.has_shadows else 1.0
        self._tint = rng.uniform(0.95, 1.05, 3)
        self._gain = rng.uniform(0.9, 1.08)
        self._gamma = rng.uniform(0.88, 1.15)
        self._breath = rng.uniform(0.0, 6.28), rng.uniform(0.2, 0.5)
        self.blur_sigma = rng.uniform(0.45, 0.9)
        self.noise_sigma = rng.uniform(1.5, 4.0) * (1.6 if self.kind == 'dusk' else 1.0)
        self.exposure_s = rng.uniform(0.003, 0.012) * (1.7 if self.kind == 'dusk' else 1.0)
        self._noise_seed = rng.integers(1 << 31)
        self._tiles: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}

    def shade(self, colour: np.ndarray, normal: np.ndarray, glow: np.ndarray) -> np.ndarray:
        """Light the faces: colour (F, 3), world normals (F, 3), glow (F,) -> (F, 3)."""
        facing = np.clip(normal @ self.sun, 0.0, 1.0)
        facing = np.where(np.abs(normal).sum(1) < 0.5, 0.55, facing)
        # The sky lights what looks up; the street reflects little to what looks down.
        sky = self.ambient * (0.88 + 0.12 * normal[:, 2])
        level = np.where(glow, 1.15, sky + self.diffuse * facing)
        return colour * level[:, None]

    def through_haze(self, colour: np.ndarray, distance_m: np.ndarray) -> np.ndarray:
        """Mix colours (F, 3) with the haze over a distance (F,)."""
        share = (1.0 - np.exp(-distance_m / self.haze_m))[:, None]
        return colour * (1.0 - share) + self.haze * share

    def develop(
        self, image: np.ndarray, time_s: float, yaw_blur_px: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Blur, expose and add noise: (H, W, 3) uint8 in and out."""
        image = cv2.GaussianBlur(image, (3, 3), self.blur_sigma)
        length = round(abs(yaw_blur_px))
        if length > 1:
            image = cv2.blur(image, (length, 1))
        phase, rate = self._breath
        gain = self._gain * (1.0 + 0.05 * np.sin(rate * time_s + phase))
        ramp = 255.0 * (np.arange(256) / 255.0) ** self._gamma
        table = np.clip(ramp[:, None] * gain * self._tint, 0, 255).astype(np.uint8)
        image = cv2.LUT(image, table.reshape(1, 256, 3))
        height, width = image.shape[:2]
        brighter, dimmer = self._noise(height, width)
        y, x = rng.integers(0, _TILE_MARGIN, 2)
        image = cv2.add(image, brighter[y : y + height, x : x + width])
        return cv2.subtract(image, dimmer[y : y + height, x : x + width])

    def _noise(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        if (height, width) not in self._tiles:
            rng = np.random.default_rng(self._noise_seed)
            shape = (height + _TILE_MARGIN, width + _TILE_MARGIN, 3)
            noise = rng.standard_normal(shape, dtype=np.float32) * self.noise_sigma
            noise = np.round(noise)
            self._tiles[height, width] = (
                np.clip(noise, 0, 255).astype(np.uint8),
                np.clip(-noise, 0, 255).astype(np.uint8),
            )
        return self._tiles[height, width]
