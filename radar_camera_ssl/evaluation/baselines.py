# SPDX-License-Identifier: Apache-2.0
"""Predictions that ignore a sensor: a model that does not beat them has not learnt to match.

| name | knows | pixel | heatmap |
|---|---|---|---|
| `centre` | nothing | the image's centre | a Gaussian there |
| `best_fixed` | all answers | the cell that is right most often | density of sources |
| `mean_heatmap` | nothing of the frame | peak of the model's mean heatmap | that mean |
| `image_only` | the image | its most salient pixel | spectral residual saliency |
| `empty_radar` | the image | | the model's for an empty radar frame |
| `radar_only` | the radar | the model's prior, else azimuth in an unrotated camera | splat |
| `another_image` | the radar | the model's, given another moment's image | the model's for that |
| `another_radar` | the image | of a random return of another moment | the model's for that |
| `rcs` | the returns' strength: RCS, or the power of a cube's cells | | |
| `doppler` | the radar: its `doppler_heading`, against the median of the evaluation's own | | |
| `chance` | nothing: 0.5 of an AUROC, k of 16 of a recall at k | | |

`mean_heatmap` and `best_fixed` stand for the mean heatmap of the training drives, which a model
file does not hold. The mean over the very drives that are evaluated knows where their sources
tend to be; and `best_fixed` is chosen with their ground truth at hand: no map that is the same
for all frames, the training mean among them, has a higher AP, best F1 or pointing accuracy (but
for what ties give away), and none is better calibrated: its `ece` is 0 by construction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation import histograms
from radar_camera_ssl.evaluation.ground_truth import FrameTruth
from radar_camera_ssl.evaluation.metrics import METRIC_KEYS, expected_calibration_error
from radar_camera_ssl.evaluation.oracle import rcs_likelihood, sources_about, splat
from radar_camera_ssl.evaluation.retrieval import CHANCE
from radar_camera_ssl.evaluation.scoring import Answer, heatmap_at_raster, reliability_counts
from radar_camera_ssl.sensors.geometry import Intrinsics
from radar_camera_ssl.sensors.radar_points import RadarPoints

BASELINES = (
    'centre',
    'best_fixed',
    'mean_heatmap',
    'image_only',
    'empty_radar',
    'radar_only',
    'another_image',
    'another_radar',
    'rcs',
    'doppler',
    'chance',
)
_EVEN = ('ghost_auroc', 'mismatch_auroc', 'mismatch_auroc_2s', 'yaw_alarm_auroc')

_SALIENCY_SIDE = 64


def centre(count: int, image_size: tuple[int, int], grid: tuple[int, int]) -> Answer:
    """Every return at the image's centre; heatmap: a Gaussian of a quarter of the image's size.

    Source: the centre prior of the pointing game (Zhang et al., 2016), AVOL-Net's baseline.
    """
    height, width = image_size
    middle = np.array([[(width - 1) / 2, (height - 1) / 2]])
    quarter = np.array([[width, height]]) / 4
    heatmap = splat(middle, quarter, np.ones(1), image_size, grid)
    return Answer(heatmap, np.repeat(middle, count, axis=0))


def image_only(
    image: NDArray[np.uint8], count: int, image_size: tuple[int, int], grid: tuple[int, int]
) -> Answer:
    """What stands out of the image, without any radar: spectral residual saliency.

    image: (H, W, 3) uint8 BGR of any size of at least 64x64; image_size: that of the camera.

    Source: Hou and Zhang, "Saliency detection: a spectral residual approach", CVPR 2007.
    """
    small = cv2.resize(image, (_SALIENCY_SIDE, _SALIENCY_SIDE), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float32)
    spectrum = np.fft.fft2(grey)
    log_amplitude = np.log(np.abs(spectrum) + 1e-9).astype(np.float32)
    residual = log_amplitude - cv2.blur(log_amplitude, (3, 3))
    saliency = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    smooth = cv2.GaussianBlur(saliency.astype(np.float32), (0, 0), 2.5)
    at_grid = cv2.resize(smooth, (grid[1], grid[0]), interpolation=cv2.INTER_AREA)
    heatmap: NDArray[np.float32] = np.array(at_grid, np.float32)
    heatmap /= max(float(heatmap.max()), 1e-12)
    row, column = np.unravel_index(int(np.argmax(heatmap)), grid)
    peak = cell_centre(int(row), int(column), image_size, grid)
    return Answer(heatmap, np.repeat(peak[None], count, axis=0))


def radar_only(
    returns: RadarPoints,
    image_size: tuple[int, int],
    grid: tuple[int, int],
    intrinsics: Intrinsics | None,
    prior_pixel: NDArray[np.floating[Any]] | None = None,
) -> Answer:
    """Where radar alone would point: the model's geometric prior, where it has that output.

    Otherwise the azimuth seen by a camera that looks along the radar's axis, at the image's
    middle row; without intrinsics that camera sees 90 degrees. heatmap: `sources_about` these
    pixels, by the range.
    """
    height, width = image_size
    if intrinsics is None:
        u, v, focal = (width - 1) / 2, (height - 1) / 2, width / 2
        camera = Intrinsics(width, height, np.array([[focal, 0, u], [0, focal, v], [0, 0, 1]]))
    else:
        camera = intrinsics.scaled(width, height)
    if prior_pixel is None:
        azimuth = np.asarray(returns.azimuth, np.float64)
        ahead = np.abs(azimuth) < np.deg2rad(85)
        across = camera.matrix[0, 0] * np.tan(np.where(ahead, azimuth, 0.0))
        column = np.where(ahead, camera.matrix[0, 2] - across, np.nan)
        prior_pixel = np.stack([column, np.full(len(column), (height - 1) / 2)], axis=1)
    weight = rcs_likelihood(returns.rcs)
    return Answer(sources_about(prior_pixel, returns.range, weight, camera, grid), prior_pixel)


def chance(measured: Mapping[str, float | None]) -> dict[str, float | None]:
    """What guessing scores at the figures that ask which of several is the right one.

    measured: the model's figures; what was not measured has no chance level either.
    """
    levels = {**dict.fromkeys(_EVEN, 0.5), **CHANCE}
    return {key: None if measured[key] is None else levels.get(key) for key in METRIC_KEYS}


def cell_centre(
    row: int, column: int, image_size: tuple[int, int], grid: tuple[int, int]
) -> NDArray[np.float64]:
    """(u, v) in image pixels of the centre of a grid cell."""
    return np.array(
        [
            (column + 0.5) * image_size[1] / grid[1] - 0.5,
            (row + 0.5) * image_size[0] / grid[0] - 0.5,
        ]
    )


class FixedMaps:
    """Counts from which any answer that is the same for all frames can be scored at the end.

    hits[r, c]: how many true, visible returns would have been right, had they pointed at the
    centre of cell r, c; hits_strict: without the cell of tolerance. positives: how often each
    sample point lay on a source.
    """

    def __init__(self, grid: tuple[int, int], raster: tuple[int, int]) -> None:
        """Start from nothing, for a model's grid and the sample points of `raster_shape`."""
        self.grid = grid
        self.raster = raster
        self.returns = 0.0
        self.hits = np.zeros(grid)
        self.hits_strict = np.zeros(grid)
        self.frames = 0
        self.positives = np.zeros(raster[0] * raster[1])
        self.heatmaps = 0
        self.heatmap_sum = np.zeros(grid)

    def add_heatmap(self, heatmap: NDArray[np.floating[Any]]) -> None:
        """Count the model's heatmap of one frame."""
        self.heatmaps += 1
        self.heatmap_sum += heatmap

    def add_truth(
        self, truth: FrameTruth, source: NDArray[np.int64], positive: NDArray[np.bool_]
    ) -> None:
        """Count one frame's sources, as for `Tally.add_frame`; positive at the raster."""
        self.frames += 1
        self.positives += positive
        numbers, counts = np.unique(source[truth.visible(source)], return_counts=True)
        for number, count in zip(numbers, counts, strict=True):
            self.hits += count * _cells_on_source(truth, int(number), self.grid)
            self.hits_strict += count * _centres_on_source(truth, int(number), self.grid)
            self.returns += count

    def merge(self, other: FixedMaps) -> None:
        """Add another drive's counts; raises ValueError for another grid or raster."""
        if (self.grid, self.raster) != (other.grid, other.raster):
            raise ValueError('drives of different image shapes have no common fixed map')
        self.returns += other.returns
        self.hits += other.hits
        self.hits_strict += other.hits_strict
        self.frames += other.frames
        self.positives += other.positives
        self.heatmaps += other.heatmaps
        self.heatmap_sum += other.heatmap_sum

    def best_fixed(self) -> dict[str, float | None]:
        """Upper bound of all constant answers: it is chosen with the answers at hand.

        Sorted by their share of positives, the first n sample points hold as many positives as n
        can, for every n: no other map has a higher precision at any recall, ties apart.
        """
        values: dict[str, float | None] = dict.fromkeys(METRIC_KEYS)
        if self.returns:
            values['pointing_accuracy'] = float(self.hits.max() / self.returns)
            values['pointing_accuracy_strict'] = float(self.hits_strict.max() / self.returns)
        if self.frames:
            values.update(self._heatmap_values(self.positives / self.frames))
        return values

    def mean_heatmap(self) -> dict[str, float | None]:
        """The model's mean heatmap of the drive as the answer to every frame; no labels."""
        values: dict[str, float | None] = dict.fromkeys(METRIC_KEYS)
        if not self.heatmaps:
            return values
        mean = (self.heatmap_sum / self.heatmaps).astype(np.float32)
        if self.returns:
            peak = np.unravel_index(int(np.argmax(mean)), self.grid)
            values['pointing_accuracy'] = float(self.hits[peak] / self.returns)
            values['pointing_accuracy_strict'] = float(self.hits_strict[peak] / self.returns)
        if self.frames:
            values.update(self._heatmap_values(heatmap_at_raster(mean, self.raster)))
        return values

    def _heatmap_values(self, score: NDArray[np.floating[Any]]) -> dict[str, float | None]:
        index = histograms.score_bin(score)
        bins = histograms.SCORE_BINS
        positive = np.bincount(index, weights=self.positives, minlength=bins).astype(np.float64)
        total = np.bincount(index, minlength=bins).astype(np.float64) * self.frames
        negative = np.asarray(total - positive, np.float64)
        best = histograms.max_f1(positive, negative)
        reliability = reliability_counts(score, self.positives / self.frames)
        return {
            'heatmap_ap': histograms.average_precision(positive, negative),
            'heatmap_max_f1': best[0] if best else None,
            'ece': expected_calibration_error(reliability),
        }


def _centres_on_source(truth: FrameTruth, source: int, grid: tuple[int, int]) -> NDArray[np.bool_]:
    """Cells whose centre's nearest pixel lies on a source."""
    (height, width), (rows, columns) = truth.instances.shape, grid
    v = ((np.arange(rows) + 0.5) * height / rows).astype(np.int64)
    u = ((np.arange(columns) + 0.5) * width / columns).astype(np.int64)
    return np.asarray(truth.instances[np.ix_(v, u)] == source)


def _cells_on_source(truth: FrameTruth, source: int, grid: tuple[int, int]) -> NDArray[np.bool_]:
    """Cells whose centre lies on a source dilated by one cell, to half a cell's size."""
    rows, columns = grid
    mask = (truth.instances == source).astype(np.float32)
    half = cv2.resize(mask, (2 * columns, 2 * rows), interpolation=cv2.INTER_AREA) > 0
    padded = np.pad(half, 1)
    across = np.logical_or.reduce([padded[:, i : i + 2 * columns : 2] for i in range(4)])
    both = [across[i : i + 2 * rows : 2] for i in range(4)]
    return np.asarray(np.logical_or.reduce(both), np.bool_)
