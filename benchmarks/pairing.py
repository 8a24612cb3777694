# SPDX-License-Identifier: Apache-2.0
"""How good, how quick and how robust the pairing of radar and camera is, against message_filters.

    python benchmarks/pairing.py

The same seeded stamps go to our NearestTimePairing and to ApproximateTimeSynchronizer of the ROS
package message_filters; where that is not installed, to a simulation of its algorithm written
here (the JSON says which). Four questions: the mean gap of the pairs against the optimal
one-to-one, order-preserving assignment, and the share of the optimum's pairs that was found; the
time from the arrival of a pair's later message to its release (both also of a camera and a radar
of 20 Hz that one clock triggers, where every second radar frame lies between two images); the
pairs found after time jumps back, as in a bag played in a loop; the time a message takes, by queue
size. Prints tables and writes out/benchmarks/pairing.json.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import itertools
import json
import os
import platform
import random
import statistics
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

from radar_camera_ssl.sensors.pairing import NearestTimePairing

MS = 1_000_000
SLOP_S = 0.05
QUEUE_SIZE = 50
CAMERA_HZ = 30.0
JITTER_S = 0.005
TRIGGERED_JITTER_S = 0.0002
LOSS = 0.05
SEEDS = 5

# Arrival, stream (0 radar, 1 image), stamp; ns.
Event = tuple[int, int, int]


class Synchronizer(Protocol):
    """What is compared."""

    def add(self, stream: int, stamp: int) -> list[tuple[int, int]]:
        """Take a message; return the pairs (radar stamp, image stamp) it releases."""


class Ours:
    """The pairing of this package."""

    def __init__(self, queue_size: int = QUEUE_SIZE) -> None:
        self.pairing = NearestTimePairing(SLOP_S, queue_size)

    def add(self, stream: int, stamp: int) -> list[tuple[int, int]]:
        """Take a message."""
        add = self.pairing.add_image if stream else self.pairing.add_radar
        return [(pair.radar_stamp, pair.image_stamp) for pair in add(stamp, None)]


class Installed:
    """The ApproximateTimeSynchronizer of the installed message_filters."""

    def __init__(self, queue_size: int = QUEUE_SIZE) -> None:
        filters = importlib.import_module('message_filters')
        self._time = importlib.import_module('builtin_interfaces.msg').Time
        self._inputs = [filters.SimpleFilter(), filters.SimpleFilter()]
        self._released: list[tuple[int, int]] = []
        self._upstream = filters.ApproximateTimeSynchronizer(self._inputs, queue_size, SLOP_S)
        self._upstream.registerCallback(lambda r, i: self._released.append((r.ns, i.ns)))

    def add(self, stream: int, stamp: int) -> list[tuple[int, int]]:
        """Take a message."""
        seconds, nanoseconds = divmod(stamp, 10**9)
        header = SimpleNamespace(stamp=self._time(sec=seconds, nanosec=nanoseconds))
        self._inputs[stream].signalMessage(SimpleNamespace(header=header, ns=stamp))
        released, self._released[:] = self._released[:], []
        return released


class Simulated:
    """The algorithm as its documentation and behaviour have it, for two streams.

    A bounded queue of each stream that evicts the smallest stamp; a new message is paired at once
    with the nearest one waiting in the other queue, if that is within slop, and both leave.
    """

    def __init__(self, queue_size: int = QUEUE_SIZE) -> None:
        self._queue_size = queue_size
        self._waiting: tuple[set[int], set[int]] = (set(), set())

    def add(self, stream: int, stamp: int) -> list[tuple[int, int]]:
        """Take a message."""
        own, other = self._waiting[stream], self._waiting[1 - stream]
        own.add(stamp)
        while len(own) > self._queue_size:
            own.remove(min(own))
        near = [s for s in other if abs(s - stamp) < SLOP_S * 1e9]
        if not near or stamp not in own:
            return []
        partner = min(near, key=lambda s: abs(s - stamp))
        own.remove(stamp)
        other.remove(partner)
        return [(partner, stamp) if stream else (stamp, partner)]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--duration', type=float, default=60.0, help='s of each recording')
    parser.add_argument('--out', type=Path, default=Path('out/benchmarks/pairing.json'))
    args = parser.parse_args()
    rival_name, rival = message_filters()
    methods: dict[str, Callable[..., Synchronizer]] = {'ours': Ours, rival_name: rival}
    print(
        f'camera {CAMERA_HZ:.0f} Hz, jitter {JITTER_S * 1e3:.0f} ms, {LOSS:.0%} of frames lost, '
        f'slop {SLOP_S * 1e3:.0f} ms, {SEEDS} recordings of {args.duration:.0f} s\n'
    )
    result: dict[str, Any] = {
        'machine': {'processor': platform.processor() or platform.machine(), 'cores': cores()},
        'python': platform.python_version(),
        'message_filters': rival_name,
        'input': {
            'sha256': fingerprint(args.duration),
            'camera_hz': CAMERA_HZ,
            'jitter_s': JITTER_S,
            'triggered_jitter_s': TRIGGERED_JITTER_S,
            'loss': LOSS,
            'slop_s': SLOP_S,
            'queue_size': QUEUE_SIZE,
            'recordings': SEEDS,
            'duration_s': args.duration,
        },
        'quality': quality(methods, args.duration),
        'jump': jump(methods, args.duration),
        'cost': cost(methods, args.duration),
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + '\n')
    print(f'written: {args.out}')


def message_filters() -> tuple[str, Callable[..., Synchronizer]]:
    """The installed ApproximateTimeSynchronizer, or the simulation of it."""
    try:
        importlib.import_module('message_filters')
    except ImportError:
        print('message_filters is not installed: its algorithm is simulated\n')
        return 'message_filters (simulated)', Simulated
    return 'message_filters', Installed


def quality(
    methods: dict[str, Callable[..., Synchronizer]], duration_s: float
) -> list[dict[str, Any]]:
    """Gap, share of pairs and latency for each radar rate and lag."""
    print(
        f'{"radar":>8}{"image lag":>11}  {"method":<28}{"pairs":>8}{"mean gap":>10}'
        f'{"/ optimum":>11}{"nearest":>9}{"latency: mean":>15}{"95 %":>7}'
    )
    rows = []
    free = itertools.product((10.0, 13.0, 20.0), (0, 30), (False,))
    for radar_hz, lag_ms, triggered in [*free, (20.0, 0, True)]:
        recordings = [recording(seed, radar_hz, duration_s, triggered) for seed in range(SEEDS)]
        optimum = [optimal_pairs(radar, image) for radar, image in recordings]
        best_gap = mean_gap_ms(optimum)
        best_count = sum(map(len, optimum))
        for name, method in methods.items():
            pairs: list[list[tuple[int, int]]] = []
            latencies: list[float] = []
            for radar, image in recordings:
                found, waits = play(method(), arrivals(radar, image, lag_ms * MS))
                pairs.append(found)
                latencies += waits
            gap = mean_gap_ms(pairs)
            row = {
                'radar_hz': radar_hz,
                'image_lag_ms': lag_ms,
                'triggered': triggered,
                'method': name,
                'pairs_share': sum(map(len, pairs)) / best_count,
                'mean_gap_ms': gap,
                'optimal_gap_ms': best_gap,
                'gap_over_optimum': gap / best_gap,
                'nearest_share': nearest_share(pairs, recordings),
                'latency_ms_mean': statistics.fmean(latencies),
                'latency_ms_p95': statistics.quantiles(latencies, n=20)[-1],
            }
            rows.append(row)
            print(
                f'{radar_hz:5.0f} Hz{"triggered" if triggered else f"{lag_ms:8d} ms":>11}  '
                f'{name:<28}{row["pairs_share"]:8.1%}'
                f'{gap:7.2f} ms{row["gap_over_optimum"]:11.3f}{row["nearest_share"]:9.1%}'
                f'{row["latency_ms_mean"]:12.1f} ms{row["latency_ms_p95"]:4.0f} ms'
            )
    print()
    return rows


def jump(
    methods: dict[str, Callable[..., Synchronizer]], duration_s: float
) -> list[dict[str, Any]]:
    """Pairs of the second of two loops of a recording, against those of the first."""
    print(f'{"after a jump back: image lag":>32}  {"method":<28}{"1st loop":>10}{"2nd loop":>10}')
    rows = []
    radar, image = recording(0, 13.0, min(20.0, duration_s))
    for lag_ms in (0, 30):
        once = arrivals(radar, image, lag_ms * MS)
        length = max(radar[-1], image[-1]) - min(radar[0], image[0]) + 10 * MS
        twice = sorted(once + [(t + length, stream, stamp) for t, stream, stamp in once])
        # The image of before the jump that is still under way belongs to the first loop.
        boundary = next(t for t, s, stamp in twice if t > length and stamp in (radar[0], image[0]))
        for name, method in methods.items():
            synchronizer = method()
            counts = [0, 0]
            for t, stream, stamp in twice:
                counts[t >= boundary] += len(synchronizer.add(stream, stamp))
            rows.append(
                {'image_lag_ms': lag_ms, 'method': name, 'first': counts[0], 'second': counts[1]}
            )
            print(f'{lag_ms:>29} ms  {name:<28}{counts[0]:>10}{counts[1]:>10}')
    print()
    return rows


def cost(
    methods: dict[str, Callable[..., Synchronizer]], duration_s: float
) -> list[dict[str, Any]]:
    """Microseconds of one message by queue size; the best of five runs, interleaved."""
    sizes = (10, 50, 200)
    radar, image = recording(0, 13.0, duration_s)
    events = arrivals(radar, image, 30 * MS)
    best: dict[tuple[str, int], float] = {}
    for _ in range(5):
        for (name, method), size in itertools.product(methods.items(), sizes):
            synchronizer = method(size)
            start = time.perf_counter()
            for _, stream, stamp in events:
                synchronizer.add(stream, stamp)
            took = (time.perf_counter() - start) / len(events) * 1e6
            best[name, size] = min(took, best.get((name, size), took))
    print(f'{"us per message, queue of":<28}' + ''.join(f'{size:>8}' for size in sizes))
    for name in methods:
        print(f'{name:<28}' + ''.join(f'{best[name, size]:>8.1f}' for size in sizes))
    print()
    return [
        {'method': name, 'queue_size': size, 'us_per_message': took}
        for (name, size), took in best.items()
    ]


def recording(
    seed: int, radar_hz: float, duration_s: float, triggered: bool = False
) -> tuple[list[int], list[int]]:
    """Stamps of the radar and the camera, ns, ascending, at a random phase.

    Triggered: by one clock, with little jitter and none lost.
    """
    rng = random.Random(f'{seed} {radar_hz}')
    streams = []
    for rate in (radar_hz, CAMERA_HZ):
        phase = 1.0 if triggered else 1.0 + rng.random() / rate
        jitter_s = TRIGGERED_JITTER_S if triggered else JITTER_S
        stamps = {
            round((phase + k / rate + rng.gauss(0.0, jitter_s)) * 1e9)
            for k in range(int(duration_s * rate))
            if rng.random() >= LOSS or triggered
        }
        streams.append(sorted(stamps))
    return streams[0], streams[1]


def arrivals(radar: list[int], image: list[int], image_lag: int) -> list[Event]:
    """The messages in order of arrival; images `image_lag` ns late."""
    return sorted([(s, 0, s) for s in radar] + [(s + image_lag, 1, s) for s in image])


def play(
    synchronizer: Synchronizer, events: list[Event]
) -> tuple[list[tuple[int, int]], list[float]]:
    """The pairs, and the ms from the arrival of each pair's later message to its release."""
    arrived: dict[tuple[int, int], int] = {}
    pairs, waits = [], []
    for now, stream, stamp in events:
        arrived[stream, stamp] = now
        for radar, image in synchronizer.add(stream, stamp):
            pairs.append((radar, image))
            waits.append((now - max(arrived[0, radar], arrived[1, image])) / MS)
    return pairs, waits


def optimal_pairs(radar: list[int], image: list[int]) -> list[tuple[int, int]]:
    """The one-to-one, order-preserving pairs within slop of the largest sum of (slop - |gap|).

    Dynamic programming over the whole recording: what a synchronizer that knows the future does.
    """
    slop = round(SLOP_S * 1e9)
    # Values of the best sums over the first k images, kept only for images still in reach.
    offset = 0
    best: list[tuple[int, Any]] = [(0, None)]
    row: list[tuple[int, Any]]
    chain: Any
    for r in radar:
        begin, end = bisect_left(image, r - slop), bisect_right(image, r + slop)
        best += [best[-1]] * (end + 1 - offset - len(best))
        row = [best[begin - offset]]
        for k in range(begin, end):
            total, chain = best[k - offset]
            total += slop + 1 - abs(r - image[k])
            keep = max(row[-1], best[k + 1 - offset], key=lambda entry: entry[0])
            row.append((total, (chain, (r, image[k]))) if total > keep[0] else keep)
        offset, best = begin, row
    pairs: list[tuple[int, int]] = []
    chain = best[-1][1]
    while chain is not None:
        chain, pair = chain
        pairs.append(pair)
    return pairs[::-1]


def mean_gap_ms(recordings: list[list[tuple[int, int]]]) -> float:
    """Mean |radar - image| over all pairs, ms."""
    return statistics.fmean(abs(r - i) / MS for pairs in recordings for r, i in pairs)


def nearest_share(
    pairs: list[list[tuple[int, int]]], recordings: list[tuple[list[int], list[int]]]
) -> float:
    """Share of the pairs whose image is the nearest of all to the radar frame."""
    hits, total = 0, 0
    for found, (_, image) in zip(pairs, recordings, strict=True):
        for r, i in found:
            k = bisect_left(image, r)
            hits += abs(r - i) == min(abs(r - s) for s in image[max(0, k - 1) : k + 1])
        total += len(found)
    return hits / total


def fingerprint(duration_s: float) -> str:
    """SHA-256 of the stamps of the first recording at 13 Hz."""
    return hashlib.sha256(repr(recording(0, 13.0, duration_s)).encode()).hexdigest()


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


if __name__ == '__main__':
    main()
