# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radar_camera_ssl.sensors.pairing import NearestTimePairing, Pair, RecentMinimum

MS = 1_000_000
SLOP_S = 0.05


def balanced(pairing: NearestTimePairing) -> bool:
    c = pairing.counts
    radar = c.pairs + sum(c.radar_dropped.values()) + c.radar_pending
    image = c.pairs + sum(c.image_dropped.values()) + c.image_pending
    return c.radar_received == radar and c.image_received == image


def run(
    pairing: NearestTimePairing, events: list[tuple[str, int]], flush: bool = True
) -> list[tuple[int, int]]:
    """Feed ('r' or 'i', stamp in ms) in order of arrival; the pairs in ms."""
    pairs: list[Pair] = []
    for kind, stamp in events:
        add = pairing.add_radar if kind == 'r' else pairing.add_image
        pairs += add(stamp * MS, (kind, stamp))
        assert balanced(pairing)
    if flush:
        pairs += pairing.flush()
    assert balanced(pairing)
    for pair in pairs:
        assert pair.radar == ('r', pair.radar_stamp // MS)
        assert pair.image == ('i', pair.image_stamp // MS)
    return [(pair.radar_stamp // MS, pair.image_stamp // MS) for pair in pairs]


def best_total(radar: list[int], image: list[int], slop: int) -> int:
    """The optimum of the objective, by dynamic programming over everything."""
    best = [0] * (len(image) + 1)
    for r in radar:
        row = [0]
        for k, i in enumerate(image):
            pair = best[k] + slop - abs(r - i) if abs(r - i) <= slop else 0
            row.append(max(row[-1], best[k + 1], pair))
        best = row
    return best[-1]


def stream(
    rate_hz: float, duration_s: float, rng: random.Random, jitter_s: float, loss: float
) -> list[int]:
    """Strictly ascending stamps, ms, from 1 s on."""
    phase = 1.0 + rng.random() / rate_hz
    stamps = {
        int((phase + k / rate_hz + rng.gauss(0.0, jitter_s)) * 1000)
        for k in range(int(duration_s * rate_hz))
        if rng.random() >= loss
    }
    return sorted(stamps)


def arrivals(
    radar: list[int], image: list[int], radar_lag: int = 0, image_lag: int = 0
) -> list[tuple[str, int]]:
    events = [(s + radar_lag, 0, 'r', s) for s in radar]
    events += [(s + image_lag, 1, 'i', s) for s in image]
    return [(kind, stamp) for _, _, kind, stamp in sorted(events)]


def test_pair_knows_its_gap() -> None:
    assert Pair(1_030_000_000, 1_000_000_000, None, None).gap_s == pytest.approx(0.03)


@pytest.mark.parametrize('slop_s', [0.0, -1.0, float('inf'), float('nan')])
def test_slop_must_be_positive_and_finite(slop_s: float) -> None:
    with pytest.raises(ValueError, match='slop_s'):
        NearestTimePairing(slop_s)


def test_queue_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match='queue_size'):
        NearestTimePairing(SLOP_S, 0)


def test_takes_the_nearest_and_not_the_first_within_slop() -> None:
    events = [('i', 1000), ('i', 1033), ('r', 1036), ('i', 1066), ('i', 1100)]
    assert run(NearestTimePairing(SLOP_S), events) == [(1036, 1033)]


def test_at_exactly_slop_is_a_pair_and_beyond_is_not() -> None:
    assert run(NearestTimePairing(SLOP_S), [('r', 1000), ('i', 1050)]) == [(1000, 1050)]
    assert run(NearestTimePairing(SLOP_S), [('r', 1000), ('i', 1051)]) == []


def test_two_radar_frames_that_want_one_image_are_assigned_together() -> None:
    # 1040 is nearest to both. Alone it would go to 1045; with 1000 for 990 both are served.
    events = [('r', 1020), ('i', 1000), ('i', 1040), ('r', 1045), ('i', 1085), ('i', 1200)]
    assert run(NearestTimePairing(SLOP_S), events) == [(1020, 1000), (1045, 1040)]


def test_a_pair_at_the_same_stamp_leaves_at_once_when_periods_are_known() -> None:
    pairing = NearestTimePairing(SLOP_S)
    run(pairing, arrivals(list(range(1000, 2000, 100)), list(range(1000, 2000, 20))), flush=False)
    assert pairing.add_radar(2000 * MS, ('r', 2000)) == []
    assert [p.radar_stamp for p in pairing.add_image(2000 * MS, ('i', 2000))] == [2000 * MS]


def test_waits_for_an_image_that_is_due_and_nearer() -> None:
    pairing = NearestTimePairing(SLOP_S)
    run(pairing, arrivals(list(range(100, 1200, 100)), list(range(100, 1140, 33))), flush=False)
    assert pairing.add_radar(1186 * MS, ('r', 1186)) == []
    # 30 ms away now, and the next image, due at 1189, is nearer.
    assert pairing.add_image(1156 * MS, ('i', 1156)) == []
    assert [p.image_stamp for p in pairing.add_image(1189 * MS, ('i', 1189))] == [1189 * MS]


def test_a_tie_is_not_waited_out() -> None:
    """Sensors of one trigger: every second radar frame lies half-way between two images."""
    rng = random.Random(1)
    pairing = NearestTimePairing(SLOP_S)
    streams = [[k * 50 * MS for k in range(1, 200)], [k * 100 * MS // 3 for k in range(1, 300)]]
    events = sorted(
        (stamp + rng.randint(-MS // 5, MS // 5), kind)
        for kind, stamps in enumerate(streams)
        for stamp in stamps
    )
    # Periods are learnt from the first few.
    for now, kind in events:
        for pair in (pairing.add_image if kind else pairing.add_radar)(now, None):
            assert now < 300 * MS or now == max(pair.radar_stamp, pair.image_stamp)
            assert abs(pair.gap_s) < 0.0175
    assert pairing.counts.pairs >= 195


def test_waits_for_what_is_nearer_by_more_than_a_tie() -> None:
    pairing = NearestTimePairing(SLOP_S)
    run(pairing, arrivals(list(range(100, 1200, 100)), list(range(100, 1200, 40))), flush=False)
    # The image that is due at 1220 is nearer to 1202 by 4 ms than that of 1180.
    assert pairing.add_radar(1202 * MS, None) == []
    assert [p.image_stamp for p in pairing.add_image(1220 * MS, None)] == [1220 * MS]


def test_a_stream_that_stops_does_not_hold_the_other() -> None:
    pairing = NearestTimePairing(SLOP_S)
    radar, image = list(range(1000, 3000, 50)), list(range(985, 2000, 33))
    released = {}
    for kind, stamp in arrivals(radar, image):
        add = pairing.add_radar if kind == 'r' else pairing.add_image
        for pair in add(stamp * MS, None):
            released[pair.radar_stamp // MS] = stamp
    last = max(released)
    assert last >= 1950
    # Slop for the patience, the gap, and the radar period that tells the time.
    assert released[last] - last <= 50 + 50 + 50
    assert pairing.counts.radar_pending <= pairing.queue_size


def test_unpaired_frames_are_bounded_and_counted() -> None:
    pairing = NearestTimePairing(SLOP_S, queue_size=10)
    assert run(pairing, [('i', 1000 + 33 * k) for k in range(100)], flush=False) == []
    assert pairing.counts.image_pending == 10
    assert pairing.counts.image_dropped == {'queue_overflow': 90}


def test_a_pair_that_waits_leaves_rather_than_overflows() -> None:
    pairing = NearestTimePairing(SLOP_S, queue_size=2)
    events = [('i', 990), ('r', 1000), ('r', 1001), ('r', 1002), ('r', 1003)]
    assert run(pairing, events, flush=False)[0][1] == 990
    assert pairing.counts.radar_pending <= 2


def test_other_images_are_dropped_as_without_partner() -> None:
    pairing = NearestTimePairing(SLOP_S)
    radar, image = list(range(1000, 2000, 100)), list(range(1000, 2000, 25))
    assert run(pairing, arrivals(radar, image)) == [(r, r) for r in radar]
    assert pairing.counts.image_dropped == {'no_partner': 30}
    assert pairing.counts.radar_dropped == {}


def test_duplicate_stamps_are_dropped() -> None:
    pairing = NearestTimePairing(SLOP_S)
    assert run(pairing, [('r', 1000), ('r', 1000), ('i', 1000), ('i', 1000), ('r', 1000)]) == [
        (1000, 1000)
    ]
    assert pairing.counts.radar_dropped == {'duplicate_stamp': 2}
    assert pairing.counts.image_dropped == {'duplicate_stamp': 1}


def test_slightly_out_of_order_is_sorted_in() -> None:
    pairing = NearestTimePairing(SLOP_S)
    events = [('r', 1020), ('i', 1033), ('i', 1018), ('i', 1066), ('r', 1120), ('i', 1100)]
    assert run(pairing, events)[0] == (1020, 1018)
    assert pairing.counts.resets == 0


def test_out_of_order_behind_a_pair_that_left_is_dropped() -> None:
    pairing = NearestTimePairing(SLOP_S)
    run(pairing, [('r', 1000), ('i', 1000), ('i', 1033), ('r', 1100)], flush=False)
    assert pairing.counts.pairs == 1
    assert pairing.add_image(990 * MS, None) == []
    assert pairing.counts.image_dropped['out_of_order'] == 1


@pytest.mark.parametrize('image_lag', [0, 30, 200])
@pytest.mark.parametrize('radar_lag', [0, 30, 200])
def test_all_pairs_recovered_after_a_backward_jump(radar_lag: int, image_lag: int) -> None:
    """A bag played in a loop: frames of before are under way while the first of after arrive."""
    radar, image = list(range(1000, 11000, 77)), list(range(1010, 11000, 33))
    loops = 3
    events = []
    for loop in range(loops):
        now = loop * 10_010
        events += [(stamp + radar_lag + now, 0, 'r', stamp) for stamp in radar]
        events += [(stamp + image_lag + now, 1, 'i', stamp) for stamp in image]
    pairing = NearestTimePairing(SLOP_S)
    pairs = run(pairing, [(kind, stamp) for _, _, kind, stamp in sorted(events)])
    alone = run(NearestTimePairing(SLOP_S), arrivals(radar, image, radar_lag, image_lag))
    assert pairing.counts.resets == loops - 1
    # Only what is under way when time jumps is lost.
    under_way = (loops - 1) * (2 + abs(radar_lag - image_lag) // 77)
    assert loops * len(alone) - len(pairs) <= under_way
    assert pairs[-len(alone) + 1 :] == alone[1:]


def test_a_jump_of_one_stream_only_recovers() -> None:
    """The radar's clock is set back by 300 ms onto the camera's."""
    pairing = NearestTimePairing(SLOP_S)
    events = []
    for k in range(100):
        stamp = 1000 + 100 * k
        events.append(('r', stamp + (300 if k < 50 else 0)))
        events += [('i', stamp), ('i', stamp + 33), ('i', stamp + 66)]
    pairs = run(pairing, events)
    assert pairing.counts.resets == 1
    # Two frames may go while it is not yet known that the camera does not follow.
    assert len([p for p in pairs if p[0] >= 6000]) >= 48


def test_one_stream_that_never_follows_is_not_waited_for() -> None:
    pairing = NearestTimePairing(SLOP_S)
    events = arrivals(list(range(50_000, 52_000, 100)), list(range(50_000, 52_000, 33)))
    events += [('r' if k % 4 == 0 else 'i', 1000 + 25 * k if k % 4 == 0 else 52_000 + 25 * k)
               for k in range(200)]  # fmt: skip
    run(pairing, events, flush=False)
    assert pairing.counts.radar_pending == 0
    assert pairing.counts.radar_dropped['no_partner'] >= 40


def test_a_stamp_far_ahead_does_not_stop_the_pairing() -> None:
    pairing = NearestTimePairing(SLOP_S)
    events = arrivals(list(range(1000, 5000, 100)), list(range(1000, 5000, 33)))
    events.insert(len(events) // 2, ('r', 9_000_000))
    pairs = run(pairing, events)
    assert len(pairs) >= 40 - 4


def test_clear_drops_everything_under_its_reason() -> None:
    pairing = NearestTimePairing(SLOP_S)
    run(pairing, [('r', 1000), ('i', 1020)], flush=False)
    pairing.clear('deactivated')
    counts = pairing.counts
    assert counts.radar_dropped == counts.image_dropped == {'deactivated': 1}
    assert counts.radar_pending == counts.image_pending == 0
    assert run(pairing, [('r', 10), ('i', 10)]) == [(10, 10)]


def test_counts_are_a_snapshot() -> None:
    pairing = NearestTimePairing(SLOP_S)
    before = pairing.counts
    run(pairing, [('r', 1000), ('r', 1000)])
    assert before.radar_received == 0
    assert before.radar_dropped == {}


@pytest.mark.parametrize('radar_hz', [10, 13, 20, 30, 60])
@pytest.mark.parametrize(('radar_lag', 'image_lag'), [(0, 0), (0, 30), (30, 0), (0, 200)])
def test_close_to_the_optimal_assignment(radar_hz: float, radar_lag: int, image_lag: int) -> None:
    rng = random.Random(radar_hz)
    radar = stream(radar_hz, 30, rng, 0.005, 0.05)
    image = stream(30, 30, rng, 0.005, 0.05)
    pairs = run(NearestTimePairing(SLOP_S), arrivals(radar, image, radar_lag, image_lag))
    total = sum(50 - abs(r - i) for r, i in pairs)
    assert total >= 0.97 * best_total(radar, image, 50)


frames = st.lists(
    st.tuples(st.sampled_from('ri'), st.integers(-60, 140)), min_size=1, max_size=120
)


@settings(max_examples=200, deadline=None)
@given(frames, st.integers(1, 120), st.integers(1, 12))
def test_invariants_whatever_arrives(
    steps: list[tuple[str, int]], slop_ms: int, queue_size: int
) -> None:
    """Random walks with out-of-order frames, duplicates and jumps, in both streams."""
    pairing = NearestTimePairing(slop_ms / 1000, queue_size)
    now = {'r': 10_000, 'i': 10_000}
    events = []
    for kind, step in steps:
        now[kind] += step
        events.append((kind, now[kind]))
    last = (-1, -1)
    resets = 0
    for kind, stamp in events:
        add = pairing.add_radar if kind == 'r' else pairing.add_image
        for pair in add(stamp * MS, (kind, stamp)):
            assert abs(pair.radar_stamp - pair.image_stamp) <= slop_ms * MS
            if pairing.counts.resets == resets:
                assert pair.radar_stamp > last[0]
                assert pair.image_stamp > last[1]
            resets = pairing.counts.resets
            last = (pair.radar_stamp, pair.image_stamp)
        assert balanced(pairing)
        assert pairing.counts.radar_pending <= queue_size
        assert pairing.counts.image_pending <= queue_size
    pairing.flush()
    assert balanced(pairing)
    assert pairing.counts.radar_pending == pairing.counts.image_pending == 0


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(1, 90), max_size=12),
    st.lists(st.integers(1, 90), max_size=12),
    st.integers(5, 100),
)
def test_flush_gives_the_optimum_of_what_waits(
    radar_steps: list[int], image_steps: list[int], slop_ms: int
) -> None:
    """All radar frames before the first image: only then is the whole assignment open."""
    radar = [1000 + sum(radar_steps[: k + 1]) for k in range(len(radar_steps))]
    image = [1000 + sum(image_steps[: k + 1]) for k in range(len(image_steps))]
    pairing = NearestTimePairing(slop_ms / 1000)
    pairing._settle = lambda: []  # type: ignore[method-assign]
    pairs = run(pairing, [('r', s) for s in radar] + [('i', s) for s in image])
    assert len({r for r, _ in pairs}) == len({i for _, i in pairs}) == len(pairs)
    total = sum(slop_ms - abs(r - i) for r, i in pairs)
    assert total == best_total(radar, image, slop_ms)


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=150))
def test_recent_minimum_is_the_minimum_of_the_last_values(values: list[int]) -> None:
    recent = RecentMinimum()
    for index, value in enumerate(values):
        recent.add(value)
        if index >= 3:
            assert recent.get(10**6) == min(values[max(0, index - 31) : index + 1])
        else:
            assert recent.get(10**6) == 10**6
