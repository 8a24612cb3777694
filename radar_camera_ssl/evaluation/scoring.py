# SPDX-License-Identifier: Apache-2.0
"""One prediction of one frame, held against the frame's truth."""

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


@dataclass(frozen=True)
class Pointing:
    """How the V true, visible returns of a frame point.

    on_source_dilated, on_source: (V,) `on_source` with and without the margin. column_error: (V,)
    rad, None without intrinsics.
    """

    on_source_dilated: NDArray[np.bool_]
    on_source: NDArray[np.bool_]
    column_error: FloatArray | None


@dataclass(frozen=True)
class Heat:
    """Sample points of a frame by their likelihood.

    positive, negative: (SCORE_BINS,) on and off the sources. reliability: (3, RELIABILITY_BINS)
    samples, sum of likelihoods, positives.
    """

    positive: FloatArray
    negative: FloatArray
    reliability: FloatArray


@dataclass(frozen=True)
class FrameScore:
    """What one prediction of one frame is worth; None for what it does not answer.

    visible: (N,) which returns are true and have their source in the image. true_likelihood:
    (V,) of these; ghost_likelihood: (G,) of clutter and ghosts.
    """

    visible: NDArray[np.bool_]
    pointing: Pointing | None
    true_likelihood: NDArray[np.floating[Any]] | None
    ghost_likelihood: NDArray[np.floating[Any]] | None
    heat: Heat | None


def score_frame(
    prediction: Prediction,
    source: NDArray[np.int64],
    truth: FrameTruth,
    margin: tuple[float, float],
    intrinsics: Intrinsics | None = None,
    positive: NDArray[np.bool_] | None = None,
) -> FrameScore:
    """Score one prediction of one frame.

    source: (N,) the true source of each return that the prediction speaks of, as
    `FrameTruth.source_of` gives it. margin: one grid cell in pixels (horizontal, vertical).
    positive: `sources_at_raster`, where the caller scores several predictions of one frame.
    """
    visible = truth.visible(source)
    pointing = heat = true_likelihood = ghost_likelihood = None
    if prediction.pixel is not None:
        own, pixel = source[visible], prediction.pixel[visible]
        pointing = Pointing(
            on_source(truth, own, pixel, margin),
            on_source(truth, own, pixel),
            None if intrinsics is None else column_error(truth, own, pixel, intrinsics),
        )
    if prediction.likelihood is not None:
        true_likelihood = prediction.likelihood[visible]
        ghost_likelihood = prediction.likelihood[source == 0]
    if prediction.heatmap is not None:
        shape = raster_shape(*truth.instances.shape)
        if positive is None:
            positive = sources_at_raster(truth, shape)
        heat = _heat(heatmap_at_raster(prediction.heatmap, shape), positive)
    return FrameScore(visible, pointing, true_likelihood, ghost_likelihood, heat)


def _heat(score: ImageArray, positive: NDArray[np.bool_]) -> Heat:
    index = histograms.score_bin(score)
    total = np.bincount(index, minlength=histograms.SCORE_BINS).astype(np.float64)
    hits = np.bincount(index[positive], minlength=histograms.SCORE_BINS).astype(np.float64)
    return Heat(hits, total - hits, reliability_counts(score, positive))


def reliability_counts(
    score: NDArray[np.floating[Any]], positive: NDArray[Any]
) -> NDArray[np.float64]:
    """Counts (3, RELIABILITY_BINS): samples, sum of likelihoods, positives.

    score: (n,) in [0, 1]; positive: (n,) whether, or how often, each sample is on a source.
    """
    bins = np.minimum((score * RELIABILITY_BINS).astype(np.int64), RELIABILITY_BINS - 1)
    weights = np.ones(len(score)), score, positive
    return np.stack([np.bincount(bins, held, RELIABILITY_BINS) for held in weights])
