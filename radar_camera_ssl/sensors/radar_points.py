# SPDX-License-Identifier: Apache-2.0
"""Radar returns as arrays, from PointCloud2 of any driver or from radar_msgs/RadarScan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import SensorDataError

# sensor_msgs/PointField datatype to NumPy type.
POINT_DATATYPES = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 8: 'f8'}
_POINT_FIELD_OF = {np.dtype(code): number for number, code in POINT_DATATYPES.items()}

# Names under which drivers publish a quantity, tried in this order, then without regard to case
# and underscores.
# Of two that a driver offers the raw measurement comes first: the radial velocity as measured
# before the one compensated for ego-motion, RCS before received power. Angles in rad.
FIELD_ALIASES: dict[str, tuple[str, ...]] = {
    'x': ('x', 'position_x', 'pos_x', 'x_pos', 'dist_long', 'longitudinal_distance'),
    'y': ('y', 'position_y', 'pos_y', 'y_pos', 'dist_lat', 'lateral_distance'),
    'z': ('z', 'position_z', 'pos_z', 'z_pos'),
    'velocity': (
        'velocity', 'radial_velocity', 'radial_speed', 'doppler_velocity', 'doppler', 'range_rate',
        'v_r', 'vr', 'v_radial', 'v_doppler', 'v_doppler_mps', 'radar_relative_radial_velocity',
        'relative_radial_velocity', 'rel_velocity', 'vrad', 'speed_radial', 'speed', 'vel', 'v',
    ),
    'rcs': (
        'rcs', 'RCS', 'radar_cross_section', 'rcs_db', 'rcs_dbsm', 'power', 'Power', 'power_db',
        'intensity', 'amplitude', 'snr', 'snr_db', 'signal_to_noise_ratio', 'signal_noise_ratio',
    ),
    'range': ('range', 'radial_distance', 'radius', 'distance', 'r'),
    'azimuth': ('azimuth', 'azimuth_angle', 'azimuth_rad', 'azi', 'alpha'),
    'elevation': ('elevation', 'elevation_angle', 'elevation_rad', 'ele', 'beta'),
    'velocity_x': ('velocity_x', 'vx', 'v_x', 'vrel_long', 'vel_x'),
    'velocity_y': ('velocity_y', 'vy', 'v_y', 'vrel_lat', 'vel_y'),
}  # fmt: skip
# Names that mean something else where they come together: colours, pixels.
OTHER_MEANINGS = ({'h', 's', 'v'}, {'r', 'g', 'b'}, {'u', 'v'})
# No radar measures more, in any unit; some drivers mark invalid returns by the largest number
# there is, with which a network's arithmetic overflows.
LARGEST = 1e12

_ROUNDING_RAD = 1e-3

RETURN_FIELDS = ('x', 'y', 'z', 'velocity', 'rcs')


@dataclass(frozen=True, eq=False)
class RadarPoints:
    """The returns of one radar frame, in the radar's frame (REP 103).

    position: (N, 3) float32 x, y, z, m.   velocity: (N,) float32 radial, m/s, receding positive.
    rcs: (N,) float32 dBsm (or what the driver gives in its place).
    row: (N,) int32 index of the return in its message.
    not_finite: returns removed as NaN, infinite or beyond LARGEST.
    """

    position: NDArray[np.float32]
    velocity: NDArray[np.float32]
    rcs: NDArray[np.float32]
    row: NDArray[np.int32]
    not_finite: int = 0

    def __len__(self) -> int:
        return len(self.row)

    @classmethod
    def empty(cls) -> RadarPoints:
        """Return a frame without returns."""
        none = np.zeros(0, np.float32)
        return cls(np.zeros((0, 3), np.float32), none, none, np.zeros(0, np.int32))

    @property
    def range(self) -> NDArray[np.float32]:
        """(N,) float32 slant range, m."""
        return np.sqrt(np.einsum('ij,ij->i', self.position, self.position))

    @property
    def azimuth(self) -> NDArray[np.float32]:
        """(N,) float32 azimuth atan2(y, x), rad, positive to the left."""
        return np.arctan2(self.position[:, 1], self.position[:, 0])

    def take(self, index: NDArray[Any]) -> RadarPoints:
        """Return the returns that `index` (integers or bool) selects, in its order."""
        return RadarPoints(
            self.position[index],
            self.velocity[index],
            self.rcs[index],
            self.row[index],
            self.not_finite,
        )

    def strongest(self, n: int) -> RadarPoints:
        """Keep the `n` returns of largest rcs, in their original order (ties: the earlier)."""
        if len(self) <= n:
            return self
        return self.take(np.sort(np.argsort(-self.rcs, kind='stable')[: max(0, n)]))

    def as_array(self, fields: Sequence[str]) -> NDArray[np.float32]:
        """Return (N, F) float32 with a column for each name among x, y, z, velocity, rcs."""
        columns = {
            **dict(zip('xyz', self.position.T, strict=True)),
            'velocity': self.velocity,
            'rcs': self.rcs,
        }
        if unknown := [name for name in fields if name not in columns]:
            raise ValueError(f'unknown radar fields {unknown}; known are {list(columns)}')
        array = np.empty((len(self), len(fields)), np.float32)
        for index, name in enumerate(fields):
            array[:, index] = columns[name]
        return array


def structured_view(msg: Any) -> NDArray[Any]:
    """Return the points of a PointCloud2 as (N,) structured array, row by row, without a copy.

    point_step, row_step, offsets, counts and is_bigendian are honoured; only rows with padding
    are copied. Raises SensorDataError `points_datatype` or `points_truncated`.
    """
    point_step = int(msg.point_step)
    if point_step > np.iinfo(np.intc).max:
        raise SensorDataError('points_truncated', f'point_step of {point_step} bytes')
    fields = tuple((f.name, f.datatype, f.offset, f.count) for f in msg.fields)
    dtype = _layout(fields, bool(msg.is_bigendian), point_step)
    height, width = int(msg.height), int(msg.width)
    if height * width == 0:
        return np.zeros(0, dtype)
    data = np.frombuffer(msg.data, np.uint8)
    # Many drivers leave row_step 0 on an unorganised cloud.
    row_step = int(msg.row_step) if height > 1 else width * point_step
    needed = (height - 1) * row_step + width * point_step
    if point_step == 0 or row_step < width * point_step or data.size < needed:
        raise SensorDataError(
            'points_truncated',
            f'{data.size} bytes for {height}x{width} points of point_step {point_step} and '
            f'row_step {row_step}',
        )
    return np.ndarray((height, width), dtype, data, 0, (row_step, point_step)).reshape(-1)


@lru_cache(maxsize=16)
def _layout(
    fields: tuple[tuple[str, int, int, int], ...], is_bigendian: bool, point_step: int
) -> np.dtype[Any]:
    """The type of one point, of fields (name, datatype, offset, count); a driver keeps to one."""
    order = '>' if is_bigendian else '<'
    names, formats, offsets = [], [], []
    for name, datatype, offset, count in fields:
        if not name:
            continue
        code = POINT_DATATYPES.get(int(datatype))
        if code is None:
            raise SensorDataError(
                'points_datatype', f'field {name!r} has unknown datatype {datatype}'
            )
        count = max(1, int(count))
        if int(offset) + count * np.dtype(code).itemsize > point_step:
            raise SensorDataError(
                'points_datatype',
                f'field {name!r} at offset {offset} ends beyond point_step {point_step}',
            )
        names.append(name)
        formats.append((order + code, (count,)) if count > 1 else order + code)
        offsets.append(int(offset))
    if len(set(names)) < len(names):
        raise SensorDataError('points_datatype', f'field names are not unique: {names}')
    return np.dtype(
        {'names': names, 'formats': formats, 'offsets': offsets, 'itemsize': point_step}
    )


def point_fields(dtype: np.dtype[Any]) -> list[tuple[str, int, int, int]]:
    """Return (name, offset, datatype, count) of each field of a structured, native type.

    These are what a PointField holds, in its order. Raises KeyError for a type that none is for.
    """
    fields = []
    for name in dtype.names or ():
        inner, offset = dtype.fields[name][:2]  # type: ignore[index]
        count = int(np.prod(inner.shape, dtype=int)) if inner.shape else 1
        fields.append((name, int(offset), _POINT_FIELD_OF[inner.base], count))
    return fields


def decode_points(
    msg: Any,
    fields: Sequence[str] = ('x', 'y', 'velocity', 'rcs'),
    aliases: Mapping[str, str] | None = None,
) -> RadarPoints:
    """Decode a PointCloud2 of radar returns.

    `fields`: those among x, y, z, velocity, rcs that must be there. The others are taken where
    the message has them and are 0 elsewhere (also where a value is not finite). `aliases` names
    the message's field for a quantity of FIELD_ALIASES, e.g. {'rcs': 'power'}; it overrides the
    table, and nothing stands in for a field that it names and the message lacks. Where a message
    lacks x, y, z but has range, azimuth (and elevation), these are converted; where it lacks the
    radial velocity but has a velocity vector, that is projected on the line of sight.

    Returns whose needed values are not finite, or beyond LARGEST, are removed and counted in
    `not_finite`. An empty message without fields is a frame without returns.
    Raises SensorDataError `points_field_missing` (naming wanted and found), `points_datatype`,
    `points_truncated`, `points_angle_unit` (where only range and azimuth tell the place).
    """
    if unknown := [name for name in fields if name not in RETURN_FIELDS]:
        raise ValueError(f'unknown radar fields {unknown}; known are {list(RETURN_FIELDS)}')
    given = aliases or {}
    if unknown := [name for name in given if name not in FIELD_ALIASES]:
        raise ValueError(f'unknown radar quantities {unknown}; known are {list(FIELD_ALIASES)}')
    cloud = structured_view(msg)
    if not len(cloud) and not cloud.dtype.names:
        return RadarPoints.empty()
    sources = dict(_sources(cloud.dtype, tuple(sorted(given.items()))))
    lacking: dict[str, tuple[str, ...]] = {
        name: (field,) for name, field in given.items() if name not in sources
    }
    columns = {} if lacking else _columns(cloud, sources)
    lacking = lacking or {name: FIELD_ALIASES[name] for name in fields if name not in columns}
    if lacking:
        raise SensorDataError(
            'points_field_missing',
            f'radar points lack {lacking}; found {list(cloud.dtype.names or ())}',
        )
    return _checked(columns, fields, len(cloud))


def decode_radar_scan(msg: Any) -> RadarPoints:
    """Decode a radar_msgs/RadarScan (returns: range, azimuth, elevation, doppler_velocity, ...).

    `amplitude`, dB, stands in for rcs. Returns with a non-finite value are removed and counted.
    """
    names = ('range', 'azimuth', 'elevation', 'doppler_velocity', 'amplitude')
    try:
        table = np.array(
            [[getattr(scan_return, name) for name in names] for scan_return in msg.returns],
            np.float64,
        ).reshape(-1, len(names))
    except AttributeError as error:
        raise SensorDataError('points_field_missing', f'radar scan: {error}') from error
    columns = dict(zip(('range', 'azimuth', 'elevation', 'velocity', 'rcs'), table.T, strict=True))
    columns |= _cartesian(columns)
    return _checked(columns, RETURN_FIELDS, len(table))


def _columns(cloud: NDArray[Any], sources: Mapping[str, str]) -> dict[str, NDArray[Any]]:
    """The quantities that a cloud offers, (N,) each, by their name here."""
    columns: dict[str, NDArray[Any]] = {name: cloud[field] for name, field in sources.items()}
    if ('x' not in columns or 'y' not in columns) and {'range', 'azimuth'} <= columns.keys():
        columns |= _cartesian(columns)
    if 'velocity' not in columns and {'x', 'y', 'velocity_x', 'velocity_y'} <= columns.keys():
        columns['velocity'] = _radial_velocity(columns)
    return columns


@lru_cache(maxsize=16)
def _sources(
    dtype: np.dtype[Any], aliases: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Each quantity that points of this type offer, and the field that holds it."""
    # A field of several values per point is no scalar quantity.
    scalar = [name for name in dtype.names or () if dtype[name].shape == ()]
    told = set(scalar)
    for others in OTHER_MEANINGS:
        if others <= set(scalar):
            scalar = [name for name in scalar if name not in others]
    by_folded = {_folded(name): name for name in reversed(scalar)}
    given = dict(aliases)
    sources = []
    for quantity, names in FIELD_ALIASES.items():
        if quantity in given:
            found = given[quantity] if given[quantity] in told else None
        else:
            exact = (name for name in names if name in scalar)
            folded = (by_folded[_folded(n)] for n in names if _folded(n) in by_folded)
            found = next(exact, None) or next(folded, None)
        if found is not None:
            sources.append((quantity, found))
    return tuple(sources)


def _folded(name: str) -> str:
    return name.replace('_', '').lower()


def _measured(column: NDArray[Any]) -> NDArray[np.float64]:
    """A column to calculate with: NaN where it holds no measurement."""
    values = column.astype(np.float64)
    values[np.abs(values) > LARGEST] = np.nan
    return values


def _cartesian(columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    radius, azimuth = _measured(columns['range']), _measured(columns['azimuth'])
    elevation = _measured(columns.get('elevation', np.zeros(1)))
    finite = azimuth[np.isfinite(azimuth)]
    # From wherever a driver counts, it sees no more than a whole turn.
    lowest, highest = finite.min(initial=0.0), finite.max(initial=0.0)
    if highest - lowest > 2 * np.pi + _ROUNDING_RAD:
        raise SensorDataError(
            'points_angle_unit',
            f'azimuths from {lowest:.1f} to {highest:.1f}: these are no angles in rad',
        )
    with np.errstate(invalid='ignore'):
        level = radius * np.cos(elevation)
        return {
            'x': level * np.cos(azimuth),
            'y': level * np.sin(azimuth),
            'z': radius * np.sin(elevation),
        }


def _radial_velocity(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    x, y, vx, vy = (_measured(columns[name]) for name in ('x', 'y', 'velocity_x', 'velocity_y'))
    with np.errstate(invalid='ignore', divide='ignore'):
        radius = np.hypot(x, y)
        return np.where(radius > 0, (x * vx + y * vy) / radius, 0.0)


def _checked(
    columns: Mapping[str, NDArray[Any]], needed: Sequence[str], count: int
) -> RadarPoints:
    values: NDArray[np.float32] = np.zeros((count, len(RETURN_FIELDS)), np.float32)
    with np.errstate(over='ignore'):
        for index, name in enumerate(RETURN_FIELDS):
            if name in columns:
                values[:, index] = columns[name]
    usable = np.abs(values) <= LARGEST
    values[~usable] = 0.0
    finite = usable[:, [RETURN_FIELDS.index(name) for name in needed]].all(axis=1)
    row = np.flatnonzero(finite).astype(np.int32)
    values = values[row]
    return RadarPoints(
        np.ascontiguousarray(values[:, :3]),
        np.ascontiguousarray(values[:, 3]),
        np.ascontiguousarray(values[:, 4]),
        row,
        count - len(row),
    )
