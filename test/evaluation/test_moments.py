# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radar_camera_ssl.evaluation import histograms, moments
from radar_camera_ssl.evaluation.moments import (
    APART_S,
    EACH,
    MomentPicker,
    Moments,
    ReportMoment,
    frame_score,
)
from radar_camera_ssl.evaluation.scoring import FrameScore, Heat, Pointing
from radar_camera_ssl.inference.model import Correspondence
from radar_camera_ssl.sensors.radar_points import RadarPoints

IMAGE = np.full((60, 80, 3), 90, np.uint8)


def answer(agreement: float, likelihood: tuple[float, ...] = (0.9, 0.2)) -> Correspondence:
    count = len(likelihood)
    none = np.zeros(count, np.float32)
    returns = RadarPoints(np.ones((count, 3), np.float32), none, none, np.arange(count))
    pixel = np.full((count, 2), 20, np.float32)
    heatmap = np.full((3, 4), 0.1, np.float32)
    return Correspondence(heatmap, np.array(likelihood, np.float32), pixel, agreement, returns, 0)


def score(hits: tuple[bool, ...], positive: tuple[float, ...], negative: tuple[float, ...]):
    hit = np.array(hits, bool)
    heat = Heat(
        histograms.score_counts(positive), histograms.score_counts(negative), np.zeros((3, 15))
    )
    return FrameScore(np.ones(len(hits), bool), Pointing(hit, hit, None), None, None, heat)


def scored(value: float) -> FrameScore:
    """A frame of this score, to a hundredth: of 100 returns, with a perfect heatmap."""
    hits = round(100 * (2 * value - 1))
    return score((True,) * hits + (False,) * (100 - hits), (0.9,), (0.1,))


def picked(values: list[float], period_s: float = 0.1, truth: bool = False) -> Moments:
    picker = MomentPicker('a drive')
    for i, value in enumerate(values):
        frame = scored(value) if truth else None
        picker.add(i * period_s, IMAGE, answer(0.5 if truth else value), frame)
    picker.finish()
    return picker.moments


def test_a_frame_s_score_is_the_mean_of_pointing_and_heat() -> None:
    assert frame_score(score((True, True), (0.9,), (0.1,))) == 1.0
    assert frame_score(score((False, False, False, True), (0.1,), (0.9,))) == pytest.approx(
        (0.25 + 0.5) / 2
    )
    # A source too small for a sample point has no heat to be scored.
    assert frame_score(score((True, False), (), (0.1,))) == 0.5


def test_a_frame_that_asks_nothing_has_no_score() -> None:
    assert frame_score(score((), (), (0.9,))) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=400), st.sampled_from([0.05, 0.1, 0.7, 2]))
@settings(deadline=None, max_examples=60)
def test_chosen_are_extremes_apart_from_one_another(values: list[float], period_s: float) -> None:
    found = picked(values, period_s)
    for sign, chosen in ((1, found.best), (-1, found.worst)):
        assert len(chosen) <= EACH
        ranked = [sign * moment.agreement for moment in chosen]
        assert ranked == sorted(ranked, reverse=True)
        times = np.sort([moment.time_s for moment in chosen])
        assert not len(times) or np.diff(times).min(initial=9) >= APART_S - 1e-9
    assert found.best[0].agreement == max(values)
    if found.worst:
        assert found.worst[0].agreement == min(values)
    times = [moment.time_s for moment in (*found.best, *found.worst)]
    assert len(times) == len(set(times))


def test_of_a_long_drive_the_extreme_seconds_are_found() -> None:
    rng = np.random.default_rng(0)
    values = list(rng.uniform(0.4, 0.6, 600))
    high, low = range(15, 600, 60), range(45, 600, 60)
    for i in high:
        values[i] = 0.9
    for i in low:
        values[i] = 0.1
    found = picked(values)
    assert sorted(moment.time_s for moment in found.best) == pytest.approx([i / 10 for i in high])
    assert sorted(moment.time_s for moment in found.worst) == pytest.approx([i / 10 for i in low])


def test_few_frames_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw = moments.draw_overlay
    monkeypatch.setattr(moments, 'draw_overlay', lambda *args: drawn.append(1) or draw(*args))
    # Ever worse, the hardest case: each second's worst frame is the worst so far.
    picked(list(np.linspace(1, 0, 600)))
    assert len(drawn) <= 60 + EACH + 1
    drawn.clear()
    picked(list(np.random.default_rng(0).random(600)))
    assert len(drawn) <= 80


def test_with_ground_truth_the_score_decides_and_the_caption_tells_it() -> None:
    found = picked([0.8] * 30 + [0.6] + [0.9] * 30, truth=True)
    worst = found.worst[0]
    assert worst.score == pytest.approx(0.6)
    assert worst.time_s == pytest.approx(3.0)
    assert worst.caption == '20 of 100 returns on their source; heatmap AP 1.00'
    assert worst.bag == 'a drive'
    assert found.best[0].score == pytest.approx(0.9)


def test_without_ground_truth_the_agreement_decides() -> None:
    worst = picked([0.8] * 30 + [0.3] + [0.9] * 30).worst[0]
    assert (worst.score, worst.agreement) == (None, 0.3)
    assert worst.caption == '1 of 2 returns matched'


def test_frames_without_ground_truth_do_not_stand_beside_scored_ones() -> None:
    picker = MomentPicker('')
    for i in range(40):
        frame = scored(0.9) if 15 < i < 35 else None
        picker.add(float(i), IMAGE, answer(0.01 * i), frame)
    picker.finish()
    shown = (*picker.moments.best, *picker.moments.worst)
    assert shown
    assert all(moment.score is not None for moment in shown)


def test_pictures_are_overlays_no_wider_than_a_screen() -> None:
    picker = MomentPicker('')
    picker.add(0.0, np.full((1080, 1920, 3), 90, np.uint8), answer(0.5), None)
    picker.finish()
    (moment,) = picker.moments.best
    picture = cv2.imdecode(np.frombuffer(moment.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (720, 1280, 3)
    assert picture.std() > 1  # something is drawn on the even grey


def moment(value: float, truth: bool = False) -> ReportMoment:
    return ReportMoment('', 0.0, value if truth else None, 0.5 if truth else value, '', b'')


def test_merged_moments_are_the_extremes_of_all_drives() -> None:
    rng = np.random.default_rng(1)
    drives = [sorted(rng.random(EACH), reverse=True) for _ in range(3)]
    merged = Moments()
    for drive in drives:
        merged.merge(Moments([moment(v) for v in drive], [moment(v) for v in drive[::-1]]))
    pooled = sorted(np.concatenate(drives))
    assert [m.agreement for m in merged.worst] == pooled[:EACH]
    assert [m.agreement for m in merged.best] == pooled[::-1][:EACH]
    assert pickle.loads(pickle.dumps(merged)) == merged


def test_drives_with_ground_truth_are_not_ranked_with_drives_without() -> None:
    merged = Moments([moment(0.9)], [moment(0.1)])
    merged.merge(Moments([moment(0.6, truth=True)], [moment(0.4, truth=True)]))
    merged.merge(Moments([moment(0.95)], [moment(0.05)]))
    assert [m.score for m in (*merged.best, *merged.worst)] == [0.6, 0.4]
