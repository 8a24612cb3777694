# SPDX-License-Identifier: Apache-2.0
"""From arrays and results to messages, and stamps to integers.

`msg.data` takes a numpy array element by element (150 ms for one image), bytes with field checks
on likewise; `frombytes` on the message's own array copies once, in both cases.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header

from radar_camera_ssl.sensors.geometry import decode_camera_info
from radar_camera_ssl.sensors.radar_points import POINT_DATATYPES, structured_view

if TYPE_CHECKING:
    from radar_camera_ssl.inference.model import Correspondence

LITTLE_ENDIAN = 0
# Fields of the reflections before and after the input's own.
POSITION = ('x', 'y', 'z')
ANSWER = ('u', 'v', 'likelihood')
POINT_FIELD_OF = {np.dtype(code): number for number, code in POINT_DATATYPES.items()}


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
    encoded, buffer = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 90])
    if not encoded:
        raise ValueError(f'image of shape {image.shape} cannot be encoded as JPEG')
    msg = CompressedImage(header=header, format='bgr8; jpeg compressed bgr8')
    msg.data = bytes_field(buffer)
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
    """Return the CameraInfo of the same view sampled at `width` x `height`.

    Pixel centres: u' = (u + 0.5) * W'/W - 0.5, for K and P. Distortion acts on normalised
    coordinates and stays. Region of interest and binning are worked into K and P.
    Raises SensorDataError when the input is not calibrated.
    """
    intrinsics = decode_camera_info(info)
    scaled = intrinsics.scaled(width, height)
    result = CameraInfo(header=header, width=width, height=height)
    result.distortion_model = info.distortion_model
    result.d = info.d
    result.r = info.r
    result.k = scaled.matrix.ravel()
    # P takes the affine map of pixels that took K to its scaled self, baseline column included.
    unscaled = np.array(info.k, np.float64).reshape(3, 3)
    unscaled[2] = 0.0, 0.0, 1.0
    to_scaled = scaled.matrix @ np.linalg.inv(unscaled)
    result.p = (to_scaled @ np.array(info.p, np.float64).reshape(3, 4)).ravel()
    return result


def _fields_of(dtype: np.dtype[Any]) -> list[PointField]:
    fields = []
    for name in dtype.names or ():
        inner, offset = dtype.fields[name][:2]  # type: ignore[index]
        fields.append(
            PointField(
                name=name,
                offset=int(offset),
                datatype=POINT_FIELD_OF[inner.base],
                count=int(np.prod(inner.shape, dtype=int)) if inner.shape else 1,
            )
        )
    return fields


def _inputs_own_fields(radar: Any, rows: NDArray[np.int32]) -> dict[str, NDArray[Any]]:
    """The input's own fields at the rows used, little endian; {} unless a PointCloud2."""
    if not hasattr(radar, 'point_step'):
        return {}
    cloud = structured_view(radar)[rows]
    names = cloud.dtype.names or ()
    taken = {*names, *POSITION, *ANSWER}
    columns = {}
    for name in names:
        if name in POSITION:
            continue
        free = name
        if name in ANSWER:
            free = f'input_{name}'
            while free in taken:
                free += '_'
        columns[free] = cloud[name].astype(cloud.dtype[name].base.newbyteorder('<'))
    return columns


def reflections_message(correspondence: Correspondence, radar: Any) -> PointCloud2:
    """Return the returns used as a PointCloud2 with the radar's header.

    x y z (float32, m), then the input's own fields (for a cube and a RadarScan: velocity, and
    for the latter rcs), then u v (px of the camera image) and likelihood. An own field that has
    one of these last three names is there as input_u, input_v or input_likelihood.
    """
    returns = correspondence.returns
    columns: dict[str, NDArray[Any]] = dict(zip(POSITION, returns.position.T, strict=True))
    own = _inputs_own_fields(radar, returns.row)
    if not own and not hasattr(radar, 'point_step'):
        own = {'velocity': returns.velocity}
        if hasattr(radar, 'returns'):
            own['rcs'] = returns.rcs
    columns |= own
    columns['u'], columns['v'] = correspondence.pixel.T
    columns['likelihood'] = correspondence.likelihood
    dtype = np.dtype([(name, column.dtype, column.shape[1:]) for name, column in columns.items()])
    cloud = np.empty(len(returns), dtype)
    for name, column in columns.items():
        cloud[name] = column
    msg = PointCloud2(header=radar.header, height=1, width=len(cloud), is_dense=True)
    msg.fields = _fields_of(dtype)
    msg.is_bigendian = False
    msg.point_step = dtype.itemsize
    msg.row_step = dtype.itemsize * len(cloud)
    msg.data = bytes_field(cloud.view(np.uint8)) if len(cloud) else array('B')
    return msg
