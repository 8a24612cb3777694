# SPDX-License-Identifier: Apache-2.0
"""The trained model as one self-describing ONNX file, checked against torch."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from radar_camera_ssl.learning.drives import POINT_FIELDS, Drive
from radar_camera_ssl.learning.model import CorrespondenceNetwork
from radar_camera_ssl.learning.warm_start import NETWORK_KEY, WEIGHTS_KEY, pack_weights
from radar_camera_ssl.model_metadata import (
    METADATA_KEY,
    CameraInput,
    CubeInput,
    Grid,
    ModelMetadata,
    PointsInput,
)

# To torch.export a size of one is not a size that may vary.
_FEWEST_RETURNS = 2


class ExportError(RuntimeError):
    """The exported file does not compute what the trained model computes."""


def describe(
    model: CorrespondenceNetwork,
    max_returns: int,
    calibration: dict[str, Any],
    training: dict[str, Any],
) -> ModelMetadata:
    """The model's self-description; max_returns is that of a points model."""
    config = model.config
    radar: PointsInput | CubeInput = PointsInput.of(POINT_FIELDS, max_returns)
    if config.cube is not None:
        cube = config.cube
        radar = CubeInput(
            cube.shape, cube.range_m, cube.azimuth_rad, cube.doppler_mps, cube.returns
        )
    return ModelMetadata(
        radar=radar,
        camera=CameraInput(height=config.height, width=config.width),
        grid=Grid(rows=config.rows, columns=config.columns),
        calibration=calibration,
        training=training,
        licence='Apache-2.0',
    )


def export_model(
    model: CorrespondenceNetwork,
    metadata: ModelMetadata,
    path: Path,
    check_on: Sequence[Drive],
) -> float:
    """Write the model file and return the largest difference from torch on real pairs.

    The file appears under its name only after the check. Raises ExportError where any output
    differs by more than 1e-3 (half a pixel for `pixel`, half a metre for `return_polar`) from
    what torch gives.
    """
    model = model.eval().cpu()
    config = model.config
    example = {
        'image': torch.zeros(1, config.height, config.width, 3, dtype=torch.uint8),
        **_silent_radar(metadata.radar),
    }
    partial = path.with_name(path.name + '.partial')
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes: dict[str, dict[int, Any]] = {name: {} for name in example}
    if isinstance(metadata.radar, PointsInput):
        # A radar rarely gives as many returns as it may, and each costs a pass over all cells.
        count = torch.export.Dim('returns', min=_FEWEST_RETURNS, max=metadata.radar.max_returns)
        sizes['points'], sizes['mask'] = {1: count}, {1: count}
    program = torch.onnx.export(
        model,
        tuple(example.values()),
        input_names=list(example),
        output_names=list(model.output_names),
        opset_version=18,
        dynamo=True,
        verbose=False,
        dynamic_shapes=tuple(sizes.values()),
    )
    assert program is not None
    graph = program.model_proto
    for key, text in (
        (METADATA_KEY, metadata.to_json()),
        (NETWORK_KEY, json.dumps(dataclasses.asdict(config))),
        (WEIGHTS_KEY, pack_weights(model)),
    ):
        entry = graph.metadata_props.add()
        entry.key, entry.value = key, text
    onnx.checker.check_model(graph)
    try:
        partial.write_bytes(graph.SerializeToString())
        worst = _largest_difference(model, metadata, partial, check_on)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return worst


def _silent_radar(radar: PointsInput | CubeInput) -> dict[str, torch.Tensor]:
    if isinstance(radar, CubeInput):
        return {'cube': torch.zeros(1, *radar.shape)}
    return {
        'points': torch.zeros(1, radar.max_returns, len(radar.fields)),
        'mask': torch.zeros(1, radar.max_returns, dtype=torch.bool),
    }


def _pairs(radar: PointsInput | CubeInput, drives: Sequence[Drive]) -> Iterator[dict]:
    """A few real pairs of a few drives as the model's inputs, by turns padded and not."""
    for drive in drives[:4]:
        for k, i in enumerate(np.linspace(0, len(drive) - 1, 5).astype(int)):
            feed: dict[str, np.ndarray] = {'image': drive.image(i)[None]}
            if isinstance(radar, CubeInput):
                feed['cube'] = np.asarray(drive.cube(i), np.float32)[None]
            else:
                returns = drive.returns(i)[: radar.max_returns]
                rows = max(_FEWEST_RETURNS, len(returns)) if k % 2 else radar.max_returns
                feed['points'] = np.zeros((1, rows, len(radar.fields)), np.float32)
                feed['points'][0, : len(returns)] = returns
                feed['mask'] = (np.arange(rows) < len(returns))[None]
            yield feed


def _largest_difference(
    model: CorrespondenceNetwork, metadata: ModelMetadata, path: Path, drives: Sequence[Drive]
) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    worst = 0.0
    for feed in _pairs(metadata.radar, drives):
        got = session.run(None, feed)
        with torch.no_grad():
            expected = model(*(torch.from_numpy(array) for array in feed.values()))
        for name, a, b in zip(model.output_names, got, expected, strict=True):
            scale = 500.0 if name in _COARSE else 1.0
            difference = np.abs(a - b.numpy()) / scale
            # A tie between two cells may fall either way; more than a few are a fault.
            share = 0.97 if name in _TIED else 1.0
            figure = float(np.quantile(difference, share))
            if not figure <= 1e-3:
                raise ExportError(f'{name} differs from torch by {figure * scale:g}')
            worst = max(worst, figure)
    return worst


_COARSE = ('pixel', 'prior_pixel', 'return_polar')
_TIED = ('pixel',)
