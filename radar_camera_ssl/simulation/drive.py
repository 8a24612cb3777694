# SPDX-License-Identifier: Apache-2.0
"""A whole drive: every sensor's frames made in any order and written in order of arrival."""

from __future__ import annotations

import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2

from radar_camera_ssl.sensors.bag_writer import BagWriter
from radar_camera_ssl.sensors.camera import encode_jpeg
from radar_camera_ssl.sensors.messages import compressed_image, image, serialise

from . import messages
from .clock import Ticks, sensor_ticks
from .config import DriveConfig, generator
from .cube import power_cube
from .radar import Radar
from .rendering import Renderer
from .scene import Scene

EPOCH_NS = 1_760_000_000_000_000_000
_HOUR_NS = 3_600_000_000_000
_AHEAD = 24
"""Frames in work or waiting to be written: bounds the memory."""


@dataclass(frozen=True)
class DriveSummary:
    """What was written: the bag, its scene, and the number of messages of each topic."""

    path: Path
    theme: str
    light: str
    sources: int
    messages: dict[str, int]


@dataclass(frozen=True)
class _Job:
    sensor: str
    number: int
    stamp_s: float
    arrival_ns: int


class Simulator:
    """Makes the messages of a drive, frame by frame, in any order."""

    def __init__(self, config: DriveConfig) -> None:
        self.config = config
        self.scene = Scene(config)
        self.radar = Radar(config, self.scene)
        self.renderer = Renderer(config, self.scene)
        self._intrinsics = config.camera.intrinsics()

    def camera_messages(self, number: int, stamp_s: float) -> list[tuple[str, bytes]]:
        """Make image, camera_info and instances of one camera frame."""
        config, stamp_ns = self.config, to_ns(self.config, stamp_s)
        rng = generator(config.seed, 'image_noise', number)
        picture = self.renderer.render(self.scene.state(stamp_s), rng)
        frame = messages.OPTICAL_FRAME
        if config.compressed:
            topic = messages.COMPRESSED
            jpeg = encode_jpeg(picture.image, config.jpeg_quality)
            shot = compressed_image(stamp_ns, frame, jpeg)
        else:
            topic = messages.IMAGE
            shot = image(stamp_ns, frame, picture.image, 'bgr8')
        made = [(topic, shot)]
        made.append((messages.CAMERA_INFO, messages.camera_info(stamp_ns, self._intrinsics)))
        if config.ground_truth:
            truth = image(stamp_ns, frame, picture.instances, '16UC1')
            made.append((messages.INSTANCES, truth))
        return [(topic, serialise(message)) for topic, message in made]

    def radar_messages(self, number: int, stamp_s: float) -> list[tuple[str, bytes]]:
        """Make points, their ground truth and the cube of one radar frame."""
        config, stamp_ns = self.config, to_ns(self.config, stamp_s)
        state = self.scene.state(stamp_s)
        echoes = self.radar.echoes(state, number)
        frame = self.radar.frame(echoes, number)
        made = [(messages.POINTS, messages.points(stamp_ns, frame, False))]
        if config.ground_truth:
            made.append((messages.TRUE_POINTS, messages.points(stamp_ns, frame, True)))
        if config.cube:
            cube = power_cube(echoes, state.ego.speed, config.radar, config.seed, number)
            encoding = f'32FC{cube.shape[2]}'
            made.append((messages.CUBE, image(stamp_ns, messages.RADAR_FRAME, cube, encoding)))
        return [(topic, serialise(message)) for topic, message in made]

    def run(self, job: _Job) -> list[tuple[str, bytes]]:
        """Make the messages of one frame of one sensor."""
        make = self.camera_messages if job.sensor == 'camera' else self.radar_messages
        return make(job.number, job.stamp_s)


def to_ns(config: DriveConfig, time_s: float) -> int:
    """Give the stamp of a time in the drive: the epoch depends on the seed alone."""
    return EPOCH_NS + (config.seed % 100_000) * _HOUR_NS + round(time_s * 1e9)


def simulate_drive(
    out: Path,
    config: DriveConfig,
    progress: Callable[[int, int], object] | None = None,
    *,
    workers: int = 1,
    force: bool = False,
) -> DriveSummary:
    """Simulate a drive and write it as an MCAP bag (a folder) at `out`.

    progress is called with the number of frames done and their total. workers: processes that
    make frames; the bag is the same for any number. More than one starts Python anew, so a
    script must guard its main part by `if __name__ == '__main__'`.
    The bag appears under its name only when it is whole. Raises FileExistsError where `out`
    exists and force is not set, ValueError for a configuration that cannot be simulated.
    """
    with BagWriter(out, replace=force) as bag:
        return _write(bag, config, progress, workers)


def _jobs(config: DriveConfig) -> list[_Job]:
    def of(sensor: str, ticks: Ticks) -> list[_Job]:
        rows = zip(
            ticks.number.tolist(), ticks.stamp_s.tolist(), ticks.arrival_s.tolist(), strict=True
        )
        return [_Job(sensor, k, stamp, to_ns(config, arrival)) for k, stamp, arrival in rows]

    camera, radar = sensor_ticks(config)
    jobs = of('camera', camera) + of('radar', radar)
    return sorted(jobs, key=lambda job: (job.arrival_ns, job.sensor))


def _write(
    bag: BagWriter,
    config: DriveConfig,
    progress: Callable[[int, int], object] | None,
    workers: int,
) -> DriveSummary:
    simulator = Simulator(config)
    jobs = _jobs(config)
    counts: Counter[str] = Counter()
    for topic in messages.topics(config):
        bag.add_topic(topic, messages.TYPES[topic], latched=topic in messages.LATCHED)

    def put(topic: str, arrival_ns: int, data: bytes) -> None:
        bag.write(topic, arrival_ns, data)
        counts[topic] += 1

    start_ns = to_ns(config, 0.0)
    put(messages.TF_STATIC, start_ns, serialise(messages.static_transforms(start_ns, config)))
    if config.cube:
        put(messages.CUBE_INFO, start_ns, serialise(messages.cube_info(config)))
    for done, (job, made) in enumerate(_made(simulator, jobs, workers), start=1):
        for topic, data in made:
            put(topic, job.arrival_ns, data)
        if progress is not None:
            progress(done, len(jobs))
    light = simulator.renderer.light.kind
    scene = simulator.scene
    return DriveSummary(bag.path, scene.theme_name, light, scene.sources, dict(counts))


def _made(
    simulator: Simulator, jobs: list[_Job], workers: int
) -> Iterator[tuple[_Job, list[tuple[str, bytes]]]]:
    """Make the frames' messages, in the jobs' order, here or in worker processes."""
    if workers <= 1:
        for job in jobs:
            yield job, simulator.run(job)
        return
    # Spawned, not forked: OpenCV's threads do not survive a fork.
    pool = ProcessPoolExecutor(
        workers, get_context('spawn'), initializer=_start_worker, initargs=(simulator.config,)
    )
    try:
        waiting: deque[tuple[_Job, Future[list[tuple[str, bytes]]]]] = deque()
        for job in jobs:
            waiting.append((job, pool.submit(_work, job)))
            if len(waiting) >= _AHEAD:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_worker: Simulator | None = None


def _start_worker(config: DriveConfig) -> None:
    global _worker
    # Ctrl-C is for the parent, which ends the pool in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    _worker = Simulator(config)


def _work(job: _Job) -> list[tuple[str, bytes]]:
    if _worker is None:
        raise RuntimeError('the worker was not started')
    return _worker.run(job)
