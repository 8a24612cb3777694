# SPDX-License-Identifier: Apache-2.0
"""What each figure means, and the counts it is computed from.

A `Tally` holds nothing but counts that add up. Tallies of frames, of bags and of machines are
merged by adding them, and a confidence interval is a weighted sum of the tallies of time blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation import histograms
from radar_camera_ssl.evaluation.ground_truth import FrameTruth
from radar_camera_ssl.evaluation.scoring import (
    RELIABILITY_BINS,
    FrameScore,
    Heat,
    Pointing,
    Prediction,
    heatmap_at_raster,
    raster_shape,
    score_frame,
)
from radar_camera_ssl.sensors.geometry import Intrinsics

FloatArray = NDArray[np.float64]

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
    'retrieval': (3,),  # radar frames; of these, own image first; among the first five
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
    'retrieval_recall_at_1',
    'retrieval_recall_at_5',
    'projection_distance_px',
)

# What a recording without ground truth still tells.
WITHOUT_TRUTH = (
    'lit_area_empty_radar',
    'mismatch_auroc',
    'mismatch_auroc_2s',
    'yaw_alarm_auroc',
    'retrieval_recall_at_1',
    'retrieval_recall_at_5',
    'projection_distance_px',
)


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
    retrieval: FloatArray
    projection_distance: FloatArray

    def __init__(self, counts: FloatArray | None = None) -> None:
        """Start from nothing, or from the counts of another tally."""
        self.counts = np.zeros(_SIZE) if counts is None else np.array(counts, np.float64)
        start = 0
        for name, shape in _LAYOUT.items():
            size = int(np.prod(shape))
            setattr(self, name, self.counts[start : start + size].reshape(shape))
            start += size

    def __reduce__(self) -> tuple[type[Tally], tuple[FloatArray]]:
        # The named counts are views: pickled one by one they would part from `counts`.
        return Tally, (self.counts,)

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
    ) -> FrameScore:
        """Score one frame with `score_frame`, count it, and return the score."""
        score = score_frame(prediction, source, truth, margin, intrinsics, positive)
        if score.pointing is not None:
            self._add_pointing(score.pointing)
        if score.true_likelihood is not None:
            self.true_returns += histograms.score_counts(score.true_likelihood)
        if score.ghost_likelihood is not None:
            self.ghost_returns += histograms.score_counts(score.ghost_likelihood)
        if score.heat is not None:
            self._add_heat(score.heat)
        return score

    def _add_pointing(self, pointing: Pointing) -> None:
        self.returns += len(pointing.on_source)
        self.on_source_dilated += pointing.on_source_dilated.sum()
        self.on_source += pointing.on_source.sum()
        if pointing.column_error is not None:
            self.column_error += histograms.magnitude_counts(np.rad2deg(pointing.column_error))

    def _add_heat(self, heat: Heat) -> None:
        self.heat_positive += heat.positive
        self.heat_negative += heat.negative
        count = heat.positive.sum()
        if count > 0:
            intersection = np.cumsum(heat.positive[::-1])[::-1]
            union = np.cumsum(heat.negative[::-1])[::-1] + count
            self.iou_sum += intersection / union
            self.iou_frames += 1
        self.reliability += heat.reliability

    def add_empty(self, heatmap: NDArray[np.floating[Any]], image_shape: tuple[int, int]) -> None:
        """Count a heatmap answered to an empty radar frame."""
        score = heatmap_at_raster(heatmap, raster_shape(*image_shape))
        self.empty_heat += histograms.score_counts(score)

    def add_agreement(self, agreement: float, aligned: bool) -> None:
        """Count the agreement of one pair that belongs together, or does not."""
        held = self.aligned if aligned else self.misaligned
        held[histograms.score_bin(agreement)] += 1

    def add_retrieval(self, own: float, others: Sequence[float]) -> None:
        """Count where a radar frame's own image stands among others by their agreement.

        Images of equal agreement stand in random order: what is counted is the expectation.
        """
        above = sum(other > own for other in others)
        tied = 1 + sum(other == own for other in others)
        within = [min(max((k - above) / tied, 0.0), 1.0) for k in (1, 5)]
        self.retrieval += np.array([1.0, *within])

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

        A source is a thing that reflects and has a pixel in the image. A return is true and
        visible when its source is one. Sample points: `raster_shape`. AUROC: `histograms.auroc`.

        pointing_accuracy: share of the true, visible returns whose pixel lies on their own source,
            dilated by one grid cell of the model; `_strict`: undilated. The pointing game of
            Zhang et al., "Top-down neural attention by excitation backprop", 2016, per return.
        column_error_deg, column_error_p90_deg: median and 90th percentile over those returns of
            `column_error`, to 0.6 %; below 0.001 degrees reads 0.
        heatmap_ap: average precision over all sample points of all frames
            (`histograms.average_precision`); positive is what lies on a source with a return in
            this radar frame. A frame without a source counts with nothing but negatives, as Mo
            and Morgado, "A closer look at weakly-supervised audio-visual source localization",
            2022, ask. They rank frames, taken as right above an IoU; we rank sample points.
        heatmap_max_f1: best F1 of the same sample points, over thresholds that all frames share.
        ciou: |A and G| / (|G| + |A without G|), A the sample points at or above the threshold of
            heatmap_max_f1, G the positive ones; mean over the frames that have a G. A frame
            without one has no cIoU; it counts in the choice of the threshold. With the one, exact
            annotator that we have this is the consensus IoU of Senocak et al., "Learning to
            localize sound source in visual scenes", 2018, who tell the share of frames above 0.5.
        ghost_auroc: `likelihood` of true, visible returns above that of clutter and ghosts
            (returns of real things that the image does not show are left out).
        ece: expected calibration error of the heatmap at the sample points, 15 equal bins
            weighted by their samples (Naeini et al., "Obtaining well calibrated probabilities
            using Bayesian binning", 2015; Guo et al., "On calibration of modern neural networks",
            2017). An answer that is always the prevalence has none: read it beside heatmap_ap.
        lit_area_empty_radar: share of the image at or above the threshold of heatmap_max_f1, or
            above 0.5 without ground truth, when the radar frame is empty: no returns, or a cube of
            noise.
        mismatch_auroc: `agreement` of aligned pairs above that of misaligned pairs: the same
            images with radar frames of another drive, and of this one since which the car has
            moved. Frames without a return are left out.
        mismatch_auroc_2s: the same of windows of 2 s, by `inference.alignment.window_agreement`.
            Which radar frames misalign a window: `windows.WindowProbe`.
        yaw_alarm_auroc: |angle| of `inference.alignment.yaw_estimate` over windows of 2 s, of
            radar frames turned by 2 degrees (left and right) above that of the same as they are.
            The angle counts from zero: no zero of the model is measured and subtracted.
        retrieval_recall_at_1, retrieval_recall_at_5: share of radar frames whose own image has
            the highest `agreement`, or one of the five highest, of `retrieval.GALLERY` images of
            the drive (R@K of Hodosh et al., "Framing image description as a ranking task", 2013).
            Which moments: `retrieval.RetrievalProbe`.
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
            'retrieval_recall_at_1': _ratio(self.retrieval[1], self.retrieval[0]),
            'retrieval_recall_at_5': _ratio(self.retrieval[2], self.retrieval[0]),
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
