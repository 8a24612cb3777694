# SPDX-License-Identifier: Apache-2.0
"""Single frames worth showing: those that the model did best and worst on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np

from radar_camera_ssl.evaluation import histograms
from radar_camera_ssl.evaluation.scoring import FrameScore
from radar_camera_ssl.inference.model import Correspondence
from radar_camera_ssl.inference.overlay import GHOST_BELOW, draw_overlay
from radar_camera_ssl.sensors.camera import encode_jpeg
from radar_camera_ssl.sensors.camera_image import ImageLike

EACH = 10
"""So many of the best, and of the worst."""
APART_S = 1.0
"""Moments nearer to each other than this show one scene."""
_LARGEST_WIDTH = 1280
_JPEG_QUALITY = 85


@dataclass(frozen=True)
class ReportMoment:
    """One frame as the report shows it.

    bag: name of its drive; time_s: since that drive's first frame. score: `frame_score`, in
    [0, 1], larger is better, None without ground truth. agreement: the model's own, in [0, 1].
    caption: what the score counts here, one line. jpeg: the overlay, encoded.
    """

    bag: str
    time_s: float
    score: float | None
    agreement: float
    caption: str
    jpeg: bytes

    @property
    def value(self) -> float:
        """What moments are ranked by: the score, without ground truth the agreement."""
        return self.agreement if self.score is None else self.score


def frame_score(score: FrameScore) -> float | None:
    """How well a frame with ground truth was answered, in [0, 1].

    The mean of two figures of this frame alone: the share of its true, visible returns whose
    pixel lies on their own source (as pointing_accuracy), and the average precision of its
    heatmap (as heatmap_ap). None for a frame without such a return, which asks nothing.
    """
    if score.pointing is None or score.heat is None or not score.visible.any():
        return None
    precision = histograms.average_precision(score.heat.positive, score.heat.negative)
    share = float(score.pointing.on_source_dilated.mean())
    return share if precision is None else (share + precision) / 2


@dataclass
class Moments:
    """The best and the worst moments of a drive, or of drives merged, most telling first."""

    best: list[ReportMoment] = field(default_factory=list)
    worst: list[ReportMoment] = field(default_factory=list)

    def merge(self, other: Moments) -> None:
        """Keep the best and the worst of both; with ground truth in either, only scored ones."""
        best, worst = [*self.best, *other.best], [*self.worst, *other.worst]
        if any(moment.score is not None for moment in (*best, *worst)):
            best = [moment for moment in best if moment.score is not None]
            worst = [moment for moment in worst if moment.score is not None]
        self.best = _most(best, 1)
        self.worst = _most(worst, -1)


@dataclass(frozen=True)
class _Candidate:
    time_s: float
    value: float
    image: ImageLike
    correspondence: Correspondence
    frame: FrameScore | None
    score: float | None


class MomentPicker:
    """Keeps the EACH best and the EACH worst frames of one drive, APART_S from one another.

    Ranked by `frame_score`; in a drive without ground truth by the agreement. Of each APART_S of
    driving only the best and the worst frame stand for election, so that at most two frames of
    it are ever drawn, and two images held.
    """

    def __init__(self, bag: str) -> None:
        """Start a drive; bag: its name in the report."""
        self._bag = bag
        self._stretch: int | None = None
        self._high: _Candidate | None = None
        self._low: _Candidate | None = None
        self._scored = False
        self.moments = Moments()

    def add(
        self,
        time_s: float,
        image: ImageLike,
        correspondence: Correspondence,
        frame: FrameScore | None,
    ) -> None:
        """Take one frame; frame: its score, None without ground truth."""
        score = None if frame is None else frame_score(frame)
        if score is None and self._scored:
            return
        if score is not None and not self._scored:
            # What agreement chose so far is not comparable.
            self._scored, self._stretch = True, None
            self._high = self._low = None
            self.moments = Moments()
        value = correspondence.agreement if score is None else score
        asked = None if score is None else frame
        candidate = _Candidate(time_s, value, image, correspondence, asked, score)
        stretch = int(time_s // APART_S)
        if stretch != self._stretch:
            self._elect()
            self._stretch = stretch
        if self._high is None or value > self._high.value:
            self._high = candidate
        if self._low is None or value < self._low.value:
            self._low = candidate

    def finish(self) -> None:
        """Decide on the last stretch, once all frames have passed.

        A frame that is among both, as in a short drive, stays where it is the more telling.
        """
        self._elect()
        found = self.moments
        place = {moment.time_s: i for i, moment in enumerate(found.worst)}
        found.best = [m for i, m in enumerate(found.best) if i <= place.get(m.time_s, EACH)]
        shown = {moment.time_s for moment in found.best}
        found.worst = [moment for moment in found.worst if moment.time_s not in shown]

    def _elect(self) -> None:
        if self._high is not None and self._low is not None:
            self.moments.best = self._elected(self.moments.best, self._high, 1)
            self.moments.worst = self._elected(self.moments.worst, self._low, -1)
        self._high = self._low = None

    def _elected(
        self, held: list[ReportMoment], candidate: _Candidate, sign: int
    ) -> list[ReportMoment]:
        """Moments with the candidate among them, where it is one of the most telling."""
        near = [moment for moment in held if abs(moment.time_s - candidate.time_s) < APART_S]
        rivals = near or (held[-1:] if len(held) >= EACH else [])
        if any(sign * candidate.value <= sign * rival.value for rival in rivals):
            return held
        rest = [moment for moment in held if moment not in rivals]
        return _most([*rest, self._drawn(candidate)], sign)

    def _drawn(self, candidate: _Candidate) -> ReportMoment:
        correspondence = candidate.correspondence
        picture = draw_overlay(candidate.image, correspondence)
        height, width = picture.shape[:2]
        if width > _LARGEST_WIDTH:
            size = _LARGEST_WIDTH, round(height * _LARGEST_WIDTH / width)
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        return ReportMoment(
            self._bag,
            candidate.time_s,
            candidate.score,
            correspondence.agreement,
            _caption(correspondence, candidate.frame),
            encode_jpeg(picture, _JPEG_QUALITY).tobytes(),
        )


def _most(moments: Iterable[ReportMoment], sign: int) -> list[ReportMoment]:
    return sorted(moments, key=lambda moment: -sign * moment.value)[:EACH]


def _caption(correspondence: Correspondence, frame: FrameScore | None) -> str:
    """Say what the frame was ranked by, in words."""
    if frame is None or frame.pointing is None or frame.heat is None:
        matched = int((correspondence.likelihood >= GHOST_BELOW).sum())
        return f'{matched} of {_returns(len(correspondence.returns))} matched'
    hits = frame.pointing.on_source_dilated
    said = f'{int(hits.sum())} of {_returns(len(hits))} on their source'
    precision = histograms.average_precision(frame.heat.positive, frame.heat.negative)
    return said if precision is None else f'{said}; heatmap AP {precision:.2f}'


def _returns(count: int) -> str:
    return f'{count} return' if count == 1 else f'{count} returns'
