# SPDX-License-Identifier: Apache-2.0
"""From bags to drives: those that are not in the store yet are converted, several at a time."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2

from radar_camera_ssl.learning.bag_pairs import BagSource
from radar_camera_ssl.learning.drives import Drive
from radar_camera_ssl.learning.shards import SampleFormat, ShardSettings, write_drive

_POLL_S = 0.2


def prepare_drives(
    bags: Sequence[Path],
    store: Path,
    form: SampleFormat,
    slop_s: float = 0.05,
    *,
    source: BagSource | None = None,
    workers: int = 1,
    report: Callable[[str], object] = print,
    progress: Callable[[int], object] | None = None,
) -> list[Drive]:
    """Make sure that every bag's shards are in `store`, and open them, in the bags' order.

    Drives already there, whole and in this format, are not read again, so that an interrupted
    call resumes.
    report is called with a line for each drive that was written, progress with the number of
    pairs since the last call. workers: processes that convert a bag each; more than one starts
    Python anew, so a script must guard its main part by `if __name__ == '__main__'`.
    Drives are named after their bags; two bags of one name are refused (ValueError), since their
    shards would be mixed up. Raises RecordingError and ValueError for a bag that cannot be used,
    as `write_drive` does; what is complete by then stays.
    """
    settings = ShardSettings(form, slop_s, source or BagSource())
    names = [drive_name(bag) for bag in bags]
    doubled = [name for name, n in Counter(names).items() if n > 1]
    if doubled:
        raise ValueError(f'two bags have the same name: {", ".join(doubled)}')
    folders = [store / name for name in names]
    missing = [
        (bag, folder)
        for bag, folder in zip(bags, folders, strict=True)
        if not _holds(folder, bag, settings)
    ]
    advance = progress or (lambda pairs: None)
    if workers > 1 and len(missing) > 1:
        done = _in_processes(missing, settings, min(workers, len(missing)), advance)
    else:
        done = ((f.name, write_drive(b, f, settings, advance)) for b, f in missing)
    for number, (name, summary) in enumerate(done, 1):
        report(f'[{number}/{len(missing)}] {name}: {_told(summary)}')
    return [Drive(folder) for folder in folders]


def drive_name(bag: Path) -> str:
    """Name a bag's drive: after its folder, or after its only file."""
    bag = bag.resolve()
    return bag.stem if bag.is_file() else bag.name


def _told(summary: dict[str, Any]) -> str:
    """One line on what was taken and what was not."""
    line = f'{summary["pairs"]} pairs'
    if summary['dropped']:
        line += f', dropped: {summary["dropped"]}'
    if summary['incomplete']:
        line += f', incomplete: {summary["incomplete"]}'
    return line


def _holds(folder: Path, bag: Path, settings: ShardSettings) -> bool:
    """Tell whether the folder holds this bag's shards as they are wanted, and whole."""
    try:
        summary = json.loads((folder / 'summary.json').read_text())
        Drive(folder)  # raises where a shard is missing or cut off
        return all(summary[key] == value for key, value in settings.request(bag).items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _in_processes(
    missing: Sequence[tuple[Path, Path]],
    settings: ShardSettings,
    workers: int,
    advance: Callable[[int], object],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Convert bags in processes of their own; yields what is done, as it gets done."""
    # Spawned, not forked: OpenCV's and torch's threads do not survive a fork.
    context = get_context('spawn')
    counted, stop = context.Value('q', 0), context.Event()
    pool = ProcessPoolExecutor(
        workers, context, initializer=_start_worker, initargs=(counted, stop)
    )
    told = 0
    try:
        futures = {pool.submit(_work, b, f, settings): f.name for b, f in missing}
        waiting = set(futures)
        while waiting:
            finished, waiting = wait(waiting, _POLL_S, FIRST_COMPLETED)
            pairs = counted.value
            advance(pairs - told)
            told = pairs
            for future in finished:
                yield futures[future], future.result()
    finally:
        # A bag may take long: whoever interrupts, or meets an error, does not wait for the others.
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


_counted: Any = None
_stop: Any = None


def _start_worker(counted: Any, stop: Any) -> None:
    global _counted, _stop
    _counted, _stop = counted, stop
    # Ctrl-C is for the parent, which stops the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)


def _work(bag: Path, folder: Path, settings: ShardSettings) -> dict[str, Any]:
    return write_drive(bag, folder, settings, _count)


def _count(pairs: int) -> None:
    if _stop.is_set():
        raise InterruptedError('the conversion was stopped')
    with _counted.get_lock():
        _counted.value += pairs
