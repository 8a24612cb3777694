# SPDX-License-Identifier: Apache-2.0
"""Answers as a bag that opens beside the input in RViz or Foxglove, or without it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation.recorded_rig import RecordedRig
from radar_camera_ssl.evaluation.replay import ReplayFrame
from radar_camera_ssl.inference.reflections import reflections_table
from radar_camera_ssl.sensors import messages
from radar_camera_ssl.sensors.bag_writer import BagWriter
from radar_camera_ssl.sensors.geometry import scaled_camera

# As the node's topics are called when it runs under its own name.
HEATMAP_TOPIC = '/reflection_heatmap/output/heatmap'
CAMERA_INFO_TOPIC = '/reflection_heatmap/output/camera_info'
OVERLAY_TOPIC = '/reflection_heatmap/output/overlay/compressed'
REFLECTIONS_TOPIC = '/reflection_heatmap/output/reflections'
TF_STATIC_TOPIC = '/tf_static'


class OutputRecorder:
    """Writes what the node would publish to an MCAP bag; a context manager.

    Headers are those of the image (heatmap, its camera_info, overlay) and of the radar frame
    (reflections). Each message lies at the bag time of the input message whose header it has:
    players and Foxglove go by bag time, which in a recording is when a message arrived, and in
    one of a replay may be years from its stamp. camera_info and /tf_static are there where the
    input has them. The bag appears once it is whole.
    """

    def __init__(self, path: Path | str, rig: RecordedRig) -> None:
        """Write to the folder `path`; raises FileExistsError rather than overwrite anything."""
        self._bag = BagWriter(path)
        self._rig = rig
        self._frames = 0

    def __enter__(self) -> OutputRecorder:
        self._bag.__enter__()
        self._bag.add_topic(HEATMAP_TOPIC, 'sensor_msgs/msg/Image')
        self._bag.add_topic(OVERLAY_TOPIC, 'sensor_msgs/msg/CompressedImage')
        self._bag.add_topic(REFLECTIONS_TOPIC, 'sensor_msgs/msg/PointCloud2')
        if self._rig.camera_info is not None:
            self._bag.add_topic(CAMERA_INFO_TOPIC, 'sensor_msgs/msg/CameraInfo')
        if self._rig.transforms:
            self._bag.add_topic(TF_STATIC_TOPIC, 'tf2_msgs/msg/TFMessage', latched=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bag.__exit__(kind, error, trace)

    def add(self, frame: ReplayFrame, overlay: NDArray[np.uint8]) -> None:
        """Append one answer. overlay: what `draw_overlay` made of it, as a JPEG (N,)."""
        if not self._frames and self._rig.transforms:
            first = min(frame.image_time, frame.radar_time)
            transforms = messages.static_transforms(first, self._rig.transforms)
            self._bag.write(TF_STATIC_TOPIC, first, transforms)
        self._frames += 1
        stamp, frame_id = frame.image_stamp, frame.image_frame_id
        heatmap = frame.correspondence.heatmap
        made = messages.image(stamp, frame_id, heatmap, '32FC1')
        self._bag.write(HEATMAP_TOPIC, frame.image_time, made)
        if (info := self._rig.camera_info) is not None:
            scaled, projection = scaled_camera(info, heatmap.shape[1], heatmap.shape[0])
            rectification = np.array(info.r if hasattr(info, 'r') else info.R, np.float64)
            made = messages.camera_info(stamp, frame_id, scaled, rectification, projection)
            self._bag.write(CAMERA_INFO_TOPIC, frame.image_time, made)
        made = messages.compressed_image(stamp, frame_id, overlay)
        self._bag.write(OVERLAY_TOPIC, frame.image_time, made)
        table = reflections_table(frame.correspondence, frame.radar_message)
        made = messages.point_cloud(frame.radar_stamp, frame.radar_frame_id, table)
        self._bag.write(REFLECTIONS_TOPIC, frame.radar_time, made)
