# SPDX-License-Identifier: Apache-2.0
"""Small bags of toy drives: boxes whose colour tells their RCS, seen through a pinhole."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from radar_camera_ssl.sensors.messages import image as image_message
from radar_camera_ssl.sensors.messages import typestore
from radar_camera_ssl.sensors.radar_cube import CubeAxes
from radar_camera_ssl.simulation import messages

HEIGHT, WIDTH, FOCAL, YAW = 120, 160, 115.0, 0.05
KINDS = ((1.8, 1.5, 12.0, (230, 60, 40)), (0.7, 1.8, -5.0, (60, 220, 60)))
CUBE_SHAPE = (16, 12, 8)
AXES = CubeAxes((0.0, 40.0), (-0.7, 0.7), (-16.0, 16.0))
GAP_NS = 7_000_000
"""Radar stamp minus image stamp of every pair."""


def toy_frames(seed: int, frames: int = 30) -> Iterable[tuple[int, np.ndarray, np.ndarray]]:
    """Image stamp, ns, image (H, W, 3) uint8, returns (n, 4) float32 of every pair.

    Boxes at random places; every second frame is a copy of the one before, 0.1 s later. The car
    goes at 3 to 12 m/s.
    """
    rng = np.random.default_rng(seed)
    for i in range(frames):
        if i % 2 == 0:
            ego = rng.uniform(3.0, 12.0)
            scene = [
                (ahead, rng.uniform(-0.55, 0.55) * ahead, KINDS[rng.integers(2)])
                for ahead in sorted(rng.uniform(6, 30, rng.integers(2, 5)), reverse=True)
            ]
        image = np.full((HEIGHT, WIDTH, 3), 170, np.float64)
        image[HEIGHT // 2 :] = 90
        rows = []
        for ahead, left, (width, height, rcs, colour) in scene:
            u, v = WIDTH / 2 - FOCAL * left / ahead, HEIGHT / 2 + FOCAL * 1.2 / ahead
            half, tall = FOCAL * width / ahead / 2, FOCAL * height / ahead
            corners = (int(u - half), int(v - tall)), (int(u + half), int(v))
            cv2.rectangle(image, *corners, colour, -1)
            for _ in range(2):
                azimuth = np.arctan2(left, ahead) + rng.normal(0, 0.01) - YAW
                far = np.hypot(ahead, left)
                place = far * np.cos(azimuth), far * np.sin(azimuth)
                velocity = -ego * np.cos(azimuth) + rng.normal(0, 0.1)
                rows.append((*place, velocity, rng.normal(rcs, 2)))
        rows += [
            (rng.uniform(6, 30), rng.uniform(-8, 8), 0.0, rng.normal(-10, 2))
            for _ in range(rng.poisson(1.5))
        ]
        image = np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)
        stamp = int(1e9 + i // 2 * 2e9 + i % 2 * 1e8)
        yield stamp, image, np.array(rows, np.float32)


def toy_cube(returns: np.ndarray) -> np.ndarray:
    """The power (R, A, D) float32, dB, of returns (n, 4): a cell each, over a floor of 0 dB."""
    x, y, velocity, rcs = returns.T
    values = np.hypot(x, y), np.arctan2(y, x), velocity
    cube = np.zeros(CUBE_SHAPE, np.float32)
    cells = []
    for value, limits, bins in zip(
        values, (AXES.range_m, AXES.azimuth_rad, AXES.doppler_mps), CUBE_SHAPE, strict=True
    ):
        place = (value - limits[0]) / (limits[1] - limits[0]) * bins
        cells.append(np.clip(place, 0, bins - 1).astype(int))
    cube[tuple(cells)] = rcs + 20.0
    return cube


def write_toy_bag(path: Path, seed: int, frames: int = 30, kinds: str = 'points cube') -> Path:
    """Write a toy drive as a bag with the given kinds of radar data."""
    made: list[tuple[str, int, Any]] = []
    if 'cube' in kinds:
        made.append((messages.CUBE_INFO, 1, cube_info()))
    for stamp, image, returns in toy_frames(seed, frames):
        radar_stamp = stamp + GAP_NS
        shot = image_message(stamp, 'camera', image, 'bgr8')
        made.append((messages.IMAGE, stamp, shot))
        if 'points' in kinds:
            made.append((messages.POINTS, radar_stamp, points(radar_stamp, returns)))
        if 'cube' in kinds:
            cube = toy_cube(returns)
            message = image_message(radar_stamp, 'radar', cube, f'32FC{CUBE_SHAPE[2]}')
            made.append((messages.CUBE, radar_stamp, message))
    return write_bag(path, made)


def points(stamp: int, returns: np.ndarray) -> Any:
    """A PointCloud2 of returns (n, 4)."""
    position = np.column_stack([returns[:, :2], np.zeros(len(returns))])
    frame = SimpleNamespace(position=position, velocity=returns[:, 2], rcs=returns[:, 3])
    return messages.points(stamp, frame, False)


def cube_info() -> Any:
    """The DiagnosticStatus with the limits of the toy cube's axes."""
    types = typestore.types
    pair = types['diagnostic_msgs/msg/KeyValue']
    return types['diagnostic_msgs/msg/DiagnosticStatus'](
        level=0,
        name='radar cube',
        message='',
        hardware_id='',
        values=[pair(key=k, value=v) for k, v in AXES.to_key_values()],
    )


def write_bag(path: Path, made: Iterable[tuple[str, int, Any]]) -> Path:
    """Write (topic, bag time ns, message or its bytes) to a bag."""
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections: dict[str, Any] = {}
        for topic, time_ns, message in made:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=typestore)
            data = typestore.serialize_cdr(message, kind)
            writer.write(connections[topic], time_ns, data)
    return path
