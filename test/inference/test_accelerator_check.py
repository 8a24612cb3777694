# SPDX-License-Identifier: Apache-2.0
"""What an accelerator must show before it is used. ONNX Runtime's CPU plays the accelerator."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_factory import CUBE, tiny_metadata, write_tiny_model

from radar_camera_ssl.inference.accelerator_check import (
    Deviation,
    check_deviation,
    deviation,
    made_up_pairs,
    operators_by_provider,
)
from radar_camera_ssl.inference.model import Correspondence, CorrespondenceModel, ModelError
from radar_camera_ssl.inference.session import CPU, CUDA
from radar_camera_ssl.sensors.radar_points import RadarPoints


@pytest.mark.parametrize('kind', ['points', 'cube'])
def test_rounding_is_measured_and_allowed(accelerator: Any, tmp_path: Path, kind: str) -> None:
    accelerator(lambda name, value: value * np.float32(0.995) if name == 'heatmap' else value)
    model = CorrespondenceModel.load(write_tiny_model(tmp_path / 'm.onnx', kind), [CUDA])
    assert model.provider == CUDA
    assert model.deviation is not None
    assert 0.001 < model.deviation.likelihood <= 0.005
    assert model.deviation.moved == 0


def shifted(name: str, value: Any) -> Any:
    return value + 100 if name == 'pixel' else value


def flat(name: str, value: Any) -> Any:
    return np.full_like(value, 0.5) if name == 'heatmap' else value


def sure(name: str, value: Any) -> Any:
    return np.ones_like(value) if name == 'agreement' else value


@pytest.mark.parametrize(('change', 'told'), [(shifted, '100.0 %'), (flat, '0.'), (sure, '0.')])
def test_a_wrong_answer_is_refused(
    accelerator: Any, tiny_model: Path, change: Any, told: str
) -> None:
    accelerator(change)
    with pytest.raises(ModelError, match=rf"not give the CPU's answers: .*{told}"):
        CorrespondenceModel.load(tiny_model, [CUDA, CPU], allow_cpu_fallback=True)


def answer(*returns: tuple[float, float, float], likelihood: float = 0.8) -> Correspondence:
    """An answer with returns at (range, azimuth, Doppler), all of one pixel."""
    polar = np.array(returns, np.float32).reshape(-1, 3)
    distance, azimuth, velocity = polar.T
    position = np.stack(
        [distance * np.cos(azimuth), distance * np.sin(azimuth), 0 * azimuth], axis=1
    )
    count = len(polar)
    zeros = np.zeros(count, np.float32)
    return Correspondence(
        np.zeros((4, 4), np.float32),
        np.full(count, likelihood, np.float32),
        np.zeros((count, 2), np.float32),
        0.5,
        RadarPoints(position, velocity, zeros, np.arange(count, dtype=np.int32)),
        0,
    )


def moved_between(ours: Correspondence, theirs: Correspondence) -> float:
    metadata = tiny_metadata('cube')
    pair = np.zeros((240, 320, 3), np.uint8), np.zeros(CUBE.shape, np.float32), None
    found = deviation(metadata, lambda *_: ours, lambda *_: theirs, [pair])
    assert found.likelihood == 0
    return found.moved


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_a_cubes_return_is_the_same_within_a_bin(axis: int) -> None:
    limits = (CUBE.range_m, CUBE.azimuth_rad, CUBE.doppler_mps)
    size = (limits[axis][1] - limits[axis][0]) / CUBE.shape[axis]
    at = np.array([20.0, 0.1, -3.0])
    aside = np.eye(3)[axis] * size
    assert moved_between(answer(tuple(at + 0.9 * aside)), answer(tuple(at))) == 0
    assert moved_between(answer(tuple(at + 1.1 * aside)), answer(tuple(at))) == 1


def test_of_two_returns_nearby_each_is_compared_with_its_own() -> None:
    near, far = (20.0, 0.0, 0.0), (21.0, 0.0, 0.0)
    theirs = answer(near, far)
    theirs.pixel[1] = 200.0
    ours = answer(far, near)
    ours.pixel[0] = 200.0
    assert moved_between(ours, theirs) == 0
    ours.pixel[:] = ours.pixel[::-1].copy()
    assert moved_between(ours, theirs) == 1


def test_a_return_that_only_one_session_has_counts() -> None:
    one, other = (20.0, 0.0, 0.0), (40.0, 0.0, 0.0)
    assert moved_between(answer(one, other), answer(one)) == pytest.approx(0.5)
    assert moved_between(answer(one), answer(one, other)) == pytest.approx(0.5)
    assert moved_between(answer(one), answer()) == 1
    assert moved_between(answer(), answer(one)) == 1


def selected_otherwise(name: str, value: Any) -> Any:
    """A cube's returns in another order and with other last digits, which is no error."""
    if name == 'return_polar':
        value = value * np.float32(1 - 1e-6)
    return value[:, ::-1] if name in ('return_polar', 'pixel', 'likelihood') else value


def selected_elsewhere(name: str, value: Any) -> Any:
    return value * np.float32(0.8) if name == 'return_polar' else value


def test_a_cubes_returns_are_compared_in_any_order(
    accelerator: Any, tiny_cube_model: Path
) -> None:
    accelerator(selected_otherwise)
    model = CorrespondenceModel.load(tiny_cube_model, [CUDA])
    assert model.deviation == Deviation(0.0, 0.0)


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        (lambda name, value: shifted(name, selected_otherwise(name, value)), '100.0 %'),
        (lambda name, value: 1 - value if name == 'likelihood' else value, r'differ by 1\.0'),
        (selected_elsewhere, r' [1-9][0-9.]* % of the returns'),
        (lambda name, value: value * 0 if name == 'return_polar' else value, '100.0 %'),
    ],
)
def test_a_wrong_answer_about_a_cubes_returns_is_refused(
    accelerator: Any, tiny_cube_model: Path, change: Any, told: str
) -> None:
    accelerator(change)
    with pytest.raises(ModelError, match=rf"not give the CPU's answers: .*{told}"):
        CorrespondenceModel.load(tiny_cube_model, [CUDA])


def test_the_cpu_is_not_compared_with_itself(tiny_model: Path) -> None:
    assert CorrespondenceModel.load(tiny_model).deviation is None


@pytest.mark.parametrize('kind', ['points', 'cube'])
def test_made_up_pairs_are_the_same_every_time_and_lit(tmp_path: Path, kind: str) -> None:
    model = CorrespondenceModel.load(write_tiny_model(tmp_path / 'm.onnx', kind))
    assert check_deviation(model.metadata, model.infer, model.infer) == Deviation(0.0, 0.0)
    lit = [model.infer(*pair).likelihood.max() for pair in made_up_pairs(model.metadata)]
    assert min(lit) > 0.5


def test_what_runs_where_is_counted_once(
    accelerator: Any, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    accelerator()
    model = CorrespondenceModel.load(tiny_model, [CUDA])
    assert set(model.operators) == {CUDA}
    assert model.operators[CUDA] > 10
    assert model._session.end_profiling() == '', 'it is still being profiled'
    assert list(tmp_path.iterdir()) == []


def test_the_cpu_is_not_profiled(tiny_model: Path) -> None:
    model = CorrespondenceModel.load(tiny_model)
    assert model.operators is None
    assert model._session.end_profiling() == ''


def test_what_is_no_profile(tmp_path: Path) -> None:
    (tmp_path / 'p.json').write_text('nonsense')
    with pytest.raises(ModelError, match='cannot read the profile'):
        operators_by_provider(tmp_path / 'p.json')
