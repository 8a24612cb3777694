# SPDX-License-Identifier: Apache-2.0
"""Small toy drives in memory: boxes whose colour tells their RCS, seen through a pinhole."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from radar_camera_ssl.learning.samples import DriveSamples

HEIGHT, WIDTH, FOCAL, YAW, MAX_RETURNS = 120, 160, 115.0, 0.05, 32
KINDS = ((1.8, 1.5, 12.0, (230, 60, 40)), (0.7, 1.8, -5.0, (60, 220, 60)))


def toy_drive(seed: int, frames: int = 30) -> DriveSamples:
    """Boxes at random places; every second frame is a copy of the one before, 0.1 s later."""
    rng = np.random.default_rng(seed)
    images = np.zeros((frames, HEIGHT, WIDTH, 3), np.uint8)
    returns = np.zeros((frames, MAX_RETURNS, 4), np.float32)
    counts = np.zeros(frames, np.int32)
    for i in range(frames):
        if i % 2 == 0:
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
                rows.append((*place, rng.normal(0, 3), rng.normal(rcs, 2)))
        rows += [
            (rng.uniform(6, 30), rng.uniform(-8, 8), 0.0, rng.normal(-10, 2))
            for _ in range(rng.poisson(1.5))
        ]
        images[i] = np.clip(image + rng.normal(0, 8, image.shape), 0, 255)
        returns[i, : len(rows)] = rows
        counts[i] = len(rows)
    stamps = (np.arange(frames) // 2 * 2e9 + np.arange(frames) % 2 * 1e8).astype(np.int64)
    return DriveSamples(f'toy_{seed}', images, returns, counts, stamps)


@pytest.fixture(scope='session')
def toy_drives() -> list[DriveSamples]:
    return [toy_drive(seed) for seed in range(6)]


@pytest.fixture(scope='session', autouse=True)
def one_thread():
    """Toy networks are slower with threads, and far slower when the machine is busy."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
