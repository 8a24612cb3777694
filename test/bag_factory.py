# SPDX-License-Identifier: Apache-2.0
"""Bags of serialised messages, of every storage and compression that a test wants."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

Row = tuple[str, str, int, bytes]
"""Topic, type, bag time ns, CDR."""
_STORE = get_typestore(Stores.ROS2_JAZZY)


def write_rows(
    path: Path,
    rows: Iterable[Row],
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
) -> Path:
    """Write a bag of these rows in their order; a topic has the type of its first row."""
    writer = Writer(path, version=9, storage_plugin=storage)
    if compression != CompressionMode.NONE:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connections: dict[str, Any] = {}
        for topic, kind, time_ns, data in rows:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=_STORE)
            writer.write(connections[topic], time_ns, data)
    return path
