# SPDX-License-Identifier: Apache-2.0
"""The node as a process of its own, fed and heard from this one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from provoked import PERIOD, SECOND, living_image, living_radar
from rclpy.node import Node
from ros_graph import DEFAULTS, RELIABLE, Spinner, wait_until
from sensor_msgs.msg import Image, PointCloud2

from radar_camera_ssl.nodes.lifecycle_client import LifecycleClient

MODULE = 'radar_camera_ssl.nodes.reflection_heatmap_node'
StartNode = Callable[..., 'NodeProcess']


class NodeProcess:
    """A node in a namespace and a process group of its own, and a peer around it."""

    def __init__(self, namespace: str, console: Path, log_dir: Path, parameters: Any) -> None:
        """Start it, with all output in `console` and ROS's log in `log_dir`."""
        self.name = f'{namespace}/reflection_heatmap'
        self._console = console
        self.log_dir = log_dir
        values = DEFAULTS | parameters
        arguments = [f'{name}:={json.dumps(value)}' for name, value in values.items()]
        with console.open('w') as output:
            self.process = subprocess.Popen(
                [sys.executable, '-m', MODULE, '--ros-args', '-r', f'__ns:={namespace}']
                + [part for argument in arguments for part in ('-p', argument)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(os.environ) | {'ROS_LOG_DIR': str(log_dir)},
                cwd=Path(__file__).parents[3],
                start_new_session=True,
            )
        self._values: dict[str, str] = {}
        self._peer = Node('peer', namespace=namespace, start_parameter_services=False)
        self.heatmaps: list[Image] = []
        self._peer.create_subscription(
            Image, f'{self.name}/output/heatmap', self.heatmaps.append, RELIABLE
        )
        self._peer.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 100)
        inputs = ((PointCloud2, 'radar'), (Image, 'image'))
        self._inputs = [
            self._peer.create_publisher(message_type, f'{self.name}/input/{name}', RELIABLE)
            for message_type, name in inputs
        ]
        self._spinner = Spinner(self._peer)
        self.lifecycle = LifecycleClient(self.name)
        self._stop = threading.Event()
        self._feeder: threading.Thread | None = None

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(self.name[1:]):
                self._values |= {value.key: value.value for value in status.values}

    def value(self, key: str, wanted: str) -> None:
        """Wait until this is in a value of the diagnostics."""
        wait_until(
            lambda: wanted in self._values.get(key, ''),
            lambda: f'{wanted} in {key}; all: {self._values}; its console: {self.console}',
            60.0,
        )

    def feed(
        self,
        radar: Callable[[int], PointCloud2] = living_radar,
        image: Callable[[int], Image] = living_image,
    ) -> None:
        """Send pairs, until `stop_feeding`."""

        def run() -> None:
            stamp = SECOND
            while not self._stop.wait(0.02):
                stamp += PERIOD
                for publisher, make in zip(self._inputs, (radar, image), strict=True):
                    publisher.publish(make(stamp))

        self._feeder = threading.Thread(target=run, daemon=True)
        self._feeder.start()

    def answers(self) -> None:
        """Wait for heatmaps; it must be fed."""
        wanted = len(self.heatmaps) + 3
        wait_until(
            lambda: len(self.heatmaps) >= wanted, lambda: f'{self._values}; {self.console}', 60.0
        )

    @property
    def console(self) -> str:
        """What it said so far."""
        return self._console.read_text() if self._console.is_file() else ''

    def handles_signals(self) -> bool:
        """Whether the process catches SIGTERM, from the kernel's mask."""
        for line in Path(f'/proc/{self.process.pid}/status').read_text().splitlines():
            if line.startswith('SigCgt:'):
                return bool(int(line.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
        return False

    def end(self) -> float:
        """Send SIGTERM, and hold that it ends well and leaves nobody; return the seconds."""
        began_s = time.monotonic()
        self.process.terminate()
        self.has_ended_well()
        return time.monotonic() - began_s

    def has_ended_well(self) -> None:
        """Wait for the end: code 0, no trace, nothing left of its process group."""
        code = self.process.wait(30)
        assert code == 0, f'exit code {code}; {self.console}'
        assert 'Traceback' not in self.console
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return
        raise AssertionError('the process has left another behind')

    def close(self) -> None:
        """Stop feeding, and kill what still runs."""
        self._stop.set()
        if self._feeder is not None:
            self._feeder.join()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.lifecycle.close()
        self._spinner.close()
