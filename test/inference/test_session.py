# SPDX-License-Identifier: Apache-2.0
"""Choice of the execution provider. Only ONNX Runtime's answer is faked: no test has a GPU."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from radar_camera_ssl.inference import session
from radar_camera_ssl.inference.errors import ModelError
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.inference.session import (
    CPU,
    CUDA,
    TENSORRT,
    Acceleration,
    available_providers,
)

AZURE = 'AzureExecutionProvider'

open_session = partial(session.open_session, first_run=lambda opened: None)


class FakeRuntime:
    """ONNX Runtime of a build with accelerators.

    Some initialise and work, some only initialise, some throw.
    """

    def __init__(
        self, build: Sequence[str], work: Sequence[str], idle: Sequence[str], throw: Sequence[str]
    ) -> None:
        self.build, self.work, self.idle, self.throw = build, work, idle, throw
        self.asked: list[list[str]] = []
        self.options: dict[str, dict[str, Any]] = {}

    def get_available_providers(self) -> list[str]:
        return [*self.build, CPU]

    def open(self, model: bytes, options: Any, providers: list[Any], **rest: Any) -> Any:
        assert rest == {'enable_fallback': 0}
        self.options = dict(providers)
        names = list(self.options)
        self.asked.append(names)
        if names[0] in self.throw:
            raise RuntimeError(f'libcudnn.so.9: cannot open shared object ({names[0]})')
        taken = [name for name in names if name in (*self.work, *self.idle, CPU)]
        return FakeSession(taken, [name for name in taken if name not in self.idle], options)


class FakeSession:
    def __init__(
        self, providers: list[str], at_work: list[str], options: onnxruntime.SessionOptions
    ) -> None:
        self._providers, self._at_work, self.options = providers, at_work, options

    def get_providers(self) -> list[str]:
        return self._providers

    def end_profiling(self) -> str:
        path = Path(f'{self.options.profile_file_prefix}.json')
        ran = {'cat': 'Node', 'name': 'MatMul', 'args': {'provider': self._at_work[0]}}
        path.write_text(json.dumps([ran]))
        return str(path)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder for caches."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(
        build: Sequence[str] = (),
        work: Sequence[str] = (),
        idle: Sequence[str] = (),
        throw: Sequence[str] = (),
    ) -> FakeRuntime:
        fake = FakeRuntime(build, work, idle, throw)
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


def test_one_that_fails_in_its_first_run_is_passed_over(runtime: Any) -> None:
    fake = runtime(build=[TENSORRT, CUDA], work=[TENSORRT, CUDA])

    def first_run(opened: session.OpenSession) -> None:
        if opened.provider == TENSORRT:
            raise ModelError('inference failed: no kernel image for this device')

    opened = session.open_session(b'', [TENSORRT, CUDA, CPU], False, 1, first_run=first_run)
    assert opened.provider == CUDA
    assert opened.passed_over == (
        f'{TENSORRT} failed in its first run: inference failed: no kernel image for this device',
    )
    assert fake.asked == [[TENSORRT, CUDA, CPU], [CPU], [CUDA, CPU]]


def test_a_model_that_fails_everywhere_is_no_accelerators_fault(runtime: Any) -> None:
    runtime(build=[CUDA], work=[CUDA])

    def first_run(opened: session.OpenSession) -> None:
        raise ModelError(f'no such output on {opened.provider}')

    with pytest.raises(ModelError, match=f'^no such output on {CPU}$'):
        session.open_session(b'', [CUDA, CPU], True, 1, first_run=first_run)


@pytest.mark.parametrize('failure', [{}, {'throw': [TENSORRT]}, {'idle': [TENSORRT]}])
def test_another_accelerator_that_was_asked_for_is_no_fallback(
    runtime: Any, failure: dict[str, list[str]]
) -> None:
    runtime(build=[TENSORRT, CUDA], work=[CUDA], **failure)
    opened = open_session(b'', [TENSORRT, CUDA, CPU], False, 1)
    assert opened.provider == CUDA
    assert len(opened.passed_over) == 1
    assert opened.passed_over[0].startswith(TENSORRT)


@pytest.mark.parametrize(
    'failure',
    [{}, {'build': [CUDA]}, {'build': [CUDA], 'throw': [CUDA]}, {'build': [CUDA], 'idle': [CUDA]}],
    ids=['absent', 'mute', 'throws', 'idle'],
)
def test_the_cpu_is_taken_only_with_leave(runtime: Any, failure: dict[str, list[str]]) -> None:
    runtime(**failure)
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


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ModelError, match="precision must be fp32 or fp16, is 'int4'"):
        open_session(b'', [CPU], False, 1, Acceleration('int4'))


@pytest.mark.parametrize(
    ('provider', 'precision', 'arithmetic'),
    [
        (TENSORRT, 'fp16', 'fp16'),
        (TENSORRT, 'fp32', 'tf32'),
        (CUDA, 'fp16', 'tf32'),
        (CUDA, 'fp32', 'fp32'),
        (CPU, 'fp16', 'fp32'),
    ],
)
def test_what_is_calculated_in_is_asked_for_and_told(
    runtime: Any, provider: str, precision: str, arithmetic: str
) -> None:
    fake = runtime(build=[TENSORRT, CUDA], work=[TENSORRT, CUDA])
    opened = open_session(b'', [provider], False, 1, Acceleration(precision))
    assert opened.arithmetic == arithmetic
    assert fake.options[provider].get('trt_fp16_enable') in (None, arithmetic == 'fp16')
    assert fake.options[provider].get('use_tf32') in (None, int(arithmetic == 'tf32'))


def test_tensorrt_keeps_its_engines_by_model_and_precision(runtime: Any, cache: Path) -> None:
    fake = runtime(build=[TENSORRT, CUDA], work=[TENSORRT, CUDA])
    folders = []
    for model, precision in ((b'one', 'fp32'), (b'one', 'fp16'), (b'two', 'fp16')):
        opened = open_session(model, [TENSORRT, CUDA], False, 1, Acceleration(precision))
        options = fake.options[TENSORRT]
        assert options['trt_engine_cache_enable'] is options['trt_timing_cache_enable'] is True
        assert options['trt_engine_cache_path'] == str(opened.engines)
        assert options['trt_timing_cache_path'] == str(opened.engines.parent)
        assert 'trt_engine_cache_path' not in fake.options[CUDA]
        folders.append(opened.engines)
    assert len(set(folders)) == 3
    assert all(folder.is_dir() and cache in folder.parents for folder in folders)


def test_an_engine_that_does_not_load_is_named(runtime: Any, tmp_path: Path) -> None:
    runtime(build=[TENSORRT], throw=[TENSORRT])
    with pytest.raises(ModelError, match=rf'they are in {tmp_path}/engines/'):
        open_session(b'', [TENSORRT], False, 1, Acceleration('fp16', tmp_path / 'engines'))


def test_without_home_engines_need_a_folder(
    runtime: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runtime(build=[TENSORRT, CUDA], work=[TENSORRT, CUDA])
    monkeypatch.delenv('HOME', raising=False)
    monkeypatch.delenv('XDG_CACHE_HOME')
    with pytest.raises(ModelError, match='neither XDG_CACHE_HOME nor HOME is set') as caught:
        open_session(b'', [TENSORRT], False, 1)
    assert caught.value.field == 'engine_cache'
    assert open_session(b'', [CUDA], False, 1).engines is None
    opened = open_session(b'', [TENSORRT], False, 1, Acceleration(engine_cache=tmp_path))
    assert tmp_path in opened.engines.parents


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


@pytest.mark.skipif(AZURE not in available_providers(), reason='ONNX Runtime built without Azure')
def test_the_real_runtime_does_not_idle_in_silence(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    told = f'{AZURE} is there, but takes no operator of this model'
    with pytest.raises(ModelError, match=told):
        CorrespondenceModel.load(tiny_model, [AZURE, CPU])
    model = CorrespondenceModel.load(tiny_model, [AZURE, CPU], allow_cpu_fallback=True)
    assert model.provider == CPU
    assert model.passed_over == (told,)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_model_is_not_blamed_on_the_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [CUDA, CPU])
    with pytest.raises(ModelError, match='cannot load the model'):
        open_session(b'nonsense', [CUDA, CPU], False, 1)
