# SPDX-License-Identifier: Apache-2.0
"""Drives evaluated on a Ray cluster, one task each."""

from __future__ import annotations

import logging
import pickle
import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from radar_camera_ssl.evaluation.drive_result import DriveFailure
from radar_camera_ssl.evaluation.drive_run import DriveJob
from radar_camera_ssl.evaluation.jobs import Outcome, attempt
from radar_camera_ssl.evaluation.progress import DriveProgress, Progress, Word

_POLL_S = 0.5
_REACHED_WITHIN_S = 10.0
_LONGEST_ERROR = 300

Said = tuple[int, Word, int]


class ClusterError(RuntimeError):
    """A cluster that cannot be reached."""


def evaluate_on_cluster(
    jobs: Sequence[DriveJob], model_file: Path, address: str, progress: Progress
) -> list[Outcome]:
    """Evaluate drives as tasks of the Ray cluster at `address`, of one CPU each.

    address: as for `ray.init`: HOST:PORT of its head, `auto`, `ray://HOST:PORT`. This package is
    installed on all its nodes, and what the jobs name lies under the same paths there; a task
    that misses any of it is its drive's `DriveFailure`, as is one that is killed or loses its
    node. None is tried again. However this ends, no task is left.

    Raises ClusterError, and ModuleNotFoundError without Ray.
    """
    ray = _connected(address)
    try:
        return _evaluate(ray, jobs, model_file, progress)
    finally:
        ray.shutdown()


def _connected(address: str) -> Any:
    # An optional dependency: one machine needs none.
    import ray

    if (named := re.fullmatch(r'(?:ray://)?([^:/]+):(\d+)', address)) is not None:
        # Ray itself tries for minutes, and then ends the process.
        try:
            reached = (named[1], int(named[2]))
            socket.create_connection(reached, _REACHED_WITHIN_S).close()
        except (OSError, OverflowError) as error:
            raise ClusterError(f'no Ray cluster at {address}: {error}') from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise ClusterError(f'no Ray cluster at {address}: {_one_line(error)}') from error
    return ray


def _evaluate(
    ray: Any, jobs: Sequence[DriveJob], model_file: Path, progress: Progress
) -> list[Outcome]:
    mailbox = ray.remote(num_cpus=0)(_Mailbox).remote()
    task = ray.remote(num_cpus=1, max_retries=0)(_work)
    waiting = {
        task.remote(index, job, model_file, mailbox): index for index, job in enumerate(jobs)
    }
    outcomes: dict[int, Outcome] = {}
    try:
        while waiting:
            ended, _ = ray.wait(list(waiting), timeout=_POLL_S)
            # The node that has the mailbox may be lost: then only the progress is.
            with suppress(ray.exceptions.RayError):
                for index, word, pairs in ray.get(mailbox.take.remote()):
                    progress.hear(index, word, pairs)
            for reference in ended:
                index = waiting.pop(reference)
                outcomes[index] = _outcome(ray, reference, jobs[index])
                progress.end(index)
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)
    return [outcomes[index] for index in range(len(jobs))]


def _outcome(ray: Any, reference: Any, job: DriveJob) -> Outcome:
    try:
        outcome: Outcome = pickle.loads(ray.get(reference))
    except ray.exceptions.RayTaskError as error:
        # Its text is a traceback.
        return DriveFailure(job.path, str(error).strip().splitlines()[-1])
    except ray.exceptions.RayError as error:
        return DriveFailure(job.path, _one_line(error))
    return outcome


class _Mailbox:
    """What the tasks say, until it is fetched; an actor."""

    def __init__(self) -> None:
        self._said: list[Said] = []

    def put(self, said: Said) -> None:
        self._said.append(said)

    def take(self) -> list[Said]:
        said, self._said = self._said, []
        return said


def _work(index: int, job: DriveJob, model_file: Path, mailbox: Any) -> bytes:
    """Evaluate a drive on a node of the cluster; returns the outcome pickled.

    As an object of Ray's, its arrays would be read-only to the one who adds them up.
    """

    def tell(word: Word, pairs: int) -> None:
        mailbox.put.remote((index, word, pairs))

    outcome: Outcome
    needed = (job.path, model_file, *([job.part.parent] if job.part else []))
    if missing := [path for path in needed if not path.exists()]:
        where = f'not there on node {socket.gethostname()}'
        outcome = DriveFailure(job.path, f'{missing[0]}: {where}')
    else:
        progress = DriveProgress(tell)
        outcome = attempt(job, lambda: job.options.load(model_file), progress)
        progress.flush()
    return pickle.dumps(outcome)


def _one_line(error: BaseException) -> str:
    text = ' '.join(str(error).split())
    return text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 3] + '...'
