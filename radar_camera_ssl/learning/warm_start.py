# SPDX-License-Identifier: Apache-2.0
"""A model file's own weights, to go on from: kept beside the graph, whose constants are folded."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from torch import nn

from radar_camera_ssl.learning.cube_tokens import CubeConfig
from radar_camera_ssl.learning.model import CorrespondenceNetwork, CubeModel, PointsModel
from radar_camera_ssl.learning.network import NetworkConfig
from radar_camera_ssl.model_metadata import METADATA_KEY, ModelMetadata

WEIGHTS_KEY = 'radar_camera_ssl_weights'
"""Metadata key of the model file: base64 of a compressed npz of the network's state."""

NETWORK_KEY = 'radar_camera_ssl_network'
"""Metadata key of the model file: JSON of the network's configuration."""


def pack_weights(model: nn.Module) -> str:
    """State of a network as text for the model file's metadata."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **{k: v.cpu().numpy() for k, v in model.state_dict().items()})
    return base64.b64encode(buffer.getvalue()).decode('ascii')


def load_weights(model: nn.Module, path: Path) -> None:
    """Take the weights that a model file, or the model of a finished run's folder, was made of.

    Raises ValueError in one line where the file is none, holds no weights, or holds those of
    another network (another radar kind, another size).
    """
    file = path / 'model.onnx' if path.is_dir() else path
    try:
        properties = onnx.load(file).metadata_props
    except (OSError, DecodeError, ValueError) as error:
        raise ValueError(f'{file}: not a model to start from ({error})') from error
    packed = {entry.key: entry.value for entry in properties}.get(WEIGHTS_KEY)
    if packed is None:
        raise ValueError(f'{file}: the model file holds no weights to start from')
    with np.load(io.BytesIO(base64.b64decode(packed))) as arrays:
        state = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    other = [
        name
        for name in wanted.keys() | state.keys()
        if name not in state or wanted.get(name) != tuple(state[name].shape)
    ]
    if other:
        raise ValueError(
            f'{file}: the weights are of another network ({len(other)} tensors differ, '
            f'among them {sorted(other)[0]})'
        )
    model.load_state_dict(state)


def network_config(stored: dict[str, Any]) -> NetworkConfig:
    """The configuration that `dataclasses.asdict` and JSON made this of."""
    cube: dict[str, Any] | None = stored['cube']
    if cube is None:
        return NetworkConfig(**stored)
    cube = {name: tuple(v) if isinstance(v, list) else v for name, v in cube.items()}
    return NetworkConfig(**{**stored, 'cube': CubeConfig(**cube)})


def load_model(path: Path) -> tuple[CorrespondenceNetwork, ModelMetadata]:
    """Give the network that a model file was made of, and what the file says of itself.

    Raises ValueError in one line where the file is none of `train`'s, or is quantized.
    """
    try:
        properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
        metadata = ModelMetadata.from_json(properties[METADATA_KEY])
        quantized = 'quantization' in metadata.training
        config = None if quantized else network_config(json.loads(properties[NETWORK_KEY]))
    except (OSError, DecodeError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path}: not a model file of `train` ({error!r})') from error
    if config is None:
        raise ValueError(f'{path}: quantized, which keeps no weights: give the original')
    model = (CubeModel if config.cube else PointsModel)(config)
    load_weights(model, path)
    return model, metadata
