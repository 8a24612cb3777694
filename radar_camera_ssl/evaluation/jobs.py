# SPDX-License-Identifier: Apache-2.0
"""Drives evaluated one after another, or by several processes at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from radar_camera_ssl.evaluation.drive_result import DriveFailure, DriveResult
from radar_camera_ssl.evaluation.drive_run import DriveJob, evaluate_drive
from radar_camera_ssl.evaluation.progress import DriveProgress, Progress
from radar_camera_ssl.inference.model import CorrespondenceModel, ModelError
from radar_camera_ssl.sensors.recording import RecordingError

Outcome = DriveResult | DriveFailure

_END_WITHIN_S = 2.0
# What a recording or a machine can be at fault for: said as it is. Others are ours.
_EXPECTED = (RecordingError, ModelError, OSError, MemoryError)


def _failure(job: DriveJob, error: BaseException) -> DriveFailure:
    """Put an error into words; one that nobody expects, with its place in the code."""
    text = ' '.join(str(error).split()) or type(error).__name__
    if not isinstance(error, _EXPECTED):
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = f'{type(error).__name__}: {text} ({Path(place.filename).name}:{place.lineno})'
    return DriveFailure(job.path, text)


def evaluate_in_turn(
    jobs: Sequence[DriveJob], model: CorrespondenceModel, progress: Progress
) -> list[Outcome]:
    """Evaluate one drive after another.

    A drive that fails is a `DriveFailure`; where it is the only one, its error is raised.
    """
    outcomes: list[Outcome] = []
    for index, job in enumerate(jobs):
        told = DriveProgress(partial(progress.hear, index), every_s=0.0)
        if len(jobs) == 1:
            return [evaluate_drive(job, model, told)]
        outcomes.append(attempt(job, lambda: model, told))
        progress.end(index)
    return outcomes


def attempt(
    job: DriveJob, model: Callable[[], CorrespondenceModel], progress: DriveProgress
) -> Outcome:
    """Evaluate a drive, or say why it cannot be."""
    try:
        return evaluate_drive(job, model(), progress)
    except Exception as error:  # noqa: BLE001 - whatever it is, the others are evaluated
        return _failure(job, error)


def evaluate_in_processes(
    jobs: Sequence[DriveJob], model_file: Path, processes: int, progress: Progress
) -> list[Outcome]:
    """Evaluate drives, `processes` at a time, each in a process of its own.

    A process that dies, for want of memory say, is that drive's `DriveFailure`. However this
    ends, by Ctrl-C too, no process is left. The processes are spawned: a script that calls this
    needs its `if __name__ == '__main__'`.
    """
    context = multiprocessing.get_context('spawn')
    outcomes: dict[int, Outcome] = {}
    waiting = deque(enumerate(jobs))
    running: dict[Connection, tuple[int, Any]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                index, job = waiting.popleft()
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(job, model_file, sender))
                with _interrupts_kept_from_children():
                    process.start()
                sender.close()
                running[receiver] = index, process
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                index, process = running[ready]
                try:
                    message = ready.recv()
                except (EOFError, OSError):  # it died, between messages or within one
                    process.join()
                    message = DriveFailure(jobs[index].path, _died(process.exitcode))
                if isinstance(message, tuple):
                    progress.hear(index, *message)
                    continue
                outcomes[index] = message
                progress.end(index)
                process.join()
                ready.close()
                del running[ready]
    finally:
        _end([process for _, process in running.values()])
    return [outcomes[index] for index in range(len(jobs))]


def _work(job: DriveJob, model_file: Path, sender: Connection) -> None:
    """Evaluate a drive in a process of its own: sends what there is to tell, then the outcome."""

    def send(message: object) -> None:
        try:
            sender.send(message)
        except BrokenPipeError:
            # The process that wanted to know has been killed: nobody is left to work for.
            os._exit(1)

    progress = DriveProgress(lambda *message: send(message))
    outcome = attempt(job, lambda: job.options.load(model_file), progress)
    progress.flush()
    send(outcome)


@contextmanager
def _interrupts_kept_from_children() -> Iterator[None]:
    """Start processes within, and Ctrl-C is for this one alone: it ends the others."""
    if threading.current_thread() is not threading.main_thread():
        yield  # a thread gets no signals, nor do its children get this thread's mask
        return
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _end(processes: Sequence[Any]) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + _END_WITHIN_S
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.exitcode is None:
            process.kill()
            process.join()


def _died(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        why = ', as for want of memory' if name == 'SIGKILL' else ''
        return f'its process was ended by {name}{why}'
    return f'its process ended with code {code}'
