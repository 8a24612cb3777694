# SPDX-License-Identifier: Apache-2.0
"""The window of agreement and the sensors that repeat themselves, on pairs made up."""

from __future__ import annotations

import numpy as np
import pytest

from radar_camera_ssl.inference.model import Correspondence
from radar_camera_ssl.nodes.agreement_watch import AgreementFacts, AgreementWatch
from radar_camera_ssl.sensors.radar_points import RadarPoints

SECOND = 10**9
PERIOD = SECOND // 10


def frame(speed_mps: float, seed: int) -> RadarPoints:
    """Standing things ahead, seen from a car of this speed, with a noise of its own."""
    rng = np.random.default_rng(seed)
    position = np.c_[rng.uniform(5, 40, 8), rng.uniform(-2, 2, 8), np.zeros(8)].astype(np.float32)
    velocity = (-speed_mps * position[:, 0] / np.hypot(*position[:, :2].T)).astype(np.float32)
    rcs = rng.normal(5, 1, 8).astype(np.float32)
    return RadarPoints(position, velocity, rcs, np.arange(8, dtype=np.int32))


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (120, 160, 3), np.uint8)


def answer(radar: RadarPoints, agreement: float) -> Correspondence:
    n = len(radar)
    return Correspondence(
        np.zeros((3, 4), np.float32),
        np.ones(n, np.float32),
        np.zeros((n, 2), np.float32),
        agreement,
        radar,
        0,
    )


class Feed:
    """Pairs at 10 Hz."""

    def __init__(self) -> None:
        self.watch = AgreementWatch()
        self.stamp = SECOND
        self.count = 0

    def __call__(
        self,
        pairs: int,
        agreement: float = 0.9,
        speed_mps: float = 10.0,
        same_image: bool = False,
        same_radar: bool = False,
    ) -> AgreementFacts:
        for _ in range(pairs):
            self.count += 1
            radar = frame(speed_mps, 0 if same_radar else self.count)
            image = picture(0 if same_image else self.count)
            self.watch.add(self.stamp, image, radar, answer(radar, agreement))
            self.stamp += PERIOD
        return self.watch.facts(2.0)


@pytest.fixture
def feed() -> Feed:
    return Feed()


def test_before_the_first_pair_nothing_is_known(feed: Feed) -> None:
    assert feed.watch.facts(2.0) == AgreementFacts()


def test_a_window_is_judged_once_it_is_filled(feed: Feed) -> None:
    assert feed(16).window is None
    facts = feed(10)
    assert facts.window == pytest.approx(0.9)
    assert facts.pairs == 21
    assert facts.last == 0.9
    assert facts.speed_mps == pytest.approx(10.0, abs=0.1)


def test_what_no_longer_fits_shows_within_the_window(feed: Feed) -> None:
    feed(30)
    low = [feed(1, agreement=0.1).window for _ in range(21)]
    assert low == sorted(low, reverse=True)  # type: ignore[type-var]
    assert low[9] == pytest.approx(0.5, abs=0.1)
    assert low[-1] == pytest.approx(0.1)


def test_a_standing_car_does_not_vote(feed: Feed) -> None:
    feed(30)
    # The speed is a median: the first few pairs of a standstill still count.
    assert feed(100, agreement=0.01, speed_mps=0.0).window > 0.5  # type: ignore[operator]
    assert feed(30).window == pytest.approx(0.9)


def test_a_radar_that_never_shows_motion_is_no_odometer(feed: Feed) -> None:
    feed(30, speed_mps=0.0)
    assert feed(30, agreement=0.1, speed_mps=0.0).window == pytest.approx(0.1)


def test_a_covered_radar_tells_no_speed_and_votes(feed: Feed) -> None:
    feed(30)
    feed(10, speed_mps=0.0)
    empty = RadarPoints.empty()
    for i in range(40):
        feed.watch.add(feed.stamp + i * PERIOD, picture(i), empty, answer(empty, 0.02))
    facts = feed.watch.facts(2.0)
    assert facts.window == pytest.approx(0.02)
    assert facts.speed_mps is None
    assert facts.radar_frozen_s == 0.0


def test_a_jump_back_starts_anew(feed: Feed) -> None:
    feed(30, agreement=0.1)
    feed.stamp = SECOND // 2
    assert feed(5).window is None
    assert feed(20).window == pytest.approx(0.9)


def test_a_hole_is_no_driving(feed: Feed) -> None:
    feed(30)
    feed.stamp += 60 * SECOND
    facts = feed(1)
    assert facts.window == pytest.approx(0.9)
    assert facts.pairs > 10


def test_a_frozen_camera_is_told_while_the_car_moves(feed: Feed) -> None:
    feed(10)
    facts = feed(16, same_image=True)
    assert facts.image_frozen_s == pytest.approx(1.5)
    assert facts.radar_frozen_s == 0.0
    assert feed(1).image_frozen_s == 0.0


def test_a_still_picture_of_a_standing_car_is_no_fault(feed: Feed) -> None:
    feed(10)
    assert feed(30, speed_mps=0.0, same_image=True).image_frozen_s == 0.0


def test_a_frozen_radar_is_told_while_the_image_changes(feed: Feed) -> None:
    feed(10)
    facts = feed(16, same_radar=True)
    assert facts.radar_frozen_s == pytest.approx(1.5)
    assert facts.image_frozen_s == 0.0
    assert feed(1).radar_frozen_s == 0.0


def test_the_cube_of_a_frozen_radar_is_told(feed: Feed) -> None:
    rng = np.random.default_rng(0)
    cube = rng.normal(size=(16, 16, 8)).astype(np.float32)
    for i in range(16):
        other = rng.normal(size=cube.shape).astype(np.float32)
        given = cube if i >= 5 else other
        feed.watch.add(SECOND + i * PERIOD, picture(i), given, answer(frame(5.0, i), 0.9))
    assert feed.watch.facts(2.0).radar_frozen_s == pytest.approx(1.0)
