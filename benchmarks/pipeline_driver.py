# SPDX-License-Identifier: Apache-2.0
"""What stands around a node under test in benchmarks/pipeline.py: two sensors, and who listens.

Every instant is of the machine's steady clock, which all processes share; ns.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from numpy.typing import NDArray
from pipeline_inputs import IMAGE_TOPIC, RADAR_TOPIC, Inputs
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from radar_camera_ssl.nodes import qos
from radar_camera_ssl.nodes.child_process import ChildProcess

PATIENCE_S = 20.0
LEAD_S = 0.05
"""Between the call and the first message."""
# Due (ns after the start), topic, number of the message.
Event = tuple[int, str, int]


@dataclass(frozen=True)
class Sent:
    """A message that was published: its stamp, and the instants before and after the call."""

    topic: str
    stamp: int
    instant: int
    returned: int


def triggered(rate_hz: float, count: int) -> list[Event]:
    """Give `count` pairs of equal stamps, the image right after the radar frame."""
    dues = [round(number * 1e9 / rate_hz) for number in range(count)]
    return [(due, topic, n) for n, due in enumerate(dues) for topic in (RADAR_TOPIC, IMAGE_TOPIC)]


def free_running(camera_hz: float, radar_hz: float, seconds: float) -> list[Event]:
    """Give two sensors that start together and keep their own rates; at a tie, radar first."""
    streams = ((radar_hz, RADAR_TOPIC), (camera_hz, IMAGE_TOPIC))
    events = [
        (round(number * 1e9 / rate_hz), topic, number)
        for rate_hz, topic in streams
        for number in range(round(seconds * rate_hz))
    ]
    return sorted(events, key=lambda event: event[0])


class Driver:
    """Publishes the sensors' messages on time, from this thread; hears nothing of the answers."""

    def __init__(self, inputs: Inputs) -> None:
        """Create the publishers: reliable, as camera drivers offer."""
        self._inputs = inputs
        self._node = Node('driver')
        self._publishers = {
            topic: self._node.create_publisher(
                type(messages[0]), topic, qos.profile('reliable', 5)
            )
            for topic, messages in inputs.messages.items()
        }

    def close(self) -> None:
        """Take the publishers down."""
        self._node.destroy_node()

    @property
    def is_heard(self) -> bool:
        """Whether both topics have subscribers."""
        return all(publisher.get_subscription_count() for publisher in self._publishers.values())

    def play(self, events: Sequence[Event]) -> list[Sent]:
        """Publish what is due when it is due, or as soon as the one before is out."""
        start = time.monotonic_ns() + round(LEAD_S * 1e9)
        to_clock = time.time_ns() - time.monotonic_ns()
        sent = []
        for due, topic, number in events:
            stamp = start + due + to_clock
            message = self._inputs.stamped(topic, number, stamp)
            time.sleep(max(0.0, (start + due - time.monotonic_ns()) * 1e-9))
            instant = time.monotonic_ns()
            self._publishers[topic].publish(message)
            sent.append(Sent(topic, stamp, instant, time.monotonic_ns()))
        return sent

    def diagnostics(self) -> dict[str, str]:
        """The key values of the next diagnostics."""
        values: dict[str, str] = {}

        def keep(message: DiagnosticArray) -> None:
            values.update((v.key, v.value) for status in message.status for v in status.values)

        subscription = self._node.create_subscription(DiagnosticArray, '/diagnostics', keep, 10)
        executor = SingleThreadedExecutor()
        executor.add_node(self._node)
        deadline_s = time.monotonic() + PATIENCE_S
        while not values and time.monotonic() < deadline_s:
            executor.spin_once(timeout_sec=0.1)
        executor.remove_node(self._node)
        self._node.destroy_subscription(subscription)
        return values


class Listener:
    """A process of its own that hears heatmaps: its hearing must not wait for our sending."""

    def __init__(self, folder: Path, topic: str) -> None:
        """Start it; a context manager."""
        self._record = folder / 'heard.bin'
        self._record.unlink(missing_ok=True)
        self._process = ChildProcess(
            'pipeline_listener',
            [str(self._record), topic],
            folder / 'listener.log',
            os.environ,
        )

    def __enter__(self) -> Listener:
        wait_until(self._record.exists, 'the listener does not start', self._process)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stop()

    def heard(self) -> NDArray[np.int64]:
        """(N, 2) int64: stamp and instant of every heatmap so far."""
        values = np.fromfile(self._record, np.int64)
        return values[: len(values) // 2 * 2].reshape(-1, 2)

    def settle(self, quiet_s: float = 0.2) -> NDArray[np.int64]:
        """Wait until no more heatmaps come; return all."""
        count = -1
        while (now := len(self.heard())) != count:
            count = now
            time.sleep(quiet_s)
        return self.heard()


def wait_until(condition: Callable[[], Any], what: str, process: ChildProcess) -> None:
    """Wait for what a process is to bring about; SystemExit with its last lines if it fails."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline_s or process.exit_code():
            raise SystemExit(f'{what}; the last it said:\n{process.last_lines()}')
        time.sleep(0.01)
