#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turn a folder of images and a CSV file of radar returns into a bag that everything here reads.

    .venv/bin/python examples/images_and_csv_to_bag.py images/ radar.csv out/drive
    .venv/bin/radar_camera_ssl evaluate out/drive --model models/points.onnx --out out/report

Images (.jpg, .jpeg, .png) are kept as they are. Their stamps are the last number in each name
(1700000000123456789.jpg, left_1700000000.123.png), or columns of a CSV file (--image-stamps).

The radar's CSV has a header and one return per line. Columns are found by the names that drivers
use (radar_camera_ssl.sensors.radar_points.FIELD_ALIASES) or told with --field:

- stamp. Rows of one stamp are one radar frame; where a sensor stamps each row, --pause says by
  how much frames lie apart.
- x, y and if measured z: m, x forward, y left, z up. Or range (m), azimuth and if measured
  elevation: rad, or degrees with --degrees. --y-right where y and azimuth grow to the right.
- velocity: m/s, along the line of sight, positive for what recedes, as measured (not compensated
  for the vehicle's own motion). Or velocity_x, velocity_y, of which that component is taken.
- rcs: dBsm, or what the radar gives in its place.

Stamps are of one clock for both sensors: s, ms, us or ns. The unit is told with --stamp-unit, by
the column's name (time_ns), or by the size of stamps that count from 1970.

Optional, both YAML: --intrinsics is what ROS' camera_calibration writes; --extrinsics has

    translation: [0.3, 0.9, -1.0]         # m
    rotation: [0.5, -0.5, 0.5, 0.5]       # quaternion x y z w

which takes points of the radar's frame to the camera's optical one (z forward, x right, y down).
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML, YAMLError
from tqdm import tqdm

from radar_camera_ssl.arguments import LONGEST_S, field_alias
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.geometry import Intrinsics, RigidTransform
from radar_camera_ssl.sensors.importing import import_drive
from radar_camera_ssl.sensors.messages import point_cloud
from radar_camera_ssl.sensors.radar_points import (
    FIELD_ALIASES,
    RETURN_FIELDS,
    RadarPoints,
    decode_points,
)

NS = {'s': 1_000_000_000, 'ms': 1_000_000, 'us': 1_000, 'ns': 1}
_STAMPS = ('stamp', 'timestamp', 'time', 't')
STAMPS = (*_STAMPS, *(f'{name}_{unit}' for name in _STAMPS for unit in NS))
COLUMNS: dict[str, tuple[str, ...]] = {'stamp': STAMPS, **FIELD_ALIASES}
FILES = ('name', 'file', 'filename', 'image')
IMAGES = ('.jpg', '.jpeg', '.png')
# Dates of this century tell the unit of a stamp.
EARLIEST_S, LATEST_S = 946_684_800, 4_102_444_800


class BadInputError(Exception):
    """What was given cannot be read; the text says why."""


def main() -> int:
    """Write the bag; return the exit code."""
    options = parser().parse_args()
    try:
        images, unstamped = read_images(options.images, options.image_stamps, options.stamp_unit)
        radar = read_radar(options.radar, options)
        intrinsics = read_intrinsics(options.intrinsics) if options.intrinsics else None
        extrinsics = read_extrinsics(options.extrinsics) if options.extrinsics else None
        with tqdm(unit='frame', disable=not sys.stderr.isatty()) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            summary = import_drive(
                options.bag,
                [(stamp, path.read_bytes) for stamp, path in images],
                [(stamp, lambda points=points: points) for stamp, points in radar.frames],
                intrinsics=intrinsics,
                camera_from_radar=extrinsics,
                replace=options.force,
                progress=progress,
            )
    except (BadInputError, SensorDataError, OSError, UnicodeDecodeError, csv.Error) as error:
        print(error, file=sys.stderr)
        return 2
    print(f'{options.bag}: {summary}')
    print('columns:', ', '.join(f'{name}={column}' for name, column in radar.columns.items()))
    if radar.missing:
        print(f'no column for {" and ".join(radar.missing)}; see --field')
    for what, count in (
        ('images without a readable stamp', unstamped),
        ('rows that cannot be read', radar.unreadable),
        ('returns that are not finite', radar.not_finite),
    ):
        if count:
            print(f'left out, {what}: {count}')
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    add('images', type=Path, help='folder of images')
    add('radar', type=Path, help='CSV file of radar returns')
    add('bag', type=Path, help='the bag to write (a folder)')
    add('--force', action='store_true', help='replace an existing bag')
    add('--stamp-unit', choices=NS, help='of all stamps; found if not given')
    add('--image-stamps', type=Path, metavar='CSV', help='columns of file name and stamp')
    add(
        '--field',
        action='append',
        default=[],
        type=field_alias,
        metavar='NAME=COLUMN',
        help="the radar's column of a quantity named above; repeat for more",
    )
    add('--pause', type=pause, default=0.0, metavar='S', help='rows closer than this: one frame')
    add('--y-right', action='store_true', help='y and azimuth grow to the right')
    add('--degrees', action='store_true', help='azimuth and elevation are in degrees')
    add('--intrinsics', type=Path, metavar='YAML')
    add('--extrinsics', type=Path, metavar='YAML')
    return made


def pause(text: str) -> float:
    """Read a duration from zero on."""
    value = float(text)
    if not 0 <= value <= LONGEST_S:
        raise argparse.ArgumentTypeError(f'{text} is no duration from 0 to {LONGEST_S:g} s')
    return value


def read_images(
    folder: Path, stamps: Path | None, unit: str | None
) -> tuple[list[tuple[int, Path]], int]:
    """Return stamp in ns and path of each image, and how many stamps cannot be read."""
    if not folder.is_dir():
        raise BadInputError(f'{folder} is no folder')
    if stamps is None:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGES)
        numbers = [re.findall(r'\d+(?:\.\d+)?', path.stem) for path in files]
        named = [
            (found[-1] if found else '', path) for path, found in zip(files, numbers, strict=True)
        ]
        if not any(numbers):
            raise BadInputError(f'{folder}: no image with a stamp in its name; see --image-stamps')
    else:
        header, rows = read_csv(stamps)
        name, stamp = find(header, FILES), find(header, STAMPS)
        if name is None or stamp is None:
            raise BadInputError(f'{stamps} has no columns like {FILES} and {STAMPS}, but {header}')
        unit = unit or unit_in(stamp)
        named = [(row[stamp], folder / row[name]) for row in rows]
    unit = unit or unit_of(text for text, _ in named)
    read = [(ns, path) for text, path in named if (ns := in_ns(text, unit)) is not None]
    return read, len(named) - len(read)


@dataclass(frozen=True)
class RadarRows:
    """Stamp in ns and returns (N,) of each radar frame; what was left out, and what is missing."""

    frames: list[tuple[int, np.ndarray]]
    columns: dict[str, str]
    unreadable: int
    not_finite: int
    missing: tuple[str, ...]


def read_radar(path: Path, options: argparse.Namespace) -> RadarRows:
    """Read the radar's CSV file."""
    header, rows = read_csv(path)
    columns = find_columns(path, header, dict(options.field))
    quantities = [quantity for quantity in columns if quantity != 'stamp']
    unit = options.stamp_unit or unit_in(columns['stamp'])
    unit = unit or unit_of(row[columns['stamp']] for row in rows)
    numbers = (read_row(row, columns, unit) for row in rows)
    read = [row for row in numbers if row is not None]
    if not read:
        raise BadInputError(f'{path}: none of {len(rows)} rows can be read')
    table = np.array(read, [('stamp', '<i8'), *((name, '<f8') for name in quantities)])
    if options.degrees:
        for name in {'azimuth', 'elevation'}.intersection(quantities):
            table[name] = np.deg2rad(table[name])
    if options.y_right:
        for name in {'y', 'azimuth', 'velocity_y'}.intersection(quantities):
            table[name] *= -1
    table = table[np.argsort(table['stamp'], kind='stable')]
    starts = np.flatnonzero(np.diff(table['stamp']) > options.pause * 1e9) + 1
    frames, not_finite = [], 0
    velocity = 'velocity' in quantities or {'velocity_x', 'velocity_y'}.issubset(quantities)
    missing = tuple(
        name for name, there in (('velocity', velocity), ('rcs', 'rcs' in columns)) if not there
    )
    for frame in np.split(table, starts):
        returns = as_returns(path, frame[quantities])
        not_finite += returns.not_finite
        fields = [name for name in RETURN_FIELDS if name not in missing]
        points = np.zeros(len(returns), [(name, '<f4') for name in fields])
        for name, values in zip(fields, returns.as_array(fields).T, strict=True):
            points[name] = values
        frames.append((int(frame['stamp'][0]), points))
    return RadarRows(frames, columns, len(rows) - len(read), not_finite, missing)


def read_row(
    row: Mapping[str, str], columns: Mapping[str, str], unit: str
) -> tuple[float, ...] | None:
    """Return stamp (ns) and quantities in the order of `columns`; None where one is no number."""
    stamp = in_ns(row[columns['stamp']], unit)
    try:
        numbers = [float(row[columns[name]]) for name in columns if name != 'stamp']
    except ValueError:
        return None
    return None if stamp is None else (stamp, *numbers)


def find_columns(path: Path, header: list[str], told: dict[str, str]) -> dict[str, str]:
    """Return quantity to column, of those that there are."""
    if unknown := told.keys() - COLUMNS.keys():
        raise BadInputError(f'--field: {sorted(unknown)} is none of {list(COLUMNS)}')
    columns = {}
    for quantity, names in COLUMNS.items():
        if (column := find(header, (told[quantity],) if quantity in told else names)) is not None:
            columns[quantity] = column
        elif quantity in told:
            raise BadInputError(f'{path} has no column {told[quantity]}; there are {header}')
    if 'stamp' not in columns:
        raise BadInputError(f'{path} has no column of stamps; there are {header}: see --field')
    return columns


def as_returns(path: Path, rows: np.ndarray) -> RadarPoints:
    """Make returns of rows of any quantities, as the decoding of a driver's message does."""
    packed = np.zeros(len(rows), [(name, '<f8') for name in rows.dtype.names or ()])
    for name in packed.dtype.names or ():
        packed[name] = rows[name]
    try:
        return decode_points(point_cloud(0, '', packed), ('x', 'y'))
    except SensorDataError as error:
        raise BadInputError(f'{path}: {error}; see --field') from error


def read_csv(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Return header and rows; what a row lacks is empty. Comma, semicolon or tabulator."""
    with path.open(encoding='utf-8-sig', newline='') as file:
        first = file.readline()
        file.seek(0)
        delimiter = max(',;\t', key=first.count)
        reader = csv.DictReader(file, delimiter=delimiter, restval='', skipinitialspace=True)
        return list(reader.fieldnames or ()), list(reader)


def find(header: list[str], names: Sequence[str]) -> str | None:
    """Return the column of the first name that there is, first exactly, then in any case."""
    folded = {column.lower(): column for column in reversed(header)}
    exact = next((name for name in names if name in header), None)
    return exact or next((folded[n.lower()] for n in names if n.lower() in folded), None)


def unit_in(column: str) -> str | None:
    """Return the unit that a column's name ends in."""
    _, underscore, unit = column.lower().rpartition('_')
    return unit if underscore and unit in NS else None


def unit_of(stamps: Iterable[str]) -> str:
    """Return the unit of stamps by the size of the first that is a number."""
    numbers = (value for text in stamps if (value := number(text)) is not None)
    first = next(numbers, None)
    for unit, ns in NS.items():
        if first is not None and EARLIEST_S <= first * ns / NS['s'] <= LATEST_S:
            return unit
    raise BadInputError(f'{first} is no stamp of this century in {list(NS)}: see --stamp-unit')


def in_ns(text: str, unit: str) -> int | None:
    """Return a stamp in ns, exactly; None for what is no number, or too large for any stamp."""
    value = number(text)
    if value is None or abs(value * NS[unit]) >= 2**63:
        return None
    return round(value * NS[unit])


def number(text: str) -> Decimal | None:
    """Read a number in full precision; None for what is none, or has more digits than any here."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and value.adjusted() < 30 else None


def read_intrinsics(path: Path) -> Intrinsics:
    """Read what ROS' camera_calibration writes."""
    given = read_yaml(path)
    try:
        return Intrinsics(
            width=int(given['image_width']),
            height=int(given['image_height']),
            matrix=np.array(given['camera_matrix']['data'], np.float64).reshape(3, 3),
            distortion=np.array(given['distortion_coefficients']['data'], np.float64),
            distortion_model=str(given['distortion_model']),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadInputError(f'{path} is not what camera_calibration writes: {error!r}') from error


def read_extrinsics(path: Path) -> RigidTransform:
    """Read the transform that takes radar points to the camera's optical frame."""
    given = read_yaml(path)
    try:
        return RigidTransform.from_quaternion(given['rotation'], given['translation'])
    except (KeyError, TypeError, ValueError) as error:
        raise BadInputError(f'{path}: no transform: {error!r}') from error


def read_yaml(path: Path) -> Any:
    """Read a YAML file."""
    try:
        return YAML(typ='safe').load(path)
    except YAMLError as error:
        raise BadInputError(f'{path} is no YAML: {error}') from error


if __name__ == '__main__':
    sys.exit(main())
