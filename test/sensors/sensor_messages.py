# SPDX-License-Identifier: Apache-2.0
"""Messages of both kinds that the decoders must take: rosbags' classes and rclpy's."""

from __future__ import annotations

import array
from typing import Any

import cv2
import numpy as np
from rosbags.typesys import Stores, get_typestore

from radar_camera_ssl.sensors.camera import ENCODINGS

TYPES = get_typestore(Stores.ROS2_JAZZY).types
CODES = {'i1': 1, 'u1': 2, 'i2': 3, 'u2': 4, 'i4': 5, 'u4': 6, 'f4': 7, 'f8': 8}


def header(stamp_ns: int = 0, frame_id: str = 'frame') -> Any:
    seconds, nanoseconds = divmod(stamp_ns, 10**9)
    stamp = TYPES['builtin_interfaces/msg/Time'](sec=seconds, nanosec=nanoseconds)
    return TYPES['std_msgs/msg/Header'](stamp=stamp, frame_id=frame_id)


def image(
    pixels: np.ndarray[Any, Any],
    encoding: str,
    padding: int = 0,
    big_endian: bool = False,
    stamp_ns: int = 0,
) -> Any:
    """An Image of (H, W[, C]) pixels, each row followed by `padding` bytes of rubbish."""
    pixels = pixels.astype(pixels.dtype.newbyteorder('>' if big_endian else '<'))
    rows = np.frombuffer(pixels.tobytes(), np.uint8).reshape(pixels.shape[0], -1)
    rubbish = np.full((len(rows), padding), 77, np.uint8)
    return TYPES['sensor_msgs/msg/Image'](
        header=header(stamp_ns),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=rows.shape[1] + padding,
        data=np.concatenate([rows, rubbish], 1).ravel(),
    )


def smooth_image(encoding: str, height: int = 12, width: int = 16, **options: Any) -> Any:
    """A smooth image of an encoding, so that Bayer and 4:2:2 conversions are well conditioned."""
    kind = ENCODINGS[encoding]
    coarse = np.random.default_rng(0).random((4, 4, kind.channels)).astype(np.float32)
    smooth = cv2.resize(coarse, (width, height)).reshape(height, width, kind.channels)
    largest = np.iinfo(kind.dtype).max
    return image((smooth * largest).astype(kind.dtype), encoding, **options)


def compressed(data: np.ndarray[Any, Any] | bytes, label: str) -> Any:
    return TYPES['sensor_msgs/msg/CompressedImage'](
        header=header(), format=label, data=np.frombuffer(data, np.uint8)
    )


def cloud(
    points: np.ndarray[Any, Any], row_padding: int = 0, height: int = 1, stamp_ns: int = 0
) -> Any:
    """A PointCloud2 of a structured array, as `height` rows with padding after each."""
    dtype = points.dtype
    assert dtype.names is not None
    assert dtype.fields is not None
    fields = []
    big_endian = False
    for name in dtype.names:
        base, shape = dtype[name].base, dtype[name].shape
        big_endian |= base.byteorder == '>'
        fields.append(
            TYPES['sensor_msgs/msg/PointField'](
                name=name,
                offset=dtype.fields[name][1],
                datatype=CODES[base.str[1:]],
                count=int(np.prod(shape, dtype=int)),
            )
        )
    rows = np.frombuffer(points.tobytes(), np.uint8).reshape(height, -1)
    rubbish = np.full((height, row_padding), 77, np.uint8)
    return TYPES['sensor_msgs/msg/PointCloud2'](
        header=header(stamp_ns),
        height=height,
        width=len(points) // height,
        fields=fields,
        is_bigendian=big_endian,
        point_step=dtype.itemsize,
        row_step=rows.shape[1] + row_padding,
        data=np.concatenate([rows, rubbish], 1).ravel(),
        is_dense=True,
    )


def as_rclpy(msg: Any, kind: Any) -> Any:
    """The same content as an instance of rclpy's message class `kind`; header left empty."""
    made = kind()
    for name in made.get_fields_and_field_types():
        if name == 'header':
            continue
        value = getattr(msg, name)
        if name == 'data':
            made.data = array.array('B', value.tobytes())
        elif name == 'fields':
            point_field = __import__('sensor_msgs.msg', fromlist=['PointField']).PointField
            made.fields = [
                point_field(name=f.name, offset=f.offset, datatype=f.datatype, count=f.count)
                for f in value
            ]
        else:
            setattr(made, name, bool(value) if isinstance(getattr(made, name), bool) else value)
    return made
