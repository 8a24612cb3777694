# SPDX-License-Identifier: Apache-2.0
"""Inputs of the inference tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from radar_camera_ssl.inference.session import CPU, CUDA
from radar_camera_ssl.sensors.radar_points import RadarPoints

pytest.importorskip('onnx', reason='the tests build their models with the onnx package')


@pytest.fixture
def image() -> NDArray[np.uint8]:
    """A VGA image without a flat spot."""
    return np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)


def radar_points(rows: Sequence[Sequence[float]]) -> RadarPoints:
    """Returns from rows of x, y, velocity, rcs."""
    table = np.array(rows, np.float32).reshape(-1, 4)
    position = np.column_stack([table[:, :2], np.zeros(len(table), np.float32)])
    return RadarPoints(
        position, table[:, 2].copy(), table[:, 3].copy(), np.arange(len(table), dtype=np.int32)
    )


@pytest.fixture
def make_points() -> object:
    """The function that makes returns from rows of x, y, velocity, rcs."""
    return radar_points


class Accelerated:
    """A real session on the CPU that says it were on an accelerator, and answers otherwise."""

    def __init__(
        self, real: Any, name: str, runs_on: str, change: Callable[[str, Any], Any]
    ) -> None:
        self._real, self._name, self._runs_on, self._change = real, name, runs_on, change

    def get_providers(self) -> list[str]:
        return [self._name, CPU]

    def run(self, names: Sequence[str], feed: dict[str, Any]) -> list[Any]:
        answers = self._real.run(names, feed)
        return [self._change(name, value) for name, value in zip(names, answers, strict=True)]

    def end_profiling(self) -> str:
        if path := self._real.end_profiling():
            profile = Path(path)
            profile.write_text(profile.read_text().replace(CPU, self._runs_on))
        return str(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have ONNX Runtime know an accelerator, whose answers are `change(name, value)`.

    runs_on: where its profile says that the operators ran, the accelerator if ''. engine: the
    file that it builds in its cache, if it is not there.
    """
    real = onnxruntime.InferenceSession

    def install(
        change: Callable[[str, Any], Any] = lambda name, value: value,
        name: str = CUDA,
        runs_on: str = '',
        engine: str = '',
    ) -> None:
        def create(model: bytes, options: Any, providers: list[Any], **rest: Any) -> Any:
            session = real(model, options, providers=[CPU], **rest)
            first, given = providers[0]
            if first != name:
                return session
            if engine and not (built := Path(given['trt_engine_cache_path'], engine)).exists():
                built.touch()
            return Accelerated(session, name, runs_on or name, change)

        monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [name, CPU])
        monkeypatch.setattr(onnxruntime, 'InferenceSession', create)

    return install
