# SPDX-License-Identifier: Apache-2.0
"""Opening an ONNX Runtime session on the execution provider that was asked for, or not at all.

ONNX Runtime itself takes the CPU without an error when an accelerator is not in the build, or is
but does not initialise (a missing cuDNN, no device). Here that is a refusal that says which of
the two it was.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as _ort

from .errors import ModelError

CPU = 'CPUExecutionProvider'

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
    """A session, the provider it really runs on, and why each preferred one was passed over."""

    session: onnxruntime.InferenceSession
    provider: str
    passed_over: tuple[str, ...]


def available_providers() -> list[str]:
    """Execution providers in this build of ONNX Runtime; being in the build is not yet working."""
    return list(onnxruntime.get_available_providers())


def open_session(
    model: bytes, providers: Sequence[str], allow_cpu_fallback: bool, threads: int
) -> OpenSession:
    """Open ``model`` on the first of ``providers`` that works.

    Raises :class:`ModelError` if the model does not load; if ``providers`` is empty; and if an
    accelerator is among them, none of those asked for initialises, and ``allow_cpu_fallback`` is
    false (naming the CPU among the providers is no permission: it takes what an accelerator
    cannot run).
    """
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
        try:
            session = _create(model, [*helpers, CPU], threads)
        except RUNTIME_ERRORS as error:
            _open_on_cpu(model, threads)  # A broken model is not the accelerator's fault.
            passed_over.append(f'{provider} failed to initialise: {one_line(error)}')
            continue
        taken = session.get_providers()
        if taken and taken[0] == provider:
            return OpenSession(session, provider, tuple(passed_over))
        passed_over.append(
            f'{provider} is in this build of ONNX Runtime but did not initialise '
            "(its reason is in ONNX Runtime's own log line)"
        )
    if wanted and not allow_cpu_fallback:
        raise ModelError(
            f'{"; ".join(passed_over)}; this build has {", ".join(available)}, '
            'and falling back to the CPU is not allowed'
        )
    return OpenSession(_open_on_cpu(model, threads), CPU, tuple(passed_over))


def _open_on_cpu(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    try:
        return _create(model, [CPU], threads)
    except RUNTIME_ERRORS as error:
        raise ModelError(f'ONNX Runtime cannot load the model: {one_line(error)}') from error


def _create(model: bytes, providers: Sequence[str], threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A spinning pool keeps its cores busy between frames, on a machine with other nodes to run.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
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
