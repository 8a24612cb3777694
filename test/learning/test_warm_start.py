# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

import onnx
from model_factory import tiny_metadata, write_tiny_model

from radar_camera_ssl.learning.cube_tokens import CubeConfig
from radar_camera_ssl.learning.model import CubeModel, PointsModel
from radar_camera_ssl.learning.network import NetworkConfig
from radar_camera_ssl.learning.warm_start import (
    WEIGHTS_KEY,
    load_model,
    load_weights,
    pack_weights,
)

CONFIG = NetworkConfig(height=120, width=160)


def model_file(path, weights: str | None):
    graph = onnx.helper.make_graph([], 'empty', [], [])
    model = onnx.helper.make_model(graph)
    if weights is not None:
        entry = model.metadata_props.add()
        entry.key, entry.value = WEIGHTS_KEY, weights
    path.parent.mkdir(exist_ok=True)
    onnx.save(model, path)
    return path


def test_a_model_goes_on_from_a_file_or_from_a_run(tmp_path):
    torch.manual_seed(0)
    trained = PointsModel(CONFIG)
    path = model_file(tmp_path / 'run' / 'model.onnx', pack_weights(trained))
    for source in (path, path.parent):
        torch.manual_seed(1)
        fresh = PointsModel(CONFIG)
        load_weights(fresh, source)
        for name, value in trained.state_dict().items():
            torch.testing.assert_close(fresh.state_dict()[name], value, rtol=0, atol=0)


def test_a_rig_of_another_image_size_may_start_from_it(tmp_path):
    path = model_file(tmp_path / 'model.onnx', pack_weights(PointsModel(CONFIG)))
    load_weights(PointsModel(NetworkConfig(height=240, width=320)), path)


def test_what_does_not_fit_is_one_clear_line(tmp_path):
    cube = CubeConfig((16, 12, 8), (0.0, 32.0), (-0.8, 0.8), (-16.0, 16.0))
    packed = pack_weights(PointsModel(CONFIG))
    path = model_file(tmp_path / 'model.onnx', packed)
    with pytest.raises(ValueError, match='another network'):
        load_weights(CubeModel(NetworkConfig(height=120, width=160, cube=cube)), path)
    with pytest.raises(ValueError, match='no weights'):
        load_weights(PointsModel(CONFIG), model_file(tmp_path / 'bare.onnx', None))
    (tmp_path / 'text.onnx').write_text('no model')
    for missing in ('text.onnx', 'nothing.onnx'):
        with pytest.raises(ValueError, match='not a model'):
            load_weights(PointsModel(CONFIG), tmp_path / missing)


def test_a_quantized_model_says_so(tmp_path):
    described = replace(tiny_metadata(), training={'quantization': {'of': 'another'}})
    path = write_tiny_model(tmp_path / 'int8.onnx', description=described)
    with pytest.raises(ValueError, match=r'int8\.onnx: quantized, which keeps no weights'):
        load_model(path)
