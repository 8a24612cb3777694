# SPDX-License-Identifier: Apache-2.0
"""What each figure means, and the counts it is computed from.

A `Tally` holds nothing but counts that add up. Tallies of frames, of bags and of machines are
merged by adding them, and a confidence interval is a weighted sum of the tallies of time blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation import histograms
from radar_camera_ssl.evaluation.ground_truth import FrameTruth
from radar_camera_ssl.sensors.geometry import FISHEYE_MODELS, Intrinsics

FloatArray = NDArray[np.float64]
ImageArray = NDArray[np.float32]

RELIABILITY_BINS = 15
RASTER_COLUMNS = 160

_LAYOUT: dict[str, tuple[int, ...]] = {
    'returns': (1,),
    'on_source_dilated': (1,),
    'on_source': (1,),
    'column_error': (histograms.MAGNITUDE_BINS,),
    'heat_positive': (histograms.SCORE_BINS,),
    'heat_negative': (histograms.SCORE_BINS,),
    'iou_sum': (histograms.SCORE_BINS,),
    'iou_frames': (1,),
    'reliability': (3, RELIABILITY_BINS),  # samples, sum of likelihoods, positives
    'true_returns': (histograms.SCORE_BINS,),
    'ghost_returns': (histograms.SCORE_BINS,),
    'empty_heat': (histograms.SCORE_BINS,),
    'aligned': (histograms.SCORE_BINS,),
    'misaligned': (histograms.SCORE_BINS,),
    'aligned_windows': (histograms.SCORE_BINS,),
    'misaligned_windows': (histograms.SCORE_BINS,),
    'yaw_none': (histograms.MAGNITUDE_BINS,),
    'yaw_turned': (histograms.MAGNITUDE_BINS,),
    'projection_distance': (histograms.MAGNITUDE_BINS,),
}
_SIZE = sum(int(np.prod(shape)) for shape in _LAYOUT.values())

METRIC_KEYS = (
    'pointing_accuracy',
    'pointing_accuracy_strict',
    'column_error_deg',
    'column_error_p90_deg',
    'heatmap_ap',
    'heatmap_max_f1',
    'ciou',
    'ghost_auroc',
    'ece',
    'lit_area_empty_radar',
    'mismatch_auroc',
    'mismatch_auroc_2s',
    'yaw_alarm_auroc',
    'projection_distance_px',
)

# What a recording without ground truth still tells.
WITHOUT_TRUTH = (
    'lit_area_empty_radar',
    'mismatch_auroc',
    'mismatch_auroc_2s',
    'yaw_alarm_auroc',
    'projection_distance_px',
)


class Prediction(Protocol):
    """What is scored: a `Correspondence`, or a baseline that gives part of one.

    heatmap: (h, w) in [0, 1]; pixel: (N, 2) u, v in the image; likelihood: (N,) in [0, 1]; any of
    them None where the predictor has no such answer.
    """

    @property
    def heatmap(self) -> Any: ...
    @property
    def pixel(self) -> Any: ...
    @property
    def likelihood(self) -> Any: ...


@dataclass(frozen=True)
class Answer:
    """A baseline's prediction."""

    heatmap: NDArray[np.floating[Any]] | None = None
    pixel: NDArray[np.floating[Any]] | None = None
    likelihood: NDArray[np.floating[Any]] | None = None


def raster_shape(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the sample points at which heatmaps are scored.

    Heatmaps of any grid are compared at the same points of the image: a regular raster of 160
    columns (every 4th pixel of a 640x480 image), whatever grid a model has.
    """
    stride = max(1.0, width / RASTER_COLUMNS)
    return max(1, round(height / stride)), max(1, round(width / stride))


def heatmap_at_raster(heatmap: NDArray[np.floating[Any]], shape: tuple[int, int]) -> ImageArray:
    """Heatmap interpolated bilinearly at the sample points, flattened."""
    values = np.ascontiguousarray(heatmap, dtype=np.float32)
    resized = cv2.resize(values, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized, np.float32).ravel()


def sources_at_raster(truth: FrameTruth, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Union of the sources with a return in this radar frame at the sample points, flattened.

    Sources that this radar frame missed count as background: the heatmap says where *this*
    frame's reflections come from.
    """
    height, width = truth.instances.shape
    rows = ((np.arange(shape[0]) + 0.5) * height / shape[0]).astype(np.int64)
    columns = ((np.arange(shape[1]) + 0.5) * width / shape[1]).astype(np.int64)
    reflects = np.zeros(max(len(truth.pixel_count), 1), bool)
    reflects[truth.reflecting_sources] = True
    return np.asarray(reflects[truth.instances[np.ix_(rows, columns)]]).ravel()


def on_source(
    truth: FrameTruth,
    source: NDArray[np.integer[Any]],
    pixel: NDArray[np.floating[Any]],
    margin: tuple[float, float] | None = None,
) -> NDArray[np.bool_]:
    """Whether each pixel (N, 2) lies on its own source (N,), the pointing game per return.

    margin: (horizontal, vertical) in pixels by which the source is dilated with a rectangle; None
    asks for the pixel nearest to (u, v) itself. A NaN pixel is a miss.
    Source: pointing game, Zhang et al., "Top-down neural attention by excitation backprop", 2016.
    """
    height, width = truth.instances.shape
    hit = np.zeros(len(source), bool)
    for i, (number, (u, v)) in enumerate(zip(source, pixel, strict=True)):
        if not (np.isfinite(u) and np.isfinite(v)):
            continue
        if margin is None:
            left = right = int(np.floor(u + 0.5))
            top = bottom = int(np.floor(v + 0.5))
        else:
            left, right = int(np.ceil(u - margin[0])), int(np.floor(u + margin[0]))
            top, bottom = int(np.ceil(v - margin[1])), int(np.floor(v + margin[1]))
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, width - 1), min(bottom, height - 1)
        if left <= right and top <= bottom:
            window = truth.instances[top : bottom + 1, left : right + 1]
            hit[i] = bool((window == number).any())
    return hit


def column_error(
    truth: FrameTruth,
    source: NDArray[np.integer[Any]],
    pixel: NDArray[np.floating[Any]],
    intrinsics: Intrinsics,
) -> FloatArray:
    """Absolute horizontal angle (rad) from each pixel to the nearest column of its own source.

    0 where the pixel's column crosses the source. Angles are atan of the undistorted, normalised
    column x / z, both taken at the pixel's row. A NaN pixel gives infinity.
    """
    u = np.asarray(pixel[:, 0], np.float64)
    nearest = np.full(len(source), np.nan)
    for i, number in enumerate(source):
        if not np.isfinite(u[i]):
            continue
        columns = truth.columns_of(int(number))
        # A pixel centre stands for half a column on each side.
        right = int(np.searchsorted(columns, u[i]))
        candidates = columns[max(right - 1, 0) : right + 1].astype(np.float64)
        closest = candidates[np.argmin(np.abs(candidates - u[i]))]
        nearest[i] = u[i] if abs(closest - u[i]) <= 0.5 else closest
    height, width = truth.instances.shape
    camera = intrinsics.scaled(width, height)
    v = np.nan_to_num(np.asarray(pixel[:, 1], np.float64), nan=camera.matrix[1, 2])
    error = np.abs(_azimuth(u, v, camera) - _azimuth(nearest, v, camera))
    return np.where(np.isfinite(error), error, np.inf)


def _azimuth(u: FloatArray, v: FloatArray, camera: Intrinsics) -> FloatArray:
    if np.any(camera.distortion):
        points = np.stack([u, v], axis=1).reshape(-1, 1, 2)
        finite = np.isfinite(points).all(axis=(1, 2))
        normalised = np.full(len(u), np.nan)
        if finite.any():
            if camera.distortion_model in FISHEYE_MODELS:
                undistorted = cv2.fisheye.undistortPoints(
                    points[finite], camera.matrix, camera.distortion[:4]
                )
            else:
                undistorted = cv2.undistortPoints(points[finite], camera.matrix, camera.distortion)
            normalised[finite] = undistorted[:, 0, 0]
        return np.arctan(normalised)
    return np.arctan((u - camera.matrix[0, 2]) / camera.matrix[0, 0])


class Tally:
    """Additive counts from which every metric of one predictor follows (about 125 KB)."""

    returns: FloatArray
    on_source_dilated: FloatArray
    on_source: FloatArray
    column_error: FloatArray
    heat_positive: FloatArray
    heat_negative: FloatArray
    iou_sum: FloatArray
    iou_frames: FloatArray
    reliability: FloatArray
    true_returns: FloatArray
    ghost_returns: FloatArray
    empty_heat: FloatArray
    aligned: FloatArray
    misaligned: FloatArray
    aligned_windows: FloatArray
    misaligned_windows: FloatArray
    yaw_none: FloatArray
    yaw_turned: FloatArray
    projection_distance: FloatArray

    def __init__(self, counts: FloatArray | None = None) -> None:
        """Start from nothing, or from the counts of another tally."""
        self.counts = np.zeros(_SIZE) if counts is None else np.array(counts, np.float64)
        start = 0
        for name, shape in _LAYOUT.items():
            size = int(np.prod(shape))
            setattr(self, name, self.counts[start : start + size].reshape(shape))
            start += size

    def merge(self, other: Tally) -> None:
        """Add another tally's counts."""
        self.counts += other.counts

    def add_frame(
        self,
        prediction: Prediction,
        source: NDArray[np.int64],
        truth: FrameTruth,
        margin: tuple[float, float],
        intrinsics: Intrinsics | None = None,
        positive: NDArray[np.bool_] | None = None,
    ) -> None:
        """Score one frame.

        source: (N,) the true source of each return that the prediction speaks of, as
        `FrameTruth.source_of` gives it. margin: one grid cell in pixels (horizontal, vertical).
        positive: `sources_at_raster`, where the caller scores several predictions of one frame.
        """
        visible = truth.visible(source)
        if prediction.pixel is not None:
            self._add_pixels(truth, source[visible], prediction.pixel[visible], margin, intrinsics)
        if prediction.likelihood is not None:
            self.true_returns += histograms.score_counts(prediction.likelihood[visible])
            self.ghost_returns += histograms.score_counts(prediction.likelihood[source == 0])
        if prediction.heatmap is not None:
            shape = raster_shape(*truth.instances.shape)
            if positive is None:
                positive = sources_at_raster(truth, shape)
            self._add_heatmap(heatmap_at_raster(prediction.heatmap, shape), positive)

    def _add_pixels(
        self,
        truth: FrameTruth,
        source: NDArray[np.int64],
        pixel: NDArray[np.floating[Any]],
        margin: tuple[float, float],
        intrinsics: Intrinsics | None,
    ) -> None:
        self.returns += len(source)
        self.on_source_dilated += on_source(truth, source, pixel, margin).sum()
        self.on_source += on_source(truth, source, pixel).sum()
        if intrinsics is not None:
            degrees = np.rad2deg(column_error(truth, source, pixel, intrinsics))
            self.column_error += histograms.magnitude_counts(degrees)

    def _add_heatmap(self, score: ImageArray, positive: NDArray[np.bool_]) -> None:
        index = histograms.score_bin(score)
        total = np.bincount(index, minlength=histograms.SCORE_BINS).astype(np.float64)
        hits = np.bincount(index[positive], minlength=histograms.SCORE_BINS).astype(np.float64)
        self.heat_positive += hits
        self.heat_negative += total - hits
        count = hits.sum()
        if count > 0:
            intersection = np.cumsum(hits[::-1])[::-1]
            union = np.cumsum((total - hits)[::-1])[::-1] + count
            self.iou_sum += intersection / union
            self.iou_frames += 1
        bins = np.minimum((score * RELIABILITY_BINS).astype(np.int64), RELIABILITY_BINS - 1)
        self.reliability[0] += np.bincount(bins, minlength=RELIABILITY_BINS)
        self.reliability[1] += np.bincount(bins, weights=score, minlength=RELIABILITY_BINS)
        self.reliability[2] += np.bincount(bins[positive], minlength=RELIABILITY_BINS)

    def add_empty(self, heatmap: NDArray[np.floating[Any]], image_shape: tuple[int, int]) -> None:
        """Count a heatmap answered to an empty radar frame."""
        score = heatmap_at_raster(heatmap, raster_shape(*image_shape))
        self.empty_heat += histograms.score_counts(score)

    def add_agreement(self, agreement: float, aligned: bool) -> None:
        """Count the agreement of one pair that belongs together, or does not."""
        held = self.aligned if aligned else self.misaligned
        held[histograms.score_bin(agreement)] += 1

    def add_projection(
        self,
        pixel: NDArray[np.floating[Any]],
        projected: NDArray[np.floating[Any]],
        counted: NDArray[np.bool_],
    ) -> None:
        """Count how far the pixels (N, 2) are from the projections of the same returns."""
        distance = np.hypot(*(pixel[counted] - projected[counted]).T)
        self.projection_distance += histograms.magnitude_counts(distance)

    def values(self) -> dict[str, float | None]:
        """Every metric of METRIC_KEYS; None where nothing was counted that it needs.

        pointing_accuracy: share of the true, visible returns (their source is a real one and has
            a pixel in the paired image) whose pixel lies on their own source dilated by one grid
            cell of the model; `_strict`: undilated.
        column_error_deg, column_error_p90_deg: median and 90th percentile over those returns of
            `column_error`, to 0.6 %; below 0.001 degrees reads 0.
        heatmap_ap: average precision over all sample points of all frames, against the union of
            the visible sources with a return in the frame; frames without a source count.
        heatmap_max_f1: best F1 over one threshold for all frames and sample points.
        ciou: intersection over union of {heatmap >= threshold of heatmap_max_f1} and the sources,
            mean over frames with a source (Senocak et al., "Learning to localize sound source in
            visual scenes", 2018, with one annotator and the threshold shared by all frames).
        ghost_auroc: `likelihood` of true, visible returns above that of clutter and ghosts
            (returns of real sources that the image does not show are left out).
        ece: expected calibration error of the heatmap, 15 equal bins, weighted by their samples
            (Guo et al., "On calibration of modern neural networks", 2017).
        lit_area_empty_radar: share of the image at or above the threshold of heatmap_max_f1, or
            above 0.5 without ground truth, when the radar frame is empty: no returns, or a cube of
            noise.
        mismatch_auroc: `agreement` of aligned pairs above that of misaligned pairs: with radar
            frames of another drive, and of this one since which the car has moved.
        mismatch_auroc_2s: the same of windows of 2 s, by `inference.alignment.window_agreement`.
            Which radar frames misalign a window: `windows.WindowProbe`.
        yaw_alarm_auroc: |angle| of `inference.alignment.yaw_estimate` over windows of 2 s, of
            radar frames turned by 2 degrees (left and right) above that of the same as they are.
            The angle counts from zero: no zero of the model is measured and subtracted.
        projection_distance_px: median distance of `pixel` from the return's projection by the
            recording's extrinsics, over returns that these put into the image and the model gives
            a likelihood of 0.5 or more; needs no ground truth.
        """
        threshold_bin = self.threshold_bin()
        best = histograms.max_f1(self.heat_positive, self.heat_negative)
        frames = float(self.iou_frames[0])
        p90 = histograms.magnitude_quantile(self.column_error, 0.9)
        return {
            'pointing_accuracy': _ratio(self.on_source_dilated[0], self.returns[0]),
            'pointing_accuracy_strict': _ratio(self.on_source[0], self.returns[0]),
            'column_error_deg': histograms.magnitude_quantile(self.column_error, 0.5),
            'column_error_p90_deg': p90,
            'heatmap_ap': histograms.average_precision(self.heat_positive, self.heat_negative),
            'heatmap_max_f1': best[0] if best else None,
            'ciou': float(self.iou_sum[threshold_bin]) / frames if frames else None,
            'ghost_auroc': histograms.auroc(self.true_returns, self.ghost_returns),
            'ece': expected_calibration_error(self.reliability),
            'lit_area_empty_radar': _ratio(
                self.empty_heat[threshold_bin:].sum(), self.empty_heat.sum()
            ),
            'mismatch_auroc': histograms.auroc(self.aligned, self.misaligned),
            'mismatch_auroc_2s': histograms.auroc(self.aligned_windows, self.misaligned_windows),
            'yaw_alarm_auroc': histograms.auroc(self.yaw_turned, self.yaw_none),
            'projection_distance_px': histograms.magnitude_quantile(self.projection_distance, 0.5),
        }

    def threshold_bin(self) -> int:
        """Score bin from which on a heatmap counts as lit: that of max F1, else 0.5."""
        best = histograms.max_f1(self.heat_positive, self.heat_negative)
        return best[1] if best else int(histograms.score_bin(0.5))


def expected_calibration_error(reliability: FloatArray) -> float | None:
    """Sum over bins of share x |mean likelihood - share of positives|; None without samples.

    reliability: (3, bins) samples, sum of likelihoods, positives.
    """
    samples, likelihood, positives = reliability
    total = samples.sum()
    if total <= 0:
        return None
    return float(np.abs(likelihood - positives).sum() / total)


def _ratio(part: float, whole: float) -> float | None:
    return float(part) / float(whole) if whole > 0 else None
