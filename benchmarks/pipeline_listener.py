# SPDX-License-Identifier: Apache-2.0
"""Hears a topic of images in a process of its own, for benchmarks/pipeline.py.

    python -m pipeline_listener RECORD TOPIC

Appends stamp and instant of arrival (steady clock) of each to RECORD: two int64 each, ns.
"""

from __future__ import annotations

import struct
import sys
import time
from pathlib import Path

from rclpy.node import Node
from sensor_msgs.msg import Image

from radar_camera_ssl.nodes import process, qos


class ListenerNode(Node):
    """Takes messages as they are serialised."""

    def __init__(self, record: Path, topic: str) -> None:
        """Open the record and subscribe."""
        # Nothing that its executor would have to look at before it hears.
        super().__init__('listener', start_parameter_services=False, enable_rosout=False)
        self._record = record.open('ab', buffering=0)
        self.create_subscription(
            Image,
            topic,
            self._heard,
            qos.profile('reliable', 50),
            raw=True,
            event_callbacks=qos.loss_alone(lambda _: None),
        )

    def _heard(self, data: bytes) -> None:
        instant = time.monotonic_ns()
        seconds, nanoseconds = struct.unpack_from('<iI', data, 4)
        self._record.write(struct.pack('<qq', seconds * 10**9 + nanoseconds, instant))


if __name__ == '__main__':
    raise SystemExit(
        process.run(lambda: ListenerNode(Path(sys.argv[1]), sys.argv[2]), sys.argv[:1])
    )
