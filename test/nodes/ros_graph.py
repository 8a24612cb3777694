# SPDX-License-Identifier: Apache-2.0
"""The node under test and a peer that feeds it and collects what it says, over DDS."""

from __future__ import annotations

import struct
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField

from radar_camera_ssl.nodes.lifecycle_client import LifecycleClient
from radar_camera_ssl.nodes.reflection_heatmap_node import ReflectionHeatmapNode

DEADLINE_S = 20.0
RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)

# Reproducible without a clock: the tests stamp their messages, and switch the comparison off.
DEFAULTS: dict[str, Any] = {
    'stamp_tolerance': 0.0,
    'diagnostics_period': 0.05,
    'image_reliability': 'reliable',
    'radar_reliability': 'reliable',
    'image_depth': 100,
    'radar_depth': 100,
    'output_depth': 100,
    'pair_queue_depth': 100,
    'max_age': 30.0,
    'stale_after': 0.3,
    'diagnostics_window': 0.5,
    # The tiny models' agreement means nothing, and a busy machine is slow.
    'agreement_warn': 0.0,
    'agreement_error': 0.0,
    'latency_warn': [''],
    'latency_error': [''],
}


def wait_until(
    condition: Callable[[], Any], what: str | Callable[[], str], deadline_s: float = DEADLINE_S
) -> Any:
    """Return the condition's value once it is true; fail, saying what was missing, after that."""
    deadline = time.monotonic() + deadline_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(
                f'not within {deadline_s} s: {what() if callable(what) else what}'
            )
        time.sleep(0.005)
    return value


def stamped(message: Any, stamp_ns: int, frame_id: str) -> Any:
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    message.header.frame_id = frame_id
    return message


def image_message(stamp_ns: int, height: int = 120, width: int = 160, seed: int = 0) -> Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    message = Image(encoding='bgr8', height=height, width=width, step=width * 3)
    message.data = array('B', pixels.tobytes())
    return stamped(message, stamp_ns, 'camera_optical')


def radar_message(
    stamp_ns: int,
    returns: list[tuple[float, ...]] | None = None,
    names: tuple[str, ...] = ('x', 'y', 'z', 'velocity', 'rcs'),
) -> PointCloud2:
    """A PointCloud2 of float32 fields, by default three returns."""
    if returns is None:
        returns = [(10.0, 1.0, 0.5, -2.0, 8.0), (20.0, -4.0, 0.2, 0.0, 15.0), (5, 0, 0, 1, -9)]
    message = PointCloud2(height=1, width=len(returns), is_dense=True)
    message.fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(names)
    ]
    message.point_step = 4 * len(names)
    message.row_step = message.point_step * len(returns)
    packed = b''.join(struct.pack(f'<{len(names)}f', *row) for row in returns)
    message.data = array('B', packed)
    return stamped(message, stamp_ns, 'radar')


def cloud_message(cloud: np.ndarray, stamp_ns: int) -> PointCloud2:
    """A structured array as it lies in memory: any offsets, padding, counts, one byte order."""
    codes = {'i1': 1, 'u1': 2, 'i2': 3, 'u2': 4, 'i4': 5, 'u4': 6, 'f4': 7, 'f8': 8}
    message = PointCloud2(height=1, width=len(cloud), is_dense=True)
    message.point_step, message.row_step = cloud.dtype.itemsize, cloud.nbytes
    for name in cloud.dtype.names or ():
        inner, offset = cloud.dtype.fields[name][:2]  # type: ignore[index]
        message.is_bigendian |= inner.base.byteorder == '>'
        message.fields.append(
            PointField(
                name=name,
                offset=offset,
                datatype=codes[inner.base.str[1:]],
                count=int(np.prod(inner.shape, dtype=int)) if inner.shape else 1,
            )
        )
    message.data = array('B', cloud.tobytes())
    return stamped(message, stamp_ns, 'radar')


def camera_info_message(stamp_ns: int, height: int = 120, width: int = 160) -> CameraInfo:
    message = CameraInfo(height=height, width=width, distortion_model='plumb_bob')
    message.d = [0.1, -0.05, 0.001, 0.002, 0.0]
    message.k = [100.0, 0.0, 79.5, 0.0, 110.0, 59.5, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [90.0, 0.0, 78.0, -9.0, 0.0, 95.0, 60.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    return stamped(message, stamp_ns, 'camera_optical')


def report_values(report: dict[str, DiagnosticStatus]) -> dict[str, str]:
    """The key values of all parts of one report; no key is in two."""
    pairs = [(value.key, value.value) for status in report.values() for value in status.values]
    values = dict(pairs)
    assert len(values) == len(pairs)
    return values


class Spinner:
    """An executor in a thread of its own."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._stop = False
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        try:
            while not self._stop:
                self._executor.spin_once(timeout_sec=0.05)
        except ExternalShutdownException:
            pass
        except BaseException as error:
            self.error = error
            raise

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        self._stop = True
        self._executor.wake()
        self._thread.join()
        self._executor.shutdown()
        self._node.destroy_node()


class Rig:
    """A node under test in its own namespace, with a peer around it."""

    def __init__(
        self, namespace: str, parameters: dict[str, Any], remappings: Sequence[str] = ()
    ) -> None:
        values = DEFAULTS | parameters
        self.namespace = namespace
        self.node = ReflectionHeatmapNode(
            namespace=namespace,
            parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
            cli_args=['--ros-args', *(part for rule in remappings for part in ('-r', rule))],
            start_parameter_services=False,
        )
        self.name = f'{namespace}/reflection_heatmap'
        self.peer = Node('peer', namespace=namespace, start_parameter_services=False)
        self.reports: list[dict[str, DiagnosticStatus]] = []
        self.peer.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 100)
        self._node_spinner, self._peer_spinner = Spinner(self.node), Spinner(self.peer)
        self.lifecycle = LifecycleClient(self.name)
        self._publishers: dict[str, Any] = {}
        self._at_close: list[Callable[[], object]] = []

    def at_close(self, release: Callable[[], object]) -> None:
        """Have what a test keeps hanging let go before the node is taken down."""
        self._at_close.append(release)

    def close(self) -> None:
        for release in self._at_close:
            release()
        self.lifecycle.close()
        self._node_spinner.close()
        self._peer_spinner.close()
        assert self._node_spinner.error is None

    @property
    def is_alive(self) -> bool:
        return self._node_spinner.is_alive

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        prefix = f'{self.name[1:]}: '
        ours = {
            status.name.removeprefix(prefix): status
            for status in message.status
            if status.name.startswith(prefix)
        }
        if ours:
            self.reports.append(ours)

    @property
    def diagnostics(self) -> list[DiagnosticStatus]:
        """The verdicts on the whole node so far."""
        return [report['perception'] for report in list(self.reports)]

    def topic(self, name: str) -> str:
        return f'{self.name}/{name}'

    def hear(self, name: str, message_type: Any, qos: QoSProfile = RELIABLE) -> list[Any]:
        """Subscribe to an output; the list returned fills with its messages."""
        heard: list[Any] = []
        publisher = wait_until(lambda: self._output(name), f'no publisher of {name}')
        before = publisher.get_subscription_count()
        self.peer.create_subscription(message_type, self.topic(name), heard.append, qos)
        wait_until(lambda: publisher.get_subscription_count() > before, f'{name} is not matched')
        return heard

    def _output(self, name: str) -> Any:
        topic = self.topic(name)
        return next((p for p in self.node.publishers if p.topic_name == topic), None)

    def bring_up(self) -> None:
        self.lifecycle.bring_up(DEADLINE_S)

    def talk(self, name: str, message_type: Any, qos: QoSProfile = RELIABLE) -> Any:
        """A publisher to an input, once it has found its subscriber."""
        if name not in self._publishers:
            publisher = self.peer.create_publisher(message_type, self.topic(name), qos)
            wait_until(publisher.get_subscription_count, f'the node does not subscribe to {name}')
            self._publishers[name] = publisher
        return self._publishers[name]

    def close_talks(self) -> None:
        """Forget the publishers, so that new ones wait for the node's new subscriptions."""
        for publisher in self._publishers.values():
            self.peer.destroy_publisher(publisher)
        self._publishers = {}

    def image(self, message: Any) -> None:
        self.talk('input/image', type(message)).publish(message)

    def radar(self, message: Any) -> None:
        self.talk('input/radar', type(message)).publish(message)

    def pair(self, stamp_ns: int, radar: Any = None, image: Any = None) -> None:
        """Publish a radar frame and an image of one stamp."""
        self.radar(radar if radar is not None else radar_message(stamp_ns))
        self.image(image if image is not None else image_message(stamp_ns))

    def values(self) -> dict[str, str]:
        """The key values of the latest diagnostics, of all parts."""
        return report_values(self.reports[-1]) if self.reports else {}

    def forget(self) -> None:
        """Forget the diagnostics so far, so that `status` sees only what comes after."""
        self.reports.clear()

    def status(self, level: bytes, text: str = '', part: str = 'perception') -> DiagnosticStatus:
        """Wait for a diagnostic status of this level with this text; return it."""

        def found() -> DiagnosticStatus | None:
            for report in list(self.reports):
                status = report.get(part)
                if status is not None and status.level == level and text in status.message:
                    return status
            return None

        return wait_until(
            found,
            lambda: (
                f'{text!r} at level {level!r} of {part}; last were '
                f'{[(r[part].level, r[part].message) for r in self.reports[-3:] if part in r]}'
            ),
        )

    def value(self, key: str, wanted: str) -> None:
        """Wait until a key of the diagnostics has this value."""
        wait_until(
            lambda: self.values().get(key) == wanted,
            lambda: f'{key} = {wanted}; it is {self.values().get(key)}; all: {self.values()}',
        )
