# SPDX-License-Identifier: Apache-2.0
"""What a model file says about itself: the JSON under one ONNX metadata key, typed and checked.

Written by the export in ``learning``, read by ``inference`` and ``nodes``; only the standard
library is used, so that every room may import it. A document that does not fit raises
:class:`ModelMetadataError`, which names the offending field by its dotted path. Keys this version
does not know are ignored, so that a later exporter may add some; what is removed or changes its
meaning raises ``schema``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

METADATA_KEY = 'radar_camera_ssl'
SCHEMA = 1

RETURN_UNITS: Mapping[str, str] = {
    'x': 'm',
    'y': 'm',
    'z': 'm',
    'velocity': 'm/s',
    'rcs': 'dBsm',
}
"""Fields of a radar return that a model may ask for, with the only unit each is given in."""

CUBE_AXES = ('range', 'azimuth', 'doppler')
IN_THE_GRAPH = 'in the graph'

_MAX_RETURNS = 65536
_MAX_SIDE = 16384


class ModelMetadataError(ValueError):
    """The metadata of a model is missing or wrong; ``field`` is the dotted path of what is."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f'{field}: {message}' if field else message)
        self.field = field


@dataclass(frozen=True)
class ReturnField:
    """One column of the ``points`` tensor."""

    name: str
    unit: str


@dataclass(frozen=True)
class PointsInput:
    """A model that reads radar returns: tensors ``points`` (1, N, F) and ``mask`` (1, N)."""

    kind: ClassVar[str] = 'points'

    fields: tuple[ReturnField, ...]
    max_returns: int
    normalisation: str = IN_THE_GRAPH

    @classmethod
    def of(cls, names: Iterable[str], max_returns: int) -> PointsInput:
        """Build from field names alone; each name has but one unit."""
        return cls(tuple(ReturnField(n, RETURN_UNITS.get(n, '')) for n in names), max_returns)

    @property
    def field_names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(f.name for f in self.fields)


@dataclass(frozen=True)
class CubeInput:
    """A model that reads a power cube: tensor ``cube`` (1, R, A, D), float32, dB.

    The limits are the outer edges of the first and the last bin: metres, radians (positive to
    the left) and metres per second (positive receding); an axis may run downwards. ``returns`` is
    the number K the network selects.
    """

    kind: ClassVar[str] = 'cube'

    shape: tuple[int, int, int]
    range_m: tuple[float, float]
    azimuth_rad: tuple[float, float]
    doppler_mps: tuple[float, float]
    returns: int
    axes: tuple[str, str, str] = ('range', 'azimuth', 'doppler')
    unit: str = 'dB'

    @property
    def max_returns(self) -> int:
        """Most returns in an answer: the same question as for a points model."""
        return self.returns


@dataclass(frozen=True)
class CameraInput:
    """The image the model takes: pixels, colour order, and whether it also takes intrinsics.

    ``adapted_to`` is the size (height, width) of the images of the rig that it was adapted to.
    Without it the model knows images of the shape of its input.
    """

    height: int
    width: int
    colour: str = 'bgr'
    intrinsics: bool = False
    adapted_to: tuple[int, int] | None = None


@dataclass(frozen=True)
class Grid:
    """Cells of the heatmap."""

    rows: int
    columns: int


@dataclass(frozen=True)
class ModelMetadata:
    """The whole self-description of a model file.

    ``calibration`` and ``training`` are free JSON objects (how likelihoods were calibrated;
    drives, objective, commit, date and metrics of the training): people read them, no code rests
    on them.
    """

    radar: PointsInput | CubeInput
    camera: CameraInput
    grid: Grid
    licence: str
    calibration: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_json(self) -> str:
        """Serialise; raises :class:`ModelMetadataError` where ``from_json`` would refuse."""
        document = {
            'schema': self.schema,
            'radar': {'kind': self.radar.kind, **asdict(self.radar)},
            'camera': {k: v for k, v in asdict(self.camera).items() if v is not None},
            'grid': asdict(self.grid),
            'calibration': self.calibration,
            'training': self.training,
            'licence': self.licence,
        }
        try:
            text = json.dumps(document, allow_nan=False, ensure_ascii=False)
        except (TypeError, ValueError) as error:
            raise ModelMetadataError('', f'not representable as JSON: {error}') from error
        ModelMetadata.from_json(text)
        return text

    @classmethod
    def from_json(cls, text: str) -> ModelMetadata:
        """Parse and check; :class:`ModelMetadataError` names the first field that is wrong."""
        try:
            document = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ModelMetadataError('', f'metadata is not JSON: {error}') from error
        if not isinstance(document, dict):
            raise ModelMetadataError('', f'metadata is not a JSON object but {_kind(document)}')
        top = _Object('', document)
        schema = top.integer('schema', 0, 10**6)
        if schema != SCHEMA:
            raise ModelMetadataError(
                'schema', f'this version reads schema {SCHEMA}, the model has {schema}'
            )
        camera = top.object('camera')
        grid = top.object('grid')
        return cls(
            radar=_radar(top.object('radar')),
            camera=_camera(camera),
            grid=Grid(
                rows=grid.integer('rows', 1, _MAX_SIDE),
                columns=grid.integer('columns', 1, _MAX_SIDE),
            ),
            licence=top.string('licence'),
            calibration=top.object('calibration').values,
            training=top.object('training').values,
            schema=schema,
        )


def _camera(camera: _Object) -> CameraInput:
    adapted_to = None
    if 'adapted_to' in camera.values:
        height, width = (
            _integer(value, f'{camera.path("adapted_to")}[{i}]', 1, _MAX_SIDE)
            for i, value in enumerate(camera.array('adapted_to', 2))
        )
        adapted_to = (height, width)
    return CameraInput(
        height=camera.integer('height', 1, _MAX_SIDE),
        width=camera.integer('width', 1, _MAX_SIDE),
        colour=camera.one_of('colour', ('bgr',)),
        intrinsics=camera.boolean('intrinsics'),
        adapted_to=adapted_to,
    )


def _radar(radar: _Object) -> PointsInput | CubeInput:
    if radar.one_of('kind', (PointsInput.kind, CubeInput.kind)) == PointsInput.kind:
        return PointsInput(
            fields=_return_fields(radar),
            max_returns=radar.integer('max_returns', 1, _MAX_RETURNS),
            normalisation=radar.one_of('normalisation', (IN_THE_GRAPH,)),
        )
    axes = radar.array('axes', 3)
    if tuple(axes) != CUBE_AXES:
        raise ModelMetadataError(radar.path('axes'), f'must be {list(CUBE_AXES)}, is {axes}')
    shape = radar.array('shape', 3)
    r, a, d = (
        _integer(v, f'{radar.path("shape")}[{i}]', 1, _MAX_SIDE) for i, v in enumerate(shape)
    )
    return CubeInput(
        shape=(r, a, d),
        range_m=radar.limits('range_m', 0.0, 1e5),
        azimuth_rad=radar.limits('azimuth_rad', -math.pi - 1e-6, math.pi + 1e-6),
        doppler_mps=radar.limits('doppler_mps', -1e4, 1e4),
        returns=radar.integer('returns', 1, _MAX_RETURNS),
        axes=CUBE_AXES,
        unit=radar.one_of('unit', ('dB',)),
    )


def _return_fields(radar: _Object) -> tuple[ReturnField, ...]:
    names: list[str] = []
    for i, value in enumerate(radar.array('fields', None)):
        path = f'{radar.path("fields")}[{i}]'
        if not isinstance(value, dict):
            raise ModelMetadataError(path, f'must be an object, is {_kind(value)}')
        column = _Object(path, value)
        name = column.one_of('name', tuple(RETURN_UNITS))
        if name in names:
            raise ModelMetadataError(column.path('name'), f'{name!r} is there twice')
        column.one_of('unit', (RETURN_UNITS[name],))
        names.append(name)
    for needed in ('x', 'y'):
        if needed not in names:
            raise ModelMetadataError(radar.path('fields'), f'{needed!r} is missing')
    return tuple(ReturnField(name, RETURN_UNITS[name]) for name in names)


class _Object:
    """A JSON object that knows its dotted path, with checked access to its members."""

    def __init__(self, path: str, values: dict[str, Any]) -> None:
        self._path = path
        self.values = values

    def path(self, name: str) -> str:
        return f'{self._path}.{name}' if self._path else name

    def _get(self, name: str) -> Any:
        if name not in self.values:
            raise ModelMetadataError(self.path(name), 'is missing')
        return self.values[name]

    def object(self, name: str) -> _Object:
        value = self._get(name)
        if not isinstance(value, dict):
            raise ModelMetadataError(self.path(name), f'must be an object, is {_kind(value)}')
        return _Object(self.path(name), value)

    def integer(self, name: str, low: int, high: int) -> int:
        return _integer(self._get(name), self.path(name), low, high)

    def boolean(self, name: str) -> bool:
        value = self._get(name)
        if not isinstance(value, bool):
            raise ModelMetadataError(self.path(name), f'must be true or false, is {_kind(value)}')
        return value

    def string(self, name: str) -> str:
        value = self._get(name)
        if not isinstance(value, str) or not value.strip():
            raise ModelMetadataError(self.path(name), f'must be a text, is {_kind(value)}')
        return value

    def one_of(self, name: str, known: tuple[str, ...]) -> str:
        value = self._get(name)
        if not isinstance(value, str) or value not in known:
            choice = ' or '.join(repr(k) for k in known)
            raise ModelMetadataError(self.path(name), f'must be {choice}, is {value!r}')
        return value

    def array(self, name: str, length: int | None) -> list[Any]:
        value = self._get(name)
        if not isinstance(value, list) or (length is not None and len(value) != length):
            wanted = 'an array' if length is None else f'an array of {length}'
            raise ModelMetadataError(self.path(name), f'must be {wanted}, is {value!r}')
        return value

    def limits(self, name: str, low: float, high: float) -> tuple[float, float]:
        """Two different numbers within [low, high]; an axis may run either way."""
        values = self.array(name, 2)
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ModelMetadataError(self.path(name), f'must be numbers, is {values!r}')
        inside = all(low <= value <= high for value in values)
        if not inside or values[0] == values[1]:
            raise ModelMetadataError(
                self.path(name), f'must differ, within [{low:g}, {high:g}]; is {values!r}'
            )
        return float(values[0]), float(values[1])


def _integer(value: Any, path: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ModelMetadataError(path, f'must be an integer, is {value!r}')
    if not low <= value <= high:
        raise ModelMetadataError(path, f'must lie in [{low}, {high}], is {value}')
    return value


def _kind(value: Any) -> str:
    names = {dict: 'an object', list: 'an array', str: f'{value!r}', type(None): 'null'}
    return names.get(type(value), repr(value))


def _refuse_constant(name: str) -> float:
    raise ValueError(f'{name} is not a JSON number')
