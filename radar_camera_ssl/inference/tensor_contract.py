# SPDX-License-Identifier: Apache-2.0
"""The tensors a model file must have, by its metadata, and the check that it has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from radar_camera_ssl.model_metadata import ModelMetadata, PointsInput

from .errors import ModelError


class RuntimeTensor(Protocol):
    """What ONNX Runtime tells of an input or output."""

    name: str
    type: str
    shape: Sequence[int | str | None]


@dataclass(frozen=True)
class Tensor:
    """A tensor by contract; each dimension with the metadata field that fixes it ('': always)."""

    name: str
    dtype: str
    shape: tuple[tuple[int, str], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape alone."""
        return tuple(size for size, _ in self.shape)

    @property
    def numpy_name(self) -> str:
        """The type by NumPy's name; ``dtype`` is ONNX Runtime's."""
        return 'float32' if self.dtype == 'float' else self.dtype


_BATCH = (1, '')


def input_tensors(metadata: ModelMetadata) -> list[Tensor]:
    """Inputs in the order image, points and mask (or cube), intrinsics."""
    camera, radar = metadata.camera, metadata.radar
    size = ((camera.height, 'camera.height'), (camera.width, 'camera.width'))
    tensors = [Tensor('image', 'uint8', (_BATCH, *size, (3, 'camera.colour')))]
    if isinstance(radar, PointsInput):
        count = (radar.max_returns, 'radar.max_returns')
        columns = (len(radar.fields), 'radar.fields')
        tensors.append(Tensor('points', 'float', (_BATCH, count, columns)))
        tensors.append(Tensor('mask', 'bool', (_BATCH, count)))
    else:
        bins = tuple((size, f'radar.shape[{i}]') for i, size in enumerate(radar.shape))
        tensors.append(Tensor('cube', 'float', (_BATCH, *bins)))
    if camera.intrinsics:
        field = 'camera.intrinsics'
        tensors.append(Tensor('intrinsics', 'float', (_BATCH, (3, field), (3, field))))
    return tensors


def output_tensors(metadata: ModelMetadata) -> list[Tensor]:
    """Outputs in the order heatmap, likelihood, pixel, agreement, return_polar (cube only)."""
    points = isinstance(metadata.radar, PointsInput)
    count = (metadata.radar.max_returns, 'radar.max_returns' if points else 'radar.returns')
    grid = metadata.grid
    cells = ((grid.rows, 'grid.rows'), (grid.columns, 'grid.columns'))
    tensors = [
        Tensor('heatmap', 'float', (_BATCH, *cells)),
        Tensor('likelihood', 'float', (_BATCH, count)),
        Tensor('pixel', 'float', (_BATCH, count, (2, ''))),
        Tensor('agreement', 'float', (_BATCH,)),
    ]
    if not points:
        tensors.append(Tensor('return_polar', 'float', (_BATCH, count, (3, ''))))
    return tensors


def optional_output_tensors(metadata: ModelMetadata) -> list[Tensor]:
    """Outputs a model may have: prior_pixel, what its geometry says of a return unseen."""
    points = isinstance(metadata.radar, PointsInput)
    count = (metadata.radar.max_returns, 'radar.max_returns' if points else 'radar.returns')
    return [Tensor('prior_pixel', 'float', (_BATCH, count, (2, '')))]


def check_tensors(
    metadata: ModelMetadata, inputs: Iterable[RuntimeTensor], outputs: Iterable[RuntimeTensor]
) -> None:
    """Hold a session's tensors against the metadata: name, type, rank, every static dimension.

    A dynamic dimension fits any size. Outputs beyond the contract are allowed, inputs are not.
    Raises :class:`ModelError` naming the tensor and the metadata field it does not fit.
    """
    expected = input_tensors(metadata)
    found = list(inputs)
    _check('input', expected, found)
    names = {tensor.name for tensor in expected}
    for tensor in found:
        if tensor.name not in names:
            raise ModelError(
                f'input {tensor.name!r} is not among those its metadata implies: {sorted(names)}',
                f'input {tensor.name}',
            )
    answers = list(outputs)
    present = {tensor.name for tensor in answers}
    optional = [t for t in optional_output_tensors(metadata) if t.name in present]
    _check('output', output_tensors(metadata) + optional, answers)


def _check(side: str, expected: Sequence[Tensor], found: Sequence[RuntimeTensor]) -> None:
    by_name = {tensor.name: tensor for tensor in found}
    for tensor in expected:
        where = f'{side} {tensor.name}'
        actual = by_name.get(tensor.name)
        if actual is None:
            raise ModelError(f'{where} is missing; the model has {sorted(by_name)}', where)
        if actual.type != f'tensor({tensor.dtype})':
            raise ModelError(f'{where} must be tensor({tensor.dtype}), is {actual.type}', where)
        # ONNX Runtime gives a tensor of unknown rank an empty shape, which only outputs may have.
        if len(actual.shape) != len(tensor.shape) and not (side == 'output' and not actual.shape):
            raise ModelError(
                f'{where} must have {len(tensor.shape)} dimensions, has {list(actual.shape)}',
                where,
            )
        for axis, (size, (wanted, field)) in enumerate(
            zip(actual.shape, tensor.shape, strict=False)
        ):
            if isinstance(size, int) and size != wanted:
                says = f"the metadata's {field} makes it" if field else 'it must be'
                raise ModelError(
                    f'{where} has size {size} along dimension {axis}, {says} {wanted}',
                    field or where,
                )
