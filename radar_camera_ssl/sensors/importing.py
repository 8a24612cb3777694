# SPDX-License-Identifier: Apache-2.0
"""Camera and radar data of any origin as a bag that everything here reads.

The pattern for an importer: say of each image and radar frame when it was taken and how it is
loaded; `import_drive` does the rest. See docs/IMPORTING.md and examples/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import messages
from .bag_writer import BagWriter
from .camera import decode_image
from .errors import SensorDataError
from .geometry import Intrinsics, RigidTransform
from .radar_points import decode_points

CAMERA_FRAME = 'camera_optical_frame'
RADAR_FRAME = 'radar'
IMAGE_TOPIC = '/camera/image_raw/compressed'
CAMERA_INFO_TOPIC = '/camera/camera_info'
POINTS_TOPIC = '/radar/points'
TF_STATIC_TOPIC = '/tf_static'

# A stamp's seconds are an int32.
_END_OF_STAMPS_NS = 2**31 * 1_000_000_000

# When it was taken, ns since the epoch, and how to load it.
ImageSource = tuple[int, Callable[[], bytes]]
RadarSource = tuple[int, Callable[[], NDArray[Any]]]


@dataclass
class ImportSummary:
    """What was written; what was left out, by reason, and what was wrong the first time."""

    images: int = 0
    radar_frames: int = 0
    returns: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    first_error: dict[str, str] = field(default_factory=dict)

    def drop(self, reason: str, error: str) -> None:
        """Count what was left out."""
        self.dropped[reason] += 1
        self.first_error.setdefault(reason, error)

    def __str__(self) -> str:
        written = (
            f'{self.images} images, {self.radar_frames} radar frames with {self.returns} returns'
        )
        lines = [
            f'left out, {reason}: {count} (first: {self.first_error[reason]})'
            for reason, count in sorted(self.dropped.items())
        ]
        return '\n'.join([written, *lines])


def import_drive(
    path: Path | str,
    images: Iterable[ImageSource],
    radar: Iterable[RadarSource],
    *,
    intrinsics: Intrinsics | None = None,
    camera_from_radar: RigidTransform | None = None,
    replace: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> ImportSummary:
    """Write a drive as a bag; returns what became of the frames.

    images: each loads the bytes of a JPEG or PNG file, which are kept as they are. radar: each
    loads a structured array (N,) whose fields are named as a driver would (`FIELD_ALIASES`): x, y
    and if measured z in m, x forward, y left; velocity in m/s, radial, receding positive; rcs in
    dBsm; any others go along. Stamps may be in any order; they become the bag times too.
    intrinsics: of the images as they are. camera_from_radar: takes points of the radar's frame to
    the camera's optical one (z forward, x right, y down). Without the two a bag serves training
    and evaluation as well, but for the projection oracle and figures in degrees. progress: called
    with frames done and their number.

    Frames that cannot be loaded or decoded, and those of a stamp that a message cannot hold or
    that was there before, are left out and counted. Raises FileExistsError as `BagWriter` does,
    and SensorDataError(`nothing_to_import`) where no image or no radar frame remains: then no bag
    is written.
    """
    frames: list[tuple[int, str, Callable[[], Any]]] = sorted(
        [(stamp, 'image', load) for stamp, load in images]
        + [(stamp, 'radar', load) for stamp, load in radar],
        key=lambda frame: frame[0],
    )
    summary = ImportSummary()
    with BagWriter(path, replace=replace) as bag:
        drive = _Drive(bag, intrinsics, camera_from_radar, summary)
        add: dict[str, Callable[[int, Any], None]] = {
            'image': drive.add_image,
            'radar': drive.add_radar,
        }
        latest = {'image': 0, 'radar': 0}
        for done, (stamp, sensor, load) in enumerate(frames, start=1):
            if not 0 < stamp < _END_OF_STAMPS_NS:
                summary.drop('stamp_out_of_range', f'{sensor} at {stamp} ns')
            elif stamp == latest[sensor]:
                summary.drop('stamp_repeated', f'{sensor} at {stamp} ns')
            else:
                try:
                    add[sensor](stamp, load())
                    latest[sensor] = stamp
                except SensorDataError as error:
                    summary.drop(error.reason, str(error))
                except FileNotFoundError as error:
                    summary.drop(f'{sensor}_file_missing', str(error.filename))
            if progress is not None:
                progress(done, len(frames))
        if not (summary.images and summary.radar_frames):
            raise SensorDataError('nothing_to_import', f'no drive in this: {summary}')
    return summary


class _Drive:
    """Writes one sensor's frames after the other's."""

    def __init__(
        self,
        bag: BagWriter,
        intrinsics: Intrinsics | None,
        camera_from_radar: RigidTransform | None,
        summary: ImportSummary,
    ) -> None:
        self._bag = bag
        self._intrinsics = intrinsics
        self._camera_from_radar = camera_from_radar
        self._summary = summary
        bag.add_topic(IMAGE_TOPIC, 'sensor_msgs/msg/CompressedImage')
        bag.add_topic(POINTS_TOPIC, 'sensor_msgs/msg/PointCloud2')
        if intrinsics is not None:
            bag.add_topic(CAMERA_INFO_TOPIC, 'sensor_msgs/msg/CameraInfo')
        if camera_from_radar is not None:
            bag.add_topic(TF_STATIC_TOPIC, 'tf2_msgs/msg/TFMessage', latched=True)

    def add_image(self, stamp: int, encoded: bytes) -> None:
        data = np.frombuffer(encoded, np.uint8)
        kind = 'png' if encoded.startswith(b'\x89PNG') else 'jpeg'
        label = messages.JPEG_FORMAT.replace('jpeg', kind)
        message = messages.compressed_image(stamp, CAMERA_FRAME, data, label)
        height, width = decode_image(message).shape[:2]
        k = self._intrinsics
        if k is not None and (width, height) != (k.width, k.height):
            raise SensorDataError(
                'image_size', f'{width}x{height} where the intrinsics say {k.width}x{k.height}'
            )
        self._start(stamp)
        self._bag.write(IMAGE_TOPIC, stamp, message)
        if k is not None:
            info = messages.camera_info(stamp, CAMERA_FRAME, k)
            self._bag.write(CAMERA_INFO_TOPIC, stamp, info)
        self._summary.images += 1

    def add_radar(self, stamp: int, points: NDArray[Any]) -> None:
        message = messages.point_cloud(stamp, RADAR_FRAME, points)
        decode_points(message, ('x', 'y'))
        self._start(stamp)
        self._bag.write(POINTS_TOPIC, stamp, message)
        self._summary.radar_frames += 1
        self._summary.returns += len(points)

    def _start(self, stamp: int) -> None:
        """Write the rig before the first frame."""
        started = self._summary.images or self._summary.radar_frames
        if started or self._camera_from_radar is None:
            return
        rig = {(CAMERA_FRAME, RADAR_FRAME): self._camera_from_radar}
        self._bag.write(TF_STATIC_TOPIC, stamp, messages.static_transforms(stamp, rig))
