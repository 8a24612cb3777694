# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radar_camera_ssl.inference.alignment import (
    log_odds,
    turned,
    window_agreement,
    yaw_estimate,
    yaw_residual,
)
from radar_camera_ssl.inference.model import Correspondence
from radar_camera_ssl.sensors.radar_points import RadarPoints

FOCAL = 450.0
probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def answer(seed: int, shift_rad: float = 0.0, count: int = 20) -> Correspondence:
    """Returns all over the image; the image shows their sources shift_rad to the right of them."""
    rng = np.random.default_rng(seed)
    azimuth, distance = rng.uniform(-0.5, 0.5, count), rng.uniform(5, 60, count)
    position = np.stack(
        [distance * np.cos(azimuth), distance * np.sin(azimuth), np.zeros(count)], axis=1
    )
    prior = np.stack([320 - FOCAL * np.tan(azimuth), np.full(count, 250.0)], axis=1)
    pixel = prior.copy()
    seen = azimuth - shift_rad + rng.normal(0, 0.01, count)
    pixel[:, 0] = 320 - FOCAL * np.tan(seen)
    zero = np.zeros(count, np.float32)
    returns = RadarPoints(
        position.astype(np.float32), zero, zero, np.arange(count, dtype=np.int32)
    )
    return Correspondence(
        heatmap=np.zeros((3, 4), np.float32),
        likelihood=rng.uniform(0.3, 1, count).astype(np.float32),
        pixel=pixel.astype(np.float32),
        agreement=0.5,
        returns=returns,
        returns_dropped=0,
        prior_pixel=prior.astype(np.float32),
    )


def window(shift_rad: float = 0.0) -> list[Correspondence]:
    return [answer(seed, shift_rad) for seed in range(15)]


def angle(answers: list[Correspondence]) -> float:
    residual = yaw_residual(answers)
    assert residual is not None
    return residual.angle


@settings(deadline=None, max_examples=30)
@given(st.floats(-0.06, 0.06))
def test_a_common_shift_is_recovered_as_an_angle_within_its_uncertainty(shift_rad: float) -> None:
    residual = yaw_residual(window(shift_rad))
    assert residual is not None
    # A straight line for the tangent is off by some per cent over this field of view.
    assert residual.angle == pytest.approx(shift_rad, rel=0.2, abs=4 * residual.deviation)
    assert 0 < residual.deviation < 0.003


@settings(deadline=None, max_examples=30)
@given(st.floats(-0.06, 0.06), st.floats(0.004, 0.02))
def test_a_larger_shift_is_a_larger_angle(shift_rad: float, more_rad: float) -> None:
    assert angle(window(shift_rad + more_rad)) > angle(window(shift_rad))


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(15)), st.permutations(range(20)))
def test_the_order_of_frames_and_returns_says_nothing(frames: list[int], rows: list[int]) -> None:
    answers = window(0.02)
    assert angle([taken(answers[i], rows) for i in frames]) == pytest.approx(angle(answers))


def taken(original: Correspondence, rows: list[int]) -> Correspondence:
    assert original.prior_pixel is not None
    return replace(
        original,
        likelihood=original.likelihood[rows],
        pixel=original.pixel[rows],
        returns=original.returns.take(np.array(rows)),
        prior_pixel=original.prior_pixel[rows],
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 50))
def test_returns_of_no_likelihood_change_nothing(seed: int, count: int) -> None:
    anything = answer(seed, 0.5, count)
    unlikely = replace(anything, likelihood=np.zeros_like(anything.likelihood))
    plain, padded = yaw_residual(window(0.02)), yaw_residual([*window(0.02), unlikely])
    assert plain is not None
    assert padded is not None
    assert padded.angle == pytest.approx(plain.angle)
    assert padded.deviation == pytest.approx(plain.deviation)
    assert padded.weight == pytest.approx(plain.weight)


def test_a_few_returns_of_another_source_do_not_move_the_angle() -> None:
    answers = window()
    for held in answers:
        held.pixel[:4, 0] += 300
        held.likelihood[:4] = 0.8
    far_off = 300 / FOCAL * 4 / 20
    assert abs(angle(answers)) < 0.15 * far_off


def test_the_size_of_the_image_does_not_matter() -> None:
    halved = [
        replace(a, pixel=a.pixel / 2, prior_pixel=a.prior_pixel / 2)
        for a in window(0.02)
        if a.prior_pixel is not None
    ]
    assert angle(halved) == pytest.approx(angle(window(0.02)), rel=1e-4)


def test_what_cannot_tell_yaw_gives_none() -> None:
    one = answer(0)
    nothing = answer(0, count=0)
    assert yaw_residual([]) is None
    assert yaw_residual([nothing, nothing]) is None
    assert yaw_residual([replace(one, likelihood=np.zeros_like(one.likelihood))]) is None
    assert yaw_residual([one, replace(one, prior_pixel=None)]) is None
    assert yaw_residual([answer(0, count=1)]) is None  # one direction: no scale


@settings(deadline=None, max_examples=30)
@given(st.floats(-0.05, 0.05), st.floats(0.1, 1.0))
def test_an_estimate_undoes_what_the_prior_takes_of_a_turn(yaw: float, trust: float) -> None:
    def answers(turn_rad: float) -> list[Correspondence]:
        """Of a model that goes only part of the way from where its prior looks to the source."""
        return [shrunk(held, trust) for held in window(turn_rad)]

    estimate = yaw_estimate(answers(yaw), answers(yaw + 0.03), answers(yaw - 0.03), 0.03)
    assert estimate is not None
    assert estimate.response == pytest.approx(trust, rel=0.2)
    assert estimate.curvature == 0.0
    assert estimate.angle == pytest.approx(yaw, rel=0.2, abs=0.003)


def agreeing(answers: list[Correspondence], turn_rad: float, peak_rad: float) -> list[Any]:
    """Answers whose agreement falls off from returns turned by peak_rad."""
    log_odds = 3.0 - 2000.0 * (turn_rad - peak_rad) ** 2
    return [replace(held, agreement=1 / (1 + math.exp(-log_odds))) for held in answers]


@settings(deadline=None, max_examples=30)
@given(st.floats(-0.05, 0.05), st.floats(-0.05, 0.05))
def test_an_estimate_lies_between_the_pixels_and_the_peak_of_agreement(
    yaw: float, peak: float
) -> None:
    estimate = yaw_estimate(
        *(agreeing(window(yaw + turn), turn, -peak) for turn in (0.0, 0.03, -0.03)), 0.03
    )
    assert estimate is not None
    assert estimate.curvature == pytest.approx(4000, rel=0.01)
    assert estimate.angle == pytest.approx(yaw / 3 + 2 * peak / 3, rel=0.2, abs=0.004)


def shrunk(held: Correspondence, trust: float) -> Correspondence:
    assert held.prior_pixel is not None
    return replace(held, pixel=held.prior_pixel + trust * (held.pixel - held.prior_pixel))


def test_a_model_that_does_not_look_gives_no_runaway_estimate() -> None:
    def blind(shift_rad: float) -> list[Correspondence]:
        return [shrunk(held, 0.0) for held in window(shift_rad)]

    estimate = yaw_estimate(blind(0.03), blind(0.06), blind(0.0), 0.03)
    assert estimate is not None
    assert estimate.response == pytest.approx(0.0, abs=1e-6)
    assert abs(estimate.angle) < 1e-6


def test_an_estimate_needs_all_three_windows_and_a_turn() -> None:
    seen = window()
    assert yaw_estimate([], [], [], 0.03) is None
    with pytest.raises(ValueError, match='same images'):
        yaw_estimate(seen, seen, seen[:-1], 0.03)
    with pytest.raises(ValueError, match='turn_rad'):
        yaw_estimate(seen, seen, seen, 0.0)


def test_turned_returns_keep_their_range_and_turn_to_the_left() -> None:
    radar = answer(3).returns
    left = turned(radar, 0.1)
    np.testing.assert_allclose(left.azimuth - radar.azimuth, 0.1, atol=1e-6)
    np.testing.assert_allclose(left.range, radar.range, rtol=1e-6)
    assert (left.rcs == radar.rcs).all()


@given(probabilities)
def test_window_agreement_lies_between_its_frames_in_any_order(values: list[float]) -> None:
    together = window_agreement(values)
    assert together is not None
    clipped = np.clip(values, 1 / (1 + math.exp(6)), 1 / (1 + math.exp(-6)))
    assert clipped.min() - 1e-9 <= together <= clipped.max() + 1e-9
    assert window_agreement(values[::-1]) == pytest.approx(together)


@given(probabilities, st.integers(0, 29), st.floats(0, 1))
def test_window_agreement_rises_with_that_of_a_frame(
    values: list[float], index: int, other: float
) -> None:
    index %= len(values)
    raised = [*values]
    raised[index] = max(values[index], other)
    before, after = window_agreement(values), window_agreement(raised)
    assert before is not None
    assert after is not None
    assert after >= before - 1e-12


def test_one_saturated_frame_does_not_decide() -> None:
    together = window_agreement([0.0] + [0.9] * 19)
    assert together is not None
    assert together > 0.8


def test_an_empty_window_has_no_agreement_and_nonsense_is_refused() -> None:
    assert window_agreement([]) is None
    for nonsense in ([1.1], [-0.1], [math.nan]):
        with pytest.raises(ValueError, match=r'\[0, 1\]'):
            window_agreement(nonsense)


def test_log_odds_are_clipped_where_asked_for() -> None:
    assert log_odds([0.0, 0.5, 1.0], 10.0).tolist() == [-10.0, 0.0, 10.0]
    assert log_odds([0.9]).tolist() == pytest.approx([np.log(9)])
    with pytest.raises(ValueError, match='agreement'):
        log_odds([1.5])
