# SPDX-License-Identifier: Apache-2.0
"""Opening an ONNX Runtime session on the execution provider that was asked for, or not at all.

ONNX Runtime itself takes the CPU without an error when an accelerator is not in the build, or is
but does not initialise (a missing cuDNN, no device), or does but takes no operator of the model.
Here that is a refusal that says which of the three it was.
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _ort

from .accelerator_check import operators_by_provider
from .engine_cache import default_cache, engine_folder
from .errors import ModelError

CPU = 'CPUExecutionProvider'
CUDA = 'CUDAExecutionProvider'
TENSORRT = 'TensorrtExecutionProvider'

FP32, FP16 = 'fp32', 'fp16'
PRECISIONS = (FP32, FP16)

# A provider's name and its options, as ONNX Runtime takes them.
ProviderOptions = tuple[str, dict[str, Any]]

# What ONNX Runtime raises: its C++ statuses derive from Exception alone, so they are listed.
_STATUS = (
    'EPFail',
    'EngineError',
    'Fail',
    'InvalidArgument',
    'InvalidGraph',
    'InvalidProtobuf',
    'ModelLoaded',
    'NoModel',
    'NoSuchFile',
    'NotImplemented',
    'RuntimeException',
)
RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(getattr(_ort, name) for name in _STATUS if hasattr(_ort, name)),
)


@dataclass(frozen=True)
class OpenSession:
    """A session, the provider it really runs on, and why each preferred one was passed over.

    arithmetic: what the provider calculates with (`arithmetic_of`). engines: folder of its
    engines, where it builds such. operators: how many of the model's each provider has run in the
    first run; None for the CPU, which runs them all.
    """

    session: onnxruntime.InferenceSession
    provider: str
    passed_over: tuple[str, ...]
    arithmetic: str = FP32
    engines: Path | None = None
    operators: Counter[str] | None = None


def available_providers() -> list[str]:
    """Execution providers in this build of ONNX Runtime; being in the build is not yet working."""
    return list(onnxruntime.get_available_providers())


@dataclass(frozen=True)
class Acceleration:
    """How an accelerator is to run a model; nothing of it changes the CPU's answers.

    precision: FP32 or FP16 (`arithmetic_of` says what a provider makes of it). engine_cache:
    folder of all engines; None is the user's.
    """

    precision: str = FP32
    engine_cache: Path | None = None


SINGLE_PRECISION = Acceleration()


def arithmetic_of(provider: str, precision: str) -> str:
    """What a provider calculates in when it is asked for a precision: fp32, tf32 or fp16.

    TensorRT builds engines of half precision where they are faster (`trt_fp16_enable`); asked for
    single precision it takes TF32 (a mantissa of 10 bits, as in half precision) where the device
    has it, unless NVIDIA_TF32_OVERRIDE=0 is in the environment (an option is only asked for:
    microsoft/onnxruntime issue 26029). CUDA computes in the types of the graph: asked for half
    precision it may take TF32 (`use_tf32`, ONNX Runtime's own default), for single precision not.
    """
    if provider == TENSORRT:
        return FP16 if precision == FP16 else 'tf32'
    if provider == CUDA and precision == FP16:
        return 'tf32'
    return FP32


def open_session(
    model: bytes,
    providers: Sequence[str],
    allow_cpu_fallback: bool,
    threads: int,
    acceleration: Acceleration = SINGLE_PRECISION,
    *,
    first_run: Callable[[OpenSession], object],
) -> OpenSession:
    """Open ``model`` on the first of ``providers`` that works: it must run operators of it.

    ``first_run`` runs a session once, and raises what is wrong with the model.

    Raises :class:`ModelError` if the model does not load; if ``providers`` is empty; if an
    accelerator is among them, none of those asked for works, and ``allow_cpu_fallback`` is
    false (naming the CPU among the providers is no permission: it takes what an accelerator
    cannot run); and if TensorRT's engines have no folder.
    """
    if acceleration.precision not in PRECISIONS:
        raise ModelError(
            f'precision must be {" or ".join(PRECISIONS)}, is {acceleration.precision!r}'
        )
    if not providers:
        raise ModelError('no execution provider was asked for')
    if threads < 1:
        raise ModelError(f'threads must be at least 1, is {threads}')
    wanted = list(providers)
    if CPU in wanted:
        wanted = wanted[: wanted.index(CPU)]
    available = available_providers()
    passed_over: list[str] = []
    for index, provider in enumerate(wanted):
        if provider not in available:
            passed_over.append(f'{provider} is not in this build of ONNX Runtime')
            continue
        helpers = [p for p in wanted[index:] if p in available]
        engines = _engines(model, acceleration) if TENSORRT in helpers else None
        options = [(name, _options(name, acceleration, engines)) for name in helpers]
        with tempfile.TemporaryDirectory() as scratch:
            profile = Path(scratch) / 'profile'
            try:
                session = _create(model, [*options, (CPU, {})], threads, profile)
            except RUNTIME_ERRORS as error:
                open_on_cpu(model, threads)  # A broken model is not the accelerator's fault.
                old = f' (engines of another TensorRT? they are in {engines})' if engines else ''
                passed_over.append(f'{provider} failed to initialise: {one_line(error)}{old}')
                continue
            if session.get_providers()[:1] != [provider]:
                passed_over.append(
                    f'{provider} is in this build of ONNX Runtime but did not initialise '
                    "(its reason is in ONNX Runtime's own log line)"
                )
                continue
            arithmetic = arithmetic_of(provider, acceleration.precision)
            opened = OpenSession(session, provider, tuple(passed_over), arithmetic, engines)
            try:
                first_run(opened)
            except ModelError as error:
                # A broken model is not the accelerator's fault.
                first_run(OpenSession(open_on_cpu(model, threads), CPU, ()))
                passed_over.append(f'{provider} failed in its first run: {error}')
                continue
            operators = operators_by_provider(Path(session.end_profiling()))
        if operators[provider]:
            return replace(opened, operators=operators)
        passed_over.append(f'{provider} is there, but takes no operator of this model')
    if wanted and not allow_cpu_fallback:
        raise ModelError(
            f'{"; ".join(passed_over)}; this build has {", ".join(available)}, '
            'and falling back to the CPU is not allowed'
        )
    opened = OpenSession(open_on_cpu(model, threads), CPU, tuple(passed_over))
    first_run(opened)
    return opened


def open_on_cpu(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    """Open ``model`` on the CPU. Raises :class:`ModelError` if it does not load."""
    try:
        return _create(model, [(CPU, {})], threads)
    except RUNTIME_ERRORS as error:
        raise ModelError(f'ONNX Runtime cannot load the model: {one_line(error)}') from error


def _engines(model: bytes, acceleration: Acceleration) -> Path:
    cache = acceleration.engine_cache or default_cache()
    return engine_folder(cache, hashlib.sha256(model).hexdigest(), acceleration.precision)


def _options(provider: str, acceleration: Acceleration, engines: Path | None) -> dict[str, Any]:
    """Options of a provider, by the names that ONNX Runtime knows from 1.18 on.

    No shape profiles: `CorrespondenceModel` pads the returns, so that the first run shows TensorRT
    the only shapes there are. No hardware-compatible engines: they are slower, and the cache is
    of one device.
    """
    if provider == TENSORRT:
        return {
            'trt_fp16_enable': acceleration.precision == FP16,
            'trt_engine_cache_enable': True,
            'trt_engine_cache_path': str(engines),
            # Timings are of the device, not of the model: the next model builds faster.
            'trt_timing_cache_enable': True,
            'trt_timing_cache_path': str(engines and engines.parent),
        }
    if provider == CUDA:
        return {'use_tf32': int(acceleration.precision == FP16)}
    return {}


def _create(
    model: bytes, providers: Sequence[ProviderOptions], threads: int, profile: Path | None = None
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning pool keeps its cores busy between frames, on a machine with other nodes to run.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)
        # Without this, a provider that fails (here, or in a later run) is replaced in silence.
        return onnxruntime.InferenceSession(
            model, options, providers=list(providers), enable_fallback=0
        )


def one_line(error: Exception) -> str:
    """The error's text without line breaks, shortened to 300 characters."""
    text = ' '.join(str(error).split())
    return text if len(text) <= 300 else text[:297] + '...'
