# SPDX-License-Identifier: Apache-2.0
"""Drives of plain blocks before a pinhole camera, written as bags of the project's contract."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

WIDTH, HEIGHT, FOCAL = 320, 240, 240.0
TYPES = get_typestore(Stores.ROS2_JAZZY)
_T = TYPES.types
START_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True)
class BlockDrive:
    """What is in the drive, and what is left out."""

    seed: int = 0
    frames: int = 20
    period_s: float = 0.1
    ghosts: int = 2
    ground_truth: bool = True
    camera_info: bool = True
    transforms: bool = True
    radar_delay_s: float = 0.01


@dataclass(frozen=True)
class Block:
    """A block: centre (x forward, y left, z up, m, from the camera) and half size in m."""

    centre: NDArray[np.float64]
    half: tuple[float, float]


def block_columns_rows(block: Block) -> tuple[slice, slice]:
    """Image rows and columns that a block covers, cut at the border."""
    x, y, z = block.centre
    u, v = WIDTH / 2 - 0.5 - FOCAL * y / x, HEIGHT / 2 - 0.5 - FOCAL * z / x
    du, dv = FOCAL * block.half[0] / x, FOCAL * block.half[1] / x
    rows = slice(max(round(v - dv), 0), min(max(round(v + dv), 0), HEIGHT))
    columns = slice(max(round(u - du), 0), min(max(round(u + du), 0), WIDTH))
    return rows, columns


def write_block_drive(path: Path, drive: BlockDrive) -> Path:
    """Write the drive as MCAP and return its path."""
    rng = np.random.default_rng(drive.seed)
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        bag = _Bag(writer)
        if drive.transforms:
            bag.write('/tf_static', START_NS, _transforms())
        for index in range(drive.frames):
            image_stamp = START_NS + round(index * drive.period_s * 1e9)
            radar_stamp = image_stamp + round(drive.radar_delay_s * 1e9)
            blocks = _blocks(rng, index * drive.period_s)
            image, instances = _render(blocks, rng)
            points, source = _radar(blocks, drive.ghosts, rng)
            if drive.camera_info:
                bag.write('/camera/camera_info', image_stamp, _camera_info(image_stamp))
            bag.write('/camera/image_raw', image_stamp, _image(image, 'bgr8', image_stamp))
            bag.write('/radar/points', radar_stamp, _points(points, None, radar_stamp))
            if drive.ground_truth:
                truth = _image(instances, '16UC1', image_stamp)
                bag.write('/ground_truth/instances', image_stamp, truth)
                truth = _points(points, source, radar_stamp)
                bag.write('/ground_truth/radar_points', radar_stamp, truth)
    return path


def _blocks(rng: np.random.Generator, time_s: float) -> list[Block]:
    """Three blocks that wander from side to side."""
    blocks = []
    for k in range(3):
        x = 12.0 + 6 * k
        y = 0.45 * x * np.sin(time_s * (0.9 + 0.5 * k) + 2.1 * k + rng.normal(0, 0.02))
        blocks.append(Block(np.array([x, y, -0.4]), (1.0, 0.8)))
    return blocks


def _render(
    blocks: list[Block], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    image = rng.integers(70, 90, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    instances = np.zeros((HEIGHT, WIDTH), np.uint16)
    for number, block in reversed(list(enumerate(blocks, start=1))):
        rows, columns = block_columns_rows(block)
        image[rows, columns] = 200 + 10 * number
        instances[rows, columns] = number
    return image, instances


def _radar(
    blocks: list[Block], ghosts: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """Two strong returns of each block, weak ghosts, shuffled: (N, 5) x y z velocity rcs."""
    rows, sources = [], []
    for number, block in enumerate(blocks, start=1):
        for _ in range(2):
            position = block.centre + rng.normal(0, [0.2, 0.15, 0.0])
            rows.append([*position, rng.normal(0, 3), rng.normal(10, 2)])
            sources.append(number)
    for _ in range(ghosts):
        x = rng.uniform(8, 40)
        rows.append([x, rng.uniform(-0.5, 0.5) * x, -0.4, rng.normal(0, 3), rng.normal(-10, 2)])
        sources.append(0)
    order = rng.permutation(len(rows))
    return np.array(rows, np.float32)[order], np.array(sources, np.uint16)[order]


class _Bag:
    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._connections: dict[str, Any] = {}

    def write(self, topic: str, time_ns: int, msg: Any) -> None:
        name = msg.__msgtype__
        if topic not in self._connections:
            connection = self._writer.add_connection(topic, name, typestore=TYPES)
            self._connections[topic] = connection
        self._writer.write(self._connections[topic], time_ns, TYPES.serialize_cdr(msg, name))


def _header(stamp: int, frame_id: str) -> Any:
    time = _T['builtin_interfaces/msg/Time'](*divmod(stamp, 1_000_000_000))
    return _T['std_msgs/msg/Header'](time, frame_id)


def _image(pixels: NDArray[Any], encoding: str, stamp: int) -> Any:
    height, width = pixels.shape[:2]
    data = np.ascontiguousarray(pixels).view(np.uint8).ravel()
    header = _header(stamp, 'camera_optical')
    step = data.size // height
    return _T['sensor_msgs/msg/Image'](header, height, width, encoding, 0, step, data)


def _points(points: NDArray[np.float32], source: NDArray[np.uint16] | None, stamp: int) -> Any:
    names = ['x', 'y', 'z', 'velocity', 'rcs']
    dtype = [(name, '<f4') for name in names]
    fields = [_T['sensor_msgs/msg/PointField'](n, 4 * i, 7, 1) for i, n in enumerate(names)]
    if source is not None:
        dtype.append(('instance', '<u2'))
        fields.append(_T['sensor_msgs/msg/PointField']('instance', 20, 4, 1))
    rows = np.zeros(len(points), dtype)
    for i, name in enumerate(names):
        rows[name] = points[:, i]
    if source is not None:
        rows['instance'] = source
    step = rows.dtype.itemsize
    data = np.frombuffer(rows.tobytes(), np.uint8)
    header = _header(stamp, 'radar')
    return _T['sensor_msgs/msg/PointCloud2'](
        header, 1, len(rows), fields, False, step, step * len(rows), data, True
    )


def _camera_info(stamp: int) -> Any:
    k = np.array([FOCAL, 0, WIDTH / 2 - 0.5, 0, FOCAL, HEIGHT / 2 - 0.5, 0, 0, 1])
    p = np.zeros(12)
    roi = _T['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    return _T['sensor_msgs/msg/CameraInfo'](
        _header(stamp, 'camera_optical'),
        HEIGHT,
        WIDTH,
        'plumb_bob',
        np.zeros(5),
        k,
        np.eye(3).ravel(),
        p,
        0,
        0,
        roi,
    )


def _transforms() -> Any:
    """Camera and radar in the same place; the camera's optical frame turned by REP 103."""
    turn = _T['geometry_msgs/msg/Quaternion'](-0.5, 0.5, -0.5, 0.5)
    none = _T['geometry_msgs/msg/Quaternion'](0.0, 0.0, 0.0, 1.0)
    transforms = [
        _T['geometry_msgs/msg/TransformStamped'](
            _header(START_NS, 'base_link'),
            child,
            _T['geometry_msgs/msg/Transform'](
                _T['geometry_msgs/msg/Vector3'](0.0, 0.0, 0.0), rotation
            ),
        )
        for child, rotation in (('camera_optical', turn), ('radar', none))
    ]
    return _T['tf2_msgs/msg/TFMessage'](transforms)
