# SPDX-License-Identifier: Apache-2.0
"""What one answer costs on this machine, and what other ways of running it would.

    python benchmarks/inference.py [--model models/points.onnx] [--rival points_int8.onnx]

Prints milliseconds (median and 99th percentile) of one inference with a VGA image, of one
overlay, and of single stages; then the ratios that decided how the model is run: input and output
binding against a plain run, spinning threads against sleeping ones, two threads against one,
scaling by halves against one area average, a JPEG decoded no further than the model's input needs
against the whole; and a rival model against the model.
Ratios are of interleaved runs, so that another load on the machine hits both sides alike. Writes
out/benchmarks/inference.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime

from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.inference.overlay import draw_overlay
from radar_camera_ssl.model_metadata import PointsInput
from radar_camera_ssl.nodes.allocator import keep_large_buffers
from radar_camera_ssl.resources import default_model_path
from radar_camera_ssl.sensors import messages
from radar_camera_ssl.sensors.camera import decode_image, encode_jpeg
from radar_camera_ssl.sensors.camera_image import CameraImage, resize_image
from radar_camera_ssl.sensors.radar_points import RadarPoints

RETURNS = 30
LARGE_SIZES = ((1280, 720), (1600, 900), (1920, 1080))
WARM_UP = 10


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--model', type=Path, help='points model file; the shipped one if none')
    parser.add_argument('--rival', type=Path, help='another file with the same inputs')
    parser.add_argument('--repetitions', type=int, default=150)
    parser.add_argument('--out', type=Path, default=Path('out/benchmarks/inference.json'))
    args = parser.parse_args()
    # As the node does.
    cv2.setNumThreads(1)
    keep_large_buffers()
    path = args.model or default_model_path()
    model = CorrespondenceModel.load(path)
    image, returns = vga_image(), some_returns()
    if not isinstance(model.metadata.radar, PointsInput):
        raise SystemExit('this benchmark is for points models')
    feed = model.feed(image, returns)
    content, camera = path.read_bytes(), model.metadata.camera
    plain = session(content, threads=1, spinning=False)
    names = [output.name for output in plain.get_outputs()]
    correspondence = model.infer(image, returns)
    stages = {
        'infer (all of it)': lambda: model.infer(image, returns),
        'resize': lambda: resize_image(image, camera.height, camera.width),
        'run': lambda: plain.run(names, feed),
        'overlay': lambda: draw_overlay(image, correspondence),
    }
    bound = bind(session(content, threads=1, spinning=False), feed, names)
    spinning = session(content, threads=2, spinning=True)
    sleeping = session(content, threads=2, spinning=False)
    rivals = {
        'infer (all of it) / run': (stages['infer (all of it)'], stages['run']),
        'bound / plain run': (bound, stages['run']),
        'two threads / one': (lambda: sleeping.run(names, feed), stages['run']),
        'two spinning / two sleeping': (
            lambda: spinning.run(names, feed),
            lambda: sleeping.run(names, feed),
        ),
    }
    for width, height in LARGE_SIZES:
        large = cv2.resize(image, (width, height))
        size = camera.width, camera.height
        rivals[f'scaling {width}x{height} by halves / in one step'] = (
            partial(resize_image, large, camera.height, camera.width),
            partial(cv2.resize, large, size, interpolation=cv2.INTER_AREA),
        )
        jpeg = messages.compressed_image(0, 'camera', encode_jpeg(large))
        rivals[f'JPEG {width}x{height} as far as needed / as a whole, scaled'] = (
            partial(scaled, jpeg, camera.height, camera.width),
            partial(scaled_from_whole, jpeg, camera.height, camera.width),
        )
    if args.rival:
        rival = session(args.rival.read_bytes(), threads=1, spinning=False)
        rivals[f'{args.rival.stem} / {path.stem}'] = (
            lambda: rival.run(names, feed),
            stages['run'],
        )
    result: dict[str, Any] = {
        'machine': {'processor': platform.processor() or platform.machine(), 'cores': cores()},
        'versions': {'onnxruntime': onnxruntime.__version__, 'opencv': cv2.__version__},
        'model': {'file': path.name, 'sha256': model.sha256, 'provider': model.provider},
        'input': {'sha256': fingerprint(feed), 'image': '640x480', 'returns': RETURNS},
        'repetitions': args.repetitions,
        'latency_ms': {name: percentiles(f, args.repetitions) for name, f in stages.items()},
        'ratio_of_medians': {
            name: ratio(first, second, args.repetitions)
            for name, (first, second) in rivals.items()
        },
    }
    for name, figures in result['latency_ms'].items():
        print(f'{name:<60}{figures["median"]:8.2f} ms   (99 %: {figures["p99"]:.2f} ms)')
    for name, value in result['ratio_of_medians'].items():
        print(f'{name:<60}{value:8.2f}')
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + '\n')
    print(f'written: {args.out}')


def scaled(jpeg: Any, height: int, width: int) -> np.ndarray:
    """What the node makes of a message: (height, width, 3) uint8."""
    return CameraImage(jpeg).scaled(height, width)


def scaled_from_whole(jpeg: Any, height: int, width: int) -> np.ndarray:
    """The same of all its pixels."""
    return resize_image(decode_image(jpeg), height, width)


def vga_image() -> np.ndarray:
    """(480, 640, 3) uint8, smooth with some noise, the same every time."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (12, 16, 3)).astype(np.float32)
    smooth = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 4, smooth.shape), 0, 255).astype(np.uint8)


def some_returns() -> RadarPoints:
    """Thirty returns in front of the radar, the same every time."""
    rng = np.random.default_rng(1)
    distance, azimuth = rng.uniform(5, 60, RETURNS), rng.uniform(-0.5, 0.5, RETURNS)
    position = np.stack(
        [distance * np.cos(azimuth), distance * np.sin(azimuth), np.zeros(RETURNS)], axis=1
    )
    return RadarPoints(
        position.astype(np.float32),
        rng.normal(0, 5, RETURNS).astype(np.float32),
        rng.normal(5, 8, RETURNS).astype(np.float32),
        np.arange(RETURNS, dtype=np.int32),
    )


def session(content: bytes, threads: int, spinning: bool) -> onnxruntime.InferenceSession:
    """A bare session on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry('session.intra_op.allow_spinning', str(int(spinning)))
    return onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])


def bind(
    runner: onnxruntime.InferenceSession, feed: dict[str, np.ndarray], names: list[str]
) -> Callable[[], object]:
    """A run with inputs and outputs bound to memory that is allocated once.

    Copying in and out is part of it: a frame's arrays are new each time, its answer is kept.
    """
    binding = runner.io_binding()
    held = {name: onnxruntime.OrtValue.ortvalue_from_numpy(value) for name, value in feed.items()}
    for name, value in held.items():
        binding.bind_ortvalue_input(name, value)
    outputs = []
    for name, value in zip(names, runner.run(names, feed), strict=True):
        outputs.append(onnxruntime.OrtValue.ortvalue_from_numpy(value))
        binding.bind_ortvalue_output(name, outputs[-1])

    def run() -> list[np.ndarray]:
        for name, value in feed.items():
            held[name].update_inplace(value)
        runner.run_with_iobinding(binding)
        return [output.numpy().copy() for output in outputs]

    return run


def percentiles(function: Callable[[], object], repetitions: int) -> dict[str, float]:
    """Median and 99th percentile of one call, ms."""
    times = [timed(function) for _ in range(WARM_UP + repetitions)][WARM_UP:]
    return {
        'median': round(float(np.median(times)), 3),
        'p99': round(float(np.percentile(times, 99)), 3),
    }


def ratio(first: Callable[[], object], second: Callable[[], object], repetitions: int) -> float:
    """Median time of ``first`` over that of ``second``, run in turns."""
    pairs = [(timed(first), timed(second)) for _ in range(WARM_UP + repetitions)][WARM_UP:]
    medians = np.median(np.array(pairs), axis=0)
    return round(float(medians[0] / medians[1]), 3)


def timed(function: Callable[[], object]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1e3


def fingerprint(feed: dict[str, np.ndarray]) -> str:
    """SHA-256 of the input tensors."""
    digest = hashlib.sha256()
    for value in feed.values():
        digest.update(value.tobytes())
    return digest.hexdigest()


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


if __name__ == '__main__':
    main()
