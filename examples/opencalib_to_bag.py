#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turn OpenCalib's radar-camera sample (one real frame) into a bag that everything here reads.

The sample is `radar2camera/manual_calib/data` of PJLab-ADG/SensorsCalibration (Apache-2.0):
one image, radar returns of seven cycles, intrinsics, extrinsics.

    .venv/bin/python examples/opencalib_to_bag.py path/to/data out/opencalib
    .venv/bin/radar_camera_ssl evaluate out/opencalib --model models/points.onnx --out out/report

The simplest of the examples; docs/IMPORTING.md has the others, and how to write your own.

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
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.geometry import Intrinsics, RigidTransform
from radar_camera_ssl.sensors.importing import ImportSummary, import_drive

FILES = {
    'image': '0.jpg',
    'radar': 'front_radar.csv',
    'intrinsic': 'center_camera-intrinsic.json',
    'extrinsic': 'radar-to-center_camera-extrinsic.json',
}

RETURN = np.dtype([(name, '<f4') for name in ('x', 'y', 'z', 'velocity', 'rcs')])
PAUSE_BETWEEN_CYCLES_NS = 10_000_000


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
    try:
        summary = convert(arguments.data, arguments.bag)
    except (SensorDataError, FileExistsError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f'{arguments.bag}: {summary}')
    return 0


def convert(data: Path, bag: Path) -> ImportSummary:
    """Write the sample in `data` as a bag."""
    image = (data / FILES['image']).read_bytes()
    cycles = list(read_cycles(data / FILES['radar']))
    return import_drive(
        bag,
        [(stamp, lambda: image) for stamp, _ in cycles],
        [(stamp, lambda returns=returns: returns) for stamp, returns in cycles],
        intrinsics=read_intrinsics(data / FILES['intrinsic'], image),
        camera_from_radar=read_extrinsics(data / FILES['extrinsic']),
        replace=True,
    )


def read_intrinsics(path: Path, encoded: bytes) -> Intrinsics:
    """Return K and the distortion k1 k2 p1 p2 k3 (k3 is 0 where the file has four)."""
    (sensor,) = json.loads(path.read_text(encoding='utf-8')).values()
    distortion = np.array(sensor['param']['cam_dist']['data'], np.float64).ravel()
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise SensorDataError('image_corrupt', f'{FILES["image"]} is not an image')
    return Intrinsics(
        width=image.shape[1],
        height=image.shape[0],
        matrix=np.array(sensor['param']['cam_K']['data'], np.float64),
        distortion=np.pad(distortion, (0, max(0, 5 - distortion.size))),
        distortion_model='plumb_bob',
    )


def read_extrinsics(path: Path) -> RigidTransform:
    """Return the transform that takes radar points to the camera's optical frame."""
    (sensor,) = json.loads(path.read_text(encoding='utf-8')).values()
    matrix = np.array(sensor['param']['sensor_calib']['data'], np.float64)
    # Six digits in the file: the nearest true rotation, by its singular value decomposition.
    left, _, right = np.linalg.svd(matrix[:3, :3])
    return RigidTransform(left @ right, matrix[:3, 3])


def read_cycles(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (stamp in ns, returns (N,) of RETURN) of each radar cycle."""
    with path.open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    stamps = np.array([int(row['time_ns']) for row in rows])
    starts = [0, *(np.flatnonzero(np.diff(stamps) > PAUSE_BETWEEN_CYCLES_NS) + 1), len(rows)]
    for start, end in itertools.pairwise(starts):
        yield int(stamps[start]), np.array([read_return(row) for row in rows[start:end]], RETURN)


def read_return(row: dict[str, str]) -> tuple[float, ...]:
    """Return x, y, z (m), radial velocity (m/s, positive receding), rcs (dBsm) of one row."""
    x, y = float(row['position_x']), float(row['position_y'])
    distance = float(np.hypot(x, y))
    along = x * float(row['velocity_x']) + y * float(row['velocity_y'])
    return x, y, 0.0, along / distance if distance > 0 else 0.0, float(row['rcs'])


if __name__ == '__main__':
    sys.exit(main())
