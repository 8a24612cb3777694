# SPDX-License-Identifier: Apache-2.0
"""What the parameters of the node make of an accelerator, which ONNX Runtime's CPU plays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from radar_camera_ssl.inference.errors import ModelError
from radar_camera_ssl.inference.session import CPU, TENSORRT
from radar_camera_ssl.nodes.parameters import Settings
from radar_camera_ssl.nodes.session import open_session

REAL = onnxruntime.InferenceSession


class Tensorrt(REAL):  # type: ignore[misc]
    """A session on the CPU that says it were on TensorRT."""

    asked: dict[str, Any]

    def __init__(self, model: bytes, options: Any, providers: Any, **rest: Any) -> None:
        Tensorrt.asked = dict(providers) | getattr(Tensorrt, 'asked', {})
        super().__init__(model, options, providers=[CPU], **rest)

    def get_providers(self) -> list[str]:
        return [TENSORRT, CPU]

    def end_profiling(self) -> str:
        profile = Path(super().end_profiling())
        profile.write_text(profile.read_text().replace(CPU, TENSORRT))
        return str(profile)


@pytest.fixture(autouse=True)
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [TENSORRT, CPU])
    monkeypatch.setattr(onnxruntime, 'InferenceSession', Tensorrt)
    monkeypatch.delattr(Tensorrt, 'asked', raising=False)


def settings(model: Path, **values: Any) -> Settings:
    return Settings(model_path=str(model), providers=(TENSORRT, CPU), **values)


def test_precision_and_cache_are_used_and_told(tiny_model: Path, tmp_path: Path) -> None:
    facts = open_session(
        settings(tiny_model, precision='fp16', engine_cache=str(tmp_path / 'engines')),
        lambda *told: None,
    ).model_facts
    assert facts['provider'] == TENSORRT
    assert facts['provider.arithmetic'] == 'fp16'
    assert facts['provider.deviation'].startswith('likelihoods differ by 0.0000')
    assert (tmp_path / 'engines') in Path(facts['provider.engines']).parents
    assert Tensorrt.asked[TENSORRT]['trt_engine_cache_path'] == facts['provider.engines']
    assert Tensorrt.asked[TENSORRT]['trt_fp16_enable'] is True


def test_a_service_without_home_has_to_name_a_cache(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('HOME', raising=False)
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    with pytest.raises(ModelError, match='parameter engine_cache') as caught:
        open_session(settings(tiny_model), lambda *told: None)
    assert caught.value.field == 'engine_cache'
