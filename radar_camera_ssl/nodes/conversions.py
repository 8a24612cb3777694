# SPDX-License-Identifier: Apache-2.0
"""From arrays and results to messages, and stamps to integers.

`msg.data` takes a numpy array element by element (150 ms for one image), bytes with field checks
on likewise; `frombytes` on the message's own array copies once, in both cases.
"""

from __future__ import annotations

from array import array
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header

from radar_camera_ssl.inference.reflections import reflections_table
from radar_camera_ssl.sensors.camera import JPEG_FORMAT, encode_jpeg
from radar_camera_ssl.sensors.geometry import scaled_camera
from radar_camera_ssl.sensors.radar_points import point_fields

if TYPE_CHECKING:
    from radar_camera_ssl.inference.model import Correspondence

LITTLE_ENDIAN = 0


def stamp_ns(stamp: Time) -> int:
    """Return a stamp as integer nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def stamp_message(nanoseconds: int) -> Time:
    """Return integer nanoseconds as a stamp."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return Time(sec=seconds, nanosec=rest)


def bytes_field(values: NDArray[Any]) -> array:
    """Return the buffer of a C-contiguous array as what `uint8[]` fields take without a copy."""
    data = array('B')
    data.frombytes(np.ascontiguousarray(values).data.cast('B'))
    return data


def image_message(values: NDArray[Any], encoding: str, header: Header) -> Image:
    """Return an (H, W) or (H, W, C) array as an Image of `encoding` with this header."""
    msg = Image(header=header, encoding=encoding, is_bigendian=LITTLE_ENDIAN)
    msg.height, msg.width = int(values.shape[0]), int(values.shape[1])
    msg.step = int(values.nbytes // values.shape[0])
    msg.data = bytes_field(values)
    return msg


def heatmap_message(heatmap: NDArray[np.float32], header: Header) -> Image:
    """Return the (h, w) float32 heatmap as an Image 32FC1."""
    return image_message(heatmap.astype('<f4', copy=False), '32FC1', header)


def compressed_message(image: NDArray[np.uint8], header: Header) -> CompressedImage:
    """Return an (H, W, 3) BGR image as a JPEG, in image_transport's format string.

    Raises ValueError when OpenCV cannot encode it.
    """
    msg = CompressedImage(header=header, format=JPEG_FORMAT)
    msg.data = bytes_field(encode_jpeg(image))
    return msg


def heatmap_at(
    heatmap: NDArray[np.float32], resolution: str, height: int, width: int
) -> NDArray[np.float32]:
    """Return the heatmap at the model's grid, or resampled to the camera's `height` x `width`.

    Bilinear on pixel centres, which keeps values within [0, 1].
    """
    if resolution == 'grid' or heatmap.shape == (height, width):
        return heatmap
    return np.asarray(
        cv2.resize(heatmap, (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )


def scaled_camera_info(info: CameraInfo, width: int, height: int, header: Header) -> CameraInfo:
    """Return the CameraInfo of the same view sampled at `width` x `height`; see `scaled_camera`.

    Raises SensorDataError when the input is not calibrated.
    """
    scaled, projection = scaled_camera(info, width, height)
    result = CameraInfo(header=header, width=width, height=height)
    result.distortion_model = info.distortion_model
    result.d = info.d
    result.r = info.r
    result.k = scaled.matrix.ravel()
    result.p = projection.ravel()
    return result


@lru_cache(maxsize=4)
def _point_field_messages(dtype: np.dtype[Any]) -> tuple[PointField, ...]:
    """The fields of a structured type: the same in every message, and slow to make."""
    return tuple(
        PointField(name=name, offset=offset, datatype=datatype, count=count)
        for name, offset, datatype, count in point_fields(dtype)
    )


def reflections_message(correspondence: Correspondence, radar: Any) -> PointCloud2:
    """Return `reflections_table` as a PointCloud2 with the radar's header."""
    table = reflections_table(correspondence, radar)
    msg = PointCloud2(header=radar.header, height=1, width=len(table), is_dense=True)
    msg.fields = list(_point_field_messages(table.dtype))
    msg.is_bigendian = False
    msg.point_step = table.dtype.itemsize
    msg.row_step = table.dtype.itemsize * len(table)
    msg.data = bytes_field(table.view(np.uint8)) if len(table) else array('B')
    return msg
