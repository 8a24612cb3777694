# SPDX-License-Identifier: Apache-2.0
"""Messages made without ROS (`rosbags`' classes): the counterpart of decoding, for bags.

Stamps are ns since the epoch, as in the headers. Arrays are written little endian.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys import Stores, get_typestore

from .camera import JPEG_FORMAT
from .geometry import Intrinsics, RigidTransform
from .radar_points import point_fields

typestore = get_typestore(Stores.ROS2_JAZZY)
_T = typestore.types


def serialise(message: Any) -> bytes:
    """Return a message as CDR."""
    return bytes(typestore.serialize_cdr(message, message.__msgtype__))


def header(stamp_ns: int, frame_id: str) -> Any:
    """Make a std_msgs/Header."""
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    time = _T['builtin_interfaces/msg/Time'](sec=seconds, nanosec=nanoseconds)
    return _T['std_msgs/msg/Header'](stamp=time, frame_id=frame_id)


def image(stamp_ns: int, frame_id: str, pixels: NDArray[Any], encoding: str) -> Any:
    """Make an Image of `encoding` from an array (H, W) or (H, W, C)."""
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder('<'))
    data = little.view(np.uint8).reshape(-1)
    return _T['sensor_msgs/msg/Image'](
        header=header(stamp_ns, frame_id),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=len(data) // pixels.shape[0],
        data=data,
    )


def compressed_image(
    stamp_ns: int, frame_id: str, encoded: NDArray[np.uint8], image_format: str = JPEG_FORMAT
) -> Any:
    """Make a CompressedImage of the bytes of an encoded image (N,)."""
    return _T['sensor_msgs/msg/CompressedImage'](
        header=header(stamp_ns, frame_id), format=image_format, data=encoded
    )


def camera_info(
    stamp_ns: int,
    frame_id: str,
    intrinsics: Intrinsics,
    rectification: NDArray[np.float64] | None = None,
    projection: NDArray[np.float64] | None = None,
) -> Any:
    """Make the CameraInfo of a raw image.

    rectification: R (3, 3), else the identity. projection: P (3, 4), else [K | 0].
    """
    k = intrinsics.matrix
    r = np.eye(3) if rectification is None else rectification
    p = np.hstack([k, np.zeros((3, 1))]) if projection is None else projection
    return _T['sensor_msgs/msg/CameraInfo'](
        header=header(stamp_ns, frame_id),
        height=intrinsics.height,
        width=intrinsics.width,
        distortion_model=intrinsics.distortion_model,
        d=intrinsics.distortion,
        k=k.reshape(-1),
        r=r.reshape(-1),
        p=p.reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=_T['sensor_msgs/msg/RegionOfInterest'](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        ),
    )


def point_cloud(stamp_ns: int, frame_id: str, points: NDArray[Any]) -> Any:
    """Make a PointCloud2 of one row from a structured array (N,), its fields in its order."""
    field = _T['sensor_msgs/msg/PointField']
    return _T['sensor_msgs/msg/PointCloud2'](
        header=header(stamp_ns, frame_id),
        height=1,
        width=len(points),
        fields=[field(*described) for described in point_fields(points.dtype)],
        is_bigendian=False,
        point_step=points.dtype.itemsize,
        row_step=points.dtype.itemsize * len(points),
        data=np.frombuffer(points.tobytes(), np.uint8),
        is_dense=True,
    )


def static_transforms(stamp_ns: int, transforms: Mapping[tuple[str, str], RigidTransform]) -> Any:
    """Make the TFMessage of (parent, child) to T_parent_child."""
    stamped = []
    for (parent, child), transform in transforms.items():
        vector = _T['geometry_msgs/msg/Vector3'](*map(float, transform.translation))
        rotation = _T['geometry_msgs/msg/Quaternion'](*map(float, transform.quaternion))
        stamped.append(
            _T['geometry_msgs/msg/TransformStamped'](
                header=header(stamp_ns, parent),
                child_frame_id=child,
                transform=_T['geometry_msgs/msg/Transform'](vector, rotation),
            )
        )
    return _T['tf2_msgs/msg/TFMessage'](transforms=stamped)
