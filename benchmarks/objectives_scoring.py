# SPDX-License-Identifier: Apache-2.0
"""Scores any objective with the package's own evaluation; see objectives.py.

A published objective points for a frame, not for a return. Two readings are tried: the frame's
peak for every return, and the peak of the heatmap for the cube with all but the return's own
neighbourhood silenced.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from tqdm import tqdm

from radar_camera_ssl.evaluation.drive import DriveEvaluation
from radar_camera_ssl.evaluation.drive_figures import DriveFigures
from radar_camera_ssl.evaluation.ground_truth import GroundTruthReader
from radar_camera_ssl.evaluation.metrics import Tally
from radar_camera_ssl.evaluation.oracle import ProjectionOracle
from radar_camera_ssl.evaluation.scoring import Answer
from radar_camera_ssl.evaluation.time_blocks import BlockedTally, confidence_95, total_of
from radar_camera_ssl.inference.model import Correspondence, CorrespondenceModel
from radar_camera_ssl.learning.bag_pairs import BagPairs, BagSource
from radar_camera_ssl.learning.objectives.two_stream import TwoStream
from radar_camera_ssl.model_metadata import CameraInput, Grid
from radar_camera_ssl.sensors.camera_image import CameraImage, resize_image
from radar_camera_ssl.sensors.geometry import Intrinsics, transform_chain
from radar_camera_ssl.sensors.radar_cube import CubeAxes, decode_cube
from radar_camera_ssl.sensors.radar_points import RadarPoints, decode_points
from radar_camera_ssl.sensors.recording import Recording

FIELDS = ('x', 'y', 'z', 'velocity', 'rcs')
SLOP_S = 0.05
OTHER_FRAMES = 64
# Bins to each side of a return that are its own: the windows' main lobes and the radar's noise.
OWN_BINS = (2, 2, 1)


@dataclass(frozen=True, eq=False)
class RadarFrame(RadarPoints):
    """The returns of a frame and the cube of the same stamp."""

    cube: NDArray[np.float32] | None = None


class OursExported:
    """Our model file, given whichever of a frame's data it reads."""

    def __init__(self, model: CorrespondenceModel) -> None:
        self._model, self.metadata = model, model.metadata

    def infer(
        self, image: NDArray[np.uint8], radar: Any, intrinsics: Intrinsics | None = None
    ) -> Correspondence:
        """Answer one pair."""
        reads_points = self.metadata.radar.kind == 'points'
        return self._model.infer(image, radar if reads_points else radar.cube, intrinsics)


class RivalInTorch:
    """A published objective behind the interface of a model: every return at the frame's peak."""

    def __init__(self, objective: TwoStream, axes: CubeAxes) -> None:
        config = objective.config
        assert config.cube is not None
        self._objective, self._axes = objective.eval(), axes
        self._size, self._shape = (config.height, config.width), config.cube.shape
        self._silence = np.zeros(self._shape, np.float32)
        self.metadata = SimpleNamespace(
            radar=SimpleNamespace(kind='points'),
            camera=CameraInput(*self._size),
            grid=Grid(config.rows, config.columns),
        )

    @torch.inference_mode()
    def infer(
        self, image: NDArray[np.uint8], radar: Any, intrinsics: Intrinsics | None = None
    ) -> Correspondence:
        """Answer one pair; a frame without a cube is as silent as the last one's median."""
        del intrinsics
        cube = getattr(radar, 'cube', None)
        if cube is None:
            cube = self._silence
        else:
            self._silence = np.full(self._shape, np.median(cube), np.float32)
        cells, power = self._cells(image), torch.from_numpy(np.array(cube))[None]
        code = self._objective.code(power)
        heatmap = self._objective.heat(cells, code)
        pixel, likelihood = peaks(heatmap.expand(len(radar), -1, -1), image.shape)
        return Correspondence(
            heatmap=heatmap[0].numpy(),
            likelihood=likelihood,
            pixel=pixel,
            agreement=float(self._objective.agreement(cells, code)),
            returns=radar,
            returns_dropped=0,
        )

    @torch.inference_mode()
    def by_part(self, image: NDArray[np.uint8], radar: RadarFrame) -> Answer:
        """The other reading: each return by the heatmap of its own part of the cube."""
        if not len(radar):
            return Answer(pixel=np.zeros((0, 2), np.float32))
        parts = torch.from_numpy(own_parts(radar, self._axes, self._shape))
        power = torch.from_numpy(np.array(radar.cube))[None]
        maps = self._objective.heatmaps_of_parts(self._cells(image), power, parts)
        pixel, likelihood = peaks(maps, image.shape)
        return Answer(pixel=pixel, likelihood=likelihood)

    def _cells(self, image: NDArray[np.uint8]) -> torch.Tensor:
        small = torch.from_numpy(resize_image(image, *self._size))
        return self._objective.cells(small.permute(2, 0, 1)[None].float() / 255.0)


def own_parts(
    radar: RadarPoints, axes: CubeAxes, shape: tuple[int, int, int]
) -> NDArray[np.bool_]:
    """Cells (N, R, A, D) of a cube around each return; Doppler folds, the other axes end."""
    limits = (axes.range_m, axes.azimuth_rad, axes.doppler_mps)
    masks = []
    for k, values in enumerate((radar.range, radar.azimuth, radar.velocity)):
        start, stop = limits[k]
        place = np.floor((values - start) / (stop - start) * shape[k]).astype(int)
        away = np.abs(np.arange(shape[k]) - place[:, None])
        if k == 2:
            away %= shape[k]
            away = np.minimum(away, shape[k] - away)
        masks.append(away <= OWN_BINS[k])
    return masks[0][:, :, None, None] & masks[1][:, None, :, None] & masks[2][:, None, None, :]


def peaks(
    maps: torch.Tensor, image_shape: tuple[int, ...]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pixel (N, 2) of the largest mean of 3x3 cells of each map (N, h, w), and its value there."""
    count, rows, columns = maps.shape
    if count == 0:
        return np.zeros((0, 2), np.float32), np.zeros(0, np.float32)
    mean = F.avg_pool2d(maps[:, None], 3, 1, 1, count_include_pad=False).flatten(1)
    best = mean.argmax(1)
    cell = torch.stack((best % columns, best // columns), 1).numpy()
    scale = np.array([image_shape[1] / columns, image_shape[0] / rows])
    value = maps.flatten(1).gather(1, best[:, None])[:, 0]
    return ((cell + 0.5) * scale - 0.5).astype(np.float32), value.numpy()


def frames_of(bag: Path) -> Iterator[tuple[Any, NDArray[np.uint8], RadarFrame]]:
    """Pair, decoded image, and returns with cube; pairs without a cube are left out."""
    with BagPairs(bag, BagSource(), SLOP_S) as pairs:
        for pair, points, cube in pairs:
            if cube is not None:
                frame = RadarFrame(**vars(decode_points(points, FIELDS)), cube=decode_cube(cube))
                yield pair, CameraImage(pair.image), frame


def evaluate(model: Any, bags: Sequence[Path]) -> dict[str, Any]:
    """Figures of a model over all bags, as `DriveFigures.values` gives them.

    Those of a rival's other reading, without baselines, are under `by_part`.
    """
    total: DriveFigures | None = None
    parts: list[Tally] = []
    grid = model.metadata.grid
    for number, bag in enumerate(bags):
        other = bags[(number + 1) % len(bags)]
        foreign = [frame for _, _, frame in itertools.islice(frames_of(other), OTHER_FRAMES)]
        drive: DriveEvaluation | None = None
        by_part = BlockedTally()
        with Recording(bag) as recording, GroundTruthReader(recording) as reader:
            intrinsics = recording.intrinsics()
            transforms = recording.static_transforms()
            for pair, image, frame in tqdm(frames_of(bag), desc=bag.name, unit='pair'):
                truth = reader.at(pair.image_stamp, pair.radar_stamp)
                if truth is None:
                    raise ValueError(f'{bag} holds no ground truth')
                if drive is None:
                    oracle = _oracle(intrinsics, transforms, pair)
                    strangers = [foreign] if other != bag else ()
                    drive = DriveEvaluation(model, intrinsics, oracle, strangers)
                drive.add(pair.image_stamp, image, frame, truth)
                if isinstance(model, RivalInTorch):
                    margin = image.shape[1] / grid.columns, image.shape[0] / grid.rows
                    by_part.at(pair.image_stamp).add_frame(
                        model.by_part(image, frame), truth.source_of(frame), truth, margin
                    )
        if drive is not None:
            drive.finish()
        parts += by_part.blocks
        if total is None:
            total = None if drive is None else drive.figures
        elif drive is not None:
            total.merge(drive.figures)
    if total is None:
        raise ValueError('no pair could be used')
    values = total.values()
    if parts:
        values['by_part'] = {**total_of(parts).values(), 'confidence_95': confidence_95(parts)}
    return values


def _oracle(
    intrinsics: Intrinsics | None, transforms: dict[Any, Any], pair: Any
) -> ProjectionOracle | None:
    camera, radar = (str(m.header.frame_id) for m in (pair.image, pair.radar))
    optical_from_radar = transform_chain(transforms, camera, radar)
    if intrinsics is None or optical_from_radar is None:
        return None
    return ProjectionOracle(intrinsics, optical_from_radar)
