# SPDX-License-Identifier: Apache-2.0
"""Training samples: the pairs of each drive as arrays on disk, written once and memory-mapped.

The pairs come from the package's own pairing and decoding, so that what is learnt from is what
the vehicle will see. Only the camera and radar topics are read.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from radar_camera_ssl.sensors.camera import decode_image, resize_image
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.radar_points import RadarPoints, decode_points
from radar_camera_ssl.sensors.recording import Recording, read_pairs

POINT_FIELDS = ('x', 'y', 'velocity', 'rcs')
"""What a return is to the network: metres, metres per second and dBsm, in the radar's frame."""


@dataclass(frozen=True)
class SampleFormat:
    """Sizes of the arrays: what the exported model will take."""

    height: int = 240
    width: int = 320
    max_returns: int = 128


@dataclass(frozen=True)
class DriveSamples:
    """The pairs of one drive.

    images (n, height, width, 3) uint8 BGR; returns (n, max_returns, 4) float32 in the order of
    POINT_FIELDS, zero where there is none; counts (n,) int32 returns per pair; stamps (n,) int64
    nanoseconds of the image. All memory-mapped and read-only.
    """

    name: str
    images: np.ndarray
    returns: np.ndarray
    counts: np.ndarray
    stamps: np.ndarray

    def __len__(self) -> int:
        """Give the number of pairs."""
        return len(self.counts)

    @classmethod
    def load(cls, folder: Path) -> DriveSamples:
        """Map the arrays that `write_drive_samples` left in the folder."""
        arrays = {
            name: np.load(folder / f'{name}.npy', mmap_mode='r')
            for name in ('images', 'returns', 'counts', 'stamps')
        }
        return cls(name=folder.name, **arrays)


def write_drive_samples(
    bag: Path,
    folder: Path,
    form: SampleFormat,
    slop_s: float = 0.05,
    progress: Callable[[int], object] | None = None,
) -> dict:
    """Read one bag's pairs into `folder` and return a summary of what was taken and dropped.

    The folder appears under its name only when it is complete, so that an interrupted run never
    leaves half a drive. Raises RecordingError where the bag cannot be read and ValueError where
    it holds no usable pair.
    """
    partial = folder.with_name(folder.name + '.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    images: list[np.ndarray] = []
    returns: list[np.ndarray] = []
    counts: list[int] = []
    stamps: list[int] = []
    dropped: Counter[str] = Counter()
    with Recording(bag) as recording:
        for pair in read_pairs(recording, 'points', slop_s):
            try:
                image = resize_image(decode_image(pair.image), form.height, form.width)
                points = decode_points(pair.radar, POINT_FIELDS)
            except SensorDataError as error:
                dropped[error.reason] += 1
                continue
            array, count = pad_returns(points, form.max_returns)
            images.append(image)
            returns.append(array)
            counts.append(count)
            stamps.append(pair.image_stamp)
            if progress is not None:
                progress(1)
    if not images:
        shutil.rmtree(partial)
        raise ValueError(f'{bag}: no usable pair of radar points and image (dropped: {dropped})')
    np.save(partial / 'images.npy', np.stack(images))
    np.save(partial / 'returns.npy', np.stack(returns))
    np.save(partial / 'counts.npy', np.array(counts, np.int32))
    np.save(partial / 'stamps.npy', np.array(stamps, np.int64))
    summary = {'bag': str(bag), 'pairs': len(images), 'dropped': dict(dropped), **vars(form)}
    (partial / 'summary.json').write_text(json.dumps(summary, indent=2))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    return summary


def pad_returns(points: RadarPoints, max_returns: int) -> tuple[np.ndarray, int]:
    """Give the strongest returns as (max_returns, 4) float32, zero padded, and their number."""
    kept = points.strongest(max_returns)
    array = np.zeros((max_returns, len(POINT_FIELDS)), np.float32)
    array[: len(kept)] = kept.as_array(POINT_FIELDS)
    return array, len(kept)


def prepare_samples(
    bags: Sequence[Path],
    store: Path,
    form: SampleFormat,
    slop_s: float = 0.05,
    report: Callable[[str], object] = print,
) -> list[DriveSamples]:
    """Make sure that every bag's samples are in `store`, and map them.

    Drives already there in this format are not read again, so that an interrupted call resumes.
    Drives are named after their bags' folders; two bags of one name are refused (ValueError),
    since their samples would be mixed up.
    """
    names = [bag.resolve().name for bag in bags]
    doubled = [name for name, n in Counter(names).items() if n > 1]
    if doubled:
        raise ValueError(f'two bags have the same name: {", ".join(doubled)}')
    drives = []
    for number, (bag, name) in enumerate(zip(bags, names, strict=True), 1):
        folder = store / name
        if not _holds(folder, bag, form):
            summary = write_drive_samples(bag, folder, form, slop_s)
            report(f'[{number}/{len(bags)}] {name}: {summary["pairs"]} pairs')
        drives.append(DriveSamples.load(folder))
    return drives


def _holds(folder: Path, bag: Path, form: SampleFormat) -> bool:
    """Tell whether the folder holds this bag's samples in this format."""
    try:
        summary = json.loads((folder / 'summary.json').read_text())
    except (OSError, ValueError):
        return False
    return summary['bag'] == str(bag) and all(summary[k] == v for k, v in vars(form).items())
