# SPDX-License-Identifier: Apache-2.0
"""Small bags for the tests of player, recorder and replay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bag_factory import Row, write_rows
from rclpy.serialization import serialize_message
from ros_graph import camera_info_message, image_message, radar_message, stamped

from radar_camera_ssl.nodes.output_recorder import type_name

START_NS = 1_700_000_000 * 10**9


def write_bag(path: Path, rows: list[Row]) -> Path:
    """Write (topic, type, bag time ns, CDR) rows as an MCAP bag."""
    return write_rows(path, sorted(rows, key=lambda row: row[2]))


def row(topic: str, time_ns: int, message: Any) -> Row:
    return topic, type_name(type(message)), time_ns, serialize_message(message)


def drive_rows(
    duration_s: float, height: int = 120, width: int = 160, radar_hz: float = 10.0
) -> list[Row]:
    """A camera at 30 Hz and a radar, recorded as stamped."""
    rows = [row('/camera/camera_info', START_NS, camera_info_message(START_NS, height, width))]
    frame = image_message(START_NS, height, width)
    for i in range(round(duration_s * 30)):
        time_ns = START_NS + i * 10**9 // 30
        rows.append(row('/camera/image_raw', time_ns, stamped(frame, time_ns, 'camera_optical')))
    for i in range(round(duration_s * radar_hz)):
        time_ns = START_NS + 7_000_000 + int(i * 1e9 / radar_hz)
        rows.append(row('/radar/points', time_ns, radar_message(time_ns)))
    return rows
