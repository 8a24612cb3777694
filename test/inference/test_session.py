# SPDX-License-Identifier: Apache-2.0
"""Choice of the execution provider. Only ONNX Runtime's answer is faked: no test has a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from radar_camera_ssl.inference.errors import ModelError
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.inference.session import CPU, available_providers, open_session

TENSORRT, CUDA = 'TensorrtExecutionProvider', 'CUDAExecutionProvider'


class FakeRuntime:
    """ONNX Runtime of a build with accelerators, of which some initialise and some throw."""

    def __init__(self, build: Sequence[str], work: Sequence[str], throw: Sequence[str]) -> None:
        self.build, self.work, self.throw = build, work, throw
        self.asked: list[list[str]] = []

    def get_available_providers(self) -> list[str]:
        return [*self.build, CPU]

    def open(self, model: bytes, options: Any, providers: list[str], **rest: Any) -> Any:
        assert rest == {'enable_fallback': 0}
        self.asked.append(providers)
        if providers[0] in self.throw:
            raise RuntimeError(f'libcudnn.so.9: cannot open shared object ({providers[0]})')
        taken = [p for p in providers if p in self.work or p == CPU]
        return FakeSession(taken, options)


class FakeSession:
    def __init__(self, providers: list[str], options: onnxruntime.SessionOptions) -> None:
        self._providers, self.options = providers, options

    def get_providers(self) -> list[str]:
        return self._providers


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(
        build: Sequence[str] = (), work: Sequence[str] = (), throw: Sequence[str] = ()
    ) -> FakeRuntime:
        fake = FakeRuntime(build, work, throw)
        monkeypatch.setattr(onnxruntime, 'get_available_providers', fake.get_available_providers)
        monkeypatch.setattr(onnxruntime, 'InferenceSession', fake.open)
        return fake

    return install


def test_the_first_that_works_is_taken(runtime: Any) -> None:
    fake = runtime(build=[TENSORRT, CUDA], work=[TENSORRT, CUDA])
    opened = open_session(b'', [TENSORRT, CUDA, CPU], False, 1)
    assert opened.provider == TENSORRT
    assert opened.passed_over == ()
    assert fake.asked == [[TENSORRT, CUDA, CPU]]


def test_not_in_the_build_is_told_from_not_working(runtime: Any) -> None:
    runtime(build=[CUDA])
    with pytest.raises(ModelError) as caught:
        open_session(b'', [TENSORRT, CUDA, CPU], False, 1)
    text = str(caught.value)
    assert f'{TENSORRT} is not in this build' in text
    assert f'{CUDA} is in this build of ONNX Runtime but did not initialise' in text
    assert 'falling back to the CPU is not allowed' in text


def test_the_reason_of_one_that_throws_is_told(runtime: Any) -> None:
    runtime(build=[CUDA], throw=[CUDA])
    with pytest.raises(ModelError, match=r'failed to initialise: libcudnn\.so\.9'):
        open_session(b'', [CUDA], False, 1)


@pytest.mark.parametrize('throw', [[], [TENSORRT]])
def test_another_accelerator_that_was_asked_for_is_no_fallback(
    runtime: Any, throw: list[str]
) -> None:
    runtime(build=[TENSORRT, CUDA], work=[CUDA], throw=throw)
    opened = open_session(b'', [TENSORRT, CUDA, CPU], False, 1)
    assert opened.provider == CUDA
    assert len(opened.passed_over) == 1
    assert opened.passed_over[0].startswith(TENSORRT)


@pytest.mark.parametrize(
    ('build', 'throw'),
    [([], []), ([CUDA], []), ([CUDA], [CUDA])],
    ids=['absent', 'mute', 'throws'],
)
def test_the_cpu_is_taken_only_with_leave(
    runtime: Any, build: list[str], throw: list[str]
) -> None:
    runtime(build=build, throw=throw)
    with pytest.raises(ModelError):
        open_session(b'', [CUDA, CPU], False, 1)
    opened = open_session(b'', [CUDA, CPU], True, 1)
    assert opened.provider == CPU
    assert opened.passed_over[0].startswith(CUDA)


def test_the_cpu_first_is_the_cpu(runtime: Any) -> None:
    fake = runtime(build=[CUDA], work=[CUDA])
    assert open_session(b'', [CPU, CUDA], False, 1).provider == CPU
    assert fake.asked == [[CPU]]


def test_threads_and_no_spinning(runtime: Any) -> None:
    runtime()
    options = open_session(b'', [CPU], False, 3).session.options
    assert options.intra_op_num_threads == 3
    assert options.inter_op_num_threads == 1
    assert options.get_session_config_entry('session.intra_op.allow_spinning') == '0'


@pytest.mark.parametrize(('providers', 'threads'), [([], 1), ([CPU], 0)])
def test_wrong_use(providers: list[str], threads: int) -> None:
    with pytest.raises(ModelError):
        open_session(b'', providers, False, threads)


@pytest.mark.skipif(CUDA in available_providers(), reason='this build of ONNX Runtime has CUDA')
def test_the_real_runtime_does_not_fall_back_in_silence(
    tiny_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelError, match=f'{CUDA} is not in this build'):
        CorrespondenceModel.load(tiny_model, [CUDA, CPU])
    model = CorrespondenceModel.load(tiny_model, [CUDA, CPU], allow_cpu_fallback=True)
    assert model.provider == CPU
    assert model.passed_over == (f'{CUDA} is not in this build of ONNX Runtime',)
    assert capfd.readouterr() == ('', '')


def test_a_broken_model_is_not_blamed_on_the_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [CUDA, CPU])
    with pytest.raises(ModelError, match='cannot load the model'):
        open_session(b'nonsense', [CUDA, CPU], False, 1)
