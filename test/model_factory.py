# SPDX-License-Identifier: Apache-2.0
"""Small, honest, deterministic model files for tests, and broken ones on request.

The tiny model obeys the tensor contract of a shipped one and reads both sensors: a return's pixel
is its pinhole projection in a camera looking along x, its likelihood grows with its RCS (0.5 at
0 dBsm; a cube's cell: with its power above the cube's mean), the heatmap is a splat of the
likelihoods, twice as strong where the image is white as where it is black. Built with
``onnx.helper`` at an opset and IR version that ONNX Runtime 1.14 already loads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from radar_camera_ssl.model_metadata import (
    METADATA_KEY,
    CameraInput,
    CubeInput,
    Grid,
    ModelMetadata,
    PointsInput,
)

FIELDS = ('x', 'y', 'velocity', 'rcs')
CUBE = CubeInput((32, 24, 16), (0.0, 48.0), (-0.9, 0.9), (-16.0, 16.0), returns=20)
FOCAL_OVER_WIDTH = 0.75
DROP_M = 0.8
SPLAT_PX = 12.0
RCS_SLOPE = 0.3
CUBE_OFFSET_DB = 12.0

_INPUT_TYPES = {'image': TensorProto.UINT8, 'mask': TensorProto.BOOL}


def tiny_metadata(
    kind: str = 'points',
    *,
    fields: Sequence[str] = FIELDS,
    max_returns: int = 128,
    cube: CubeInput = CUBE,
    camera: CameraInput | None = None,
    grid: Grid | None = None,
) -> ModelMetadata:
    """What :func:`write_tiny_model` writes into a file unless told otherwise."""
    return ModelMetadata(
        radar=PointsInput.of(fields, max_returns) if kind == 'points' else cube,
        camera=camera or CameraInput(240, 320),
        grid=grid or Grid(30, 40),
        licence='Apache-2.0',
        calibration={'method': 'none'},
        training={'drives': [], 'objective': 'none: a model for tests'},
    )


def write_tiny_model(
    path: str | Path,
    kind: str = 'points',
    *,
    description: ModelMetadata | None = None,
    written_metadata: ModelMetadata | str | None = '',
    dynamic: bool = False,
    throw_above: float | None = None,
    nan_above: float | None = None,
    slow_steps: int = 0,
    hang_above: float | None = None,
    rename: Mapping[str, str] | None = None,
    retype: Mapping[str, int] | None = None,
    drop_output: str | None = None,
    short_output: str | None = None,
    scale_output: Mapping[str, float] | None = None,
) -> Path:
    """Write a model to ``path`` and return it.

    ``description`` is what the graph is built for (``tiny_metadata(kind)``). The rest is for tests
    of failures: ``written_metadata`` is what the file says instead ('' the truth, None nothing);
    ``dynamic`` leaves the number of returns open; ``throw_above`` makes the run fail, and
    ``nan_above`` the heatmap not a number, once a real return's RCS in dBsm (a cube's power in dB)
    exceeds it; ``hang_above`` makes it take days then; ``slow_steps`` adds about half a
    millisecond each; ``rename`` and ``retype`` (to a TensorProto type) change tensors,
    ``drop_output`` removes one, ``short_output`` lacks its last entry at run time without the
    declared shape telling, ``scale_output`` multiplies by a factor.
    """
    metadata = description or tiny_metadata(kind)
    graph = _Graph()
    if isinstance(metadata.radar, PointsInput):
        inputs, power, lit = _read_points(graph, metadata.radar, dynamic)
    else:
        inputs, power, lit = _read_cube(graph, metadata.radar)
    outputs = _answer(graph, metadata, lit, kind=metadata.radar.kind)
    if throw_above is not None:
        outputs['agreement'] = _throw_above(graph, power, throw_above, outputs['agreement'])
    if nan_above is not None:
        hot = graph('Greater', power, graph.const(nan_above))
        outputs['heatmap'] = graph('Where', hot, graph.const(np.nan), outputs['heatmap'])
    if slow_steps:
        steps = graph.const(slow_steps, np.int64)
        outputs['agreement'] = _slow(graph, steps, outputs['agreement'])
    if hang_above is not None:
        over = graph('Greater', power, graph.const(hang_above))
        over = graph('Cast', over, to=TensorProto.INT64)
        steps = graph('Mul', over, graph.const(10**9, np.int64))
        outputs['agreement'] = _slow(graph, steps, outputs['agreement'])
    for name, factor in (scale_output or {}).items():
        outputs[name] = graph('Mul', outputs[name], graph.const(factor))
    if short_output:
        outputs[short_output] = _without_last(graph, outputs[short_output])
    if drop_output:
        del outputs[drop_output]

    count = 'N' if dynamic else metadata.radar.max_returns
    shapes: dict[str, tuple[int | str | None, ...]] = {
        'heatmap': (1, metadata.grid.rows, metadata.grid.columns),
        'likelihood': (1, count),
        'pixel': (1, count, 2),
        'agreement': (1,),
        'return_polar': (1, count, 3),
    }
    camera = metadata.camera
    inputs = {'image': (1, camera.height, camera.width, 3), **inputs}
    if camera.intrinsics:
        inputs['intrinsics'] = (1, 3, 3)
        spread = graph('ReduceMean', 'intrinsics', axes=[1, 2], keepdims=0)
        zero = graph('Mul', spread, graph.const(0.0))
        outputs['agreement'] = graph('Add', outputs['agreement'], zero)
    if short_output:
        shapes[short_output] = (1, 'surprise', *shapes[short_output][2:])
    rename, retype = dict(rename or {}), dict(retype or {})
    for name, source in outputs.items():
        cast = graph('Cast', source, to=retype.get(name, TensorProto.FLOAT))
        graph.nodes.append(helper.make_node('Identity', [cast], [rename.get(name, name)]))
    for name in inputs:
        original = _INPUT_TYPES.get(name, TensorProto.FLOAT)
        graph.read_as(name, rename.get(name, name), original if name in retype else None)
    proto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            'tiny',
            [
                helper.make_tensor_value_info(
                    rename.get(name, name),
                    retype.get(name, _INPUT_TYPES.get(name, TensorProto.FLOAT)),
                    shape,
                )
                for name, shape in inputs.items()
            ],
            [
                helper.make_tensor_value_info(
                    rename.get(name, name), retype.get(name, TensorProto.FLOAT), shapes[name]
                )
                for name in outputs
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid('', 16)],
        ir_version=8,
        producer_name='radar_camera_ssl tests',
    )
    if written_metadata == '':
        written_metadata = metadata
    if isinstance(written_metadata, ModelMetadata):
        written_metadata = written_metadata.to_json()
    if written_metadata is not None:
        helper.set_model_props(proto, {METADATA_KEY: written_metadata})
    onnx.checker.check_model(proto)
    path = Path(path)
    path.write_bytes(proto.SerializeToString())
    return path


class _Graph:
    """Nodes in order; calling it appends one and returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def __call__(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        names = [f't{len(self.nodes)}_{i}' for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, **attributes))
        return names[0]

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        name = f'c{len(self.constants)}'
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def read_as(self, name: str, actual: str, cast_to: int | None) -> None:
        """Let readers of ``name`` read the input ``actual``, cast back where its type is new."""
        if name == actual and cast_to is None:
            return
        inner = f'{name}_inner'
        for node in self.nodes:
            node.input[:] = [inner if i == name else i for i in node.input]
        if cast_to is None:
            first = helper.make_node('Identity', [actual], [inner])
        else:
            first = helper.make_node('Cast', [actual], [inner], to=cast_to)
        self.nodes.insert(0, first)


def _read_points(
    g: _Graph, radar: PointsInput, dynamic: bool
) -> tuple[dict[str, tuple[int | str, ...]], str, dict[str, str]]:
    count = 'N' if dynamic else radar.max_returns
    names = radar.field_names

    def column(name: str) -> str:
        if name not in names:
            return g('Mul', g('Cast', 'mask', to=TensorProto.FLOAT), g.const(0.0))
        return g('Gather', 'points', g.const(names.index(name), np.int64), axis=2)

    rcs = column('rcs')
    real = g('Cast', 'mask', to=TensorProto.FLOAT)
    likelihood = g('Mul', g('Sigmoid', g('Mul', rcs, g.const(RCS_SLOPE))), real)
    power = g('ReduceMax', g('Mul', rcs, real), axes=[0, 1], keepdims=0)
    lit = {'x': column('x'), 'y': column('y'), 'likelihood': likelihood}
    return {'points': (1, count, len(names)), 'mask': (1, count)}, power, lit


def _read_cube(
    g: _Graph, radar: CubeInput
) -> tuple[dict[str, tuple[int | str, ...]], str, dict[str, str]]:
    rows, columns, bins = radar.shape
    strongest = g('ReduceMax', 'cube', axes=[3], keepdims=0)
    doppler = g('ArgMax', 'cube', axis=3, keepdims=0)
    flat = g.const([1, rows * columns], np.int64)
    doppler = g('Reshape', doppler, flat)
    peak = g(
        'TopK',
        g('Reshape', strongest, flat),
        g.const([radar.returns], np.int64),
        outputs=2,
        axis=1,
    )
    where = peak[:-1] + '1'
    doppler = g('GatherElements', doppler, where, axis=1)
    width = g.const(columns, np.int64)

    def centre(index: str, limits: tuple[float, float], count: int) -> str:
        step = (limits[1] - limits[0]) / count
        scaled = g('Mul', g('Cast', index, to=TensorProto.FLOAT), g.const(step))
        return g('Add', scaled, g.const(limits[0] + 0.5 * step))

    range_m = centre(g('Div', where, width), radar.range_m, rows)
    azimuth = centre(g('Mod', where, width), radar.azimuth_rad, columns)
    velocity = centre(doppler, radar.doppler_mps, bins)
    mean = g('Unsqueeze', g('ReduceMean', 'cube', axes=[1, 2, 3], keepdims=0), _axes(g, 1))
    above = g('Sub', g('Sub', peak, mean), g.const(CUBE_OFFSET_DB))
    polar = [g('Unsqueeze', v, _axes(g, 2)) for v in (range_m, azimuth, velocity)]
    lit = {
        'x': g('Mul', range_m, g('Cos', azimuth)),
        'y': g('Mul', range_m, g('Sin', azimuth)),
        'likelihood': g('Sigmoid', above),
        'return_polar': g('Concat', *polar, axis=2),
    }
    power = g('ReduceMax', peak, axes=[0, 1], keepdims=0)
    return {'cube': (1, rows, columns, bins)}, power, lit


def _answer(g: _Graph, metadata: ModelMetadata, lit: dict[str, str], kind: str) -> dict[str, str]:
    height, width = metadata.camera.height, metadata.camera.width
    rows, columns = metadata.grid.rows, metadata.grid.columns
    focal = FOCAL_OVER_WIDTH * width
    ahead = g('Max', lit['x'], g.const(0.5))
    u = g('Sub', g.const(0.5 * width - 0.5), g('Mul', g.const(focal), g('Div', lit['y'], ahead)))
    v = g('Add', g.const(0.5 * height - 0.5), g('Div', g.const(focal * DROP_M), ahead))
    u = g('Clip', u, g.const(0.0), g.const(width - 1.0))
    v = g('Clip', v, g.const(0.0), g.const(height - 1.0))
    likelihood = lit['likelihood']

    def bump(position: str, pixels: int, cells: int, axis: int) -> str:
        centres = (np.arange(cells) + 0.5) * pixels / cells - 0.5
        centres = centres.reshape((1, 1, -1, 1) if axis == 2 else (1, 1, 1, -1))
        offset = g('Sub', g.const(centres), g('Unsqueeze', position, _axes(g, 2, 3)))
        return g('Exp', g('Mul', g('Mul', offset, offset), g.const(-0.5 / SPLAT_PX**2)))

    splat = g('Mul', bump(v, height, rows, 2), bump(u, width, columns, 3))
    splat = g('Mul', splat, g('Unsqueeze', likelihood, _axes(g, 2, 3)))
    splat = g('ReduceMax', splat, axes=[1], keepdims=0)
    image = g('ReduceMean', g('Cast', 'image', to=TensorProto.FLOAT), axes=[3], keepdims=0)
    cell = [height // rows, width // columns]
    light = g('AveragePool', g('Unsqueeze', image, _axes(g, 1)), kernel_shape=cell, strides=cell)
    light = g('Squeeze', light, _axes(g, 1))
    gain = g('Add', g.const(0.5), g('Mul', light, g.const(0.5 / 255)))
    heatmap = g('Mul', splat, gain)
    answer = {
        'heatmap': heatmap,
        'likelihood': likelihood,
        'pixel': g(
            'Concat', g('Unsqueeze', u, _axes(g, 2)), g('Unsqueeze', v, _axes(g, 2)), axis=2
        ),
        'agreement': g('ReduceMax', heatmap, axes=[1, 2], keepdims=0),
    }
    if kind == CubeInput.kind:
        answer['return_polar'] = lit['return_polar']
    return answer


def _throw_above(g: _Graph, power: str, limit: float, agreement: str) -> str:
    """Read a table of one entry beyond its end, which no runtime can answer."""
    over = g('Cast', g('Greater', power, g.const(limit)), to=TensorProto.INT64)
    index = g('Unsqueeze', g('Mul', over, g.const(1_000_000, np.int64)), _axes(g, 0))
    return g('Add', agreement, g('Gather', g.const([0.0]), index))


def _slow(g: _Graph, steps: str, agreement: str) -> str:
    """Square a matrix ``steps`` times: about half a millisecond each."""
    side = 320
    state = g.const(np.full((side, side), 1 / side))
    start = g('Add', state, g('Mul', g('ReduceMax', agreement, keepdims=0), g.const(0.0)))
    body = helper.make_graph(
        [
            helper.make_node('MatMul', ['m_in', 'm_in'], ['m_out']),
            helper.make_node('Identity', ['go_in'], ['go_out']),
        ],
        'step',
        [
            helper.make_tensor_value_info('i', TensorProto.INT64, ()),
            helper.make_tensor_value_info('go_in', TensorProto.BOOL, ()),
            helper.make_tensor_value_info('m_in', TensorProto.FLOAT, (side, side)),
        ],
        [
            helper.make_tensor_value_info('go_out', TensorProto.BOOL, ()),
            helper.make_tensor_value_info('m_out', TensorProto.FLOAT, (side, side)),
        ],
    )
    last = g('Loop', steps, g.const(True, np.bool_), start, body=body)
    zero = g('Mul', g('ReduceMax', last, keepdims=0), g.const(0.0))
    return g('Add', agreement, zero)


def _without_last(g: _Graph, tensor: str) -> str:
    """Cut along axis 1 at an index computed from the image, so that no shape inference sees it."""
    zero = g('Mul', g('Cast', 'image', to=TensorProto.FLOAT), g.const(0.0))
    end = g('Sub', g('ReduceMax', zero, keepdims=0), g.const(1.0))
    end = g('Unsqueeze', g('Cast', end, to=TensorProto.INT64), _axes(g, 0))
    return g('Slice', tensor, g.const([0], np.int64), end, g.const([1], np.int64))


def _axes(g: _Graph, *axes: int) -> str:
    return g.const(list(axes), np.int64)
