# SPDX-License-Identifier: Apache-2.0
"""Sky, far scenery and the ground with its markings, texture and shadows."""

from __future__ import annotations

import cv2
import numpy as np

from .config import DriveConfig, generator
from .light import Light
from .scene import Scene, SceneState
from .view import View, clip_near

_SHIFT = 4
_TEXEL_M = 0.025
_TILE = 512
_REACH_M = 105.0
_DASH_M = 9.0


def fixed_point(pixels: np.ndarray) -> np.ndarray:
    """Give pixels as OpenCV's fixed-point coordinates with 4 fractional bits."""
    return np.round(pixels * (1 << _SHIFT)).astype(np.int32)


def smooth_noise(rng: np.random.Generator, size: int, octaves: tuple[int, ...]) -> np.ndarray:
    """Give a tile (size, size) float32 of unit variance that repeats seamlessly."""
    total = np.zeros((size, size), dtype=np.float32)
    for cells in octaves:
        coarse = rng.standard_normal((cells, cells)).astype(np.float32)
        wrapped = np.pad(coarse, 2, mode='wrap')
        scale = size // cells
        fine = cv2.resize(wrapped, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        inner = slice(2 * scale, 2 * scale + size)
        total += np.asarray(fine[inner, inner], dtype=np.float32)
    return np.asarray(total / total.std(), dtype=np.float32)


class Backdrop:
    """Draws everything that is no object."""

    def __init__(self, config: DriveConfig, scene: Scene, light: Light) -> None:
        self._scene, self._light = scene, light
        camera = config.camera
        self._width, self._height = camera.width, camera.height
        self._camera_height = camera.mounting.z
        self._intrinsics = camera.intrinsics()
        self._focal = float(self._intrinsics.matrix[0, 0])
        rng = generator(config.seed, 'light', 1)
        self._panorama = self._paint_panorama(rng)
        tile = smooth_noise(rng, _TILE, (512, 256, 128, 32, 8))
        strength = rng.uniform(10, 20)
        self._tile = np.clip(128 + strength * tile, 0, 255).astype(np.uint8)
        self._choose_surfaces(rng)
        self._build_rays()

    def _choose_surfaces(self, rng: np.random.Generator) -> None:
        grey = rng.uniform(72, 125)
        self._asphalt = np.array([grey, grey, grey]) * rng.uniform(0.95, 1.05, 3)
        if self._scene.theme.verge == 'pavement':
            stone = rng.uniform(125, 175)
            self._verge = np.array([stone, stone, stone]) * rng.uniform(0.92, 1.06, 3)
        else:
            self._verge = np.array([50, 115, 95]) * rng.uniform(0.75, 1.25, 3)
        self._far = np.array([60, 105, 90]) * rng.uniform(0.8, 1.2, 3)
        self._paint = np.full(3, rng.uniform(185, 225))
        self._patches = rng.uniform(0, 1, (64, 4))

    def _paint_panorama(self, rng: np.random.Generator) -> np.ndarray:
        """Paint the sky and the far skyline all around, one pixel per pixel of the camera."""
        around = int(2 * np.pi * self._focal)
        above, below = self._height, self._height // 2
        self._horizon = above
        blend = (np.arange(above) / above)[:, None, None] ** 1.5
        sky = self._light.zenith * (1 - blend) + self._light.haze * blend
        sky = np.repeat(sky, around, axis=1)
        cloud = smooth_noise(rng, 512, (32, 16, 8, 4))
        cloud = cv2.resize(cloud, (around, above), interpolation=cv2.INTER_LINEAR)
        cover = rng.uniform(-1.0, 1.0) if self._light.kind != 'overcast' else 0.0
        white = np.clip(cloud + cover, 0, 2)[:, :, None] * (0.12 if cover == 0.0 else 0.3)
        sky += white * (np.minimum(self._light.haze * 1.12, 250) - sky) * (1 - 0.6 * blend)
        image = np.empty((above + below, around, 3), dtype=np.uint8)
        image[:above] = np.clip(sky, 0, 255)
        image[above:] = self._light.haze
        for distance, tall in ((0.75, 0.07), (0.5, 0.045), (0.3, 0.03)):
            line = smooth_noise(rng, 512, (64, 16, 8))[0]
            line = np.interp(np.linspace(0, 512, around), np.arange(512), line)
            if self._scene.theme.verge == 'pavement' and distance < 0.6:
                steps = np.repeat(rng.uniform(0, 2.2, around // 24 + 1), 24)[:around]
                line = line * 0.2 + steps
            heights = self._focal * tall * (0.5 + 0.45 * np.clip(line, -1, 2.2))
            tone = self._light.shade(
                np.array([[60.0, 85.0, 75.0]]) * rng.uniform(0.8, 1.1),
                np.zeros((1, 3)),
                np.zeros(1, dtype=bool),
            )[0]
            colour = tone * (1 - distance) + self._light.haze * distance
            columns = np.arange(around)
            outline = np.stack([columns, above - heights], axis=1)
            outline = np.concatenate([outline, [[around, above + 4], [0, above + 4]]])
            cv2.fillPoly(image, [outline.astype(np.int32)], colour.tolist())
        return np.concatenate([image, image[:, : self._width + 2]], axis=1)

    def _build_rays(self) -> None:
        half_h, half_w = self._height // 2, self._width // 2
        k = self._intrinsics.matrix
        u = (np.arange(half_w) * 2 + 0.5 - k[0, 2]) / k[0, 0]
        v = (np.arange(half_h) * 2 + 0.5 - k[1, 2]) / k[1, 1]
        grid = np.meshgrid(u, v)
        self._rays = np.stack([*grid, np.ones_like(grid[0])], axis=-1)

    def draw(self, view: View, state: SceneState) -> np.ndarray:
        """Draw the picture without its objects: (H, W, 3) uint8."""
        image = self._draw_sky(view)
        self._draw_ground(image, view, state)
        self._texture(image, view, state)
        return image

    def _draw_sky(self, view: View) -> np.ndarray:
        forward = view.rotation[2]
        yaw = np.arctan2(forward[1], forward[0])
        column = int(-yaw * self._focal - self._width / 2) % (
            self._panorama.shape[1] - self._width - 2
        )
        row = self._horizon_row(view)
        top = int(np.clip(self._horizon - row, 0, len(self._panorama) - self._height))
        window = self._panorama[top : top + self._height, column : column + self._width]
        return np.ascontiguousarray(window)

    def _horizon_row(self, view: View) -> float:
        k = view.intrinsics.matrix
        pitch = np.arcsin(np.clip(view.rotation[2, 2], -1, 1))
        return float(k[1, 2] + k[1, 1] * np.tan(pitch))

    def _lit(self, colour: np.ndarray, distance: float) -> list[float]:
        lit = self._light.shade(colour[None], np.array([[0.0, 0.0, 1.0]]), np.zeros(1, dtype=bool))
        hazed = self._light.through_haze(lit, np.array([distance]))
        return np.clip(hazed[0], 0, 255).tolist()

    def _draw_ground(self, image: np.ndarray, view: View, state: SceneState) -> None:
        light, theme, ego = self._light, self._scene.theme, state.ego
        horizon = int(np.clip(self._horizon_row(view) + 2, 0, self._height))
        image[horizon:] = self._lit(self._far, 90.0)
        start = ego.s + 1.5
        s = np.concatenate(
            [np.arange(start, start + 12, 3.0), np.arange(start + 12, start + _REACH_M, 6.0)]
        )
        far = np.array([12.0, 30.0, 60.0, 150.0])
        right, left = theme.road
        bands = [(self._verge, -70.0, 75.0)]
        if theme.verge == 'pavement':
            bands.append((self._far, -70.0, right - 4.8))
            bands.append((self._far, left + 4.8, 75.0))
            bands.append((self._verge * 1.15, right - 0.25, right))
            bands.append((self._verge * 1.15, left, left + 0.25))
        bands.append((self._asphalt, right, left))
        if self._scene.theme_name == 'highway':
            bands.append((self._asphalt, 9.0, 17.0))
        edge = 0.14
        if theme.verge != 'pavement':
            bands += [(self._paint, right + 0.2, right + 0.2 + edge)]
            bands += [(self._paint, left - 0.2 - edge, left - 0.2)]
        # Nearer parts are drawn in their own colour: haze grows with distance.
        lows = np.concatenate([[0.0], far[:-1]])
        for low, high in zip(lows[::-1], far[::-1], strict=True):
            inside = s[(s - ego.s >= low - 6.0) & (s - ego.s <= high + 6.0)]
            if len(inside) < 2:
                continue
            for colour, d0, d1 in bands:
                self._fill_strip(
                    image, view, inside, d0, d1, self._lit(colour, 0.5 * (low + high))
                )
        del light
        self._draw_markings(image, view, state)

    def _fill_strip(
        self,
        image: np.ndarray,
        view: View,
        s: np.ndarray,
        d0: float,
        d1: float,
        colour: list[float],
    ) -> None:
        stations = np.concatenate([s, s[::-1]])
        sides = np.concatenate([np.full(len(s), d0), np.full(len(s), d1)])
        points, _ = self._scene.road.to_world(stations, sides)
        clipped = clip_near(view.optical(points))
        if len(clipped) >= 3:
            outline = fixed_point(view.pixels(clipped))
            cv2.fillPoly(image, [outline], colour, cv2.LINE_8, _SHIFT)

    def _draw_markings(self, image: np.ndarray, view: View, state: SceneState) -> None:
        ego = state.ego
        first = np.floor((ego.s + 1.5) / _DASH_M)
        for k in np.arange(first, first + 8):
            s0 = max(k * _DASH_M, ego.s + 1.5)
            s1 = k * _DASH_M + 3.0
            if s1 > s0:
                colour = self._lit(self._paint, s0 - ego.s)
                self._fill_strip(image, view, np.array([s0, s1]), 1.6, 1.74, colour)
            # Dark patches of repaired asphalt, stains and drains: nothing that reflects.
            a, b, c, e = self._patches[int(k) % len(self._patches)]
            if a < 0.45 and k * _DASH_M > ego.s + 1.5:
                d0 = -1.6 + 5.0 * b
                stain = self._lit(self._asphalt * (0.55 + 0.3 * c), k * _DASH_M - ego.s)
                span = np.array([k, k + 0.15 + 0.4 * e]) * _DASH_M
                self._fill_strip(image, view, span, d0, d0 + 0.4 + 1.3 * c, stain)

    def _texture(self, image: np.ndarray, view: View, state: SceneState) -> None:
        """Roughen the ground with noise that stays where it is, and lay the shadows on it."""
        horizon = int(np.clip(self._horizon_row(view), 0, self._height - 4)) // 2 + 2
        rays = self._rays[horizon:] @ view.rotation
        drop = np.maximum(-rays[..., 2], 1e-3)
        reach = self._camera_height / drop
        offset = np.mod(view.place[:2], _TILE * _TEXEL_M)
        maps = [
            ((rays[..., axis] * reach + offset[axis]) / _TEXEL_M).astype(np.float32)
            for axis in (0, 1)
        ]
        maps = [np.clip(m, -30000, 30000) for m in maps]
        texture = cv2.remap(
            self._tile, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
        ).astype(np.float32)
        fade = 1.0 / (1.0 + (reach / 14.0) ** 2)
        texture = 128.0 + (texture - 128.0) * fade.astype(np.float32)
        rows = self._height - 2 * horizon
        full = cv2.resize(texture.astype(np.uint8), (self._width, rows))
        dark = self._shadows(view, state)[2 * horizon :]
        full = cv2.multiply(full, dark, scale=1.0 / 255.0)
        image[2 * horizon :] = cv2.multiply(
            image[2 * horizon :], cv2.merge([full, full, full]), scale=1.0 / 128.0
        )

    def _shadows(self, view: View, state: SceneState) -> np.ndarray:
        mask = np.full((self._height, self._width), 255, dtype=np.uint8)
        sun = self._light.sun
        lean = -sun[:2] / max(sun[2], 0.2) * (1.0 if self._light.has_shadows else 0.0)
        depth = round(255 * self._light.shadow) if self._light.has_shadows else 165
        for i, index in enumerate(state.index):
            thing = self._scene.objects[index]
            mesh = thing.mesh
            if np.hypot(*(state.position[i, :2] - view.place[:2])) > 60.0 + mesh.half_extent[0]:
                continue
            c, s = np.cos(state.yaw[i]), np.sin(state.yaw[i])
            hx, hy = mesh.half_extent[0], mesh.half_extent[1]
            corners = np.array([[hx, hy], [-hx, hy], [-hx, -hy], [hx, -hy]]) + mesh.middle[:2]
            foot = corners @ np.array([[c, s], [-s, c]]) + state.position[i, :2]
            height = mesh.middle[2] + mesh.half_extent[2]
            if self._light.has_shadows:
                low = mesh.middle[2] if thing.kind == 'tree' else 0.0
                foot = np.concatenate([foot + lean * low, foot + lean * height])
                foot = cv2.convexHull(foot.astype(np.float32))[:, 0]
            points = np.concatenate([foot, np.full((len(foot), 1), state.position[i, 2])], axis=1)
            clipped = clip_near(view.optical(points))
            if len(clipped) >= 3:
                cv2.fillConvexPoly(
                    mask, fixed_point(view.pixels(clipped)), depth, cv2.LINE_8, _SHIFT
                )
        return cv2.blur(mask, (5, 3))
