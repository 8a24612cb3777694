# SPDX-License-Identifier: Apache-2.0
"""Ranking and quantile figures from histograms, so that memory does not grow with the recording.

A figure over all pixels of a drive needs every score twice over if it is computed from lists.
Binned, it needs two fixed arrays that add up: over frames, over bags, over machines. The price is
the bins' width, and ties inside a bin; every function treats a bin as one group of tied scores,
as scikit-learn treats equal scores, so on binned scores the results are the same as its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

SCORE_BINS = 1024
_LOGIT_LIMIT = 12.0

# Magnitudes from 1e-3 to 1e4 in steps of 1.2 %; bin 0 holds what is smaller.
_MAGNITUDE_EDGES = np.geomspace(1e-3, 1e4, 1351)
MAGNITUDE_BINS = len(_MAGNITUDE_EDGES) + 1


def score_bin(score: ArrayLike) -> NDArray[np.int64]:
    """Bin of scores in [0, 1]: equal steps of the logit, so that small ones keep their order.

    Linear bins would put a heatmap that stays below 0.001 into one bin and call it random.
    """
    p = np.asarray(score, dtype=np.float32)
    tiny = np.float32(1e-6)
    p = np.clip(p, tiny, np.float32(1) - tiny)
    logit = np.log(p / (np.float32(1) - p))
    index = np.floor((logit + _LOGIT_LIMIT) * (SCORE_BINS / (2 * _LOGIT_LIMIT)))
    return np.clip(index, 0, SCORE_BINS - 1).astype(np.int64)


def bin_threshold(index: int) -> float:
    """Smallest score of a bin; 0 for the lowest, which also takes everything below it."""
    if index == 0:
        return 0.0
    logit = index * (2 * _LOGIT_LIMIT / SCORE_BINS) - _LOGIT_LIMIT
    return float(1 / (1 + np.exp(-logit)))


def score_counts(score: ArrayLike) -> FloatArray:
    """Histogram (SCORE_BINS,) of scores in [0, 1]."""
    index = score_bin(score).ravel()
    return np.bincount(index, minlength=SCORE_BINS).astype(np.float64)


def magnitude_bin(value: ArrayLike) -> NDArray[np.int64]:
    """Bin of non-negative values; NaN counts as infinitely large."""
    values = np.nan_to_num(np.asarray(value, dtype=np.float64), nan=np.inf)
    return np.searchsorted(_MAGNITUDE_EDGES, values, side='right').astype(np.int64)


def magnitude_counts(value: ArrayLike) -> FloatArray:
    """Histogram (MAGNITUDE_BINS,) of non-negative values; NaN counts as infinitely large."""
    index = magnitude_bin(value).ravel()
    return np.bincount(index, minlength=MAGNITUDE_BINS).astype(np.float64)


def magnitude_quantile(counts: FloatArray, q: float) -> float | None:
    """Quantile of a magnitude histogram to 0.6 %; 0 below 0.001; None when it is empty.

    The smallest bin at which the cumulative share reaches q ("inverted cdf").
    """
    total = counts.sum()
    if total <= 0:
        return None
    index = int(np.searchsorted(np.cumsum(counts), q * total - 1e-9))
    if index == 0:
        return 0.0
    if index >= len(_MAGNITUDE_EDGES):
        return float(_MAGNITUDE_EDGES[-1])
    return float(np.sqrt(_MAGNITUDE_EDGES[index - 1] * _MAGNITUDE_EDGES[index]))


def _above(counts: FloatArray) -> FloatArray:
    """How many scores lie in bin i or higher, for every i."""
    return np.cumsum(counts[::-1])[::-1]


def average_precision(positive: FloatArray, negative: FloatArray) -> float | None:
    """Area under precision over recall, sum of (R_n - R_{n-1}) P_n, without interpolation.

    None without positives. Definition: scikit-learn's `average_precision_score` (Zhu 2004).
    """
    total = positive.sum()
    if total <= 0:
        return None
    true, false = _above(positive), _above(negative)
    precision = np.divide(true, true + false, out=np.zeros_like(true), where=true + false > 0)
    return float(np.sum(positive * precision) / total)


def precision_recall(positive: FloatArray, negative: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Precision and recall at each bin's lower edge, from the highest threshold to the lowest."""
    true, false = _above(positive)[::-1], _above(negative)[::-1]
    precision = np.divide(true, true + false, out=np.ones_like(true), where=true + false > 0)
    return precision, true / max(positive.sum(), 1.0)


def max_f1(positive: FloatArray, negative: FloatArray) -> tuple[float, int] | None:
    """Largest F1 = 2 TP / (2 TP + FP + FN) over all thresholds, and the lowest bin above it.

    None without positives.
    """
    total = positive.sum()
    if total <= 0:
        return None
    true, false = _above(positive), _above(negative)
    f1 = 2 * true / (true + false + total)
    best = int(np.argmax(f1))
    return float(f1[best]), best


def auroc(positive: FloatArray, negative: FloatArray) -> float | None:
    """Probability that a positive scores above a negative, ties half (Mann-Whitney U).

    None unless both are there. Source: Hanley and McNeil, Radiology 143 (1982).
    """
    positives, negatives = positive.sum(), negative.sum()
    if positives <= 0 or negatives <= 0:
        return None
    below = np.cumsum(negative) - negative
    return float(np.sum(positive * (below + 0.5 * negative)) / (positives * negatives))
