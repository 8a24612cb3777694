# SPDX-License-Identifier: Apache-2.0
"""The node that one writes first, for benchmarks/pipeline.py: what ours is compared with.

Subscriptions of the default QoS, the algorithm of message_filters' ApproximateTimeSynchronizer,
the conversion of cv_bridge (a copy), inference in the callback, heatmap and overlay at the
camera's resolution whether somebody hears them or not, converted as cv2_to_imgmsg does, and
`rclpy.spin`. The model and its threads are those of the node.

    python -m pipeline_naive raw|jpeg MODEL THREADS
"""

from __future__ import annotations

import sys
from array import array
from collections import deque
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from pairing import Simulated
from pipeline_inputs import IMAGE_TOPIC, KINDS, RADAR_TOPIC
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2

from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.inference.overlay import draw_overlay
from radar_camera_ssl.nodes.conversions import stamp_ns
from radar_camera_ssl.sensors.camera import decode_image
from radar_camera_ssl.sensors.radar_points import decode_points

QUEUE = 10
RADAR, IMAGE = 0, 1


class NaiveNode(Node):
    """Everything in the callback of the synchroniser."""

    def __init__(self, kind: str, model: Path, threads: int) -> None:
        """Load the model, subscribe."""
        super().__init__('naive')
        self._model = CorrespondenceModel.load(model, threads=threads)
        self._synchronizer = Simulated(QUEUE)
        self._waiting: tuple[deque[Any], deque[Any]] = (deque(maxlen=QUEUE), deque(maxlen=QUEUE))
        self._heatmap = self.create_publisher(Image, '~/heatmap', 10)
        self._overlay = self.create_publisher(Image, '~/overlay', 10)
        topics = ((RADAR, RADAR_TOPIC, PointCloud2), (IMAGE, IMAGE_TOPIC, KINDS[kind]))
        for stream, topic, message_type in topics:
            self.create_subscription(message_type, topic, partial(self._take, stream), QUEUE)

    def _take(self, stream: int, message: Any) -> None:
        self._waiting[stream].append(message)
        for stamps in self._synchronizer.add(stream, stamp_ns(message.header.stamp)):
            pair = [
                next(m for m in waiting if stamp_ns(m.header.stamp) == stamp)
                for waiting, stamp in zip(self._waiting, stamps, strict=True)
            ]
            self._answer(*pair)

    def _answer(self, radar: Any, message: Any) -> None:
        image = decode_image(message)
        if not image.flags.owndata:
            image = image.copy()
        answer = self._model.infer(image, decode_points(radar))
        height, width = image.shape[:2]
        heatmap = cv2.resize(answer.heatmap, (width, height))
        self._heatmap.publish(to_message(heatmap, '32FC1', message.header))
        self._overlay.publish(to_message(draw_overlay(image, answer), 'bgr8', message.header))


def to_message(values: np.ndarray, encoding: str, header: Any) -> Image:
    """As cv_bridge's cv2_to_imgmsg: through bytes."""
    message = Image(header=header, encoding=encoding)
    message.height, message.width = values.shape[:2]
    data = values.tobytes()
    message.step = len(data) // message.height
    copy = array('B')
    copy.frombytes(data)
    message.data = copy
    return message


def main() -> None:
    """Spin until interrupted."""
    rclpy.init(args=sys.argv[:1])
    node = NaiveNode(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)


if __name__ == '__main__':
    main()
