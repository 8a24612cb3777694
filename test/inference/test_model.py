# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_factory import (
    CUBE,
    DROP_M,
    FOCAL_OVER_WIDTH,
    RCS_SLOPE,
    TensorProto,
    tiny_metadata,
    write_tiny_model,
)
from numpy.typing import NDArray

from radar_camera_ssl.inference.model import CorrespondenceModel, ModelError
from radar_camera_ssl.model_metadata import CameraInput, Grid
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.geometry import Intrinsics
from radar_camera_ssl.sensors.radar_points import RadarPoints

Image = NDArray[np.uint8]
MakePoints = Callable[[list[list[float]]], RadarPoints]


@pytest.fixture(scope='module')
def model(tiny_model: Path) -> CorrespondenceModel:
    return CorrespondenceModel.load(tiny_model)


@pytest.fixture(scope='module')
def cube_model(tiny_cube_model: Path) -> CorrespondenceModel:
    return CorrespondenceModel.load(tiny_cube_model)


def test_loading_tells_what_was_loaded(model: CorrespondenceModel, tiny_model: Path) -> None:
    assert model.metadata == tiny_metadata()
    assert model.sha256 == hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    assert model.provider == 'CPUExecutionProvider'
    assert model.passed_over == ()


def test_an_answer_per_return(
    model: CorrespondenceModel, image: Image, make_points: MakePoints
) -> None:
    returns = make_points([[20, 3, 1, 10], [8, -2, 0, -20], [40, 0, -5, 0]])
    before = image.copy()
    answer = model.infer(image, returns)
    assert answer.heatmap.shape == (30, 40)
    assert answer.heatmap.dtype == answer.likelihood.dtype == answer.pixel.dtype == np.float32
    expected = 1 / (1 + np.exp(-RCS_SLOPE * returns.rcs))
    np.testing.assert_allclose(answer.likelihood, expected, rtol=1e-5)
    assert 0 <= answer.heatmap.min() < answer.heatmap.max() <= answer.likelihood.max()
    assert answer.agreement == pytest.approx(answer.heatmap.max())
    assert answer.returns is returns
    assert answer.returns_dropped == 0
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(('height', 'width'), [(240, 320), (480, 640), (720, 1280), (33, 1000)])
def test_pixels_are_those_of_the_given_image(
    model: CorrespondenceModel, make_points: MakePoints, height: int, width: int
) -> None:
    x, y = 20.0, 3.0
    answer = model.infer(np.zeros((height, width, 3), np.uint8), make_points([[x, y, 0, 10]]))
    u = 159.5 - FOCAL_OVER_WIDTH * 320 * y / x
    v = 119.5 + FOCAL_OVER_WIDTH * 320 * DROP_M / x
    expected = [(u + 0.5) * width / 320 - 0.5, (v + 0.5) * height / 240 - 0.5]
    np.testing.assert_allclose(answer.pixel[0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ('size', 'adapted_to', 'told'),
    [
        ((480, 640), None, ''),
        ((488, 640), None, ''),
        ((720, 1280), None, 'images of 1280x720 are stretched.* 320x240'),
        ((640, 480), None, '480x640 are stretched'),
        ((720, 1280), (360, 640), ''),
        ((480, 640), (360, 640), '640x480 are stretched.* 640x360'),
    ],
)
def test_images_of_another_shape_than_the_model_knows_are_told(
    tmp_path: Path, size: tuple[int, int], adapted_to: tuple[int, int] | None, told: str
) -> None:
    metadata = tiny_metadata(camera=CameraInput(240, 320, adapted_to=adapted_to))
    model = CorrespondenceModel.load(
        write_tiny_model(tmp_path / 'model.onnx', description=metadata)
    )
    assert re.search(told, model.misfit(size)) if told else model.misfit(size) == ''


def test_the_heatmap_lies_where_the_pixel_is(
    model: CorrespondenceModel, make_points: MakePoints
) -> None:
    white = np.full((480, 640, 3), 255, np.uint8)
    answer = model.infer(white, make_points([[15, 4, 0, 30]]))
    row, column = np.unravel_index(answer.heatmap.argmax(), answer.heatmap.shape)
    cell = (np.array([column, row]) + 0.5) * 16 - 0.5
    assert np.abs(cell - answer.pixel[0]).max() <= 8


def test_the_answer_reads_the_image(model: CorrespondenceModel, make_points: MakePoints) -> None:
    returns = make_points([[15, 4, 0, 30]])
    black = model.infer(np.zeros((240, 320, 3), np.uint8), returns)
    white = model.infer(np.full((240, 320, 3), 255, np.uint8), returns)
    assert white.heatmap.max() == pytest.approx(2 * black.heatmap.max(), rel=1e-4)


def test_an_empty_radar_frame_is_answered(model: CorrespondenceModel, image: Image) -> None:
    answer = model.infer(image, RadarPoints.empty())
    assert answer.heatmap.shape == (30, 40)
    assert answer.heatmap.max() < 1e-3
    assert answer.likelihood.shape == (0,)
    assert answer.pixel.shape == (0, 2)
    assert answer.returns_dropped == 0


def test_the_strongest_returns_are_kept_and_the_rest_counted(
    model: CorrespondenceModel, image: Image, make_points: MakePoints
) -> None:
    rng = np.random.default_rng(3)
    rows = np.column_stack(
        [rng.uniform(5, 50, 200), rng.uniform(-9, 9, 200), rng.normal(size=200),
         rng.permutation(200) * 0.1]
    )  # fmt: skip
    answer = model.infer(image, make_points(rows.tolist()))
    assert len(answer.returns) == len(answer.likelihood) == len(answer.pixel) == 128
    assert answer.returns_dropped == 72
    np.testing.assert_array_equal(answer.returns.row, np.flatnonzero(rows[:, 3] > 7.15))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 140), min_size=2, max_size=5))
def test_no_answer_depends_on_others_before_it_or_at_the_same_time(
    tiny_model: Path, counts: list[int]
) -> None:
    rng = np.random.default_rng(5)
    frames = [
        (
            rng.integers(0, 256, (240, 320, 3), np.uint8),
            RadarPoints(
                rng.uniform(1, 40, (count, 3)).astype(np.float32),
                rng.normal(size=count).astype(np.float32),
                rng.normal(0, 10, count).astype(np.float32),
                np.arange(count, dtype=np.int32),
            ),
        )
        for count in counts
    ]
    shared = CorrespondenceModel.load(tiny_model)
    with ThreadPoolExecutor(3) as threads:
        kept = list(threads.map(lambda frame: shared.infer(*frame), frames))
    for frame, answer in zip(frames, kept, strict=True):
        fresh = CorrespondenceModel.load(tiny_model).infer(*frame)
        np.testing.assert_array_equal(answer.heatmap, fresh.heatmap)
        np.testing.assert_array_equal(answer.likelihood, fresh.likelihood)
        np.testing.assert_array_equal(answer.pixel, fresh.pixel)


@pytest.mark.parametrize('fields', [('x', 'y'), ('rcs', 'y', 'z', 'x'), ('y', 'x', 'velocity')])
def test_columns_go_in_the_order_of_the_metadata(
    tmp_path: Path, image: Image, make_points: MakePoints, fields: tuple[str, ...]
) -> None:
    path = write_tiny_model(tmp_path / 'm.onnx', description=tiny_metadata(fields=fields))
    answer = CorrespondenceModel.load(path).infer(image, make_points([[20, 5, 9, 10]]))
    assert answer.pixel[0, 0] == pytest.approx(319.5 - FOCAL_OVER_WIDTH * 640 * 5 / 20, abs=0.01)
    expected = 1 / (1 + np.exp(-RCS_SLOPE * 10)) if 'rcs' in fields else 0.5
    assert answer.likelihood[0] == pytest.approx(expected, abs=1e-5)


def test_a_model_of_a_dynamic_number_of_returns(
    tmp_path: Path, model: CorrespondenceModel, image: Image, make_points: MakePoints
) -> None:
    returns = make_points([[20, 3, 1, 10], [8, -2, 0, -20]])
    dynamic = CorrespondenceModel.load(write_tiny_model(tmp_path / 'm.onnx', dynamic=True))
    answer, expected = dynamic.infer(image, returns), model.infer(image, returns)
    np.testing.assert_allclose(answer.heatmap, expected.heatmap, atol=1e-6)
    np.testing.assert_allclose(answer.pixel, expected.pixel, atol=1e-4)


@pytest.mark.parametrize(('count', 'rows'), [(0, 16), (1, 16), (16, 16), (17, 32), (500, 128)])
def test_only_a_model_of_a_fixed_number_of_returns_is_given_padding_for_all(
    tmp_path: Path,
    model: CorrespondenceModel,
    image: Image,
    make_points: MakePoints,
    count: int,
    rows: int,
) -> None:
    returns = make_points([[5 + k, 0, 0, k] for k in range(count)])
    dynamic = CorrespondenceModel.load(write_tiny_model(tmp_path / 'm.onnx', dynamic=True))
    assert dynamic.feed(image, returns)['points'].shape == (1, rows, 4)
    assert dynamic.feed(image, returns)['mask'].sum() == min(count, 128)
    assert model.feed(image, returns)['points'].shape == (1, 128, 4)
    assert len(dynamic.infer(image, returns).likelihood) == min(count, 128)


def test_intrinsics_are_scaled_to_the_models_image(
    tmp_path: Path, image: Image, make_points: MakePoints
) -> None:
    metadata = tiny_metadata(camera=CameraInput(240, 320, intrinsics=True))
    path = write_tiny_model(tmp_path / 'm.onnx', description=metadata)
    model = CorrespondenceModel.load(path)
    matrix = np.array([[500.0, 0, 310.5], [0, 500, 239.5], [0, 0, 1]])
    returns, intrinsics = make_points([[20, 0, 0, 9]]), Intrinsics(640, 480, matrix)
    scaled = [[250, 0, (310.5 + 0.5) / 2 - 0.5], [0, 250, (239.5 + 0.5) / 2 - 0.5], [0, 0, 1]]
    np.testing.assert_allclose(model.feed(image, returns, intrinsics)['intrinsics'], [scaled])
    assert len(model.infer(image, returns, intrinsics).likelihood) == 1
    with pytest.raises(ModelError, match='intrinsics'):
        model.infer(image, returns)


def test_a_cube_gives_the_returns_the_network_selects(
    cube_model: CorrespondenceModel, image: Image
) -> None:
    cube = np.zeros(CUBE.shape, np.float32)
    cube[10, 5, 3], cube[20, 18, 12] = 60, 50
    answer = cube_model.infer(image, cube)
    assert len(answer.returns) == CUBE.returns
    np.testing.assert_array_equal(answer.returns.row, np.arange(CUBE.returns))
    distance, azimuth = 48 / 32 * np.array([10.5, 20.5]), -0.9 + 1.8 / 24 * np.array([5.5, 18.5])
    found = answer.returns.take(np.arange(2))
    np.testing.assert_allclose(found.range, distance, rtol=1e-5)
    np.testing.assert_allclose(found.azimuth, azimuth, rtol=1e-4)
    np.testing.assert_allclose(found.velocity, -16 + 2 * np.array([3.5, 12.5]), rtol=1e-5)
    np.testing.assert_array_equal(answer.returns.rcs, 0)
    assert answer.likelihood[:2].min() > 0.99
    assert answer.likelihood[2:].max() < 0.01
    assert answer.pixel[0, 0] > 320 > answer.pixel[1, 0]


def test_an_empty_cube_is_answered(cube_model: CorrespondenceModel, image: Image) -> None:
    assert cube_model.infer(image, np.full(CUBE.shape, -80, np.float32)).heatmap.max() < 1e-3


def test_a_cube_may_be_a_view(cube_model: CorrespondenceModel, image: Image) -> None:
    cube = np.random.default_rng(0).normal(size=CUBE.shape).astype(np.float32)
    cube[4, 4, 4] = 60
    view = cube.astype('>f4')
    expected = cube_model.infer(image, cube)
    np.testing.assert_array_equal(cube_model.infer(image, view).heatmap, expected.heatmap)


def test_the_other_radar_kind_is_refused(
    model: CorrespondenceModel, cube_model: CorrespondenceModel, image: Image
) -> None:
    with pytest.raises(ModelError, match='cube was given') as caught:
        model.infer(image, np.zeros(CUBE.shape, np.float32))
    assert caught.value.field == 'radar.kind'
    with pytest.raises(ModelError, match='points were given'):
        cube_model.infer(image, RadarPoints.empty())


def test_a_cube_of_another_shape_is_refused(cube_model: CorrespondenceModel, image: Image) -> None:
    with pytest.raises(SensorDataError) as caught:
        cube_model.infer(image, np.zeros((3, 2, 1), np.float32))
    assert caught.value.reason == 'cube_shape'


@pytest.mark.parametrize(
    ('bad', 'reason'),
    [
        (np.zeros((0, 5, 3), np.uint8), 'image_empty'),
        (np.zeros((5, 5), np.uint8), 'image_encoding'),
        (np.zeros((5, 5, 3), np.float32), 'image_encoding'),
    ],
)
def test_an_image_that_is_none(model: CorrespondenceModel, bad: Any, reason: str) -> None:
    with pytest.raises(SensorDataError) as caught:
        model.infer(bad, RadarPoints.empty())
    assert caught.value.reason == reason


def test_a_strided_image_is_taken(
    model: CorrespondenceModel, image: Image, make_points: MakePoints
) -> None:
    returns = make_points([[20, 3, 1, 10]])
    flipped = np.ascontiguousarray(image[:, ::-1])
    expected = model.infer(flipped, returns)
    np.testing.assert_array_equal(model.infer(image[:, ::-1], returns).heatmap, expected.heatmap)


METADATA = tiny_metadata()


@pytest.mark.parametrize(
    ('options', 'field', 'told'),
    [
        ({'written_metadata': None}, 'radar_camera_ssl', 'does not describe itself'),
        ({'written_metadata': '{}'}, 'schema', 'is missing'),
        ({'written_metadata': 'no json'}, '', 'not JSON'),
        ({'rename': {'image': 'picture'}}, 'input image', 'picture'),
        ({'rename': {'heatmap': 'heat'}}, 'output heatmap', 'heat'),
        ({'retype': {'image': TensorProto.FLOAT}}, 'input image', 'tensor(uint8)'),
        ({'retype': {'heatmap': TensorProto.DOUBLE}}, 'output heatmap', 'tensor(double)'),
        ({'drop_output': 'agreement'}, 'output agreement', 'is missing'),
        ({'written_metadata': tiny_metadata(max_returns=64)}, 'radar.max_returns', '64'),
        ({'written_metadata': tiny_metadata(fields=('x', 'y'))}, 'radar.fields', 'size 4'),
        ({'written_metadata': tiny_metadata(grid=Grid(15, 40))}, 'grid.rows', '15'),
        ({'written_metadata': tiny_metadata(grid=Grid(30, 20))}, 'grid.columns', '20'),
        (
            {'written_metadata': tiny_metadata(camera=CameraInput(120, 320))},
            'camera.height',
            '120',
        ),
        ({'written_metadata': tiny_metadata('cube')}, 'input cube', 'is missing'),
        (
            {'description': tiny_metadata(camera=CameraInput(240, 320, intrinsics=True)),
             'written_metadata': METADATA},
            'input intrinsics',
            'not among those',
        ),
        ({'short_output': 'likelihood'}, 'output likelihood', '127'),
        ({'scale_output': {'heatmap': float('nan')}}, 'output heatmap', 'not finite'),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_refused_by_field(
    tmp_path: Path, options: dict[str, Any], field: str, told: str
) -> None:
    path = write_tiny_model(tmp_path / 'm.onnx', **options)
    with pytest.raises(ModelError) as caught:
        CorrespondenceModel.load(path)
    assert caught.value.field == field
    assert told in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ('content', 'told'),
    [(b'', 'cannot load'), (b'nonsense', 'cannot load'), (None, 'no model file')],
)
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / 'm.onnx'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=told):
        CorrespondenceModel.load(path)


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 0.999))
def test_a_truncated_file_is_refused(
    tiny_model: Path, tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    content = tiny_model.read_bytes()
    path = tmp_path_factory.mktemp('cut') / 'm.onnx'
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match=r'm\.onnx'):
        CorrespondenceModel.load(path)


def test_a_run_that_throws_is_reported_and_the_next_one_works(
    tmp_path: Path, image: Image, make_points: MakePoints
) -> None:
    path = write_tiny_model(tmp_path / 'm.onnx', throw_above=900)
    model = CorrespondenceModel.load(path)
    with pytest.raises(ModelError, match='inference failed'):
        model.infer(image, make_points([[20, 0, 0, 950]]))
    assert len(model.infer(image, make_points([[20, 0, 0, 10]])).likelihood) == 1


def test_an_answer_that_is_not_finite_is_an_error(
    tmp_path: Path, image: Image, make_points: MakePoints
) -> None:
    model = CorrespondenceModel.load(write_tiny_model(tmp_path / 'm.onnx', nan_above=900))
    with pytest.raises(ModelError, match='heatmap is not finite'):
        model.infer(image, make_points([[20, 0, 0, 950]]))
    assert len(model.infer(image, make_points([[20, 0, 0, 10]])).likelihood) == 1


@pytest.mark.parametrize(
    ('output', 'factor', 'told'),
    [
        ('likelihood', 3.0, r'leaves \[0, 1\]'),
        ('heatmap', -1.0, r'leaves \[0, 1\]'),
        ('agreement', 9.0, r'leaves \[0, 1\]'),
        ('pixel', float('inf'), 'not finite'),
    ],
)
def test_an_answer_that_is_no_likelihood_is_an_error(
    tmp_path: Path, image: Image, make_points: MakePoints, output: str, factor: float, told: str
) -> None:
    path = write_tiny_model(tmp_path / 'm.onnx', scale_output={output: factor})
    model = CorrespondenceModel.load(path)
    with pytest.raises(ModelError, match=told) as caught:
        model.infer(image, make_points([[20, 0, 0, 10]]))
    assert caught.value.field == f'output {output}'
