# SPDX-License-Identifier: Apache-2.0
"""Bags to WebDataset shards, one folder per drive: what training reads, without any label.

The pairs come from the package's own pairing and decoding, so that what is learnt from is what
the vehicle will see. Only the topics of camera and radar, and the axes of the cube, are read.

    STORE/DRIVE/DRIVE-000000.tar ...   the pairs, in the order of the drive
    STORE/DRIVE/index.json             stamps, speeds and where in the shards each pair lies
    STORE/DRIVE/summary.json           what was taken from which bag, and what was dropped

The members of a pair: `jpg`, the image at the network's size; `returns.npy` (n, 4) float32 in the
order of POINT_FIELDS, where the bag has points; `cube.npy` (R, A, D) float16 dB, where it has a
cube; `json`, the stamps in ns and the gap in s.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import webdataset
from numpy.typing import NDArray

from radar_camera_ssl.learning.bag_pairs import BagPairs, BagSource
from radar_camera_ssl.learning.drives import POINT_FIELDS, SCHEMA
from radar_camera_ssl.sensors.camera_image import CameraImage
from radar_camera_ssl.sensors.ego_speed import drive_speeds, ego_speed, ego_speed_of_cube
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.pairing import Pair
from radar_camera_ssl.sensors.radar_cube import decode_cube
from radar_camera_ssl.sensors.radar_points import decode_points, decode_radar_scan
from radar_camera_ssl.sensors.recording import RecordingError

# Older ones let the flag pass unheeded, and store a quarter of the chroma.
if not hasattr(cv2, 'IMWRITE_JPEG_SAMPLING_FACTOR'):
    raise ModuleNotFoundError(
        f'JPEG with full chroma needs OpenCV 4.7; this is {cv2.__version__}',
        name='opencv-python-headless>=4.7',
    )

SHARD_BYTES = 256e6
# Four times smaller than the pixels, so that a drive streams from a disk or a network faster than
# it is learnt from. Full chroma, since a tail lamp is a few pixels wide at the network's size.
JPEG = (
    cv2.IMWRITE_JPEG_QUALITY,
    95,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
)


@dataclass(frozen=True)
class SampleFormat:
    """Sizes of what is stored: what the exported model will take."""

    height: int = 240
    width: int = 320
    max_returns: int = 128


@dataclass(frozen=True)
class ShardSettings:
    """Everything beside the bag that decides what is in its shards.

    slop_s: largest gap of a pair, s.
    """

    form: SampleFormat = field(default_factory=SampleFormat)
    slop_s: float = 0.05
    source: BagSource = field(default_factory=BagSource)

    def request(self, bag: Path) -> dict[str, Any]:
        """Tell what is wanted of a bag: the summary of shards that need no rewriting holds it.

        Sizes and times of the bag's files stand for their content: one that was recorded or
        corrected under an old name is read anew.
        """
        files = sorted(file for file in bag.rglob('*') if file.is_file()) or [bag]
        states = [(file.name, file.stat()) for file in files]
        wanted = {
            'schema': SCHEMA,
            'bag': str(bag.resolve()),
            'bag_files': [(name, state.st_size, state.st_mtime_ns) for name, state in states],
            'slop_s': self.slop_s,
            **asdict(self.form),
            'source': asdict(self.source),
        }
        return dict(json.loads(json.dumps(wanted)))


@dataclass
class _Drive:
    """What is known of a drive while its pairs are written, by pair."""

    stamps: list[int] = field(default_factory=list)
    radar_stamps: list[int] = field(default_factory=list)
    speeds: list[float] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    cube_shape: tuple[int, ...] | None = None
    incomplete: str | None = None


def write_drive(
    bag: Path,
    folder: Path,
    settings: ShardSettings,
    progress: Callable[[int], object] | None = None,
    seconds: float = math.inf,
) -> dict[str, Any]:
    """Write one bag's pairs as shards into `folder` and return the summary.

    The folder appears under its name only when it is complete, so that an interrupted run never
    leaves half a drive. progress is called with 1 for each pair. Nothing is read that comes more
    than `seconds` after the first pair. Where a bag breaks off, what
    could be read is taken, and the summary's `incomplete` says why it ended.
    Raises RecordingError where the bag cannot be read or has no fitting topic, and ValueError
    where it holds no usable pair or a cube whose axes nobody tells.
    """
    partial = folder.with_name(folder.name + '.partial')
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        summary = _convert(bag, partial, folder.name, settings, progress, seconds)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)
    return summary


def _convert(
    bag: Path,
    folder: Path,
    name: str,
    settings: ShardSettings,
    progress: Callable[[int], object] | None,
    seconds: float,
) -> dict[str, Any]:
    drive = _Drive()
    content = hashlib.sha256()
    # A percent sign in a folder's name is no place for the shard's number.
    pattern = str(folder.resolve() / name).replace('%', '%%') + '-%06d.tar'
    # Up to its first dot, a member's name is its pair's key.
    key = name.replace('.', '_')
    with (
        BagPairs(bag, settings.source, settings.slop_s) as pairs,
        # A fixed time: the same bag gives the same bytes.
        webdataset.ShardWriter(
            pattern, maxsize=SHARD_BYTES, verbose=0, encoder=False, mtime=0, format='PAX_FORMAT'
        ) as writer,
    ):
        try:
            for pair, points, cube in pairs:
                if drive.stamps and pair.image_stamp > drive.stamps[0] + seconds * 1e9:
                    break
                try:
                    members = _members(pair, points, cube, pairs, settings, drive)
                except SensorDataError as error:
                    drive.dropped[error.reason] += 1
                else:
                    writer.write({'__key__': f'{key}_{len(drive.stamps):06d}', **members})
                    for kind in sorted(members):
                        content.update(members[kind])
                    drive.stamps.append(pair.image_stamp)
                    drive.radar_stamps.append(pair.radar_stamp)
                if progress is not None:
                    progress(1)
        except RecordingError as error:
            drive.incomplete = str(error)
        else:
            drive.incomplete = '; '.join(pairs.damages) or None
        kinds, axes, unpaired = pairs.kinds, pairs.axes, pairs.unpaired
    if not drive.stamps:
        why = drive.incomplete or f'dropped: {dict(drive.dropped)}, without a partner: {unpaired}'
        raise ValueError(f'{bag}: no usable pair of radar {" and ".join(kinds)} and image; {why}')
    (folder / 'index.json').write_text(json.dumps(_index(folder, drive)))
    summary = {
        **settings.request(bag),
        'content_sha256': content.hexdigest(),
        'pairs': len(drive.stamps),
        'dropped': dict(drive.dropped),
        'unpaired': unpaired,
        'incomplete': drive.incomplete,
        'has_points': 'points' in kinds,
        'has_cube': 'cube' in kinds,
        'cube_shape': drive.cube_shape,
        'cube_axes': asdict(axes) if axes else None,
    }
    (folder / 'summary.json').write_text(json.dumps(summary, indent=2))
    return summary


def _members(
    pair: Pair, points: Any, cube_msg: Any, pairs: BagPairs, settings: ShardSettings, drive: _Drive
) -> dict[str, bytes]:
    """The members of a pair; appends its speed. SensorDataError where it is to be dropped."""
    form = settings.form
    image = CameraImage(pair.image).scaled(form.height, form.width)
    stamps = {'image': pair.image_stamp, 'radar': pair.radar_stamp, 'gap_s': pair.gap_s}
    members = {'jpg': _jpeg(image), 'json': json.dumps(stamps).encode()}
    speed = float('nan')
    if pairs.axes is not None:  # there is a cube
        if cube_msg is None:
            raise SensorDataError('cube_missing', 'no cube has the stamp of the points')
        cube = decode_cube(cube_msg)
        drive.cube_shape = drive.cube_shape or cube.shape
        if cube.shape != drive.cube_shape:
            raise SensorDataError('cube_shape_changed', f'{cube.shape} after {drive.cube_shape}')
        if np.abs(cube).max() > np.finfo(np.float16).max:
            raise SensorDataError('cube_not_db', 'power beyond any dB: is the cube linear?')
        members['cube.npy'] = _npy(cube.astype(np.float16))
        if points is None:
            speed = ego_speed_of_cube(cube, pairs.axes)
    if points is not None:
        returns = _returns(points, form.max_returns, dict(settings.source.aliases))
        members['returns.npy'] = _npy(returns)
        speed = ego_speed(returns)
    drive.speeds.append(speed)
    return members


def _returns(msg: Any, most: int, aliases: Mapping[str, str]) -> NDArray[np.float32]:
    """The strongest returns (n, 4) in the order of POINT_FIELDS."""
    scan = hasattr(msg, 'returns')
    points = decode_radar_scan(msg) if scan else decode_points(msg, POINT_FIELDS, aliases)
    return points.strongest(most).as_array(POINT_FIELDS)


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    done, jpeg = cv2.imencode('.jpg', image, JPEG)
    if not done:
        raise RuntimeError('OpenCV could not encode a JPEG image')
    return bytes(jpeg.tobytes())


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _index(folder: Path, drive: _Drive) -> dict[str, Any]:
    """Where each member lies: [shard, offset, bytes] by kind of member and pair."""
    shards = sorted(folder.glob('*.tar'))
    members: dict[str, list[tuple[int, int, int]]] = {}
    for number, shard in enumerate(shards):
        with tarfile.open(shard) as archive:
            for info in archive:
                kind = info.name.partition('.')[2]
                if kind != 'json':
                    members.setdefault(kind, []).append((number, info.offset_data, info.size))
    speeds = drive_speeds(drive.speeds).tolist()
    return {
        'shards': [shard.name for shard in shards],
        'stamps': drive.stamps,
        'radar_stamps': drive.radar_stamps,
        'speeds': [speed if np.isfinite(speed) else None for speed in speeds],
        'members': members,
    }
