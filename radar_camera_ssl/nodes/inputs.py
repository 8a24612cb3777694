# SPDX-License-Identifier: Apache-2.0
"""The node's subscriptions, what arrives on them, and who is at their other end."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.geometry import Intrinsics, decode_camera_info, same_shape

from . import optional_packages, qos
from .conversions import stamp_ns
from .endpoints import node_name, type_name
from .health import InputStatus
from .input_meter import InputMeter
from .intake import Intake
from .parameters import Settings
from .qos_mismatches import QosMismatches

# As long as the worker takes from a pair to its inference, which does not need the interpreter.
HANDOVER_S = 2.5e-3


class Inputs:
    """Image, radar and camera_info: subscribed to from `open` to `close`.

    The callbacks hand image and radar to the intake and keep the last camera_info.
    """

    def __init__(
        self,
        node: LifecycleNode,
        settings: Callable[[], Settings],
        intake: Intake,
        radar_waits: Callable[[Any], None],
        mismatches: QosMismatches,
        warn: Callable[[str, str], None],
    ) -> None:
        """Prepare; `settings()` are the present ones.

        `radar_waits(message)` is told of each radar frame whose image is still to come.

        Raises MissingPackageError where the radar's message type is not installed.
        """
        self._node, self._settings, self._intake = node, settings, intake
        self._radar_waits = radar_waits
        self._mismatches, self._warn = mismatches, warn
        self._meters = {**intake.meters, 'camera_info': InputMeter()}
        image_type = CompressedImage if settings().image_transport == 'compressed' else Image
        self._types = {
            'image': image_type,
            'radar': _radar_type(settings().radar_format),
            'camera_info': CameraInfo,
        }
        self._topics = {name: node.resolve_topic_name(f'~/input/{name}') for name in self._types}
        self._subscriptions: dict[str, Subscription] = {}
        self._camera: tuple[CameraInfo, Intrinsics] | None = None
        self._invalid = self._misfit = ''

    @property
    def topics(self) -> dict[str, str]:
        """The resolved topic of each input."""
        return dict(self._topics)

    def open(self) -> None:
        """Subscribe."""
        callbacks: dict[str, Callable[[Any], None]] = {
            'image': partial(self._on_sensor, 'image'),
            'radar': partial(self._on_sensor, 'radar'),
            'camera_info': self._on_camera_info,
        }
        # A camera may have been turned or changed meanwhile; a latched camera_info comes again.
        self._camera, self._invalid, self._misfit = None, '', ''
        for name, profile in _profiles(self._settings()).items():
            self._meters[name].opened()
            self._subscriptions[name] = self._node.create_subscription(
                self._types[name],
                f'~/input/{name}',
                callbacks[name],
                profile,
                event_callbacks=qos.loss_alone(self._meters[name].lost_now),
            )
            self._mismatches.watch(self._topics[name], self._types[name], profile, is_input=True)

    def close(self) -> None:
        """Unsubscribe."""
        subscriptions, self._subscriptions = self._subscriptions, {}
        for name, subscription in subscriptions.items():
            self._mismatches.forget(self._topics[name])
            self._node.destroy_subscription(subscription)

    def _on_sensor(self, name: str, msg: Any) -> None:
        if name not in self._subscriptions:
            # The executor may hold a message of a subscription that is gone.
            return
        stamp, now = stamp_ns(msg.header.stamp), self._node.get_clock().now().nanoseconds
        if self._intake.take(name, msg, stamp, now, self._settings().stamp_tolerance):
            # What rclpy's executor does between two messages is Python, and would hold up the
            # worker at every turn of its own.
            time.sleep(HANDOVER_S)
        elif name == 'radar':
            self._radar_waits(msg)

    def _on_camera_info(self, msg: CameraInfo) -> None:
        self._meters['camera_info'].arrived(time.monotonic(), stamp_ns(msg.header.stamp))
        try:
            self._camera, self._invalid = (msg, decode_camera_info(msg)), ''
        except SensorDataError as error:
            self._camera, self._invalid = None, str(error)
            self._warn(error.reason, str(error))

    def camera_of(self, image: tuple[int, int]) -> tuple[CameraInfo, Intrinsics] | None:
        """The last camera_info, and what it says, of images of this size (height, width).

        None without a valid one, and where it is of images of another shape: they are not what it
        describes. Called by the worker's thread.
        """
        camera = self._camera
        if camera is None or same_shape((camera[1].height, camera[1].width), image):
            self._misfit = ''
            return camera
        self._misfit = (
            f'it is of images of {camera[1].width}x{camera[1].height}, those that come are of '
            f'another shape, {image[1]}x{image[0]}'
        )
        return None

    @property
    def camera_info_error(self) -> str:
        """Why the last camera_info cannot be used; empty where it can or none came."""
        return self._invalid or self._misfit

    @property
    def counters(self) -> dict[str, int]:
        """What only grows: the account's, and as `<input>.lost` what the middleware lost."""
        lost = {f'{name}.lost': meter.lost for name, meter in self._meters.items()}
        return self._intake.account.counters | lost

    def status(self, now_s: float) -> dict[str, InputStatus]:
        """Return what arrived of each input and who publishes it; callable from any thread."""
        settings = self._settings()
        result = {}
        for name, meter in self._meters.items():
            facts = meter.facts(now_s, settings.diagnostics_window)
            silent = facts.age_s is None or facts.age_s > settings.stale_after
            result[name] = InputStatus(
                topic=self._topics[name],
                facts=facts,
                publishers=self._node.count_publishers(self._topics[name]),
                # Asked only when there is something to explain.
                other_types=self._other_types(name) if silent else '',
            )
        return result

    def _other_types(self, name: str) -> str:
        """Publishers of another type than ours on this topic: they are never heard."""
        ours = type_name(self._types[name])
        return ', '.join(
            f'{node_name(end)} publishes {end.topic_type}, not {ours}'
            for end in self._node.get_publishers_info_by_topic(self._topics[name])
            if end.topic_type != ours
        )


def _radar_type(radar_format: str) -> Any:
    if radar_format == 'radar_scan':
        return optional_packages.radar_msgs().RadarScan
    return {'points': PointCloud2, 'cube': Image}[radar_format]


def _profiles(settings: Settings) -> dict[str, QoSProfile]:
    latched = settings.camera_info_qos == 'latched'
    return {
        'image': qos.profile(settings.image_reliability, settings.image_depth),
        'radar': qos.profile(settings.radar_reliability, settings.radar_depth),
        'camera_info': qos.latched() if latched else qos.profile('best_effort', 1),
    }
