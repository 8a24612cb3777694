# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radar_camera_ssl.model_metadata import (
    RETURN_UNITS,
    CameraInput,
    CubeInput,
    Grid,
    ModelMetadata,
    ModelMetadataError,
    PointsInput,
)

POINTS = ModelMetadata(
    radar=PointsInput.of(('x', 'y', 'velocity', 'rcs'), 128),
    camera=CameraInput(240, 320),
    grid=Grid(30, 40),
    licence='Apache-2.0',
    calibration={'method': 'isotonic'},
    training={'drives': ['a', 'b'], 'metrics': {'pointing_accuracy': 0.9}},
)
CUBE = ModelMetadata(
    radar=CubeInput((64, 48, 32), (0.0, 60.0), (-1.0, 1.0), (-20.0, 20.0), returns=64),
    camera=CameraInput(240, 320, intrinsics=True, adapted_to=(720, 1280)),
    grid=Grid(30, 40),
    licence='Apache-2.0',
)

sides = st.integers(1, 16384)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec='utf-8')),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
free = st.dictionaries(st.text(st.characters(codec='utf-8')), json_values, max_size=4)


def limits(low: float, high: float) -> st.SearchStrategy[tuple[float, float]]:
    value = st.floats(low, high)
    return st.tuples(value, value).filter(lambda pair: pair[0] != pair[1])


points_inputs = st.builds(
    PointsInput.of,
    st.lists(st.sampled_from(['z', 'velocity', 'rcs']), unique=True).flatmap(
        lambda names: st.permutations(['x', 'y', *names])
    ),
    st.integers(1, 65536),
)
cube_inputs = st.builds(
    CubeInput,
    shape=st.tuples(sides, sides, sides),
    range_m=limits(0, 300),
    azimuth_rad=limits(-math.pi, math.pi),
    doppler_mps=limits(-100, 100),
    returns=st.integers(1, 65536),
)


@given(
    st.builds(
        ModelMetadata,
        radar=points_inputs | cube_inputs,
        camera=st.builds(
            CameraInput,
            sides,
            sides,
            st.just('bgr'),
            st.booleans(),
            st.none() | st.tuples(sides, sides),
        ),
        grid=st.builds(Grid, sides, sides),
        licence=st.text(st.characters(codec='utf-8'), min_size=1).filter(str.strip),
        calibration=free,
        training=free,
    )
)
def test_what_is_written_is_read(metadata: ModelMetadata) -> None:
    assert ModelMetadata.from_json(metadata.to_json()) == metadata


def checked_paths(value: Any, path: str = '') -> Iterator[tuple[str, list[str | int]]]:
    """Dotted path and keys of every member that is checked; calibration and training are free."""
    if isinstance(value, dict):
        for key, inner in value.items():
            dotted = f'{path}.{key}' if path else key
            yield dotted, [key]
            if dotted in ('calibration', 'training'):
                continue
            for inner_path, keys in checked_paths(inner, dotted):
                yield inner_path, [key, *keys]
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            dotted = f'{path}[{index}]'
            yield dotted, [index]
            for inner_path, keys in checked_paths(inner, dotted):
                yield inner_path, [index, *keys]


def cases(missing: bool) -> list[Any]:
    return [
        pytest.param(metadata, path, keys, id=f'{metadata.radar.kind}-{path}')
        for metadata in (POINTS, CUBE)
        for path, keys in checked_paths(json.loads(metadata.to_json()))
        if not (missing and (isinstance(keys[-1], int) or path == 'camera.adapted_to'))
    ]


def member(document: Any, keys: list[str | int]) -> Any:
    for key in keys:
        document = document[key]
    return document


def blamed(document: Any) -> str | None:
    """The field that the reader blames; None if it takes the document."""
    try:
        ModelMetadata.from_json(json.dumps(document))
    except ModelMetadataError as error:
        return error.field
    return None


@pytest.mark.parametrize(('metadata', 'path', 'keys'), cases(missing=True))
def test_a_missing_field_is_named(
    metadata: ModelMetadata, path: str, keys: list[str | int]
) -> None:
    document = json.loads(metadata.to_json())
    del member(document, keys[:-1])[keys[-1]]
    assert blamed(document) == path


@pytest.mark.parametrize(('metadata', 'path', 'keys'), cases(missing=False))
@given(wrong=st.sampled_from([None, 'nonsense', -1, 0.5, 10**9, [], ['x'], {'a': 1}]))
def test_a_wrong_value_is_named(
    metadata: ModelMetadata, path: str, keys: list[str | int], wrong: Any
) -> None:
    document = json.loads(metadata.to_json())
    parent, key = member(document, keys[:-1]), keys[-1]
    right = parent[key]
    parent[key] = copy.deepcopy(wrong)
    field = blamed(document)
    if field is None:
        # The few that are right after all: another number, another text, free content.
        assert isinstance(right, float | str) or path in ('calibration', 'training')
    else:
        # Blamed is the field itself, what is in it, or the short array that it is an entry of.
        assert field.startswith(path) or field == path.rpartition('[')[0]


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('', 'not JSON'),
        ('{', 'not JSON'),
        ('[]', 'not a JSON object'),
        ('{"schema": NaN}', 'NaN'),
        ('{"schema": 2}', 'reads schema 1, the model has 2'),
        ('[' * 100_000, 'not JSON'),
    ],
)
def test_a_document_that_is_none(text: str, told: str) -> None:
    with pytest.raises(ModelMetadataError, match=told):
        ModelMetadata.from_json(text)


def test_points_need_x_and_y() -> None:
    with pytest.raises(ModelMetadataError, match="'y' is missing") as caught:
        ModelMetadata(PointsInput.of(['x'], 4), CameraInput(8, 8), Grid(1, 1), 'MIT').to_json()
    assert caught.value.field == 'radar.fields'


def test_a_field_has_one_unit() -> None:
    text = POINTS.to_json().replace('dBsm', 'dB')
    with pytest.raises(ModelMetadataError, match='dBsm') as caught:
        ModelMetadata.from_json(text)
    assert caught.value.field == 'radar.fields[3].unit'


def test_a_field_is_there_once() -> None:
    text = POINTS.to_json().replace('velocity', 'x').replace('m/s', 'm')
    with pytest.raises(ModelMetadataError, match='twice') as caught:
        ModelMetadata.from_json(text)
    assert caught.value.field == 'radar.fields[2].name'


def test_what_cannot_be_read_is_not_written() -> None:
    with pytest.raises(ModelMetadataError, match='JSON'):
        ModelMetadata(
            POINTS.radar, POINTS.camera, POINTS.grid, 'MIT', calibration={'slope': math.nan}
        ).to_json()


def test_unknown_keys_are_ignored() -> None:
    document = json.loads(POINTS.to_json())
    document['camera']['lens'] = 'wide'
    assert ModelMetadata.from_json(json.dumps(document)) == POINTS


def test_field_names_are_in_the_tensor_order() -> None:
    names = tuple(RETURN_UNITS)[::-1]
    assert PointsInput.of(names, 1).field_names == names
