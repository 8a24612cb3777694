# SPDX-License-Identifier: Apache-2.0
"""Answers as a bag that opens beside the input in RViz or Foxglove."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from radar_camera_ssl.evaluation.replay import ReplayFrame
from radar_camera_ssl.inference.model import Correspondence

# As the node's topics are called when it runs under its own name.
HEATMAP_TOPIC = '/reflection_heatmap/output/heatmap'
REFLECTIONS_TOPIC = '/reflection_heatmap/output/reflections'
REFLECTION_FIELDS = ('x', 'y', 'z', 'velocity', 'rcs', 'u', 'v', 'likelihood')

_FLOAT32 = 7


class OutputRecorder:
    """Writes heatmaps (the images' stamps) and reflections (the radar's) to an MCAP bag.

    A context manager. Messages are logged at the image's stamp, so that a player shows them
    together with what they answer.
    """

    def __init__(self, path: Path | str) -> None:
        """Write to the folder `path`; raises FileExistsError rather than overwrite a bag."""
        self._path = Path(path)
        if self._path.exists():
            raise FileExistsError(f'{self._path} exists already')
        self._types = get_typestore(Stores.ROS2_JAZZY)
        self._writer = Writer(self._path, version=9, storage_plugin=StoragePlugin.MCAP)

    def __enter__(self) -> OutputRecorder:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._writer.open()
        self._heatmap = self._connect(HEATMAP_TOPIC, 'sensor_msgs/msg/Image')
        self._reflections = self._connect(REFLECTIONS_TOPIC, 'sensor_msgs/msg/PointCloud2')
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    def add(self, frame: ReplayFrame) -> None:
        """Append one answer."""
        answer = frame.correspondence
        image = self._image(answer.heatmap, frame.image_stamp, frame.image_frame_id)
        points = self._points(answer, frame.radar_stamp, frame.radar_frame_id)
        for connection, msg in ((self._heatmap, image), (self._reflections, points)):
            data = self._types.serialize_cdr(msg, connection.msgtype)
            self._writer.write(connection, frame.image_stamp, data)

    def _connect(self, topic: str, msgtype: str) -> Any:
        return self._writer.add_connection(topic, msgtype, typestore=self._types)

    def _header(self, stamp: int, frame_id: str) -> Any:
        types = self._types.types
        time = types['builtin_interfaces/msg/Time'](*divmod(stamp, 1_000_000_000))
        return types['std_msgs/msg/Header'](time, frame_id)

    def _image(self, heatmap: NDArray[np.float32], stamp: int, frame_id: str) -> Any:
        rows, columns = heatmap.shape
        data = np.ascontiguousarray(heatmap, '<f4').view(np.uint8).ravel()
        return self._types.types['sensor_msgs/msg/Image'](
            self._header(stamp, frame_id), rows, columns, '32FC1', 0, 4 * columns, data
        )

    def _points(self, answer: Correspondence, stamp: int, frame_id: str) -> Any:
        types = self._types.types
        columns = np.empty((len(answer.returns), len(REFLECTION_FIELDS)), '<f4')
        columns[:, :5] = answer.returns.as_array(REFLECTION_FIELDS[:5])
        columns[:, 5:7] = answer.pixel
        columns[:, 7] = answer.likelihood
        fields = [
            types['sensor_msgs/msg/PointField'](name, 4 * i, _FLOAT32, 1)
            for i, name in enumerate(REFLECTION_FIELDS)
        ]
        step = 4 * len(REFLECTION_FIELDS)
        return types['sensor_msgs/msg/PointCloud2'](
            self._header(stamp, frame_id),
            1,
            len(columns),
            fields,
            False,
            step,
            step * len(columns),
            columns.view(np.uint8).ravel(),
            True,
        )
