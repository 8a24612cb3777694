# SPDX-License-Identifier: Apache-2.0
"""Which decoder turns the node's messages into arrays, by its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.sensors.camera_image import CameraImage
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.radar_cube import decode_cube
from radar_camera_ssl.sensors.radar_points import RadarPoints, decode_points, decode_radar_scan

from . import optional_packages
from .parameters import Settings, radar_field_aliases

if TYPE_CHECKING:
    from radar_camera_ssl.model_metadata import CubeInput, PointsInput

ImageDecoder = Callable[[Any], CameraImage]
RadarContent = RadarPoints | NDArray[np.float32]
RadarDecoder = Callable[[Any], RadarContent]


def image_decoder(settings: Settings) -> ImageDecoder:
    """Return the decoder of images; raises MissingPackageError without a wanted cv_bridge."""
    if settings.image_conversion == 'builtin':
        return CameraImage
    bridge = optional_packages.cv_bridge().CvBridge()
    convert = (
        bridge.compressed_imgmsg_to_cv2
        if settings.image_transport == 'compressed'
        else bridge.imgmsg_to_cv2
    )

    def decode(msg: Any) -> NDArray[np.uint8]:
        try:
            image = convert(msg, 'bgr8')
        except Exception as error:
            raise SensorDataError('image_corrupt', f'cv_bridge: {error}') from error
        if image is None or image.size == 0:
            raise SensorDataError('image_empty', 'cv_bridge found no pixels')
        return image

    return lambda msg: CameraImage(msg, decode)


def radar_decoder(settings: Settings, radar: PointsInput | CubeInput) -> RadarDecoder:
    """Return the decoder of radar frames for a model with this radar input."""
    if settings.radar_format == 'cube':
        return decode_cube
    if settings.radar_format == 'radar_scan':
        return decode_radar_scan
    fields = radar.field_names  # type: ignore[union-attr]
    aliases = radar_field_aliases(settings)
    return lambda msg: decode_points(msg, fields, aliases)
