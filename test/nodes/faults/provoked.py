# SPDX-License-Identifier: Apache-2.0
"""What a test states of the fault that it provokes, and how long the node takes to recover."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ros_graph import Rig, image_message, radar_message, wait_until
from sensor_msgs.msg import Image, PointCloud2

SECOND = 10**9
PERIOD = SECOND // 10


def living_image(stamp_ns: int) -> Image:
    """An image unlike the last one: a sensor that repeats itself is a fault of its own."""
    return image_message(stamp_ns, seed=stamp_ns // PERIOD)


def living_radar(stamp_ns: int) -> PointCloud2:
    """A radar frame unlike the last one."""
    return radar_message(stamp_ns, [(10.0 + stamp_ns // PERIOD % 7, 1.0, 0.5, -2.0, 8.0)])


class Drive:
    """Both sensors at 10 Hz by their stamps, as fast as they are asked for, into one node."""

    def __init__(self, rig: Rig, start_ns: int = 100 * SECOND) -> None:
        """Bring the node up and hear its heatmaps."""
        rig.bring_up()
        self.rig = rig
        self.stamp = start_ns
        self.make_radar: Callable[[int], Any] = living_radar
        self.make_image: Callable[[int], Any] = living_image
        self.heatmaps = self.hear()

    def hear(self) -> list[Image]:
        """Hear the heatmaps anew, after the node has been configured anew."""
        return self.rig.hear('output/heatmap', Image)

    def next_stamp(self) -> int:
        self.stamp += PERIOD
        return self.stamp

    def pair(self) -> None:
        stamp = self.next_stamp()
        self.rig.pair(stamp, self.make_radar(stamp), self.make_image(stamp))

    def radar(self) -> None:
        self.rig.radar(self.make_radar(self.next_stamp()))

    def image(self) -> None:
        self.rig.image(self.make_image(self.next_stamp()))

    def flows(self, pairs: int = 3) -> None:
        """Have some pairs answered."""
        wanted = len(self.heatmaps) + pairs
        for _ in range(pairs):
            self.pair()
        wait_until(lambda: len(self.heatmaps) >= wanted, lambda: str(self.rig.values()))


class Fault:
    """Collects what is reported, what is lost and how long recovery takes."""

    def __init__(self) -> None:
        self._reported: list[str] = []
        self._lost: dict[str, str] = {}
        self._recovery = ''

    @property
    def names(self) -> list[str]:
        """The codes, keys and reasons stated."""
        return [*self._reported, *self._lost]

    def __str__(self) -> str:
        reported = ', '.join(f'`{name}`' for name in self._reported) or 'nothing'
        lost = ', '.join(f'`{name}` {count}' for name, count in self._lost.items()) or 'nothing'
        return f'{reported} | {lost} | {self._recovery}'

    def is_reported(self, rig: Rig, code: str, meanwhile: Callable[[], Any] = bool) -> None:
        """Wait for a finding, doing something meanwhile."""

        def found() -> bool:
            meanwhile()
            return code in rig.values().get('findings', '').split(', ')

        wait_until(found, lambda: f'{code}; the findings are {rig.values().get("findings")}')
        self._reported.append(code)

    def is_told(self, rig: Rig, key: str, value: str) -> None:
        """Wait for a value of the diagnostics."""
        rig.value(key, value)
        self._reported.append(key)

    def is_said(self, where: str) -> None:
        """Note what a test found outside the diagnostics: `log`, `exit code 0`."""
        self._reported.append(where)

    def loses(self, rig: Rig, key: str, count: int) -> None:
        """Wait until so many are counted under this key."""
        rig.value(key, str(count))
        self._lost[key] = str(count)

    def counts(self, rig: Rig, key: str) -> None:
        """Wait until some are counted under this key; how many is not the test's to know."""
        wait_until(lambda: int(rig.values().get(key, '0')) > 0, lambda: str(rig.values()))
        self._lost[key] = rig.values()[key]

    def loses_nothing(self, rig: Rig) -> None:
        """Wait until nothing is on its way, and hold that no radar frame was dropped."""
        rig.value('radar_pending', '0')
        assert rig.values()['radar_dropped'] == '0', rig.values()

    def recovers(self, drive: Drive, calm: bool = True, began_s: float | None = None) -> None:
        """Send good pairs until one is answered and, with `calm`, the node has no findings."""
        began_s = time.monotonic() if began_s is None else began_s
        before = len(drive.heatmaps)

        def answered() -> bool:
            drive.pair()
            time.sleep(0.02)
            return len(drive.heatmaps) > before

        wait_until(answered, lambda: f'no heatmap: {drive.rig.values()}')
        self.took('answers', time.monotonic() - began_s)

        def well() -> bool:
            drive.pair()
            time.sleep(0.02)
            return drive.rig.values().get('findings') == ''

        if calm:
            wait_until(well, lambda: f'it still says {drive.rig.values().get("findings")}')
            self.took('OK', time.monotonic() - began_s)

    def took(self, what: str, seconds: float) -> None:
        """Note how long something took."""
        text = f'{what} after {seconds:.2f} s'
        self._recovery = f'{self._recovery}, {text}' if self._recovery else text
