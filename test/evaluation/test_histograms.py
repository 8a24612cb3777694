# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from radar_camera_ssl.evaluation import histograms

sklearn_metrics = pytest.importorskip('sklearn.metrics', reason='compared with scikit-learn')

# Few different values make ties, which is where definitions differ.
scores_and_labels = st.lists(
    st.tuples(st.sampled_from([0.0, 1e-4, 0.02, 0.3, 0.5, 0.7, 0.99, 1.0]), st.booleans()),
    min_size=1,
    max_size=60,
)


def split(pairs: list[tuple[float, bool]]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    scores, labels = zip(*pairs, strict=True)
    return np.array(scores), np.array(labels)


def histogram_pair(
    scores: NDArray[np.float64], labels: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return histograms.score_counts(scores[labels]), histograms.score_counts(scores[~labels])


@given(scores_and_labels)
@settings(deadline=None)
def test_average_precision_is_that_of_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    scores, labels = split(pairs)
    value = histograms.average_precision(*histogram_pair(scores, labels))
    if not labels.any():
        assert value is None
    else:
        assert value == pytest.approx(sklearn_metrics.average_precision_score(labels, scores))


@given(scores_and_labels)
@settings(deadline=None)
def test_auroc_is_that_of_scikit_learn(pairs: list[tuple[float, bool]]) -> None:
    scores, labels = split(pairs)
    value = histograms.auroc(*histogram_pair(scores, labels))
    if labels.all() or not labels.any():
        assert value is None
    else:
        assert value == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores))


@given(scores_and_labels)
@settings(deadline=None)
def test_max_f1_is_the_best_over_all_thresholds(pairs: list[tuple[float, bool]]) -> None:
    scores, labels = split(pairs)
    found = histograms.max_f1(*histogram_pair(scores, labels))
    if not labels.any():
        assert found is None
        return
    best = max(
        sklearn_metrics.f1_score(labels, scores >= threshold) for threshold in np.unique(scores)
    )
    assert found is not None
    assert found[0] == pytest.approx(best)
    lit = histograms.score_bin(scores) >= found[1]
    assert sklearn_metrics.f1_score(labels, lit) == pytest.approx(best)


def test_binning_costs_little_on_continuous_scores() -> None:
    rng = np.random.default_rng(1)
    labels = rng.random(20_000) < 0.1
    scores = 1 / (1 + np.exp(-rng.normal(np.where(labels, 0.5, -3.0), 2.0)))
    pair = histogram_pair(scores, labels)
    precision = sklearn_metrics.average_precision_score(labels, scores)
    assert histograms.average_precision(*pair) == pytest.approx(precision, abs=2e-3)
    auroc = sklearn_metrics.roc_auc_score(labels, scores)
    assert histograms.auroc(*pair) == pytest.approx(auroc, abs=1e-3)


def test_small_likelihoods_keep_their_order() -> None:
    bins = histograms.score_bin([1e-5, 1e-4, 1e-3, 0.5, 1 - 1e-4])
    assert (np.diff(bins) > 0).all()


@given(st.integers(1, 900))
def test_threshold_of_a_bin_is_where_it_begins(index: int) -> None:
    threshold = histograms.bin_threshold(index)
    step = (1 - threshold) * threshold * 1e-2
    assert histograms.score_bin(threshold + step) == index
    assert histograms.score_bin(threshold - step) == index - 1


def test_lowest_threshold_takes_everything() -> None:
    assert histograms.bin_threshold(0) == 0.0
    assert histograms.score_bin(0.0) == 0
    assert histograms.score_bin(1.0) == histograms.SCORE_BINS - 1


@given(st.lists(st.floats(0.01, 5000), min_size=1, max_size=50), st.sampled_from([0.5, 0.95]))
def test_quantiles_are_within_their_bin(values: list[float], q: float) -> None:
    exact = float(np.quantile(values, q, method='inverted_cdf'))
    counts = histograms.magnitude_counts(values)
    assert histograms.magnitude_quantile(counts, q) == pytest.approx(exact, rel=0.013)


def test_nan_is_the_largest_error() -> None:
    counts = histograms.magnitude_counts([0.0, 1.0, np.nan])
    assert histograms.magnitude_quantile(counts, 0.0) == 0.0
    largest = histograms.magnitude_quantile(counts, 1.0)
    assert largest is not None
    assert largest > 9000


def test_nothing_counted_has_no_quantile() -> None:
    assert histograms.magnitude_quantile(histograms.magnitude_counts([]), 0.5) is None
