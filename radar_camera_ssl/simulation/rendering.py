# SPDX-License-Identifier: Apache-2.0
"""The picture and the instances in it, by the painter's algorithm: far to near, face by face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .backdrop import Backdrop, fixed_point
from .config import DriveConfig
from .light import Light
from .mesh import Mesh
from .scene import Scene, SceneState
from .view import NEAR_M, View, clip_near

_SHIFT = 4
_SMALLEST_PX = 0.7


@dataclass(frozen=True)
class Rendering:
    """image (H, W, 3) uint8 BGR; instances (H, W) uint16, 0 where nothing reflects."""

    image: np.ndarray
    instances: np.ndarray


class Renderer:
    """Renders a drive's scene at any time; holds no state between calls but caches."""

    def __init__(self, config: DriveConfig, scene: Scene) -> None:
        self._config, self._scene = config, scene
        self._light = Light(config.seed)
        self._backdrop = Backdrop(config, scene, self._light)
        self._intrinsics = config.camera.intrinsics()

    @property
    def light(self) -> Light:
        """The drive's light."""
        return self._light

    def render(self, state: SceneState, rng: np.random.Generator) -> Rendering:
        """Render the scene's state as the camera sees it; rng draws the sensor's noise."""
        view = View.at(self._intrinsics, self._config.camera.mounting, state.ego)
        image = self._backdrop.draw(view, state)
        instances = np.zeros(image.shape[:2], dtype=np.uint16)
        order = self._order(state, view)
        if len(order):
            self._draw_objects(image, instances, view, state, order)
        blur = state.ego.yaw_rate * self._light.exposure_s * self._intrinsics.matrix[0, 0]
        image = self._light.develop(image, state.time_s, float(blur), rng)
        return Rendering(image, instances)

    def _order(self, state: SceneState, view: View) -> np.ndarray:
        """Give the positions in state of what may be seen, in drawing order."""
        objects = [self._scene.objects[k] for k in state.index]
        half = np.array([o.mesh.half_extent for o in objects]).reshape(-1, 3)
        middle = np.array([o.mesh.middle for o in objects]).reshape(-1, 3)
        c, s = np.cos(state.heading), np.sin(state.heading)
        ext_s = np.abs(c) * half[:, 0] + np.abs(s) * half[:, 1]
        ext_d = np.abs(s) * half[:, 0] + np.abs(c) * half[:, 1]
        mid_s = state.s + c * middle[:, 0] - s * middle[:, 1]
        mid_d = state.d + s * middle[:, 0] + c * middle[:, 1]
        camera_s = state.ego.s + self._config.camera.mounting.x
        camera_d = state.ego.d + self._config.camera.mounting.y
        centre = view.optical(state.position + np.array([0.0, 0.0, 1.0]))
        radius = np.hypot(half[:, 0], half[:, 1]) + 1.0
        slope = 0.5 * self._config.camera.width / self._intrinsics.matrix[0, 0]
        beside = np.abs(centre[:, 0]) - radius * 1.5 > slope * np.maximum(centre[:, 2], 0.0)
        seen = np.flatnonzero((centre[:, 2] + radius > NEAR_M) & ~beside)
        backdrop = np.array([o.backdrop for o in objects], dtype=bool)
        order = painters_order(
            (mid_s - ext_s)[seen] - camera_s,
            (mid_s + ext_s)[seen] - camera_s,
            (mid_d - ext_d)[seen] - camera_d,
            (mid_d + ext_d)[seen] - camera_d,
            backdrop[seen],
        )
        return seen[order]

    def _draw_objects(
        self,
        image: np.ndarray,
        instances: np.ndarray,
        view: View,
        state: SceneState,
        order: np.ndarray,
    ) -> None:
        objects = [self._scene.objects[state.index[i]] for i in order]
        corners, normal, faces = _world_faces([o.mesh for o in objects], state, order, view)
        optical = view.optical(corners)
        z = optical[..., 2]
        pixels = view.pixels(optical)
        crossing = np.any(z < NEAR_M, axis=1, keepdims=True)[:, 0]
        gone = (z < NEAR_M).all(1)
        low, high = pixels.min(1), pixels.max(1)
        width, height = self._config.camera.width, self._config.camera.height
        outside = (high < 0).any(1) | (low[:, 0] > width) | (low[:, 1] > height)
        tiny = (high - low).max(1) < _SMALLEST_PX
        hidden = gone | (~crossing & (outside | tiny))
        away = (normal * (corners[:, 0] - view.place)).sum(1) > 0.0
        away &= ~faces.two_sided
        away = away[faces.parent]
        distance = np.linalg.norm(optical.mean(1), axis=1)
        # Within an object far faces first; what is painted on a face follows it.
        turn = np.lexsort((np.arange(len(z)), faces.parent, -distance[faces.parent], faces.owner))
        turn = turn[~(hidden | away)[turn]]
        colour = self._light.shade(faces.colour, normal, faces.glow)
        colour = np.clip(self._light.through_haze(colour, distance), 0, 255)
        ids = np.array([o.instance for o in objects])[faces.owner]
        points = fixed_point(pixels)
        for face in turn:
            outline = points[face]
            if crossing[face]:
                clipped = clip_near(optical[face])
                if len(clipped) < 3:
                    continue
                outline = fixed_point(view.pixels(clipped))
            cv2.fillConvexPoly(image, outline, colour[face].tolist(), cv2.LINE_AA, _SHIFT)
            if faces.parent[face] == face:
                cv2.fillConvexPoly(instances, outline, int(ids[face]), cv2.LINE_8, _SHIFT)


@dataclass(frozen=True)
class _Faces:
    """Faces of all objects, one after another; owner (F,) is the object's drawing turn."""

    colour: np.ndarray
    parent: np.ndarray
    two_sided: np.ndarray
    glow: np.ndarray
    owner: np.ndarray


def _world_faces(
    meshes: list[Mesh], state: SceneState, order: np.ndarray, view: View
) -> tuple[np.ndarray, np.ndarray, _Faces]:
    """Give all faces' corners (F, 8, 3) and normals (F, 3) in the world, and the rest of them."""
    vertices = np.array([len(m.base) for m in meshes])
    counts = np.array([len(m.faces) for m in meshes])
    c, s = np.cos(state.yaw[order]), np.sin(state.yaw[order])
    owner_v = np.repeat(np.arange(len(meshes)), vertices)
    owner_f = np.repeat(np.arange(len(meshes)), counts)
    base = np.concatenate([m.base for m in meshes])
    gait = np.sin(state.gait[order])[owner_v]
    x = base[:, 0] + np.concatenate([m.swing for m in meshes]) * gait
    cv, sv = c[owner_v], s[owner_v]
    world = state.position[order][owner_v]
    world[:, 0] += cv * x - sv * base[:, 1]
    world[:, 1] += sv * x + cv * base[:, 1]
    world[:, 2] += base[:, 2]
    facing = np.concatenate([m.facing for m in meshes])
    sight = (state.position[order] - view.place)[:, :2]
    sight /= np.maximum(np.linalg.norm(sight, axis=1), 1e-6)[:, None]
    world[:, 0] += sight[owner_v, 1] * facing[:, 0]
    world[:, 1] -= sight[owner_v, 0] * facing[:, 0]
    world[:, 2] += facing[:, 1]
    first_v = np.concatenate([[0], np.cumsum(vertices)[:-1]])
    first_f = np.concatenate([[0], np.cumsum(counts)[:-1]])
    index = np.concatenate([m.faces for m in meshes]) + first_v[owner_f][:, None]
    local = np.concatenate([m.normal for m in meshes])
    cf, sf = c[owner_f], s[owner_f]
    normal = np.stack(
        [
            cf * local[:, 0] - sf * local[:, 1],
            sf * local[:, 0] + cf * local[:, 1],
            local[:, 2],
        ],
        axis=1,
    )
    faces = _Faces(
        colour=np.concatenate([m.colour for m in meshes]),
        parent=np.concatenate([m.parent for m in meshes]) + first_f[owner_f],
        two_sided=np.concatenate([m.two_sided for m in meshes]),
        glow=np.concatenate([m.glow for m in meshes]),
        owner=owner_f,
    )
    return world[index], normal, faces


def painters_order(
    s_low: np.ndarray,
    s_high: np.ndarray,
    d_low: np.ndarray,
    d_high: np.ndarray,
    backdrop: np.ndarray,
) -> np.ndarray:
    """Order boxes far to near as seen from the origin, (n,) indices.

    The boxes are axis-aligned in road coordinates relative to the camera. Two that do not
    overlap are parted by a line along or across the road; the one beyond it is drawn first.
    """
    n = len(s_low)
    if n == 0:
        return np.zeros(0, dtype=int)
    beyond_s = (s_low[:, None] >= s_high[None, :]) & (s_high[None, :] > 0.0)
    left_of = d_low[:, None] >= d_high[None, :]
    beyond_d = (left_of & (d_high[None, :] > -1e-9) & (d_low[:, None] > 0.0)) | (
        left_of.T & (d_low[None, :] < 1e-9) & (d_high[:, None] < 0.0)
    )
    distance = np.hypot(0.5 * (s_low + s_high), 0.5 * (d_low + d_high))
    before = beyond_s | (beyond_d & ~beyond_s.T)
    undecided = ~(before | before.T)
    before |= undecided & (distance[:, None] > distance[None, :])
    before[backdrop] |= ~backdrop
    before[:, backdrop] &= backdrop[:, None]
    np.fill_diagonal(before, False)
    waiting = before.sum(0)
    left = np.ones(n, dtype=bool)
    order = []
    for _ in range(n):
        # Should boxes overlap into a cycle, the one with fewest in the way goes next.
        score = np.where(left, waiting - distance * 1e-6, np.inf)
        chosen = int(np.argmin(score))
        order.append(chosen)
        left[chosen] = False
        waiting = waiting - before[chosen]
    return np.array(order)
