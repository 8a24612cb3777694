# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

from radar_camera_ssl.learning.sampling import misaligned, spaced_choice
from radar_camera_ssl.sensors.ego_speed import MOVED_M, travelled

SECOND = 1_000_000_000


def a_drive(speeds: np.ndarray, period_s: float = 0.1) -> SimpleNamespace:
    stamps = (np.arange(len(speeds)) * period_s * 1e9).astype(np.int64)
    return SimpleNamespace(stamps=stamps, speeds=np.asarray(speeds, np.float32))


def a_batch(drive, stamp) -> SimpleNamespace:
    return SimpleNamespace(drive=torch.tensor(drive), stamp=torch.tensor(stamp))


def batch_of(drives, chosen) -> SimpleNamespace:
    return a_batch([d for d, _ in chosen], [int(drives[d].stamps[i]) for d, i in chosen])


speed_profiles = st.lists(
    st.tuples(st.integers(1, 60), st.sampled_from([0.0, 0.2, 1.0, 5.0, 14.0, 30.0, np.nan])),
    min_size=1,
    max_size=4,
).map(lambda parts: np.concatenate([np.full(n, speed) for n, speed in parts]))


@given(
    profiles=st.lists(speed_profiles, min_size=1, max_size=5),
    per_batch=st.integers(1, 12),
    per_drive=st.integers(1, 6),
    spacing=st.sampled_from([0.5, 1.0, 3.0]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_frames_of_a_drive_are_apart_in_time_and_place(
    profiles, per_batch, per_drive, spacing, seed
):
    drives = [a_drive(profile) for profile in profiles]
    chosen = spaced_choice(drives, np.random.default_rng(seed), per_batch, per_drive, spacing)
    assert 1 <= len(chosen) <= per_batch * per_drive
    assert len(set(chosen)) == len(chosen)
    for d, drive in enumerate(drives):
        own = [i for e, i in chosen if e == d]
        way = travelled(drive.stamps, drive.speeds)
        for i in own:
            for j in own:
                if i != j:
                    assert abs(drive.stamps[i] - drive.stamps[j]) >= spacing * 1e9
                    assert abs(way[i] - way[j]) >= MOVED_M
    assert chosen == spaced_choice(
        drives, np.random.default_rng(seed), per_batch, per_drive, spacing
    )


def test_long_drives_give_as_many_frames_as_asked_for():
    drives = [a_drive(np.full(400, 8.0)) for _ in range(3)]
    counts = Counter(d for d, _ in spaced_choice(drives, np.random.default_rng(0), 6, 4))
    assert counts == {0: 8, 1: 8, 2: 8}


def test_a_standstill_gives_one_frame_at_most():
    """A minute at a red light within a drive: its frames show the same."""
    speeds = np.concatenate([np.full(50, 9.0), np.zeros(600), np.full(50, 9.0)])
    rng = np.random.default_rng(0)
    for _ in range(50):
        chosen = spaced_choice([a_drive(speeds)], rng, 1, 8)
        assert sum(50 <= i < 650 for _, i in chosen) <= 1
        assert len(chosen) > 2


def test_frames_of_a_batch_are_alike_in_speed():
    """Towns and motorways: within a batch speeds differ far less than in the recordings."""
    rng = np.random.default_rng(0)
    drives = [
        a_drive(np.interp(np.arange(600), np.linspace(0, 600, 7), rng.uniform(2, 30, 7)))
        for _ in range(10)
    ]

    def spread(scale: float) -> float:
        spreads = []
        for _ in range(40):
            chosen = spaced_choice(drives, rng, 10, 3, speed_scale=scale)
            spreads.append(np.std([drives[d].speeds[i] for d, i in chosen]))
        return float(np.mean(spreads))

    assert spread(2.0) < 0.5 * spread(np.inf)


def test_every_frame_is_chosen_now_and_then():
    speeds = np.interp(np.arange(100), [0, 50, 99], [1, 20, 3])
    drives = [a_drive(speeds), a_drive(speeds[::-1])]
    rng = np.random.default_rng(0)
    seen = {frame for _ in range(300) for frame in spaced_choice(drives, rng, 2, 4)}
    assert len(seen) > 190


@given(
    counts=st.lists(st.integers(1, 8), min_size=1, max_size=6),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_misaligned_pairs_use_every_frame_once_and_match_none(counts, seed):
    drive = np.repeat(np.arange(len(counts)), counts)
    stamp = np.concatenate([np.arange(n) * SECOND for n in counts])
    batch, rng = a_batch(drive, stamp), np.random.default_rng(seed)
    if len(drive) < 2:
        with pytest.raises(ValueError, match='misaligned'):
            misaligned(batch, rng)
        return
    image = misaligned(batch, rng).numpy()
    assert sorted(image) == list(range(len(drive)))
    assert (image != np.arange(len(drive))).all()


@given(
    drive=st.lists(st.integers(0, 3), min_size=1, max_size=14),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=100, deadline=None)
def test_where_frames_crowd_they_are_paired_apart_or_refused(drive, seed):
    """Any batch at all, frames 0.2 s apart: what is paired is apart, what cannot be is refused."""
    drive = np.array(drive)
    stamp = np.arange(len(drive)) * SECOND // 5
    rng = np.random.default_rng(seed)
    batch = a_batch(drive, stamp)
    allowed = (drive[:, None] != drive) | (np.abs(stamp[:, None] - stamp) >= SECOND // 2)
    rows, columns = linear_sum_assignment(allowed, maximize=True)
    if not allowed[rows, columns].all():
        with pytest.raises(ValueError, match='misaligned'):
            misaligned(batch, rng)
        return
    image = misaligned(batch, rng).numpy()
    assert sorted(image) == list(range(len(drive)))
    assert allowed[np.arange(len(drive)), image].all()


def test_half_of_the_misaligned_images_are_from_the_same_drive():
    drives = [a_drive(np.full(300, 8.0)) for _ in range(10)]
    rng = np.random.default_rng(0)
    same = []
    for _ in range(100):
        batch = batch_of(drives, spaced_choice(drives, rng, 10, 4))
        image = misaligned(batch, rng)
        same.append(float((batch.drive[image] == batch.drive).float().mean()))
    assert np.mean(same) == pytest.approx(0.5, abs=0.05)


def test_partners_are_drawn_anew_each_time():
    batch = a_batch(np.repeat(np.arange(5), 4), np.tile(np.arange(4) * SECOND, 5))
    rng = np.random.default_rng(0)
    partners = np.array([misaligned(batch, rng).numpy() for _ in range(300)])
    for k in range(20):
        assert len(set(partners[:, k])) == 19
