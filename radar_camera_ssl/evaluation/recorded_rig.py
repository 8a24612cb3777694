# SPDX-License-Identifier: Apache-2.0
"""What a recording says of its sensors besides their data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from radar_camera_ssl.sensors.geometry import Intrinsics, RigidTransform, decode_camera_info
from radar_camera_ssl.sensors.recording import Recording


@dataclass(frozen=True)
class RecordedRig:
    """The first calibrated CameraInfo, if any, and (parent, child) to T_parent_child."""

    camera_info: Any = None
    transforms: Mapping[tuple[str, str], RigidTransform] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        recording: Recording,
        camera_info_topic: str | None = None,
        image_topic: str | None = None,
    ) -> RecordedRig:
        """Read it; topics are found if not named. Raises RecordingError for a bad transform."""
        info = recording.camera_info(camera_info_topic, image_topic)
        return cls(info, recording.static_transforms())

    @property
    def intrinsics(self) -> Intrinsics | None:
        """Those of the CameraInfo."""
        return None if self.camera_info is None else decode_camera_info(self.camera_info)
