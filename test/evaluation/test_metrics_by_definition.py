# SPDX-License-Identifier: Apache-2.0
"""Figures over several frames against scikit-learn, and against their definitions spelled out."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from radar_camera_ssl.evaluation import histograms
from radar_camera_ssl.evaluation.ground_truth import FrameTruth
from radar_camera_ssl.evaluation.metrics import Tally
from radar_camera_ssl.evaluation.scoring import RELIABILITY_BINS, Answer

sklearn_metrics = pytest.importorskip('sklearn.metrics', reason='compared with scikit-learn')

# As many sample points as pixels and cells: nothing is interpolated.
HEIGHT, WIDTH = 12, 16


@dataclass(frozen=True)
class Drive:
    """Frames of which some have no source, and all that was counted of them.

    heat, lit: per frame, likelihoods and sources at the sample points; likelihood, real: of all
    returns that count for the ghosts.
    """

    tally: Tally
    heat: list[NDArray[np.float32]]
    lit: list[NDArray[np.bool_]]
    likelihood: NDArray[np.float32]
    real: NDArray[np.bool_]


def drive(seed: int) -> Drive:
    rng = np.random.default_rng(seed)
    tally = Tally()
    heat, lit, likelihood, real = [], [], [], []
    for _ in range(5):
        instances = np.zeros((HEIGHT, WIDTH), np.uint16)
        for source in range(1, rng.integers(1, 4)):
            top, left = rng.integers(0, HEIGHT), rng.integers(0, WIDTH)
            instances[top : top + rng.integers(1, 6), left : left + rng.integers(1, 6)] = source
        instance = rng.integers(0, 4, 6).astype(np.uint16)
        truth = FrameTruth(instances, instance)
        shown = np.isin(instances, truth.reflecting_sources)
        # Better than chance, and rounded, so that there are ties.
        heatmap = np.round(rng.beta(1, 4, shown.shape) * 0.7 + 0.3 * shown, 2).astype(np.float32)
        answer = Answer(heatmap, likelihood=rng.random(6, np.float32))
        source = instance.astype(np.int64)
        tally.add_frame(answer, source, truth, (1.0, 1.0))
        heat.append(heatmap.ravel())
        lit.append(shown.ravel())
        counts = truth.visible(source) | (source == 0)
        likelihood.append(answer.likelihood[counts])
        real.append(source[counts] > 0)
    return Drive(tally, heat, lit, np.concatenate(likelihood), np.concatenate(real))


seeds = given(st.integers(0, 10_000).map(drive))
modest = settings(deadline=None, max_examples=60)


@seeds
@modest
def test_heatmap_figures_are_scikit_learn_s_over_all_frames(seen: Drive) -> None:
    values = seen.tally.values()
    lit, binned = np.concatenate(seen.lit), histograms.score_bin(np.concatenate(seen.heat))
    if not lit.any():
        assert values['heatmap_ap'] is values['heatmap_max_f1'] is values['ciou'] is None
        return
    ap = sklearn_metrics.average_precision_score(lit, binned)
    assert values['heatmap_ap'] == pytest.approx(ap)
    precision, recall, _ = sklearn_metrics.precision_recall_curve(lit, binned)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    assert values['heatmap_max_f1'] == pytest.approx(f1.max())
    # Binning costs little against the likelihoods themselves.
    exact = sklearn_metrics.average_precision_score(lit, np.concatenate(seen.heat))
    assert values['heatmap_ap'] == pytest.approx(exact, abs=0.02)


@seeds
@modest
def test_ghosts_are_told_as_scikit_learn_tells_them(seen: Drive) -> None:
    if seen.real.all() or not seen.real.any():
        assert seen.tally.values()['ghost_auroc'] is None
        return
    binned = histograms.score_bin(seen.likelihood)
    auroc = sklearn_metrics.roc_auc_score(seen.real, binned)
    assert seen.tally.values()['ghost_auroc'] == pytest.approx(auroc)


@seeds
@modest
def test_ciou_is_the_mean_over_frames_with_a_source_at_the_threshold_of_all(seen: Drive) -> None:
    if not np.concatenate(seen.lit).any():
        return
    limit = seen.tally.threshold_bin()
    ious = []
    for heat, lit in zip(seen.heat, seen.lit, strict=True):
        attended = histograms.score_bin(heat) >= limit
        if lit.any():
            # Senocak et al.: what is attended of the sources, over these and what is attended
            # beside them.
            ious.append((attended & lit).sum() / (lit.sum() + (attended & ~lit).sum()))
    assert seen.tally.values()['ciou'] == pytest.approx(np.mean(ious))


@seeds
@modest
def test_calibration_error_is_the_weighted_gap_of_15_bins(seen: Drive) -> None:
    heat, lit = np.concatenate(seen.heat), np.concatenate(seen.lit)
    edges = np.linspace(0, 1, RELIABILITY_BINS + 1)
    expected = 0.0
    for low, high in itertools.pairwise(edges):
        here = (heat >= low) & ((heat < high) | (high == 1))
        if here.any():
            expected += here.mean() * abs(heat[here].mean() - lit[here].mean())
    assert seen.tally.values()['ece'] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize('share', [0.05, 0.4])
def test_a_calibrated_heatmap_has_no_calibration_error_and_still_little_precision(
    share: float,
) -> None:
    rng = np.random.default_rng(0)
    tally = Tally()
    instances = (rng.random((120, 160)) < share).astype(np.uint16)
    truth = FrameTruth(instances, np.array([1], np.uint16))
    prevalence = float((instances > 0).mean())
    heatmap = np.full((120, 160), prevalence, np.float32)
    tally.add_frame(Answer(heatmap), np.array([1]), truth, (1.0, 1.0))
    assert tally.values()['ece'] == pytest.approx(0.0, abs=1e-6)
    assert tally.values()['heatmap_ap'] == pytest.approx(prevalence)
