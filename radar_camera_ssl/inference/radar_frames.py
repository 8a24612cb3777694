# SPDX-License-Identifier: Apache-2.0
"""Recorded radar messages as a model wants them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.model_metadata import ModelMetadata, PointsInput
from radar_camera_ssl.sensors.radar_cube import decode_cube
from radar_camera_ssl.sensors.radar_points import RadarPoints, decode_points, decode_radar_scan

RadarFrame = RadarPoints | NDArray[np.float32]


def decode_radar(
    msg: Any, metadata: ModelMetadata, aliases: Mapping[str, str] | None = None
) -> RadarFrame:
    """Radar message as the model wants it; raises SensorDataError."""
    if isinstance(metadata.radar, PointsInput):
        if hasattr(msg, 'returns'):
            return decode_radar_scan(msg)
        return decode_points(msg, metadata.radar.field_names, aliases)
    return decode_cube(msg)
