# SPDX-License-Identifier: Apache-2.0
"""The node's publishers and what each pair makes them say."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode
from rclpy.lifecycle.publisher import LifecyclePublisher
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from radar_camera_ssl.inference.overlay import draw_overlay
from radar_camera_ssl.sensors.camera_image import CameraImage

from . import conversions, qos
from .parameters import Settings
from .qos_mismatches import QosMismatches

if TYPE_CHECKING:
    from radar_camera_ssl.inference.model import Correspondence

TOPICS = {
    'heatmap': ('~/output/heatmap', Image),
    'camera_info': ('~/output/camera_info', CameraInfo),
    'overlay': ('~/output/overlay', Image),
    'overlay/compressed': ('~/output/overlay/compressed', CompressedImage),
    'reflections': ('~/output/reflections', PointCloud2),
}
OVERLAYS = ('overlay', 'overlay/compressed')


class Outputs:
    """Lifecycle publishers of all outputs; `publish` is called by the worker's thread alone."""

    def __init__(
        self,
        node: LifecycleNode,
        settings: Callable[[], Settings],
        camera_info: Callable[[tuple[int, int]], CameraInfo | None],
        mismatches: QosMismatches,
        warn: Callable[[str, str], None],
    ) -> None:
        """Create the publishers, all or, where one of them fails, none.

        `settings()` are the present ones; `camera_info(size)` is the last valid one received of
        images of that size (height, width). `warn(reason, text)` is told of an overlay that fails.
        """
        self._node = node
        self._settings, self._camera_info = settings, camera_info
        profile = qos.profile(settings().output_reliability, settings().output_depth)
        self._mismatches, self._warn = mismatches, warn
        self._publishers: dict[str, LifecyclePublisher] = {}
        with ExitStack() as undo:
            undo.callback(self.destroy)
            for name, (topic, message_type) in TOPICS.items():
                self._publishers[name] = node.create_lifecycle_publisher(
                    message_type, topic, profile, event_callbacks=qos.no_events()
                )
                resolved = node.resolve_topic_name(topic)
                mismatches.watch(resolved, message_type, profile, is_input=False)
            undo.pop_all()

    def destroy(self) -> None:
        """Take the publishers down."""
        publishers, self._publishers = self._publishers, {}
        for publisher in publishers.values():
            self._mismatches.forget(publisher.topic_name)
            self._node.destroy_lifecycle_publisher(publisher)

    def publish(
        self,
        radar: Any,
        image_message: Any,
        image: CameraImage,
        correspondence: Correspondence,
    ) -> None:
        """Publish what one pair gave: stamps and frames are the sensors', never `now`."""
        header = image_message.header
        height, width = image.shape[:2]
        resolution = self._settings().heatmap_resolution
        heatmap = conversions.heatmap_at(correspondence.heatmap, resolution, height, width)
        # All are made before the first goes out: a pair is published or dropped, never both.
        messages = {'heatmap': conversions.heatmap_message(heatmap, header)}
        if (info := self._camera_info((height, width))) is not None:
            messages['camera_info'] = conversions.scaled_camera_info(
                info, heatmap.shape[1], heatmap.shape[0], header
            )
        messages['reflections'] = conversions.reflections_message(correspondence, radar)
        wanted = [name for name in OVERLAYS if self._publishers[name].get_subscription_count() > 0]
        pixels = np.asarray(image) if wanted else None
        for name, message in messages.items():
            self._publishers[name].publish(message)
        if pixels is None:
            return
        try:
            self._publish_overlay(wanted, pixels, correspondence, header)
        except Exception as error:  # noqa: BLE001 - told; the heatmap is out, the pair published
            text = f'no overlay: {type(error).__name__}: {error}'
            self._warn('overlay_failed', f'{text}\n{traceback.format_exc()}')

    def _publish_overlay(
        self,
        wanted: list[str],
        pixels: NDArray[np.uint8],
        correspondence: Correspondence,
        header: Any,
    ) -> None:
        overlay = draw_overlay(pixels, correspondence)
        if 'overlay' in wanted:
            message = conversions.image_message(overlay, 'bgr8', header)
            self._publishers['overlay'].publish(message)
        if 'overlay/compressed' in wanted:
            message = conversions.compressed_message(overlay, header)
            self._publishers['overlay/compressed'].publish(message)
