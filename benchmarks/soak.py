# SPDX-License-Identifier: Apache-2.0
"""As many messages as hours of driving bring, through the real node: does anything grow?

    OMP_NUM_THREADS=1 python benchmarks/soak.py [--hours 2] [--minutes 30]

A simulated drive (640x480 bgr8 at 30 Hz, radar at 10 Hz) is held in memory and sent again and
again, with stamps that go on, to an unmodified node in its own process, as fast as it answers: at
most a few radar frames are on their way at any time. Once a second the node's memory, CPU time,
threads and open files are read from /proc.
--minutes ends it sooner. Writes out/benchmarks/soak.json every
ten seconds and at the end, also when interrupted, and the plot docs/soak.svg. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import soak_plot
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2
from tqdm import tqdm

from radar_camera_ssl.nodes import qos
from radar_camera_ssl.nodes.child_process import ChildProcess
from radar_camera_ssl.nodes.lifecycle_client import bring_up
from radar_camera_ssl.resources import default_model_path
from radar_camera_ssl.sensors.recording import Recording
from radar_camera_ssl.simulation import DriveConfig, simulate_missing

NODE = 'radar_camera_ssl.nodes.reflection_heatmap_node'
DRIVE = Path('out/benchmarks/soak_drive')
DRIVE_S = 5.0
IMAGE_TOPIC, RADAR_TOPIC = '/camera/image_raw', '/radar/points'
LARGE_IMAGES = Path(__file__).parents[1] / 'config' / 'fastdds_large_images.xml'
IMAGES_PER_HOUR = 30 * 3600
ON_THEIR_WAY = 4
"""Radar frames that may be unanswered before the next is sent."""
PATIENCE_S = 1.0
"""A frame that is not answered by then was dropped: the account says why."""
SAVE_S = 10.0
WARM_UP_FRAMES = 6000
"""Radar frames before memory is compared: the diagnostics remember the last 4096 of everything."""
BURST_EVERY, BURST_FRAMES = 1000, 30
"""During the warm-up so many frames are sent without waiting: the middleware's pools and the
node's queues fill to their depth, which is otherwise left to what else the machine has to do."""
LAST_SHARE = 0.1
"""Memory is the median over so much of the frames, after the warm-up and at the end."""

PARAMETERS = {
    # Stamps run ahead of the clock.
    'stamp_tolerance': 0.0,
    'image_reliability': 'reliable',
    'radar_reliability': 'reliable',
    'image_depth': 50,
    'radar_depth': 20,
    'pair_queue_depth': 10,
    'max_age': 10.0,
}


class Peer:
    """Sends the drive, hears heatmaps and diagnostics."""

    def __init__(self) -> None:
        """Create publishers and subscribers, and spin them in a thread."""
        self.heatmaps = 0
        self.values: dict[str, str] = {}
        self.findings: set[str] = set()
        self._sending = True
        self._answered = threading.Condition()
        self._node = Node('soak')
        outgoing = qos.profile('reliable', 50)
        self._publishers = {
            IMAGE_TOPIC: self._node.create_publisher(Image, IMAGE_TOPIC, outgoing),
            RADAR_TOPIC: self._node.create_publisher(PointCloud2, RADAR_TOPIC, outgoing),
        }
        self._node.create_subscription(
            Image, '/reflection_heatmap/output/heatmap', self._on_heatmap, outgoing
        )
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def settle(self) -> None:
        """Wait until the account stands; what is found from now on is that nothing comes."""
        self._sending = False
        deadline_s = time.monotonic() + 10.0
        before: dict[str, str] = {}
        while time.monotonic() < deadline_s and (
            self.values.get('radar_pending') != '0'
            or self.values.get('radar_received') != before.get('radar_received')
        ):
            before = self.values
            time.sleep(1.5)

    def close(self) -> None:
        """Stop hearing."""
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()

    def _on_heatmap(self, _: Image) -> None:
        with self._answered:
            self.heatmaps += 1
            self._answered.notify_all()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        values = {value.key: value.value for status in message.status for value in status.values}
        if self._sending:
            self.findings |= {code for code in values.get('findings', '').split(', ') if code}
        self.values = values

    def wait_for_subscribers(self) -> None:
        """Wait until the node hears both topics."""
        while not all(
            publisher.get_subscription_count() for publisher in self._publishers.values()
        ):
            time.sleep(0.02)

    def wait_for(self, heatmaps: int) -> bool:
        """Wait for so many heatmaps in all; False when none came for a while."""
        with self._answered:
            return self._answered.wait_for(lambda: self.heatmaps >= heatmaps, PATIENCE_S)

    def send(self, topic: str, message: bytes) -> None:
        """Publish a serialised message."""
        self._publishers[topic].publish(message)


def endless(drive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (topic, serialised message) of a drive again and again, with stamps that go on."""
    with Recording(drive) as recording:
        kept = [
            (topic, data)
            for topic, _, _, data in recording.raw_messages([IMAGE_TOPIC, RADAR_TOPIC])
        ]
    shift_ns = 0
    while True:
        for topic, data in kept:
            # The header's stamp is first in either message, after CDR's four bytes of its own.
            seconds, nanoseconds = struct.unpack_from('<iI', data, 4)
            stamp = divmod(seconds * 10**9 + nanoseconds + shift_ns, 10**9)
            yield topic, data[:4] + struct.pack('<iI', *stamp) + data[12:]
        shift_ns += round(DRIVE_S * 1e9)


def usage(pid: int) -> dict[str, float]:
    """What a process holds now: MB resident, s of CPU time, threads, open files."""
    process = Path(f'/proc/{pid}')
    pages = int((process / 'statm').read_text().split()[1])
    # After the name in brackets, which may hold anything: utime and stime are fields 14 and 15.
    fields = (process / 'stat').read_text().rpartition(')')[2].split()
    return {
        'rss_mb': pages * os.sysconf('SC_PAGE_SIZE') / 1e6,
        'cpu_s': (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK'),
        'threads': len(os.listdir(process / 'task')),
        'files': len(os.listdir(process / 'fd')),
    }


def is_burst(frame: int) -> bool:
    """Whether this radar frame is sent whatever is on its way."""
    return frame < WARM_UP_FRAMES and frame % BURST_EVERY >= BURST_EVERY - BURST_FRAMES


def summary(samples: list[dict[str, float]], peer: Peer) -> dict[str, Any]:
    """What came of it; memory from the end of the warm-up to the last tenth, medians of each."""
    account = {
        key: int(peer.values[key])
        for key in ('radar_received', 'published', 'radar_dropped', 'radar_pending')
        if key in peer.values
    }
    result: dict[str, Any] = {
        'account': account,
        'dropped': {
            key: int(value)
            for key, value in peer.values.items()
            if key.startswith(('radar_dropped.', 'image_dropped.'))
        },
        'findings': sorted(peer.findings),
    }
    warm = [sample for sample in samples if sample['radar_frames'] >= WARM_UP_FRAMES]
    if len(warm) < 20:
        return result
    last = samples[-1]
    hours, rss = (
        np.array([sample[key] for sample in warm]) for key in ('hours_of_driving', 'rss_mb')
    )
    count = max(1, round(LAST_SHARE * len(warm)))
    return result | {
        'minutes': last['s'] / 60,
        'hours_of_driving': last['hours_of_driving'],
        'images': int(last['images']),
        'radar_frames': int(last['radar_frames']),
        'heatmaps': int(last['heatmaps']),
        'growth_mb': float(np.median(rss[-count:]) - np.median(rss[:count])),
        'growth_mb_per_hour_of_driving': float(np.polyfit(hours, rss, 1)[0]),
        'rss_mb': [float(rss.min()), float(rss.max())],
        'cpu_ms_per_heatmap': 1e3
        * (last['cpu_s'] - samples[0]['cpu_s'])
        / max(1.0, last['heatmaps'] - samples[0]['heatmaps']),
        'threads': sorted({int(sample['threads']) for sample in warm}),
        'files': sorted({int(sample['files']) for sample in warm}),
    }


def save(out: Path, samples: list[dict[str, float]], peer: Peer, exit_code: int | None) -> None:
    """Write what there is so far, all or nothing."""
    result = {'exit_code': exit_code, 'summary': summary(samples, peer), 'samples': samples}
    part = out.with_suffix('.part')
    part.write_text(json.dumps(result, indent=1), encoding='utf-8')
    part.replace(out)


def soak(
    node: ChildProcess, peer: Peer, images: int, minutes: float | None, out: Path
) -> list[Any]:
    """Send `images` images and what the radar has beside them; return the samples."""
    samples: list[dict[str, float]] = []
    began_s = time.monotonic()
    sampled_s = saved_s = began_s
    end_s = began_s + minutes * 60 if minutes else float('inf')
    sent = {IMAGE_TOPIC: 0, RADAR_TOPIC: 0}
    answered_by = 0
    messages = endless(DRIVE)

    def sample() -> dict[str, float]:
        return {
            's': time.monotonic() - began_s,
            'hours_of_driving': sent[IMAGE_TOPIC] / IMAGES_PER_HOUR,
            'images': sent[IMAGE_TOPIC],
            'radar_frames': sent[RADAR_TOPIC],
            'heatmaps': peer.heatmaps,
        } | usage(node.pid)

    with tqdm(total=images, unit='image', smoothing=0.05) as bar:
        try:
            while sent[IMAGE_TOPIC] < images and (now_s := time.monotonic()) < end_s:
                topic, message = next(messages)
                if topic == RADAR_TOPIC and not is_burst(sent[RADAR_TOPIC]):
                    wanted = sent[RADAR_TOPIC] - ON_THEIR_WAY - answered_by
                    if not peer.wait_for(wanted):
                        # So many were dropped so far, and are not waited for any more.
                        answered_by = sent[RADAR_TOPIC] - peer.heatmaps
                if topic == IMAGE_TOPIC:
                    bar.update()
                peer.send(topic, message)
                sent[topic] += 1
                if now_s - sampled_s >= 1.0:
                    if node.exit_code() is not None:
                        print('the node has ended')
                        break
                    sampled_s = now_s
                    samples.append(sample())
                    bar.set_postfix_str(f'{samples[-1]["rss_mb"]:.1f} MB')
                if now_s - saved_s >= SAVE_S:
                    saved_s = now_s
                    save(out, samples, peer, None)
        except KeyboardInterrupt:
            print('interrupted: what there is so far is written')
    if node.exit_code() is None:
        samples.append(sample())
    return samples


def main() -> int:
    """Run it; exit code 0 when the node ended well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--hours', type=float, default=2.0, help='of driving, by the messages')
    parser.add_argument('--minutes', type=float, help='end sooner, after so much time')
    parser.add_argument('--model', type=Path, default=default_model_path())
    parser.add_argument('--out', type=Path, default=Path('out/benchmarks/soak.json'))
    parser.add_argument('--plot', type=Path, default=Path('docs/soak.svg'))
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    simulate_missing(
        {DRIVE: DriveConfig(seed=9400, duration_s=DRIVE_S, cube=False, ground_truth=False)}, 1
    )
    os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    for name in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'):
        os.environ.setdefault(name, str(LARGE_IMAGES))
    arguments = ['--ros-args']
    for name, topic in (('image', IMAGE_TOPIC), ('radar', RADAR_TOPIC)):
        arguments += ['-r', f'~/input/{name}:={topic}']
    for name, value in (PARAMETERS | {'model_path': str(args.model)}).items():
        arguments += ['-p', f'{name}:={json.dumps(value)}']
    rclpy.init()
    with ExitStack() as stack:
        stack.callback(rclpy.try_shutdown)
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / 'node.log'
        node = stack.enter_context(ChildProcess(NODE, arguments, log, os.environ))
        peer = Peer()
        bring_up('/reflection_heatmap')
        peer.wait_for_subscribers()
        images = round(args.hours * IMAGES_PER_HOUR)
        samples = soak(node, peer, images, args.minutes, args.out)
        peer.settle()
        exit_code = node.stop()
        peer.close()
        save(args.out, samples, peer, exit_code)
        if exit_code:
            print(node.last_lines())
    print(json.dumps(summary(samples, peer), indent=1))
    if len(samples) >= 2:
        args.plot.write_text(soak_plot.svg(samples), encoding='utf-8')
    return int(exit_code != 0)


if __name__ == '__main__':
    raise SystemExit(main())
