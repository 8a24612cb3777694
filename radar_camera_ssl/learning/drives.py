# SPDX-License-Identifier: Apache-2.0
"""Random access to the pairs of drives, in the shards that `learning.shards` writes."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.sensors.radar_cube import CubeAxes

POINT_FIELDS = ('x', 'y', 'velocity', 'rcs')
"""What a return is to the network: metres, metres per second and dBsm, in the radar's frame."""

SCHEMA = 1
"""Version of the folder's layout; another one is not read, but written anew."""


class Drive:
    """The pairs of one drive, read from its shards as they are asked for.

    Cheap to open and to pickle: the shards are mapped at first use, in each process for itself,
    so that it may go to the workers of a DataLoader, forked or spawned.

    name; stamps (n,) int64 ns of the image; speeds (n,) float32, m/s >= 0, of the car as the
    radar's Doppler tells it, NaN where it cannot; has_points, has_cube; cube_axes, cube_shape
    (R, A, D), None without a cube; image_size (height, width); max_returns, as many as a frame
    has at most; digest, of what was read of the bag, how, and which pairs came of it.
    """

    def __init__(self, folder: Path) -> None:
        """Open what `write_drive` left in the folder.

        Raises OSError where there is none and ValueError where it is of another kind, or where a
        shard is shorter than its members.
        """
        self.folder = folder
        self.name = folder.name
        try:
            summary = json.loads((folder / 'summary.json').read_text())
            if summary['schema'] != SCHEMA:
                raise ValueError(f'schema {summary["schema"]}, expected {SCHEMA}')
            text = (folder / 'index.json').read_text()
            index = json.loads(text)
            self.stamps = np.array(index['stamps'], np.int64)
            self.speeds = np.array(index['speeds'], np.float32)
            self.image_size: tuple[int, int] = (summary['height'], summary['width'])
            self.max_returns: int = summary['max_returns']
            self.has_points: bool = summary['has_points']
            self.has_cube: bool = summary['has_cube']
            axes, shape = summary['cube_axes'], summary['cube_shape']
            self.cube_axes = CubeAxes(**axes) if axes else None
            self.cube_shape: tuple[int, int, int] | None = tuple(shape) if shape else None
            self._shards: list[str] = index['shards']
            # (n, 3) shard, offset, bytes
            self._places = {k: np.array(v, np.int64) for k, v in index['members'].items()}
            self.digest = _digest(summary, text)
            self._check_sizes()
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f'{folder} holds no drive that can be read: {error}') from error
        self._maps: dict[int, NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        """Give the number of pairs."""
        return len(self.stamps)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the maps behind: pickled, they would be the shards' content."""
        return {**self.__dict__, '_maps': {}}

    def image(self, i: int) -> NDArray[np.uint8]:
        """Give the image (H, W, 3) uint8 BGR of pair i, of the network's input size."""
        image = cv2.imdecode(self._bytes('jpg', i), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f'{self.folder}: the image of pair {i} is damaged')
        return np.asarray(image, np.uint8)

    def returns(self, i: int) -> NDArray[np.float32]:
        """Give the returns (n_i, 4) float32 of pair i in the order of POINT_FIELDS.

        Those of largest RCS, at most max_returns; in SI units and the radar's frame.
        """
        return np.asarray(self._array('returns.npy', i), np.float32)

    def cube(self, i: int) -> NDArray[np.float32]:
        """Give the cube (R, A, D) float32, dB, of pair i."""
        return np.asarray(self._array('cube.npy', i), np.float32)

    def _check_sizes(self) -> None:
        places = np.concatenate(list(self._places.values()))
        for number, name in enumerate(self._shards):
            end = places[places[:, 0] == number, 1:].sum(axis=1).max(initial=0)
            if (self.folder / name).stat().st_size < end:
                raise ValueError(f'{name} is cut off')

    def _array(self, kind: str, i: int) -> NDArray[Any]:
        return np.asarray(np.load(io.BytesIO(self._bytes(kind, i).tobytes())))

    def _bytes(self, kind: str, i: int) -> NDArray[np.uint8]:
        """The content of one member, a view of its shard."""
        if kind not in self._places:
            raise ValueError(f'drive {self.name} has no {kind}')
        shard, offset, size = self._places[kind][i]
        if shard not in self._maps:
            path = self.folder / self._shards[shard]
            self._maps[int(shard)] = np.memmap(path, np.uint8, 'r')
        return self._maps[int(shard)][offset : offset + size]


def _digest(summary: dict[str, Any], index: str) -> str:
    # The same bag elsewhere is the same data; why it broke off names its path, too.
    told = {k: v for k, v in summary.items() if k not in ('bag', 'bag_files', 'incomplete')}
    content = json.dumps(told, sort_keys=True) + index
    return hashlib.sha256(content.encode()).hexdigest()


def common_cube(drives: Sequence[Drive]) -> tuple[CubeAxes, tuple[int, int, int]]:
    """Give axes and shape (R, A, D) of the drives' cubes; ValueError where they differ."""
    first = drives[0]
    for drive in drives:
        if drive.cube_axes is None or drive.cube_shape is None:
            raise ValueError(f'drive {drive.name} has no radar cube')
        if (drive.cube_axes, drive.cube_shape) != (first.cube_axes, first.cube_shape):
            raise ValueError(f'the radar cubes of {first.name} and {drive.name} differ')
    assert first.cube_axes is not None
    assert first.cube_shape is not None
    return first.cube_axes, first.cube_shape


def split_drives(
    drives: Sequence[Drive], share: float, seed: int
) -> tuple[list[Drive], list[Drive]]:
    """Split drives into those to train on and those to validate on, `share` of their number.

    By drive, never by frame: neighbouring frames show nearly the same. At least one drive of two
    or more is for validation where share > 0, and one is left to train on; a single drive is to
    train on. The same drives, in any order, are split the same way.
    """
    if not 0.0 <= share < 1.0:
        raise ValueError(f'the share of drives for validation must be in [0, 1), got {share}')
    order = sorted(range(len(drives)), key=lambda k: drives[k].name)
    count = min(max(1, round(share * len(drives))), len(drives) - 1) if share and drives else 0
    held = {order[k] for k in np.random.default_rng(seed).permutation(len(order))[:count]}
    training = [drive for k, drive in enumerate(drives) if k not in held]
    return training, [drives[k] for k in sorted(held)]
