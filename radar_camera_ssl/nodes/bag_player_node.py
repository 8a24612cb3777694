# SPDX-License-Identifier: Apache-2.0
"""Plays a bag byte for byte at recorded times, for machines without `ros2 bag`."""

from __future__ import annotations

import importlib
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock

from radar_camera_ssl.sensors.recording import Recording, RecordingError
from radar_camera_ssl.sensors.topics import GROUND_TRUTH_PREFIX

from . import process, qos
from .bag_player_parameters import PlayerSettings
from .conversions import stamp_message
from .parameter_declaration import DeclaredParameters
from .read_ahead import RawMessage, messages_ahead

CLOCK_PERIOD_S = 0.02
ACKNOWLEDGE_TIMEOUT_S = 5.0
LATCHED_LAST = ('camera_info', 'cube_info')


class BagPlayerNode(Node):
    """Node `bag_player`: publishes recorded bytes as they are, reliably, at recorded times.

    Latched topics (`*tf_static`, `*camera_info`, `*cube_info`) are transient local. A type whose
    package is not installed is left out with one warning. At the end it waits until subscribers
    have acknowledged, reports what was published and what of the bag is damaged, and is done.
    """

    def __init__(self, **node_options: Any) -> None:
        """Declare the parameters, open the bag and start the playing thread.

        Raises ValueError for a parameter that is not allowed or a bag that cannot be read.
        """
        super().__init__('bag_player', **node_options)
        self.exit_code = 1
        self._stop = threading.Event()
        self._finished = threading.Event()
        # From Kilted on the context destroys a node that refuses its parameters below as well.
        self._thread: threading.Thread | None = None
        self._published: dict[str, int] = {}
        self._largest_lag_s = 0.0
        self._loops = 0
        self._damages: list[str] = []
        self._begin_ns = 0
        parameters = DeclaredParameters(self, PlayerSettings)
        self._settings = parameters.settings
        try:
            self._outputs = self._make_publishers()
        except RecordingError as error:
            super().destroy_node()
            raise ValueError(str(error)) from error
        self._clock_output: Publisher | None = None
        if self._settings.publish_clock:
            self._clock_output = self.create_publisher(Clock, '/clock', 10)
        self._thread = threading.Thread(target=self._run, name='player', daemon=True)
        self._thread.start()

    def done(self) -> bool:
        """Whether everything has been published, or playing has failed."""
        return self._finished.is_set()

    def destroy_node(self) -> None:
        """Stop playing before the publishers go."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        super().destroy_node()

    # The bag's topics

    def _make_publishers(self) -> dict[str, Publisher]:
        if not self._settings.bag:
            raise RecordingError('the parameter bag is empty')
        with Recording(self._settings.bag) as recording:
            recording.require_cdr()
            types, duration_s = recording.topics, recording.duration_s
            start_ns = recording.start_ns or 0
            for damage in recording.damages:
                self._tell_damage(damage)
        offset_s = self._settings.start_offset
        if offset_s > 0 and offset_s >= duration_s:
            raise RecordingError(
                f'start_offset {offset_s:g} s leaves nothing of {self._settings.bag} '
                f'({duration_s:g} s)'
            )
        if offset_s > 0:  # else all is played, wherever metadata.yaml says that the bag starts
            self._begin_ns = start_ns + int(offset_s * 1e9)
        wanted = [topic for topic in self._settings.topics if topic] or [
            topic for topic in types if not topic.startswith(GROUND_TRUTH_PREFIX)
        ]
        if missing := [topic for topic in wanted if topic not in types]:
            raise RecordingError(
                f'{self._settings.bag} has no topic {", ".join(missing)}; it has '
                f'{", ".join(sorted(types))}'
            )
        outputs = {}
        for topic in wanted:
            message_type = self._message_type(topic, types[topic])
            if message_type is not None:
                outputs[topic] = self.create_publisher(message_type, topic, self._qos(topic))
        if not outputs:
            raise RecordingError(f'{self._settings.bag} has nothing to publish')
        return outputs

    def _tell_damage(self, damage: str) -> None:
        if damage not in self._damages:
            self._damages.append(damage)
            self.get_logger().warning(f'{self._settings.bag}: {damage}')

    def _message_type(self, topic: str, name: str) -> Any:
        package, _, message = name.split('/')
        try:
            return getattr(importlib.import_module(f'{package}.msg'), message)
        except (ImportError, AttributeError):
            self.get_logger().warning(
                f'{topic} is left out: the message type {name} is not installed'
            )
            return None

    def _qos(self, topic: str) -> QoSProfile:
        if topic.endswith(LATCHED_LAST):
            return qos.latched()
        if topic.endswith('tf_static'):
            return qos.latched(self._settings.depth)
        return qos.profile('reliable', self._settings.depth)

    # The playing thread

    def _run(self) -> None:
        try:
            if self._wait_for_subscribers():
                self.get_logger().info(f'playing {self._settings.bag}')
                self._play()
                self._acknowledged()
                self.exit_code = 0
            elif self._stop.is_set():
                self.exit_code = 0
        except Exception as error:  # noqa: BLE001 - logged, and the process ends with code 1
            self.get_logger().error(f'playing failed: {type(error).__name__}: {error}')
        try:
            self._report()
        except OSError as error:
            self.get_logger().error(f'the report cannot be written: {error}')
            self.exit_code = 1
        finally:
            self._finished.set()

    def _wait_for_subscribers(self) -> bool:
        wanted = [topic for topic in self._settings.wait_for_subscribers if topic]
        if unknown := [topic for topic in wanted if topic not in self._outputs]:
            self.get_logger().error(f'wait_for_subscribers: not published: {", ".join(unknown)}')
            return False
        deadline = time.monotonic() + self._settings.wait_timeout
        while waiting := [
            topic for topic in wanted if self._outputs[topic].get_subscription_count() == 0
        ]:
            if time.monotonic() > deadline:
                self.get_logger().error(
                    f'no subscriber of {", ".join(waiting)} within '
                    f'{self._settings.wait_timeout:g} s'
                )
                return False
            if self._stop.wait(0.02):
                return False
        return True

    def _play(self) -> None:
        while not self._stop.is_set():
            self._play_once()
            self._loops += 1
            if not self._settings.loop:
                return

    def _play_once(self) -> None:
        first_ns: int | None = None
        began_s = 0.0
        with messages_ahead(
            Path(self._settings.bag),
            list(self._outputs),
            self._settings.read_ahead,
            self._tell_damage,
        ) as messages:
            for message in messages:
                if self._stop.is_set():
                    return
                if message.time_ns < self._begin_ns:
                    if message.topic.endswith((*LATCHED_LAST, 'tf_static')):
                        self._publish_clock(self._begin_ns)
                        self._publish(message)
                    continue
                if first_ns is None:
                    # Not before: the time it took to skip the start is not to be caught up.
                    first_ns, began_s = message.time_ns, time.monotonic()
                if not self._wait_until(began_s, first_ns, message.time_ns):
                    return
                self._publish(message)

    def _publish(self, message: RawMessage) -> None:
        self._outputs[message.topic].publish(message.data)
        self._published[message.topic] = self._published.get(message.topic, 0) + 1

    def _wait_until(self, began_s: float, first_ns: int, time_ns: int) -> bool:
        """Sleep until a message is due, with /clock running; False when told to stop."""
        rate = self._settings.rate
        due_s = began_s + (time_ns - first_ns) * 1e-9 / rate
        while (left_s := due_s - time.monotonic()) > CLOCK_PERIOD_S:
            self._publish_clock(time_ns - int(left_s * rate * 1e9))
            if self._stop.wait(CLOCK_PERIOD_S):
                return False
        if left_s > 0:
            time.sleep(left_s)
        elif time_ns >= first_ns:
            self._largest_lag_s = max(self._largest_lag_s, -left_s)
        self._publish_clock(max(time_ns, first_ns))
        return not self._stop.is_set()

    def _publish_clock(self, time_ns: int) -> None:
        if self._clock_output is not None:
            self._clock_output.publish(Clock(clock=stamp_message(time_ns)))

    def _acknowledged(self) -> None:
        """Wait until reliable subscribers have everything: a writer that goes takes it along."""
        deadline = time.monotonic() + ACKNOWLEDGE_TIMEOUT_S
        for topic, output in self._outputs.items():
            left_s = max(0.0, deadline - time.monotonic())
            if not output.wait_for_all_acked(Duration(seconds=left_s)):
                self.get_logger().warning(f'not every subscriber acknowledged all of {topic}')

    def _report(self) -> None:
        report = {
            'bag': self._settings.bag,
            'published': self._published,
            'loops': self._loops,
            'largest_lag_ms': round(self._largest_lag_s * 1e3, 1),
            'stopped': self._stop.is_set(),
            'damages': self._damages,
        }
        text = json.dumps(report)
        self.get_logger().info(f'played {text}')
        if self._settings.report_path:
            Path(self._settings.report_path).write_text(text + '\n')


def main(args: list[str] | None = None) -> int:
    """Play a bag; exit code 0 when all that is whole was published, or when told to stop."""
    return process.run(BagPlayerNode, args)


if __name__ == '__main__':
    sys.exit(main())
