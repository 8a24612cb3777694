# SPDX-License-Identifier: Apache-2.0
"""The parameters of `reflection_heatmap_node`; each one's name, default, limits, unit and meaning.

Declared, checked and documented from here (see parameter_table.py). No ROS in this file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from radar_camera_ssl.inference.session import FP32, PRECISIONS
from radar_camera_ssl.sensors.radar_points import FIELD_ALIASES

from .parameter_table import ANY_TIME, START, markdown_table, parameter

LATENCY_STAGES = ('wait', 'decode', 'infer', 'publish', 'total', 'since_stamp')


def _check_radar_fields(entries: Sequence[str]) -> str | None:
    for entry in entries:
        ours, separator, theirs = entry.partition('=')
        if entry and (not separator or not theirs.strip() or ours.strip() not in FIELD_ALIASES):
            return f'{entry!r} is not ours=theirs with ours one of {", ".join(FIELD_ALIASES)}'
    return None


def _check_cube_axes(limits: Sequence[float]) -> str | None:
    if len(limits) != 6 or not all(math.isfinite(limit) for limit in limits):
        return f'six finite limits are needed, got {list(limits)}'
    if any(limits) and any(a == b for a, b in zip(limits[::2], limits[1::2], strict=True)):
        return f'the two limits of an axis must differ, got {list(limits)}'
    return None


def _check_providers(providers: Sequence[str]) -> str | None:
    return None if any(providers) else 'at least one execution provider is needed'


def _check_stage_limits(entries: Sequence[str]) -> str | None:
    for entry in entries:
        stage, _, limit = entry.partition('=')
        try:
            allowed = stage.strip() in LATENCY_STAGES and float(limit) > 0
        except ValueError:
            allowed = False
        if entry and not allowed:
            return f'{entry!r} is not stage=seconds with a stage of {", ".join(LATENCY_STAGES)}'
    return None


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
        settable=START,
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
    precision: str = parameter(
        FP32,
        'Arithmetic of an accelerator. `fp16`: engines of TensorRT in half precision, TF32 with '
        'CUDA. `fp32`: TensorRT takes TF32, unless NVIDIA_TF32_OVERRIDE is 0. Answers that are '
        "not the CPU's fail to configure.",
        choices=PRECISIONS,
    )
    engine_cache: str = parameter(
        '',
        'Folder of the engines of TensorRT, which `radar_camera_ssl warmup` builds ahead of the '
        'first drive. Empty: `radar_camera_ssl` in XDG_CACHE_HOME or `~/.cache`.',
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
        "The radar cube's axis limits, the outer edges of the first and of the last bin: range "
        "(m), azimuth (rad), Doppler (m/s); an axis may run downwards. Compared with the model's "
        'at configure; all zero: not compared.',
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
    camera_info_qos: str = parameter(
        'sensor_data',
        'What is asked of camera_info: `sensor_data` (best effort, volatile, depth 1) or '
        '`latched` (reliable, transient local), for a publisher that sends it once.',
        choices=('sensor_data', 'latched'),
    )
    output_reliability: str = parameter(
        'reliable',
        'Reliability offered on the outputs. `reliable` matches every subscriber; `best_effort` '
        'sends nothing twice over a bad link, and is not heard by reliable subscribers.',
        choices=('best_effort', 'reliable'),
    )
    output_depth: int = parameter(
        5, 'History depth of the outputs.', unit='messages', minimum=1, maximum=1000
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
        settable=ANY_TIME,
    )
    max_age: float = parameter(
        0.5,
        'A pair that reaches the worker later than this after its younger message arrived is '
        'dropped. By the steady clock: the same on the vehicle, in simulation and in replay.',
        unit='s',
        minimum=0.001,
        maximum=3600.0,
        settable=ANY_TIME,
    )
    stale_after: float = parameter(
        1.0,
        'Without a published pair for so long, the diagnostics say ERROR and which input is '
        'silent.',
        unit='s',
        minimum=0.05,
        maximum=3600.0,
        settable=ANY_TIME,
    )
    max_consecutive_failures: int = parameter(
        10,
        'Failed inferences in a row after which the node goes to ErrorProcessing.',
        unit='pairs',
        minimum=1,
        maximum=1000000,
        settable=ANY_TIME,
    )
    heatmap_resolution: str = parameter(
        'grid',
        "Size of the published heatmap: the model's `grid`, or resampled to the `camera` image.",
        choices=('grid', 'camera'),
        settable=ANY_TIME,
    )
    diagnostics_period: float = parameter(
        1.0,
        'Period of `/diagnostics`, by the steady clock.',
        unit='s',
        minimum=0.02,
        maximum=60.0,
        settable=ANY_TIME,
    )
    diagnostics_window: float = parameter(
        10.0,
        'Over how much of the past the diagnostics judge rates, gaps, drops and latencies.',
        unit='s',
        minimum=0.1,
        maximum=60.0,
        settable=ANY_TIME,
    )
    missing_warn: float = parameter(
        0.1,
        'WARN when by the steps of its stamps more than this share of an input is missing. 1: '
        'never.',
        minimum=0.0,
        maximum=1.0,
        settable=ANY_TIME,
    )
    drop_warn: float = parameter(
        0.05,
        'WARN when more than this share of the radar frames, or of the images for a fault of '
        'their own, is dropped. Radar frames without an image because the camera is slower are '
        'not counted. 1: never.',
        minimum=0.0,
        maximum=1.0,
        settable=ANY_TIME,
    )
    latency_warn: tuple[str, ...] = parameter(
        ('total=0.15', 'since_stamp=0.3'),
        'WARN when the 95th percentile of a stage is longer, as `stage=seconds`; stages are '
        '`wait`, `decode`, `infer`, `publish`, `total` (from the arrival of the younger message '
        'to published) and `since_stamp`. Empty strings are ignored.',
        settable=ANY_TIME,
        check=_check_stage_limits,
    )
    latency_error: tuple[str, ...] = parameter(
        ('total=0.5', 'since_stamp=1.0'),
        'ERROR when it is longer than this, as above.',
        settable=ANY_TIME,
        check=_check_stage_limits,
    )
    inference_timeout: float = parameter(
        2.0,
        'ERROR when the worker has been busy with one stage of one pair, inference above all, for '
        'longer.',
        unit='s',
        minimum=0.05,
        maximum=3600.0,
        settable=ANY_TIME,
    )
    executor_timeout: float = parameter(
        2.0,
        "ERROR when the node's executor has not come round for longer: a callback blocks. WARN "
        'when it is a transition of state that takes so long.',
        unit='s',
        minimum=0.05,
        maximum=3600.0,
        settable=ANY_TIME,
    )
    agreement_window: float = parameter(
        10.0,
        'Over how much driving, by the stamps, the agreement of radar and image is averaged (its '
        'log-odds). A standing car sees one scene only: that time does not count.',
        unit='s',
        minimum=0.1,
        maximum=60.0,
        settable=ANY_TIME,
    )
    agreement_warn: float = parameter(
        0.5,
        'WARN when the agreement of the window is lower. 0: never.',
        minimum=0.0,
        maximum=1.0,
        settable=ANY_TIME,
    )
    agreement_error: float = parameter(
        0.15,
        'ERROR when the agreement of the window is lower. 0: never.',
        minimum=0.0,
        maximum=1.0,
        settable=ANY_TIME,
    )
    frozen_after: float = parameter(
        1.0,
        'ERROR when a sensor has sent the same content for so long, by its stamps, while the '
        'other one shows motion.',
        unit='s',
        minimum=0.1,
        maximum=3600.0,
        settable=ANY_TIME,
    )


def radar_field_aliases(settings: Settings) -> dict[str, str]:
    """Return `radar_fields` as a mapping of our field name to the driver's."""
    pairs = (entry.partition('=') for entry in settings.radar_fields if entry)
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}


def stage_limits(entries: Sequence[str]) -> dict[str, float]:
    """Return `latency_warn` or `latency_error` as a mapping of stage to seconds."""
    pairs = (entry.partition('=') for entry in entries if entry)
    return {stage.strip(): float(limit) for stage, _, limit in pairs}


def parameter_table_markdown() -> str:
    """Return the README's table of the node's parameters."""
    return markdown_table(Settings)
