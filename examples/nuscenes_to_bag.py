#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turn scenes of nuScenes, or of a data set in its format, into bags that everything here reads.

    .venv/bin/python examples/nuscenes_to_bag.py data/nuscenes out/nuscenes --version v1.0-mini
    .venv/bin/radar_camera_ssl evaluate out/nuscenes/* --model models/points.onnx --out out/report

One camera and one radar of each scene, samples and sweeps, go to one bag under the scene's name.
Of the tables scene, sample, sample_data, calibrated_sensor and sensor are read; the devkit is not
needed. Mind the data set's own licence.

What the format says, and what is made of it:

- Stamps are microseconds. Images are undistorted, so that there is no distortion in camera_info.
  A sensor's pose is that in the vehicle's frame; rotations are quaternions w x y z; the camera's
  frame is optical (z forward), the radar's has x forward and y left.
- vx, vy (m/s) are the velocity relative to the radar, in its frame: a car that stands in front of
  a vehicle at 10 m/s has vx = -10. The radar measures the radial part alone, and the vector does
  not point along the line of sight: what is across is the sensor's assumption. `velocity` is its
  component along the line of sight, positive for what recedes: what the Doppler shift said.
- vx_comp, vy_comp are the same less the vehicle's own motion. They go along unchanged and are not
  what a model here reads: it is trained on what the radar measures.
- rcs is in dBsm. As the devkit does by default, returns are kept that the sensor holds for valid
  (invalid_state 0) and whose Doppler it holds for unambiguous (ambig_state 3), moving or not;
  --all-returns keeps all, ghosts among them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.geometry import Intrinsics, RigidTransform
from radar_camera_ssl.sensors.importing import ImageSource, RadarSource, import_drive

VALID, UNAMBIGUOUS = 0, 3
# PCD's letters to NumPy's.
KINDS = {'F': 'f', 'I': 'i', 'U': 'u'}
NEEDED = ('x', 'y', 'z', 'rcs', 'vx', 'vy', 'ambig_state', 'invalid_state')
# Beside x y z velocity rcs, those that tell how a return came about.
KEPT = ('vx_comp', 'vy_comp', 'dyn_prop', 'ambig_state', 'invalid_state', 'pdh0')


class BadInputError(Exception):
    """What was given cannot be read; the text says why."""


def main() -> int:
    """Write the bags; return the exit code."""
    options = parser().parse_args()
    try:
        scenes = read_scenes(options.root / options.version, options.camera, options.radar)
        if unknown := set(options.scene) - scenes.keys():
            raise BadInputError(f'no scenes {sorted(unknown)}; there are {sorted(scenes)}')
    except (BadInputError, SensorDataError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    wanted = tqdm(options.scene or sorted(scenes), unit='scene', disable=not sys.stderr.isatty())
    written = [convert(options, name, scenes[name]) for name in wanted]
    return 0 if all(written) else 1


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add('root', type=Path, help='folder with samples/, sweeps/ and the tables')
    add('out', type=Path, help='folder of the bags, one for each scene')
    add('--version', default='v1.0-mini', help='folder of the tables (default: %(default)s)')
    add('--camera', default='CAM_FRONT', metavar='CHANNEL', help='default: %(default)s')
    add('--radar', default='RADAR_FRONT', metavar='CHANNEL', help='default: %(default)s')
    add('--scene', action='append', default=[], help='only this one; repeat for more')
    add('--all-returns', action='store_true', help='invalid and ambiguous ones too')
    add('--force', action='store_true', help='replace existing bags')
    return made


def convert(options: argparse.Namespace, name: str, scene: Scene) -> bool:
    """Write a scene's bag and say so; False where that fails."""
    try:
        tqdm.write(write_scene(options.root, options.out / name, scene, options))
    except (BadInputError, SensorDataError, OSError) as error:
        tqdm.write(f'{name}: {error}', file=sys.stderr)
        return False
    except KeyError as error:
        tqdm.write(f'{name}: a row of a table lacks {error}', file=sys.stderr)
        return False
    return True


@dataclass
class Sensor:
    """One sensor's rows of sample_data in a scene, and its rows of calibrated_sensor."""

    data: list[dict[str, Any]] = field(default_factory=list)
    calibrations: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def calibration(self) -> dict[str, Any]:
        """The only one."""
        if len(self.calibrations) != 1:
            raise BadInputError(f'{len(self.calibrations)} calibrations of a sensor in a scene')
        return next(iter(self.calibrations.values()))

    @property
    def vehicle_from_sensor(self) -> RigidTransform:
        """Takes points of the sensor's frame to the vehicle's."""
        w, x, y, z = self.calibration['rotation']
        return RigidTransform.from_quaternion((x, y, z, w), self.calibration['translation'])


@dataclass
class Scene:
    """What a scene has of the two sensors."""

    camera: Sensor = field(default_factory=Sensor)
    radar: Sensor = field(default_factory=Sensor)


def read_scenes(tables: Path, camera: str, radar: str) -> dict[str, Scene]:
    """Return the scenes by their names."""
    rows = {
        name: read_table(tables, name)
        for name in ('scene', 'sample', 'sensor', 'calibrated_sensor', 'sample_data')
    }
    scenes: dict[str, Scene] = defaultdict(Scene)
    try:
        names = {row['token']: row['name'] for row in rows['scene']}
        scene_of = {row['token']: names[row['scene_token']] for row in rows['sample']}
        channel_of = {row['token']: row['channel'] for row in rows['sensor']}
        calibrations = {row['token']: row for row in rows['calibrated_sensor']}
        for row in rows['sample_data']:
            calibration = calibrations[row['calibrated_sensor_token']]
            channel = channel_of[calibration['sensor_token']]
            if channel in (camera, radar):
                scene = scenes[scene_of[row['sample_token']]]
                sensor = scene.camera if channel == camera else scene.radar
                sensor.data.append(row)
                sensor.calibrations[calibration['token']] = calibration
    except (KeyError, TypeError) as error:
        raise BadInputError(f'{tables}: a row lacks, or refers to, {error}') from error
    if missing := {camera, radar} - set(channel_of.values()):
        there = sorted(set(channel_of.values()))
        raise BadInputError(f'{tables}: no channels {sorted(missing)}; there are {there}')
    return dict(scenes)


def read_table(tables: Path, name: str) -> list[dict[str, Any]]:
    """Read one of the data set's tables."""
    path = tables / f'{name}.json'
    try:
        return list(json.loads(path.read_text(encoding='utf-8')))
    except ValueError as error:
        raise BadInputError(f'{path} is no JSON: {error}') from error


def write_scene(root: Path, bag: Path, scene: Scene, options: argparse.Namespace) -> str:
    """Write a scene as a bag; return what to say of it."""
    camera, radar = scene.camera, scene.radar
    if not (camera.data and radar.data):
        raise BadInputError(f'no data of {options.camera} or of {options.radar}')
    reader = RadarReader(root, options.all_returns)
    images: list[ImageSource] = [
        (1000 * row['timestamp'], (root / row['filename']).read_bytes) for row in camera.data
    ]
    sweeps: list[RadarSource] = [
        (1000 * row['timestamp'], partial(reader.read, row['filename'])) for row in radar.data
    ]
    vehicle_from_camera, vehicle_from_radar = camera.vehicle_from_sensor, radar.vehicle_from_sensor
    matrix = np.array(camera.calibration['camera_intrinsic'], np.float64)
    if matrix.shape != (3, 3):
        raise BadInputError(f'{options.camera} has no intrinsics: it is no camera')
    summary = import_drive(
        bag,
        images,
        sweeps,
        intrinsics=Intrinsics(
            width=int(camera.data[0]['width']),
            height=int(camera.data[0]['height']),
            matrix=matrix,
        ),
        camera_from_radar=vehicle_from_camera.inverse().compose(vehicle_from_radar),
        replace=options.force,
    )
    return f'{bag}: {summary}{reader.left_out()}'


class RadarReader:
    """Reads radar sweeps as tables, and counts the returns that it leaves out."""

    def __init__(self, root: Path, all_returns: bool) -> None:
        self._root = root
        self._all = all_returns
        self._invalid = self._ambiguous = 0

    def read(self, filename: str) -> np.ndarray:
        """Return x y z velocity rcs and KEPT of each return kept, (N,)."""
        sweep = read_pcd(self._root / filename)
        if missing := [name for name in NEEDED if name not in (sweep.dtype.names or ())]:
            raise SensorDataError('pcd_fields', f'{filename} has no fields {missing}')
        # A sweep without returns has one of which nothing is a number.
        sweep = sweep[np.isfinite(sweep['x']) & np.isfinite(sweep['y'])]
        if not self._all:
            valid = sweep['invalid_state'] == VALID
            unambiguous = sweep['ambig_state'] == UNAMBIGUOUS
            self._invalid += int((~valid).sum())
            self._ambiguous += int((valid & ~unambiguous).sum())
            sweep = sweep[valid & unambiguous]
        kept = [name for name in KEPT if name in (sweep.dtype.names or ())]
        table = np.zeros(
            len(sweep),
            [(name, '<f4') for name in ('x', 'y', 'z', 'velocity', 'rcs')]
            + [(name, sweep.dtype[name]) for name in kept],
        )
        for name in ('x', 'y', 'z', 'rcs', *kept):
            table[name] = sweep[name]
        distance = np.hypot(sweep['x'], sweep['y'])
        along = sweep['x'] * sweep['vx'] + sweep['y'] * sweep['vy']
        table['velocity'] = np.divide(
            along, distance, out=np.zeros_like(along), where=distance > 0
        )
        return table

    def left_out(self) -> str:
        """Return what to say of the returns left out, nothing where all were kept."""
        counts = (('invalid', self._invalid), ('ambiguous', self._ambiguous))
        told = [f'\nleft out, returns that are {what}: {count}' for what, count in counts if count]
        return ''.join(told)


def read_pcd(path: Path) -> np.ndarray:
    """Read the points of a binary PCD file as a structured array (N,).

    Raises SensorDataError for what is none: `pcd_header`, `pcd_truncated`.
    """
    data = path.read_bytes()
    header: dict[str, list[str]] = {}
    end = 0
    while 'DATA' not in header and end < len(data):
        start, end = end, data.find(b'\n', end) + 1 or len(data)
        words = data[start:end].decode('ascii', errors='replace').split()
        if words and not words[0].startswith('#'):
            header[words[0]] = words[1:]
    try:
        names, counts = header['FIELDS'], [int(count) for count in header['COUNT']]
        codes = [
            f'<{KINDS[kind]}{int(size)}'
            for kind, size in zip(header['TYPE'], header['SIZE'], strict=True)
        ]
        dtype = np.dtype(
            [
                (name, code, (many,)) if many > 1 else (name, code)
                for name, code, many in zip(names, codes, counts, strict=True)
            ]
        )
        (points,), (encoding,) = map(int, header['POINTS']), header['DATA']
    except (KeyError, TypeError, ValueError) as error:
        raise SensorDataError('pcd_header', f'{path.name}: {error!r}') from error
    if encoding != 'binary':
        raise SensorDataError('pcd_header', f'{path.name}: DATA {encoding}, not binary')
    if len(data) - end < points * dtype.itemsize:
        raise SensorDataError(
            'pcd_truncated',
            f'{path.name}: {len(data) - end} bytes for {points} points of {dtype.itemsize}',
        )
    return np.frombuffer(data, dtype, points, end)


if __name__ == '__main__':
    sys.exit(main())
