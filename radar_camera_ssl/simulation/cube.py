# SPDX-License-Identifier: Apache-2.0
"""The radar's power cube: range x azimuth x Doppler, made of the same echoes as the points."""

from __future__ import annotations

import numpy as np

from radar_camera_ssl.sensors.radar_cube import CubeAxes

from .config import RadarConfig, generator
from .radar import Echoes

_ELEMENTS = 24
"""Virtual antennas, half a wavelength apart: a beam of about 5 degrees."""
_GROUND_ECHOES = 48


def cube_axes(config: RadarConfig) -> CubeAxes:
    """Give the limits of the axes: range from zero, azimuth from the right to the left."""
    return CubeAxes(
        range_m=(0.0, config.max_range_m),
        azimuth_rad=(-config.azimuth_fov_rad, config.azimuth_fov_rad),
        doppler_mps=(-config.max_doppler_mps, config.max_doppler_mps),
    )


def hann_response(offset_bins: np.ndarray) -> np.ndarray:
    """Amplitude of a Hann-windowed spectrum, by offset in bins: sinc / (1 - x^2) (Harris 1978)."""
    x = np.where(np.abs(np.abs(offset_bins) - 1.0) < 1e-6, 1.0 + 1e-6, offset_bins)
    return np.sinc(x) / (1.0 - x**2)


def power_cube(
    echoes: Echoes, speed: float, config: RadarConfig, seed: int, frame: int
) -> np.ndarray:
    """Make one cube (R, A, D) float32: power in dB over the mean noise of a cell.

    Each echo spreads by the window's response in range and Doppler and the array's in azimuth,
    with a random phase; echoes add coherently to complex Gaussian noise, which gives speckle.
    Doppler beyond the axis folds back, as it does in a chirp sequence radar.
    """
    rng = generator(seed, 'cube', frame)
    shape = config.cube_shape
    ranges, azimuths, dopplers = cube_axes(config).centres(shape)
    range_bin = config.max_range_m / shape[0]
    doppler_bin = 2.0 * config.max_doppler_mps / shape[2]
    ground_azimuth = rng.uniform(-config.azimuth_fov_rad, config.azimuth_fov_rad, _GROUND_ECHOES)
    range_m = np.concatenate(
        [echoes.range_m, rng.uniform(2.0, config.max_range_m, _GROUND_ECHOES)]
    )
    azimuth = np.concatenate([echoes.azimuth, ground_azimuth])
    velocity = np.concatenate([echoes.velocity, -speed * np.cos(ground_azimuth)])
    power_db = np.concatenate([echoes.snr_db, rng.normal(2.0, 4.0, _GROUND_ECHOES)])
    phase = rng.uniform(0.0, 2.0 * np.pi, len(power_db))
    amplitude = 10.0 ** (power_db / 20.0) * np.exp(1j * phase)
    in_range = hann_response((ranges - range_m[:, None]) / range_bin)
    in_azimuth = np.sinc((np.sin(azimuths) - np.sin(azimuth)[:, None]) * (0.5 * _ELEMENTS))
    fold = (dopplers - velocity[:, None]) / doppler_bin
    fold = np.mod(fold + 0.5 * shape[2], shape[2]) - 0.5 * shape[2]
    in_doppler = hann_response(fold)
    plane = (in_range[:, :, None] * in_azimuth[:, None, :]).reshape(len(amplitude), -1)
    # Real and imaginary part by one real product: half the work of a complex one.
    turned = amplitude[:, None] * in_doppler
    parts = plane.T @ np.concatenate([turned.real, turned.imag], axis=1)
    parts += rng.standard_normal(parts.shape) * np.sqrt(0.5)
    power = parts[:, : shape[2]] ** 2 + parts[:, shape[2] :] ** 2
    return (10.0 * np.log10(power + 1e-6)).astype(np.float32).reshape(shape)
