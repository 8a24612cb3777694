# SPDX-License-Identifier: Apache-2.0
"""Retrieval within a drive: does a radar frame find its own image among those of other moments?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation.replay import RadarFrame
from radar_camera_ssl.evaluation.time_blocks import BlockedTally
from radar_camera_ssl.evaluation.windows import Infer
from radar_camera_ssl.inference.model import Correspondence
from radar_camera_ssl.sensors.camera_image import ImageLike, resize_image
from radar_camera_ssl.sensors.ego_speed import MOVED_M

GALLERY = 16
"""Images that each radar frame is compared with, its own among them, in drives of any length."""
CHANCE = {'retrieval_recall_at_1': 1 / GALLERY, 'retrieval_recall_at_5': 5 / GALLERY}
"""What a score that ignores a sensor has, exactly: blind to the radar, it puts the same image
first for all 16 radar frames, and is right for one of them; blind to the image, it puts all
images equal."""

# Moments nearer in time than this hardly differ.
_APART_S = 0.5
_TOO_FEW = f'fewer than {GALLERY} moments {_APART_S:g} s apart between which the car moved'


def inferences(pairs: int) -> int:
    """How many the end of a drive of so many pairs may take."""
    return GALLERY * (GALLERY - 1) if pairs >= GALLERY else 0


@dataclass(frozen=True)
class _Moment:
    stamp: int
    way_m: float
    image: NDArray[np.uint8]
    radar: RadarFrame
    agreement: float


class RetrievalProbe:
    """Feeds the retrieval figures of `Tally` from one drive's frames, given in order.

    The gallery is GALLERY moments spread evenly over the drive, at least 0.5 s apart, between
    which the car has moved, each with a return. At the end of the drive each of their radar
    frames meets each of their images: 240 inferences, however long the drive. A short drive's
    moments lie closer together and resemble one another more.

    Holds at most 2 * GALLERY moments, images at the model's input size: `infer` would resize
    them to that before anything else, so the agreement is the same.
    """

    def __init__(self, infer: Infer, blocks: BlockedTally, input_size: tuple[int, int]) -> None:
        """Start a drive; input_size: height and width that the model reads."""
        self._infer = infer
        self._blocks = blocks
        self._size = input_size
        self._held: list[_Moment] = []
        self._apart_s = _APART_S
        self._counted = False

    def add(
        self,
        stamp: int,
        way_m: float,
        image: ImageLike,
        radar: RadarFrame,
        correspondence: Correspondence,
    ) -> None:
        """Take one pair (stamp in ns), the way gone so far, and the model's answer."""
        if not len(correspondence.returns):
            return
        if self._held:
            last = self._held[-1]
            if stamp < last.stamp:
                # Time has jumped back: what follows may be what is held already.
                self._held.clear()
            elif stamp - last.stamp < self._apart_s * 1e9 or way_m - last.way_m < MOVED_M:
                return
        small = resize_image(image, *self._size)
        self._held.append(_Moment(stamp, way_m, small, radar, correspondence.agreement))
        if len(self._held) >= 2 * GALLERY:
            self._held = self._held[::2]
            self._apart_s *= 2

    def finish(self, inferred: Callable[[], None] = lambda: None) -> None:
        """Compare the moments held, once all frames have passed.

        inferred: called after every inference.
        """
        if len(self._held) < GALLERY:
            return
        index = (np.arange(GALLERY) + 0.5) * len(self._held) / GALLERY
        gallery = [self._held[int(i)] for i in index]
        for own in gallery:
            others = []
            for other in gallery:
                if other is not own:
                    others.append(self._infer(other.image, own.radar).agreement)
                    inferred()
            self._blocks.at(own.stamp).add_retrieval(own.agreement, others)
        self._counted = True

    def missing(self) -> dict[str, str]:
        """Why the retrieval figures cannot be had from this drive, by their keys."""
        if self._counted:
            return {}
        return dict.fromkeys(CHANCE, _TOO_FEW)
