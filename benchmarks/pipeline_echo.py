# SPDX-License-Identifier: Apache-2.0
"""Answers each image at once without looking at it, for benchmarks/pipeline.py: the floor.

What is left of the node when pairing, decoding, inference and all outputs but the heatmap are
taken away: sending and taking an image, sending and taking a heatmap.

    python -m pipeline_echo raw|jpeg
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from pipeline_inputs import IMAGE_TOPIC, KINDS, RADAR_TOPIC
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2

from radar_camera_ssl.nodes import process, qos
from radar_camera_ssl.nodes.conversions import heatmap_message

GRID = (30, 40)


class EchoNode(Node):
    """Subscribes as the node does."""

    def __init__(self, kind: str) -> None:
        """Create subscriptions and publisher."""
        super().__init__('echo')
        self._publisher = self.create_publisher(
            Image, '~/heatmap', qos.profile('reliable', 5), event_callbacks=qos.no_events()
        )
        for topic, message_type, callback, depth in (
            (RADAR_TOPIC, PointCloud2, lambda _: None, 10),
            (IMAGE_TOPIC, KINDS[kind], self._answer, 5),
        ):
            self.create_subscription(
                message_type,
                topic,
                callback,
                qos.profile('best_effort', depth),
                event_callbacks=qos.loss_alone(lambda _: None),
            )

    def _answer(self, image: Any) -> None:
        self._publisher.publish(heatmap_message(np.zeros(GRID, np.float32), image.header))


if __name__ == '__main__':
    raise SystemExit(process.run(lambda: EchoNode(sys.argv[1]), sys.argv[:1]))
