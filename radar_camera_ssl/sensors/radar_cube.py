# SPDX-License-Identifier: Apache-2.0
"""Radar cubes (range x azimuth x Doppler power) as arrays, and the meaning of their axes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import SensorDataError
from .raster import image_raster

CUBE_ENCODING = re.compile(r'32FC([1-9][0-9]*)')
# A cube of half a gigabyte is no radar frame but a corrupt header.
MAX_CELLS = 2**27


@dataclass(frozen=True)
class CubeAxes:
    """Limits of a cube's axes: the outer edges of the first and the last bin.

    range_m: m.   azimuth_rad: rad, positive to the left.   doppler_mps: m/s, positive receding.
    """

    range_m: tuple[float, float]
    azimuth_rad: tuple[float, float]
    doppler_mps: tuple[float, float]

    def __post_init__(self) -> None:
        for name in ('range_m', 'azimuth_rad', 'doppler_mps'):
            limits = tuple(float(limit) for limit in getattr(self, name))
            if len(limits) != 2 or not np.isfinite(limits).all() or limits[0] == limits[1]:
                raise SensorDataError('cube_axes', f'limits of {name} are {limits}')
            object.__setattr__(self, name, limits)

    def centres(
        self, shape: tuple[int, int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Bin centres (R,) m, (A,) rad, (D,) m/s of a cube of `shape` (R, A, D)."""
        return (
            _bin_centres(self.range_m, shape[0]),
            _bin_centres(self.azimuth_rad, shape[1]),
            _bin_centres(self.doppler_mps, shape[2]),
        )

    def to_key_values(self) -> list[tuple[str, str]]:
        """Return the axes as the key-value list of `/radar/cube_info`; exact in both ways."""
        return [
            ('range_min_m', repr(self.range_m[0])),
            ('range_max_m', repr(self.range_m[1])),
            ('azimuth_min_rad', repr(self.azimuth_rad[0])),
            ('azimuth_max_rad', repr(self.azimuth_rad[1])),
            ('doppler_min_mps', repr(self.doppler_mps[0])),
            ('doppler_max_mps', repr(self.doppler_mps[1])),
        ]

    @classmethod
    def from_key_values(cls, values: Iterable[Any]) -> CubeAxes:
        """Read (key, value) pairs or diagnostic_msgs/KeyValue messages; others are ignored.

        Raises SensorDataError(`cube_axes`) naming what is missing or no number.
        """
        table = {}
        for item in values:
            key, value = (item.key, item.value) if hasattr(item, 'key') else item
            table[key] = value
        limits: dict[str, tuple[float, float]] = {}
        for axis, unit in (('range', 'm'), ('azimuth', 'rad'), ('doppler', 'mps')):
            keys = [f'{axis}_{end}_{unit}' for end in ('min', 'max')]
            try:
                limits[f'{axis}_{unit}'] = (float(table[keys[0]]), float(table[keys[1]]))
            except KeyError as error:
                raise SensorDataError('cube_axes', f'no key {error} in {list(table)}') from error
            except ValueError as error:
                raise SensorDataError('cube_axes', f'{keys}: {error}') from error
        return cls(**limits)


def _bin_centres(limits: tuple[float, float], bins: int) -> NDArray[np.float64]:
    start, stop = limits
    return np.asarray(start + (np.arange(bins) + 0.5) * ((stop - start) / bins), np.float64)


def decode_cube(msg: Any) -> NDArray[np.float32]:
    """Decode an Image 32FCn to (R, A, D) float32, dB.

    Rows are range, columns azimuth, channels Doppler. A view of the message's buffer where byte
    order and values allow. Cells of -inf (the dB of no power) become the smallest finite value
    of the cube.
    Raises SensorDataError `cube_encoding`, `cube_shape` (zero or absurd size), `cube_truncated`,
    `cube_not_finite` (NaN or +inf, or no finite cell).
    """
    match = CUBE_ENCODING.fullmatch(msg.encoding if msg.encoding != '32FC' else '32FC1')
    if match is None:
        raise SensorDataError(
            'cube_encoding', f'radar cube has encoding {msg.encoding!r}, expected 32FCn'
        )
    shape = (int(msg.height), int(msg.width), int(match[1]))
    if 0 in shape or np.prod(shape, dtype=object) > MAX_CELLS:
        raise SensorDataError('cube_shape', f'radar cube of shape {shape}')
    cube: NDArray[np.float32] = image_raster(msg, 'f4', shape[2], 'cube_truncated')
    finite = np.isfinite(cube)
    if finite.all():
        return cube
    if np.isneginf(cube[~finite]).all() and finite.any():
        return np.where(finite, cube, cube[finite].min())
    raise SensorDataError(
        'cube_not_finite', f'{int(finite.size - finite.sum())} cells of the cube are NaN or inf'
    )
