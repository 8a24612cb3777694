# SPDX-License-Identifier: Apache-2.0
"""What a meter tells of a stream of messages."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radar_camera_ssl.nodes.input_meter import InputMeter

SECOND = 10**9


def fed(stamps: list[int], period_s: float = 0.1) -> InputMeter:
    meter = InputMeter()
    for i, stamp in enumerate(stamps):
        meter.arrived(i * period_s, stamp, 0.02)
    return meter


def test_nothing_is_known_before_the_first_message() -> None:
    facts = InputMeter().facts(1.0, 10.0)
    assert (facts.received, facts.rate_hz, facts.age_s) == (0, 0.0, None)
    assert facts.arrival_gap_ms is facts.stamp_gap_ms is facts.delay_ms is None
    assert (facts.missing, facts.expected) == (0, 0)


def test_rate_age_gaps_and_delay() -> None:
    meter = fed([SECOND + i * SECOND // 20 for i in range(31)])
    facts = meter.facts(3.0, 10.0)
    assert facts.received == meter.received == 31
    assert facts.rate_hz == pytest.approx(10.0)
    assert meter.facts(3.5, 10.0).age_s == meter.age_s(3.5) == pytest.approx(0.5)
    assert facts.arrival_gap_ms == pytest.approx((100.0, 100.0))
    assert facts.stamp_gap_ms == pytest.approx((50.0, 50.0))
    assert facts.delay_ms == pytest.approx(20.0)


def test_the_rate_is_that_of_the_window_and_falls_in_silence() -> None:
    meter = fed([SECOND + i * SECOND // 10 for i in range(31)])
    assert meter.facts(4.0, 2.0).rate_hz == pytest.approx(5.0, abs=0.6)
    assert meter.facts(30.0, 2.0).rate_hz == 0.0


@given(lost=st.sets(st.integers(1, 198), max_size=90))
def test_missing_messages_are_told_from_the_stamps(lost: set[int]) -> None:
    stamps = [SECOND + i * SECOND // 30 for i in range(200) if i not in lost]
    facts = fed(stamps, 0.01).facts(2.0, 10.0)
    neighbours = sum(later - earlier < SECOND / 29 for earlier, later in pairwise(stamps))
    # A tenth of the steps are single ones: the period shows.
    if neighbours >= 0.15 * len(stamps):
        assert (facts.missing, facts.expected) == (len(lost), 199)


@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(('normal', 'exponential')),
    loss=st.sampled_from((0.0, 0.2)),
)
def test_jitter_is_no_loss(seed: int, kind: str, loss: float) -> None:
    """5 ms of it at 30 Hz, as drivers that stamp on arrival have."""
    rng = np.random.default_rng(seed)
    jitter = {'normal': rng.normal(0, 5e-3, 300), 'exponential': rng.exponential(5e-3, 300)}[kind]
    kept = rng.random(300) >= loss
    stamps = np.sort((1 + np.arange(300) / 30 + jitter)[kept] * SECOND).astype(np.int64)
    facts = fed(stamps.tolist(), 0.01).facts(3.0, 10.0)
    span = round((stamps[-1] - stamps[0]) * 30 / SECOND) + 1
    # Where nothing is lost, below what `missing_warn` is by default.
    assert facts.missing == pytest.approx(span - len(stamps), abs=0.1 * span)


def test_the_pause_between_two_subscriptions_is_no_loss() -> None:
    meter = fed([SECOND + i * SECOND // 10 for i in range(20)])
    meter.lost_now(3)
    meter.opened()
    assert meter.age_s(4.0) is None
    for i in range(20):
        meter.arrived(4.0 + i * 0.1, 5 * SECOND + i * SECOND // 10)
    facts = meter.facts(6.0, 10.0)
    assert (facts.received, facts.missing, facts.expected) == (40, 0, 19)
    assert facts.lost == meter.lost == 3
    # The middleware counts from zero again.
    meter.lost_now(1)
    assert meter.lost == 4


def test_a_jump_of_time_is_neither_gap_nor_loss() -> None:
    stamps = [start + i * SECOND // 10 for start in (900 * SECOND, SECOND) for i in range(20)]
    facts = fed(stamps).facts(4.0, 10.0)
    assert facts.missing == 0
    assert facts.stamp_gap_ms == pytest.approx((100.0, 100.0))
