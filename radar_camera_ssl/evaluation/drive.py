# SPDX-License-Identifier: Apache-2.0
"""One drive's frames scored as they come: the model, its baselines and the oracle."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation import baselines
from radar_camera_ssl.evaluation.cube_strength import apparent_rcs, cell_power
from radar_camera_ssl.evaluation.drive_figures import DriveFigures
from radar_camera_ssl.evaluation.ground_truth import FrameTruth
from radar_camera_ssl.evaluation.metrics import Tally
from radar_camera_ssl.evaluation.moments import MomentPicker
from radar_camera_ssl.evaluation.oracle import ProjectionOracle, rcs_likelihood
from radar_camera_ssl.evaluation.replay import RadarFrame
from radar_camera_ssl.evaluation.retrieval import RetrievalProbe
from radar_camera_ssl.evaluation.scoring import (
    Answer,
    FrameScore,
    Prediction,
    raster_shape,
    sources_at_raster,
)
from radar_camera_ssl.evaluation.windows import WindowProbe
from radar_camera_ssl.inference.model import Correspondence, CorrespondenceModel
from radar_camera_ssl.model_metadata import CubeInput
from radar_camera_ssl.sensors.camera_image import ImageLike, resize_image
from radar_camera_ssl.sensors.ego_speed import MOVED_M, Odometer
from radar_camera_ssl.sensors.geometry import Intrinsics
from radar_camera_ssl.sensors.radar_points import RadarPoints

# Below this the scene has hardly changed: not another moment.
MISMATCH_S = 0.5
# A baseline that ignores a sensor must see a different scene.
BLIND_S = 2.0
_HELD_MOMENTS = 16
_HELD_EVERY_S = 0.4


@dataclass
class _Moment:
    stamp: int
    radar: RadarFrame
    truth: FrameTruth | None
    way_m: float
    uses: int = 0


class DriveEvaluation:
    """Accumulates figures over one drive, in memory that does not grow with its length.

    Feed it frames in order with `add`, then call `finish`. It runs the model again: on every frame
    for the windows of `WindowProbe`, on every `blind_stride`-th with an empty radar frame, with
    another moment's radar, and with another drive's, and at the end for `RetrievalProbe`.
    """

    def __init__(
        self,
        model: CorrespondenceModel,
        intrinsics: Intrinsics | None = None,
        oracle: ProjectionOracle | None = None,
        other_drive: Sequence[Sequence[RadarFrame]] = (),
        blind_stride: int = 4,
        seed: int = 0,
        name: str = '',
    ) -> None:
        """Start a drive.

        intrinsics: for angles, None without camera_info. oracle: None without extrinsics.
        other_drive: stretches of consecutive radar frames of another drive, for misaligned pairs.
        name: of the drive, for its best and worst moments.
        """
        self._model = model
        self._intrinsics = intrinsics
        self._oracle = oracle
        self._other_drive = list(other_drive)
        self._stride = blind_stride
        self._rng = np.random.default_rng(seed)
        self._moments: deque[_Moment] = deque(maxlen=_HELD_MOMENTS)
        self._by_row = model.metadata.radar.kind == 'points'
        self._grid = (model.metadata.grid.rows, model.metadata.grid.columns)
        self.figures = DriveFigures()
        self.figures.has_oracle = oracle is not None
        self._odometer = Odometer()
        # A generator of its own: what it draws must not move what the other probes draw.
        self._windows = WindowProbe(
            self._infer, self.figures.blocks, self._other_drive, np.random.default_rng([seed, 1])
        )
        self.figures.headings = self._windows.headings
        camera = model.metadata.camera
        self._input_size = (camera.height, camera.width)
        self._retrieval = RetrievalProbe(self._infer, self.figures.blocks, self._input_size)
        self._picker = MomentPicker(name)
        self._first: int | None = None

    def add(
        self,
        stamp: int,
        image: ImageLike,
        radar: RadarFrame,
        truth: FrameTruth | None,
        correspondence: Correspondence | None = None,
    ) -> Correspondence:
        """Score one pair (stamp in ns of its image); returns the model's answer.

        correspondence: the model's answer where the caller already has it. truth None: only what
        needs no ground truth is counted. Raises ValueError when the ground truth does not fit the
        pair.
        """
        if truth is not None and (problem := truth.misfit(image.shape, radar)):
            raise ValueError(problem)
        if correspondence is None:
            correspondence = self._infer(image, radar)
        tally = self.figures.blocks.at(stamp)
        if self.figures.fixed is None:
            self.figures.fixed = baselines.FixedMaps(self._grid, raster_shape(*image.shape[:2]))
        if self.figures.fixed.raster == raster_shape(*image.shape[:2]):
            self.figures.fixed.add_heatmap(correspondence.heatmap)
        returns, strength = self._with_strength(correspondence.returns, radar)
        projected = None
        if self._oracle is not None:
            size = (image.shape[0], image.shape[1])
            projected = self._oracle.answer(returns, size, self._grid)
            inside = np.asarray(projected.likelihood) > 0
            seen = inside & (correspondence.likelihood >= 0.5)
            tally.add_projection(correspondence.pixel, np.asarray(projected.pixel), seen)
        scorer = score = None
        if truth is not None:
            self.figures.frames_with_truth += 1
            source = truth.source_of(correspondence.returns, self._by_row)
            scorer = _Scorer(truth, source, self._margin(image), self._intrinsics)
            score = scorer.score(tally, correspondence)
            self._count_places(correspondence.returns, score)
            self._score_framewise(scorer, image, returns, correspondence)
            scorer.score(self.figures.baselines['rcs'], Answer(likelihood=strength))
            if projected is not None:
                scorer.score(self.figures.oracle_tally, projected)
        rows = correspondence.returns.as_array(('x', 'y', 'velocity', 'rcs'))
        way_m = self._odometer.add(stamp, rows)
        if self.figures.frames % self._stride == 0:
            self._probe(tally, stamp, way_m, image, scorer, correspondence)
            if not self._moments or abs(stamp - self._moments[-1].stamp) >= _HELD_EVERY_S * 1e9:
                self._moments.append(_Moment(stamp, radar, truth, way_m))
        self._windows.add(stamp, way_m, image, radar, correspondence)
        self._retrieval.add(stamp, way_m, image, radar, correspondence)
        self._first = stamp if self._first is None else self._first
        self._picker.add((stamp - self._first) * 1e-9, image, correspondence, score)
        self.figures.frames += 1
        return correspondence

    def finish(self, inferred: Callable[[], None] = lambda: None) -> None:
        """Count what only the whole drive tells, once all frames have passed.

        inferred: called after every inference.
        """
        self._retrieval.finish(inferred)
        self._picker.finish()
        self.figures.moments = self._picker.moments

    def missing(self) -> dict[str, str]:
        """Why figures that need no ground truth cannot be had from this drive, by their keys."""
        return {**self._windows.missing(), **self._retrieval.missing()}

    def _infer(self, image: ImageLike, radar: RadarFrame) -> Correspondence:
        return self._model.infer(image, radar, self._intrinsics)

    def _margin(self, image: ImageLike) -> tuple[float, float]:
        return image.shape[1] / self._grid[1], image.shape[0] / self._grid[0]

    def _count_places(self, returns: RadarPoints, score: FrameScore) -> None:
        if score.pointing is not None:
            self.figures.by_range.add(returns.range[score.visible], score.pointing)
            azimuth = np.rad2deg(returns.azimuth[score.visible])
            self.figures.by_azimuth.add(azimuth, score.pointing)

    def _score_framewise(
        self,
        scorer: _Scorer,
        image: ImageLike,
        returns: RadarPoints,
        correspondence: Correspondence,
    ) -> None:
        """Score the baselines that cost no inference: on every frame."""
        size = image.shape[0], image.shape[1]
        count, tallies = len(returns), self.figures.baselines
        scorer.score(tallies['centre'], baselines.centre(count, size, self._grid))
        seen = resize_image(image, *self._input_size)
        scorer.score(tallies['image_only'], baselines.image_only(seen, count, size, self._grid))
        prior = getattr(correspondence, 'prior_pixel', None)
        scorer.score(
            tallies['radar_only'],
            baselines.radar_only(returns, size, self._grid, self._intrinsics, prior),
        )

    def _with_strength(
        self, returns: RadarPoints, radar: RadarFrame
    ) -> tuple[RadarPoints, NDArray[np.float64]]:
        """Returns with their RCS, and the likelihood (N,) that each is true by strength alone.

        In a cube power tells more of that than RCS: what is far and faint is clutter more often.
        """
        axes = self._model.metadata.radar
        if isinstance(radar, RadarPoints) or not isinstance(axes, CubeInput):
            return returns, rcs_likelihood(returns.rcs)
        power = cell_power(radar, returns, axes)
        rcs = apparent_rcs(power, returns.range, axes)
        return replace(returns, rcs=rcs), rcs_likelihood(power)

    def _probe(
        self,
        tally: Tally,
        stamp: int,
        way_m: float,
        image: ImageLike,
        scorer: _Scorer | None,
        correspondence: Correspondence,
    ) -> None:
        """Run the model on what does not belong together."""
        empty = self._infer(image, self._nothing())
        tally.add_empty(empty.heatmap, (image.shape[0], image.shape[1]))
        if scorer is not None:
            scorer.score(self.figures.baselines['empty_radar'], Answer(heatmap=empty.heatmap))
        fixed = self.figures.fixed
        shape = raster_shape(*image.shape[:2])
        if scorer is not None and fixed is not None and fixed.raster == shape:
            fixed.add_truth(scorer.truth, scorer.source, scorer.positive)
        others = self._moments_away(stamp, MISMATCH_S)
        # A car that stands sees the same at every moment: nothing is misaligned.
        others = [other for other in others if way_m - other.way_m >= MOVED_M]
        if others:
            other = others[int(self._rng.integers(len(others)))]
            _add_twins(tally, correspondence, self._infer(image, other.radar))
        others = self._moments_away(stamp, BLIND_S)
        if others:
            # The least used: what is scored against its truth is an even sample of the drive.
            other = min(others, key=lambda moment: moment.uses)
            other.uses += 1
            swapped = self._infer(image, other.radar)
            self._score_swapped(scorer, image, swapped, other, len(correspondence.returns))
        if self._other_drive:
            stretch = self._other_drive[int(self._rng.integers(len(self._other_drive)))]
            foreign = stretch[int(self._rng.integers(len(stretch)))]
            _add_twins(tally, correspondence, self._infer(image, foreign))

    def _nothing(self) -> RadarFrame:
        """A radar frame without an echo: no returns, or a cube of the receiver's noise alone."""
        radar = self._model.metadata.radar
        if not isinstance(radar, CubeInput):
            return RadarPoints.empty()
        noise = self._rng.exponential(size=radar.shape)
        return (10.0 * np.log10(noise + 1e-6)).astype(np.float32)

    def _moments_away(self, stamp: int, least_s: float) -> list[_Moment]:
        return [m for m in self._moments if abs(m.stamp - stamp) >= least_s * 1e9]

    def _score_swapped(
        self,
        scorer: _Scorer | None,
        image: ImageLike,
        swapped: Correspondence,
        other: _Moment,
        count: int,
    ) -> None:
        """Score an answer to this image and another moment's radar against either moment."""
        if scorer is not None:
            pixel = None
            if len(swapped.returns):
                pixel = swapped.pixel[self._rng.integers(len(swapped.returns), size=count)]
            scorer.score(self.figures.baselines['another_radar'], Answer(swapped.heatmap, pixel))
        if other.truth is not None:
            source = other.truth.source_of(swapped.returns, self._by_row)
            there = _Scorer(other.truth, source, self._margin(image), self._intrinsics)
            there.score(
                self.figures.baselines['another_image'],
                Answer(swapped.heatmap, swapped.pixel, swapped.likelihood),
            )


def _add_twins(tally: Tally, aligned: Correspondence, misaligned: Correspondence) -> None:
    """Count the agreement of an image's own radar frame and of another, if both have returns."""
    if len(aligned.returns) and len(misaligned.returns):
        tally.add_agreement(aligned.agreement, aligned=True)
        tally.add_agreement(misaligned.agreement, aligned=False)


class _Scorer:
    """One frame's truth, prepared once for all predictions of it."""

    def __init__(
        self,
        truth: FrameTruth,
        source: NDArray[np.int64],
        margin: tuple[float, float],
        intrinsics: Intrinsics | None,
    ) -> None:
        self.truth = truth
        self.source = source
        self.positive = sources_at_raster(truth, raster_shape(*truth.instances.shape))
        self._margin = margin
        self._intrinsics = intrinsics

    def score(self, tally: Tally, prediction: Prediction) -> FrameScore:
        return tally.add_frame(
            prediction, self.source, self.truth, self._margin, self._intrinsics, self.positive
        )
