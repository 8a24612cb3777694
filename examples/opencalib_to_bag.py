#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turn OpenCalib's radar-camera sample (one real frame) into a bag that everything here reads.

The sample is `radar2camera/manual_calib/data` of PJLab-ADG/SensorsCalibration (Apache-2.0):
one image, radar returns of seven cycles, intrinsics, extrinsics.

    .venv/bin/python examples/opencalib_to_bag.py path/to/data out/opencalib
    .venv/bin/radar_camera_ssl evaluate out/opencalib --model models/points.onnx --out out/report

It is also the pattern for any other recording: one connection per topic, one message at a time.

What had to be decided, because the files do not say it:

- The image has no stamp. It is repeated once per radar cycle, with that cycle's stamp: the gaps in
  the evaluation are zero by construction, and only the cycle that was really taken with the image
  fits it in time (the seven span 0.47 s).
- A cycle ends where the rows pause for more than 10 ms (they are 0.5 ms apart within one). Its
  stamp is that of its first row.
- The radar is an object list without elevation: z = 0. `velocity` is the component of
  (velocity_x, velocity_y) along the line of sight; whether the file's velocities are relative to
  the vehicle it does not say.
- The extrinsics are the initial values of a manual calibration tool: bearings fit, heights are
  somewhat off. They serve the projection oracle only.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from radar_camera_ssl.sensors.geometry import RigidTransform

FILES = {
    'image': '0.jpg',
    'radar': 'front_radar.csv',
    'intrinsic': 'center_camera-intrinsic.json',
    'extrinsic': 'radar-to-center_camera-extrinsic.json',
}

CAMERA_FRAME = 'camera_optical_frame'
RADAR_FRAME = 'radar'
FIELDS = ('x', 'y', 'z', 'velocity', 'rcs')
PAUSE_BETWEEN_CYCLES_NS = 10_000_000
FLOAT32 = 7  # of sensor_msgs/PointField

STORE = get_typestore(Stores.ROS2_JAZZY)
MSG: Any = STORE.types
FOREVER = QosTime(2147483647, 4294967295)


def main() -> int:
    """Write the bag; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('data', type=Path, help='the folder of the sample')
    parser.add_argument('bag', type=Path, help='the bag to write (a folder, replaced if there)')
    arguments = parser.parse_args()
    missing = [name for name in FILES.values() if not (arguments.data / name).is_file()]
    if missing:
        print(f'{arguments.data} lacks {", ".join(missing)}', file=sys.stderr)
        return 2
    cycles = convert(arguments.data, arguments.bag)
    print(f'{arguments.bag}: {cycles} radar cycles, each with the one image')
    return 0


def convert(data: Path, bag: Path) -> int:
    """Write the sample in `data` as a bag (MCAP); return the number of radar cycles."""
    image = cv2.imread(str(data / FILES['image']), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f'{data / FILES["image"]} is not an image')
    matrix, distortion = read_intrinsics(data / FILES['intrinsic'])
    transform = read_extrinsics(data / FILES['extrinsic'])
    cycles = list(read_cycles(data / FILES['radar']))

    if bag.exists():
        shutil.rmtree(bag)
    bag.parent.mkdir(parents=True, exist_ok=True)
    with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        write = {
            topic: connect(writer, topic, kind, latched=latched)
            for topic, kind, latched in (
                ('/tf_static', 'tf2_msgs/msg/TFMessage', True),
                ('/camera/image_raw', 'sensor_msgs/msg/Image', False),
                ('/camera/camera_info', 'sensor_msgs/msg/CameraInfo', False),
                ('/radar/points', 'sensor_msgs/msg/PointCloud2', False),
            )
        }
        write['/tf_static'](cycles[0][0], static_transform(cycles[0][0], transform))
        for stamp, returns in cycles:
            write['/camera/image_raw'](stamp, image_message(stamp, image))
            write['/camera/camera_info'](
                stamp, camera_info(stamp, image.shape[1], image.shape[0], matrix, distortion)
            )
            write['/radar/points'](stamp, points_message(stamp, returns))
    return len(cycles)


def read_intrinsics(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return K (3, 3) and the distortion k1 k2 p1 p2 k3 (k3 is 0 where the file has four)."""
    (sensor,) = json.loads(path.read_text(encoding='utf-8')).values()
    matrix = np.array(sensor['param']['cam_K']['data'], np.float64)
    distortion = np.array(sensor['param']['cam_dist']['data'], np.float64).ravel()
    return matrix, np.pad(distortion, (0, max(0, 5 - distortion.size)))


def read_extrinsics(path: Path) -> RigidTransform:
    """Return the transform that takes radar points to the camera's optical frame."""
    (sensor,) = json.loads(path.read_text(encoding='utf-8')).values()
    matrix = np.array(sensor['param']['sensor_calib']['data'], np.float64)
    # Six digits in the file: the nearest true rotation, by its singular value decomposition.
    left, _, right = np.linalg.svd(matrix[:3, :3])
    return RigidTransform(left @ right, matrix[:3, 3])


def read_cycles(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (stamp in ns, returns (N, 5) float32 in the order of FIELDS) of each radar cycle."""
    with path.open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    stamps = np.array([int(row['time_ns']) for row in rows])
    starts = [0, *(np.flatnonzero(np.diff(stamps) > PAUSE_BETWEEN_CYCLES_NS) + 1), len(rows)]
    for start, end in itertools.pairwise(starts):
        yield int(stamps[start]), np.array([read_return(row) for row in rows[start:end]])


def read_return(row: dict[str, str]) -> np.ndarray:
    """Return x, y, z (m), radial velocity (m/s, positive receding), rcs (dBsm) of one row."""
    position = np.array([float(row['position_x']), float(row['position_y'])])
    velocity = np.array([float(row['velocity_x']), float(row['velocity_y'])])
    distance = float(np.hypot(*position))
    radial = float(position @ velocity) / distance if distance > 0 else 0.0
    return np.array([*position, 0.0, radial, float(row['rcs'])], np.float32)


def connect(writer: Writer, topic: str, kind: str, latched: bool) -> Any:
    """Add a topic to the bag; return the function (stamp in ns, message) that writes to it."""
    qos = Qos(
        QosHistory.KEEP_LAST,
        1 if latched else 10,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        FOREVER,
        FOREVER,
        QosLiveliness.AUTOMATIC,
        FOREVER,
        False,
    )
    connection = writer.add_connection(topic, kind, typestore=STORE, offered_qos_profiles=[qos])

    def write(stamp: int, message: Any) -> None:
        writer.write(connection, stamp, STORE.serialize_cdr(message, kind))

    return write


def header(stamp: int, frame: str) -> Any:
    """Return a std_msgs/Header."""
    time = MSG['builtin_interfaces/msg/Time'](*divmod(stamp, 1_000_000_000))
    return MSG['std_msgs/msg/Header'](time, frame)


def static_transform(stamp: int, transform: RigidTransform) -> Any:
    """Return the TFMessage that hangs the radar below the camera."""
    vector = MSG['geometry_msgs/msg/Vector3'](*map(float, transform.translation))
    quaternion = MSG['geometry_msgs/msg/Quaternion'](*map(float, transform.quaternion))
    stamped = MSG['geometry_msgs/msg/TransformStamped'](
        header(stamp, CAMERA_FRAME),
        RADAR_FRAME,
        MSG['geometry_msgs/msg/Transform'](vector, quaternion),
    )
    return MSG['tf2_msgs/msg/TFMessage']([stamped])


def image_message(stamp: int, image: np.ndarray) -> Any:
    """Return the image (H, W, 3) BGR as a sensor_msgs/Image."""
    height, width = image.shape[:2]
    return MSG['sensor_msgs/msg/Image'](
        header(stamp, CAMERA_FRAME), height, width, 'bgr8', 0, width * 3, image.reshape(-1)
    )


def camera_info(
    stamp: int, width: int, height: int, matrix: np.ndarray, distortion: np.ndarray
) -> Any:
    """Return the CameraInfo of the raw, distorted image."""
    return MSG['sensor_msgs/msg/CameraInfo'](
        header(stamp, CAMERA_FRAME),
        height,
        width,
        'plumb_bob',
        distortion,
        matrix.reshape(-1),
        np.eye(3).reshape(-1),
        np.hstack((matrix, np.zeros((3, 1)))).reshape(-1),
        0,
        0,
        MSG['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False),
    )


def points_message(stamp: int, returns: np.ndarray) -> Any:
    """Return the radar returns (N, 5) as a PointCloud2 of float32 fields."""
    field = MSG['sensor_msgs/msg/PointField']
    fields = [field(name, 4 * i, FLOAT32, 1) for i, name in enumerate(FIELDS)]
    data = np.ascontiguousarray(returns, '<f4').view(np.uint8).reshape(-1)
    step = 4 * len(FIELDS)
    return MSG['sensor_msgs/msg/PointCloud2'](
        header(stamp, RADAR_FRAME), 1, len(returns), fields, False, step, data.size, data, True
    )


if __name__ == '__main__':
    sys.exit(main())
