# SPDX-License-Identifier: Apache-2.0
"""Bags written whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from .messages import serialise, typestore

_FOREVER = QosTime(2147483647, 4294967295)


class BagWriter:
    """Writes an MCAP bag (a folder) that appears under its name once it is whole.

    A context manager: nothing is left where its block ends by an exception. Until then the bag
    lies in a hidden folder beside its place.
    """

    def __init__(self, path: Path | str, *, replace: bool = False) -> None:
        """Write to `path`.

        replace: an existing bag makes place for the new one when that is whole. Raises
        FileExistsError where `path` exists and is not to be replaced, or is no bag.
        """
        self.path = Path(path)
        if self.path.exists() and not replace:
            raise FileExistsError(f'{self.path} exists')
        if self.path.exists() and not (self.path / 'metadata.yaml').exists():
            raise FileExistsError(f'{self.path} exists and is no bag: not overwritten')
        self._workshop = self.path.parent / f'.{self.path.name}.{os.getpid()}.partial'
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> BagWriter:
        self._workshop.mkdir(parents=True)
        draft = self._workshop / self.path.name
        self._writer = Writer(draft, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._writer.close()
            if kind is None:
                if self.path.exists():
                    shutil.rmtree(self.path)
                (self._workshop / self.path.name).rename(self.path)
        finally:
            shutil.rmtree(self._workshop, ignore_errors=True)

    def add_topic(self, topic: str, msgtype: str, *, latched: bool = False) -> None:
        """Declare a topic. latched: its last message is for late subscribers too."""
        self._connections[topic] = self._writer.add_connection(
            topic, msgtype, typestore=typestore, offered_qos_profiles=[_qos(latched)]
        )

    def write(self, topic: str, time_ns: int, message: Any) -> None:
        """Append a message, made by `messages` or serialised, at the bag time `time_ns`."""
        data = message if isinstance(message, bytes) else serialise(message)
        self._writer.write(self._connections[topic], time_ns, data)


def _qos(latched: bool) -> Qos:
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=_FOREVER,
        lifespan=_FOREVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_FOREVER,
        avoid_ros_namespace_conventions=False,
    )
