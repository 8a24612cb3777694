# SPDX-License-Identifier: Apache-2.0
"""The `info` subcommand: what a model file says about itself."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from radar_camera_ssl.model_metadata import CubeInput, PointsInput

from .model import CorrespondenceModel
from .session import available_providers
from .tensor_contract import Tensor, input_tensors, output_tensors

_LABEL_WIDTH = 14
_LONG_LIST = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `info`."""
    parser.add_argument('model', metavar='MODEL', type=Path, help='model file (.onnx)')
    parser.add_argument('--json', action='store_true', help='everything as one JSON object')


def run(args: argparse.Namespace) -> int:
    """Load and try out the model on the CPU and print its description; ModelError if it is bad."""
    model = CorrespondenceModel.load(args.model)
    if args.json:
        print(json.dumps(as_json(model, args.model), indent=2, ensure_ascii=False))
    else:
        print('\n'.join(as_lines(model, args.model)))
    return 0


def as_json(model: CorrespondenceModel, path: Path) -> dict[str, Any]:
    """The description of ``model``, read from ``path``, as a JSON object."""
    metadata = model.metadata
    return {
        'path': str(path),
        'bytes': path.stat().st_size,
        'sha256': model.sha256,
        'metadata': json.loads(metadata.to_json()),
        'inputs': [_tensor(tensor) for tensor in input_tensors(metadata)],
        'outputs': [_tensor(tensor) for tensor in output_tensors(metadata)],
        'providers': available_providers(),
    }


def as_lines(model: CorrespondenceModel, path: Path) -> Iterator[str]:
    """The description of ``model``, read from ``path``, for a person."""
    metadata = model.metadata
    camera, grid = metadata.camera, metadata.grid
    yield _line('Model', f'{path} ({path.stat().st_size / 1000:,.0f} kB)')
    yield _line('sha256', model.sha256)
    yield _line('Licence', metadata.licence)
    yield from _radar(metadata.radar)
    yield _line(
        'Camera',
        f'{camera.width} x {camera.height} px, {camera.colour.upper()}, '
        f'intrinsics {"needed" if camera.intrinsics else "not used"}',
    )
    if camera.adapted_to is not None:
        height, width = camera.adapted_to
        yield _line('', f'adapted to images of {width} x {height} px')
    cell = f'{camera.width / grid.columns:g} x {camera.height / grid.rows:g} px'
    yield _line('Heatmap', f'{grid.columns} x {grid.rows} cells of {cell}')
    yield from _section('Calibration', metadata.calibration)
    yield from _section('Training', metadata.training)
    yield from _tensors('Inputs', input_tensors(metadata))
    yield from _tensors('Outputs', output_tensors(metadata))
    yield _line('Providers', ', '.join(available_providers()) + ' (in this build of ONNX Runtime)')


def _radar(radar: PointsInput | CubeInput) -> Iterator[str]:
    if isinstance(radar, PointsInput):
        yield _line('Radar', f'points, the {radar.max_returns} strongest returns at most')
        yield _line('', 'fields ' + ', '.join(f'{f.name} [{f.unit}]' for f in radar.fields))
        return
    r, a, d = radar.shape
    left, right = (math.degrees(limit) for limit in radar.azimuth_rad)
    yield _line('Radar', f'cube, {r} range x {a} azimuth x {d} Doppler bins, {radar.unit}')
    yield _line('', f'range {radar.range_m[0]:g} to {radar.range_m[1]:g} m')
    yield _line('', f'azimuth {left:.1f} to {right:.1f} degrees')
    yield _line('', f'Doppler {radar.doppler_mps[0]:g} to {radar.doppler_mps[1]:g} m/s')
    yield _line('', f'{radar.returns} returns selected by the network')


def _section(label: str, values: dict[str, Any]) -> Iterator[str]:
    if not values:
        yield _line(label, 'not told')
    for key, value in values.items():
        yield from _entry(label, key, value, 0)
        label = ''


def _entry(label: str, key: str, value: Any, depth: int) -> Iterator[str]:
    indent = '  ' * depth
    if isinstance(value, dict):
        yield _line(label, f'{indent}{key}')
        for inner, inner_value in value.items():
            yield from _entry('', inner, inner_value, depth + 1)
    else:
        yield _line(label, f'{indent}{key}: {_value(value)}')


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:.4g}'
    if isinstance(value, list):
        shown = ', '.join(_value(v) for v in value[:_LONG_LIST])
        more = f', ... ({len(value)} in all)' if len(value) > _LONG_LIST else ''
        return f'{shown}{more}' if value else 'none'
    return value if isinstance(value, str) else json.dumps(value)


def _line(label: str, text: str) -> str:
    return f'{label:<{_LABEL_WIDTH}}{text}'


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {'name': tensor.name, 'dtype': tensor.numpy_name, 'shape': list(tensor.sizes)}


def _tensors(label: str, tensors: Sequence[Tensor]) -> Iterator[str]:
    for tensor in tensors:
        shape = ' x '.join(str(size) for size in tensor.sizes)
        yield _line(label, f'{tensor.name:<13}{tensor.numpy_name:<9}{shape}')
        label = ''
