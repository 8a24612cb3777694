# SPDX-License-Identifier: Apache-2.0
"""The parameters of `reflection_heatmap_node`; each one's name, default, limits, unit and meaning.

Declared, checked and documented from here (see parameter_table.py). No ROS in this file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from radar_camera_ssl.sensors.radar_points import FIELD_ALIASES

from .parameter_table import markdown_table, parameter


def _check_radar_fields(entries: Sequence[str]) -> str | None:
    for entry in entries:
        ours, separator, theirs = entry.partition('=')
        if entry and (not separator or not theirs.strip() or ours.strip() not in FIELD_ALIASES):
            return f'{entry!r} is not ours=theirs with ours one of {", ".join(FIELD_ALIASES)}'
    return None


def _check_cube_axes(limits: Sequence[float]) -> str | None:
    if len(limits) != 6 or not all(math.isfinite(limit) for limit in limits):
        return f'six finite limits are needed, got {list(limits)}'
    if any(limits) and not all(low < high for low, high in zip(*[iter(limits)] * 2, strict=True)):
        return f'each low limit must be below its high one, got {list(limits)}'
    return None


def _check_providers(providers: Sequence[str]) -> str | None:
    return None if any(providers) else 'at least one execution provider is needed'


@dataclass(frozen=True)
class Settings:
    """The values of all parameters, typed."""

    model_path: str = parameter(
        '',
        'The model (.onnx). Empty: the `models/points.onnx` of this package, `models/cube.onnx` '
        'for `radar_format: cube`.',
    )
    autostart: bool = parameter(
        False,
        'Configure and activate at the start, without a supervisor. What fails is not tried '
        'again.',
    )
    providers: tuple[str, ...] = parameter(
        ('CPUExecutionProvider',),
        'ONNX Runtime execution providers in order of preference: `TensorrtExecutionProvider`, '
        '`CUDAExecutionProvider`, `CPUExecutionProvider`.',
        check=_check_providers,
    )
    allow_cpu_fallback: bool = parameter(
        False,
        'Run on the CPU when an asked-for accelerator does not; otherwise configuring fails.',
    )
    inference_threads: int = parameter(1, 'CPU threads of one inference.', minimum=1, maximum=64)
    radar_format: str = parameter(
        'points',
        'What arrives on `~/input/radar`: `points` (sensor_msgs/PointCloud2), `radar_scan` '
        '(radar_msgs/RadarScan, where installed) or `cube` (sensor_msgs/Image 32FCn). Must fit '
        'the model.',
        choices=('points', 'radar_scan', 'cube'),
    )
    radar_fields: tuple[str, ...] = parameter(
        ('',),
        'Names of the radar driver for our fields, as `ours=theirs` (`rcs=power`); ours are `x`, '
        '`y`, `z`, `velocity`, `rcs`. Goes before the built-in aliases. Empty strings are '
        'ignored.',
        check=_check_radar_fields,
    )
    cube_axes: tuple[float, ...] = parameter(
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        "The radar cube's axis limits: range low, high (m), azimuth low, high (rad), Doppler "
        "low, high (m/s). Compared with the model's at configure; all zero: not compared.",
        check=_check_cube_axes,
    )
    image_transport: str = parameter(
        'raw',
        'What arrives on `~/input/image`: `raw` (Image) or `compressed` (CompressedImage).',
        choices=('raw', 'compressed'),
    )
    image_conversion: str = parameter(
        'builtin',
        'Who decodes images: `builtin` (sensors/camera.py) or `cv_bridge`, where installed.',
        choices=('builtin', 'cv_bridge'),
    )
    image_reliability: str = parameter(
        'best_effort',
        'Reliability asked of the camera. `best_effort` matches every publisher; `reliable` '
        'matches reliable ones only and loses nothing.',
        choices=('best_effort', 'reliable'),
    )
    radar_reliability: str = parameter(
        'best_effort',
        'Reliability asked of the radar, as above.',
        choices=('best_effort', 'reliable'),
    )
    image_depth: int = parameter(
        5, 'History depth of the image subscription.', unit='messages', minimum=1, maximum=1000
    )
    radar_depth: int = parameter(
        10, 'History depth of the radar subscription.', unit='messages', minimum=1, maximum=1000
    )
    output_depth: int = parameter(
        5, 'History depth of the outputs (reliable).', unit='messages', minimum=1, maximum=1000
    )
    synchronizer: str = parameter(
        'nearest',
        'Who pairs radar and image: `nearest` (sensors/pairing.py) or `message_filters` '
        '(ApproximateTimeSynchronizer, where installed).',
        choices=('nearest', 'message_filters'),
    )
    slop: float = parameter(
        0.05, 'Largest gap between the stamps of a pair.', unit='s', minimum=0.0001, maximum=10.0
    )
    queue_size: int = parameter(
        50,
        'Messages of each sensor that may wait for a partner.',
        unit='messages',
        minimum=1,
        maximum=10000,
    )
    pair_queue_depth: int = parameter(
        2,
        'Pairs that may wait for the worker; the oldest is dropped beyond.',
        unit='pairs',
        minimum=1,
        maximum=1000,
    )
    stamp_tolerance: float = parameter(
        10.0,
        "A message whose stamp is further than this from the node's clock is dropped. 0: not "
        'checked (a recording replayed without `use_sim_time`). Stamp zero is always dropped.',
        unit='s',
        minimum=0.0,
        maximum=1e9,
        live=True,
    )
    max_age: float = parameter(
        0.5,
        'A pair that reaches the worker later than this after its younger message arrived is '
        'dropped. By the steady clock: the same on the vehicle, in simulation and in replay.',
        unit='s',
        minimum=0.001,
        maximum=3600.0,
        live=True,
    )
    stale_after: float = parameter(
        1.0,
        'Without a published pair for so long, the diagnostics say ERROR and which input is '
        'silent.',
        unit='s',
        minimum=0.05,
        maximum=3600.0,
        live=True,
    )
    max_consecutive_failures: int = parameter(
        10,
        'Failed inferences in a row after which the node goes to ErrorProcessing.',
        unit='pairs',
        minimum=1,
        maximum=1000000,
        live=True,
    )
    heatmap_resolution: str = parameter(
        'grid',
        "Size of the published heatmap: the model's `grid`, or resampled to the `camera` image.",
        choices=('grid', 'camera'),
        live=True,
    )
    diagnostics_period: float = parameter(
        1.0,
        'Period of `/diagnostics`, by the steady clock.',
        unit='s',
        minimum=0.02,
        maximum=60.0,
        live=True,
    )


def radar_field_aliases(settings: Settings) -> dict[str, str]:
    """Return `radar_fields` as a mapping of our field name to the driver's."""
    pairs = (entry.partition('=') for entry in settings.radar_fields if entry)
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}


def parameter_table_markdown() -> str:
    """Return the README's table of the node's parameters."""
    return markdown_table(Settings)
