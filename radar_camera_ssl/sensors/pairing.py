# SPDX-License-Identifier: Apache-2.0
"""Pairing of radar frames and images: nearest in time, one to one, in order, as early as possible.

Among the frames waiting, the pairs are those of the one-to-one, order-preserving assignment that
maximises the sum of (slop - |gap|): a lone frame costs as much as a gap of slop. The first of
these pairs leaves when no frame that can still come is worth waiting for, that is nearer to either
of its two by more than WORTH_WAITING_S. That is known once each stream has, or will with its next
frame, run past the mirror image of the partner, but for so much.
When the next frame of a stream comes at the earliest is learnt from the stamps of its last
frames. A stream that is silent holds the other for `slop`, or for as long as it is usually late
where that is more, by the other's stamps: there is no clock in here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NS_PER_S = 1_000_000_000

# A tie is not waited out: of sensors that one clock triggers at rates such as 30 and 20 Hz, every
# second radar frame lies half-way between two images, and jitter decides which is nearer.
WORTH_WAITING_S = 0.001
# Stamps that run backwards by less are frames out of order, not a jump of time.
MIN_JUMP_S = 0.1
# After one stream jumped back, the other is expected to follow before it advances by this much.
FOLLOW_S = 1.0
# Frames from whose stamps period and lateness of a stream are learnt, and how many are enough.
LEARNING_FRAMES = 32
MIN_LEARNING_FRAMES = 4

_WORTH_WAITING = round(WORTH_WAITING_S * NS_PER_S)


@dataclass(frozen=True)
class Pair:
    """A radar frame and the image matched to it; stamps in ns."""

    radar_stamp: int
    image_stamp: int
    radar: Any
    image: Any

    @property
    def gap_s(self) -> float:
        """Radar stamp minus image stamp, s."""
        return (self.radar_stamp - self.image_stamp) / NS_PER_S


@dataclass(frozen=True)
class PairingCounts:
    """What became of every frame: received == pairs + sum(dropped) + pending, for each stream."""

    radar_received: int
    image_received: int
    pairs: int
    radar_dropped: Mapping[str, int]
    image_dropped: Mapping[str, int]
    radar_pending: int
    image_pending: int
    resets: int


class RecentMinimum:
    """Minimum of the last LEARNING_FRAMES values, O(1) amortised (a monotonic queue)."""

    def __init__(self) -> None:
        self._candidates: deque[tuple[int, int]] = deque()
        self._added = 0

    def add(self, value: int) -> None:
        """Add a value; the one added LEARNING_FRAMES ago is forgotten."""
        while self._candidates and self._candidates[-1][1] >= value:
            self._candidates.pop()
        self._candidates.append((self._added, value))
        self._added += 1
        if self._candidates[0][0] <= self._added - 1 - LEARNING_FRAMES:
            self._candidates.popleft()

    def get(self, default: int) -> int:
        """Return the minimum, or `default` while too few values are known."""
        return self._candidates[0][1] if self._added >= MIN_LEARNING_FRAMES else default

    def clear(self) -> None:
        """Forget everything."""
        self._candidates.clear()
        self._added = 0


class Stream:
    """The waiting frames of one sensor, sorted by stamp, and what its stamps have taught."""

    def __init__(self) -> None:
        self.stamps: list[int] = []
        self.items: dict[int, Any] = {}
        self.newest: int | None = None
        self.paired: int | None = None
        self.interval = RecentMinimum()
        # Stamp minus the other stream's newest on arrival: negative where this stream is late.
        self.lead = RecentMinimum()
        self.received = 0
        self.dropped: dict[str, int] = {}

    def insert(self, stamp: int, item: Any) -> None:
        """Add a frame, in its place by stamp."""
        if self.newest is None or stamp > self.newest:
            if self.newest is not None:
                self.interval.add(stamp - self.newest)
            self.newest = stamp
            self.stamps.append(stamp)
        else:
            insort(self.stamps, stamp)
        self.items[stamp] = item

    def earliest_next(self) -> int:
        """Stamp before which no further frame of this stream is expected."""
        assert self.newest is not None
        return self.newest + self.interval.get(0)

    def has_within(self, stamp: int, slop: int) -> bool:
        """Whether a frame waits at most `slop` from `stamp`."""
        index = bisect_left(self.stamps, stamp - slop)
        return index < len(self.stamps) and self.stamps[index] <= stamp + slop

    def drop_first(self, count: int, reason: str) -> None:
        """Drop the `count` oldest frames under `reason`."""
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + count
            for stamp in self.stamps[:count]:
                del self.items[stamp]
            del self.stamps[:count]

    def count_drop(self, reason: str) -> None:
        """Count a frame that never waited."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def take(self, index: int) -> tuple[int, Any]:
        """Remove the frame at `index` for a pair; the ones before it can have no partner now."""
        self.drop_first(index, 'no_partner')
        stamp = self.stamps.pop(0)
        self.paired = stamp
        return stamp, self.items.pop(stamp)

    def restart(self) -> None:
        """Forget where this stream was in time, after a jump; its period stays known."""
        self.newest = None
        self.paired = None
        self.lead.clear()


class NearestTimePairing:
    """Pairs the frames of a radar and a camera; not thread-safe, no clock, no ROS.

    slop_s: largest |gap| of a pair, s.
    queue_size: frames of each stream that may wait; beyond it the oldest is dropped.

    Frames are dropped, and counted, as `no_partner` (none within slop, or it went to a nearer
    frame: normal for two of three images at 30 Hz against 10 Hz), `queue_overflow`,
    `time_jump` (waiting when time jumped back), `out_of_order` (older than a pair that has
    left) or `duplicate_stamp`. Pairs leave in ascending order of both stamps between resets.
    """

    def __init__(self, slop_s: float, queue_size: int = 50) -> None:
        if not 0.0 < slop_s < float('inf'):
            raise ValueError(f'slop_s is {slop_s}, must be positive and finite')
        if queue_size < 1:
            raise ValueError(f'queue_size is {queue_size}, must be at least 1')
        self.slop_s = slop_s
        self.queue_size = queue_size
        self._slop = round(slop_s * NS_PER_S)
        self._jump = max(self._slop, round(MIN_JUMP_S * NS_PER_S))
        self._radar = Stream()
        self._image = Stream()
        self._pairs = 0
        self._resets = 0
        # The stream that jumped back while the other has not yet followed.
        self._leader: Stream | None = None
        self._follow_until = 0

    def add_radar(self, stamp: int, item: Any) -> list[Pair]:
        """Add a radar frame with its stamp, ns; return the pairs that this lets leave."""
        return self._add(self._radar, self._image, stamp, item)

    def add_image(self, stamp: int, item: Any) -> list[Pair]:
        """Add an image with its stamp, ns; return the pairs that this lets leave."""
        return self._add(self._image, self._radar, stamp, item)

    def flush(self) -> list[Pair]:
        """End both streams: return the remaining pairs, drop the rest; ready for new streams."""
        pairs = []
        while front := self._front():
            pairs.append(self._leave(*front[0]))
        self.clear('no_partner')
        return pairs

    def clear(self, reason: str) -> None:
        """Drop everything that waits, counted under `reason`, and forget what was learnt."""
        for stream in (self._radar, self._image):
            stream.drop_first(len(stream.stamps), reason)
            stream.restart()
            stream.interval.clear()
        self._leader = None

    @property
    def counts(self) -> PairingCounts:
        """A snapshot of the counters."""
        return PairingCounts(
            self._radar.received,
            self._image.received,
            self._pairs,
            dict(self._radar.dropped),
            dict(self._image.dropped),
            len(self._radar.stamps),
            len(self._image.stamps),
            self._resets,
        )

    def _add(self, own: Stream, other: Stream, stamp: int, item: Any) -> list[Pair]:
        own.received += 1
        if own.newest is not None and stamp <= own.newest:
            if own.newest - stamp > self._jump:
                self._jump_back(own, other)
            elif stamp in own.items or stamp in (own.newest, own.paired):
                own.count_drop('duplicate_stamp')
                return []
            elif own.paired is not None and stamp < own.paired:
                own.count_drop('out_of_order')
                return []
        own.insert(stamp, item)
        if self._leader is not None:
            followed = self._leader is other and stamp > self._follow_until
            if followed or other.has_within(stamp, self._slop):
                self._leader = None
        elif other.newest is not None:
            own.lead.add(stamp - other.newest)
        pairs = self._settle()
        while len(own.stamps) > self.queue_size:
            front = self._front()
            if front and front[0][0 if own is self._radar else 1] == 0:
                pairs.append(self._leave(*front[0]))
            else:
                own.drop_first(1, 'queue_overflow')
            pairs += self._settle()
        return pairs

    def _jump_back(self, own: Stream, other: Stream) -> None:
        """Clear what the jump made worthless.

        The streams do not jump at the same moment: frames of before may still be under way in
        the other. So the stream that jumped first keeps its new frames until the other follows.
        """
        own.drop_first(len(own.stamps), 'time_jump')
        if self._leader is other:
            self._leader = None
        else:
            self._resets += 1
            other.drop_first(len(other.stamps), 'time_jump')
            other.lead.clear()
            if other.newest is not None:
                self._leader = own
                self._follow_until = other.newest + round(FOLLOW_S * NS_PER_S)
        own.restart()

    def _settle(self) -> list[Pair]:
        """Let every pair leave that is final, drop every frame that can have no partner."""
        pairs: list[Pair] = []
        while True:
            self._expire(self._radar, self._image)
            self._expire(self._image, self._radar)
            front = self._front()
            if not front or not self._is_final(front):
                return pairs
            pairs.append(self._leave(*front[0]))

    def _expire(self, own: Stream, other: Stream) -> None:
        """Drop the oldest frames when the other stream has passed them by more than slop."""
        if other.newest is None or self._leader is own:
            return
        count = bisect_right(own.stamps, other.newest - self._slop)
        if count and other.stamps:
            # A frame within reach of one that waits is decided upon with that one's pair.
            count = min(count, bisect_left(own.stamps, other.stamps[0] - self._slop))
            while count < len(own.stamps) and own.stamps[count] <= other.newest - self._slop:
                if other.has_within(own.stamps[count], self._slop):
                    break
                count += 1
        own.drop_first(count, 'no_partner')

    def _front(self) -> list[tuple[int, int]]:
        """Pairs of the best assignment as indices (radar, image), for the first group of frames.

        A group are frames within slop of one another, directly or through others: what is paired
        in it does not depend on the frames outside.
        """
        radar, image, slop = self._radar.stamps, self._image.stamps, self._slop
        a = b = 0
        while a < len(radar) and b < len(image):
            if radar[a] < image[b] - slop:
                a = bisect_left(radar, image[b] - slop, a)
            elif image[b] < radar[a] - slop:
                b = bisect_left(image, radar[a] - slop, b)
            else:
                break
        else:
            return []
        end = bisect_right(image, radar[a] + slop, b)
        if a + 1 == len(radar) or radar[a + 1] - slop > image[end - 1]:
            return [(a, min(range(b, end), key=lambda k: abs(image[k] - radar[a])))]
        return self._best_assignment(a, b)

    def _best_assignment(self, a: int, first: int) -> list[tuple[int, int]]:
        """Pairs of the best assignment of a group that starts with radar `a`, image `first`.

        Dynamic programming over radar frames (outer) and images (inner): best[k] is the largest
        sum over the radar frames so far and the first k images of the group, with the chain of
        pairs that leads to it.
        """
        radar, image, slop = self._radar.stamps, self._image.stamps, self._slop
        best: list[tuple[int, Any]] = [(0, None)]
        begin, end = first, first
        while a < len(radar):
            begin = bisect_left(image, radar[a] - slop, begin)
            if begin >= end > first:
                break
            end = bisect_right(image, radar[a] + slop, end)
            best += [best[-1]] * (end - first + 1 - len(best))
            row = best[: begin - first + 1]
            for k in range(begin, end):
                total, chain = best[k - first]
                # One more than the benefit, so that a pair at exactly slop is a pair.
                total += slop + 1 - abs(image[k] - radar[a])
                keep = max(row[-1], best[k - first + 1], key=_total)
                row.append((total, (chain, (a, k))) if total > keep[0] else keep)
            best = row
            a += 1
        pairs, chain = [], best[-1][1]
        while chain is not None:
            chain, pair = chain
            pairs.append(pair)
        return pairs[::-1]

    def _is_final(self, pairs: list[tuple[int, int]]) -> bool:
        """Whether nothing that can still come would change the first of these pairs.

        No coming frame may be nearer to either of its two by what is worth waiting for. Where one
        of the two had to give way, its nearest partner being taken by the next pair, that pair
        must be final as well: a coming frame that serves it better sets the partner free.
        """
        for a, b in pairs:
            radar, image = self._radar.stamps[a], self._image.stamps[b]
            gap = abs(radar - image)
            near = gap - _WORTH_WAITING
            if not self._has_passed(self._image, radar + near, self._radar):
                return False
            if not self._has_passed(self._radar, image + near, self._image):
                return False
            if not (
                _is_nearer(self._image.stamps, b + 1, radar, gap)
                or _is_nearer(self._radar.stamps, a + 1, image, gap)
            ):
                break
        return True

    def _has_passed(self, stream: Stream, stamp: int, other: Stream) -> bool:
        """Whether `stream` brings nothing before `stamp` any more, or is overdue with it."""
        assert other.newest is not None
        patience = max(self._slop, -stream.lead.get(0))
        return stream.earliest_next() >= stamp or other.newest >= stamp + patience

    def _leave(self, a: int, b: int) -> Pair:
        radar_stamp, radar = self._radar.take(a)
        image_stamp, image = self._image.take(b)
        self._pairs += 1
        return Pair(radar_stamp, image_stamp, radar, image)


def _total(entry: tuple[int, Any]) -> int:
    return entry[0]


def _is_nearer(stamps: list[int], index: int, stamp: int, gap: int) -> bool:
    return index < len(stamps) and abs(stamps[index] - stamp) < gap
