# SPDX-License-Identifier: Apache-2.0
"""What a recording says of its sensors besides their data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from radar_camera_ssl.model_metadata import CubeInput
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.geometry import Intrinsics, RigidTransform, decode_camera_info
from radar_camera_ssl.sensors.radar_cube import CubeAxes
from radar_camera_ssl.sensors.recording import Recording, RecordingError

CUBE_INFO_TOPIC = '/radar/cube_info'


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


def check_cube_axes(recording: Recording, cube_topic: str, wanted: CubeInput) -> None:
    """Raise RecordingError where the recording says that its cube has other axes than the model's.

    They are looked for on `<cube topic>_info`, then `/radar/cube_info`; without either nobody
    knows, and nothing is said.
    """
    there = [t for t in (f'{cube_topic}_info', CUBE_INFO_TOPIC) if t in recording.topics]
    told = next(recording.messages(there[:1]), None)
    if told is None:
        return
    try:
        axes = CubeAxes.from_key_values(told[2].values)
    except (SensorDataError, AttributeError) as error:
        raise RecordingError(f'{recording.path}: {told[0]}: {error}') from error
    for name in ('range_m', 'azimuth_rad', 'doppler_mps'):
        has, reads = getattr(axes, name), getattr(wanted, name)
        if not np.allclose(has, reads):
            raise RecordingError(
                f'{recording.path}: the cube has other axes than the model: another radar needs '
                f'training ({name} is {has}, the model reads {reads})'
            )
