# SPDX-License-Identifier: Apache-2.0
"""The trained model as one self-describing ONNX file, checked against torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from radar_camera_ssl.learning.points_model import OUTPUT_NAMES, PointsModel
from radar_camera_ssl.learning.samples import POINT_FIELDS, DriveSamples
from radar_camera_ssl.model_metadata import (
    METADATA_KEY,
    CameraInput,
    Grid,
    ModelMetadata,
    PointsInput,
)


class ExportError(RuntimeError):
    """The exported file does not compute what the trained model computes."""


def describe(
    model: PointsModel, max_returns: int, calibration: dict, training: dict
) -> ModelMetadata:
    """The model's self-description."""
    config = model.config
    return ModelMetadata(
        radar=PointsInput.of(POINT_FIELDS, max_returns),
        camera=CameraInput(height=config.height, width=config.width),
        grid=Grid(rows=config.rows, columns=config.columns),
        calibration=calibration,
        training=training,
        licence='Apache-2.0',
    )


def export_model(
    model: PointsModel, metadata: ModelMetadata, path: Path, check_on: Sequence[DriveSamples]
) -> float:
    """Write the model file and return the largest difference from torch on real pairs.

    The file appears under its name only after the check. Raises ExportError where any output
    differs by more than 1e-3 (half a pixel for `pixel`) from what torch gives.
    """
    model = model.eval()
    config = model.config
    assert isinstance(metadata.radar, PointsInput)
    count = metadata.radar.max_returns
    example = (
        torch.zeros(1, config.height, config.width, 3, dtype=torch.uint8),
        torch.zeros(1, count, len(POINT_FIELDS)),
        torch.zeros(1, count, dtype=torch.bool),
    )
    partial = path.with_name(path.name + '.partial')
    path.parent.mkdir(parents=True, exist_ok=True)
    program = torch.onnx.export(
        model,
        example,
        input_names=['image', 'points', 'mask'],
        output_names=list(OUTPUT_NAMES),
        opset_version=18,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    graph = program.model_proto
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, metadata.to_json()
    onnx.checker.check_model(graph)
    partial.write_bytes(graph.SerializeToString())
    worst = _largest_difference(model, partial, check_on)
    os.replace(partial, path)
    return worst


def _largest_difference(model: PointsModel, path: Path, drives: Sequence[DriveSamples]) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    worst = 0.0
    for drive in drives[:4]:
        for i in np.linspace(0, len(drive) - 1, 5).astype(int):
            image = np.array(drive.images[i])[None]
            points = np.array(drive.returns[i])[None]
            mask = (np.arange(points.shape[1]) < drive.counts[i])[None]
            got = session.run(None, {'image': image, 'points': points, 'mask': mask})
            with torch.no_grad():
                expected = model(*(torch.from_numpy(a) for a in (image, points, mask)))
            for name, a, b in zip(OUTPUT_NAMES, got, expected, strict=True):
                scale = 500.0 if 'pixel' in name else 1.0
                difference = np.abs(a - b.numpy()) / scale
                # A tie between two cells may fall either way; more than a few are a fault.
                share = 0.98 if name == 'pixel' else 1.0
                figure = float(np.quantile(difference, share))
                if not figure <= 1e-3:
                    raise ExportError(f'{name} differs from torch by {figure * scale:g}')
                worst = max(worst, figure)
    return worst
