# SPDX-License-Identifier: Apache-2.0
"""A recording through the same pairing, decoding and model as on the vehicle."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation import histograms
from radar_camera_ssl.inference.model import Correspondence, CorrespondenceModel, ModelError
from radar_camera_ssl.inference.radar_frames import RadarFrame, decode_radar
from radar_camera_ssl.sensors.camera_image import CameraImage, ImageLike
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.geometry import Intrinsics
from radar_camera_ssl.sensors.radar_points import RadarPoints
from radar_camera_ssl.sensors.recording import (
    RecordedPair,
    Recording,
    RecordingError,
    read_pairs,
)

__all__ = ['RadarFrame', 'Replay', 'ReplayFrame']

STAGES = ('decode', 'infer')


@dataclass(frozen=True)
class ReplayFrame:
    """One pair and the model's answer to it.

    image: as recorded. radar: the returns or the cube, decoded, and as it was
    in radar_message. Stamps in ns; image_time and radar_time are when the bag has the messages.
    """

    image_stamp: int
    radar_stamp: int
    image: ImageLike
    radar: RadarFrame
    correspondence: Correspondence
    image_frame_id: str
    radar_frame_id: str
    image_time: int
    radar_time: int
    radar_message: Any

    @property
    def gap_s(self) -> float:
        """Radar stamp minus image stamp, s."""
        return (self.radar_stamp - self.image_stamp) * 1e-9


class Replay:
    """Iterates once over a recording's pairs; what it counted is read afterwards.

    Pairs that cannot be decoded are dropped and counted by reason; a recording that breaks off is
    evaluated up to there, and `incomplete` says why it ended.
    """

    def __init__(
        self,
        recording: Recording,
        model: CorrespondenceModel,
        slop_s: float = 0.05,
        image_topic: str | None = None,
        radar_topic: str | None = None,
        aliases: Mapping[str, str] | None = None,
        max_pairs: int | None = None,
        intrinsics: Intrinsics | None = None,
    ) -> None:
        """Find the topics; raises RecordingError where the recording lacks one."""
        self._model = model
        self._intrinsics = intrinsics
        self._aliases = aliases
        self._max_pairs = max_pairs
        self._pairs = read_pairs(
            recording, model.metadata.radar.kind, slop_s, image_topic, radar_topic
        )
        self.image_topic = self._pairs.image_topic
        self.radar_topic = self._pairs.radar_topic
        self.pairs = 0
        self.undecodable: Counter[str] = Counter()
        self.first_undecodable: dict[str, str] = {}
        """What was wrong with the first pair dropped for each reason."""
        self.incomplete: str | None = None
        self.gap_ms = np.zeros(histograms.MAGNITUDE_BINS)
        self.latency_ms: dict[str, NDArray[np.float64]] = {
            stage: np.zeros(histograms.MAGNITUDE_BINS) for stage in STAGES
        }
        self.returns_dropped = 0
        self.returns_not_finite = 0

    def __iter__(self) -> Iterator[ReplayFrame]:
        try:
            for pair in self._pairs:
                frame = self._frame(pair)
                if frame is not None:
                    yield frame
                if self._max_pairs is not None and self.pairs >= self._max_pairs:
                    return
        except RecordingError as error:
            if not self.pairs:
                raise
            self.incomplete = str(error)

    def _frame(self, pair: RecordedPair) -> ReplayFrame | None:
        self.pairs += 1
        self.gap_ms += histograms.magnitude_counts([abs(pair.gap_s) * 1e3])
        start = time.perf_counter()
        try:
            image = CameraImage(pair.image)
            self._model.scaled(image)
            radar = decode_radar(pair.radar, self._model.metadata, self._aliases)
            decoded = time.perf_counter()
            correspondence = self._model.infer(image, radar, self._intrinsics)
        except SensorDataError as error:
            self._drop(error.reason, error)
            return None
        except ModelError as error:
            self._drop('inference_failed', error)
            return None
        inferred = time.perf_counter()
        self._count_latency('decode', decoded - start)
        self._count_latency('infer', inferred - decoded)
        self.returns_dropped += correspondence.returns_dropped
        if isinstance(radar, RadarPoints):
            self.returns_not_finite += radar.not_finite
        return ReplayFrame(
            pair.image_stamp,
            pair.radar_stamp,
            image,
            radar,
            correspondence,
            str(pair.image.header.frame_id),
            str(pair.radar.header.frame_id),
            pair.image_time,
            pair.radar_time,
            pair.radar,
        )

    def _drop(self, reason: str, error: Exception) -> None:
        self.undecodable[reason] += 1
        self.first_undecodable.setdefault(reason, str(error))

    def _count_latency(self, stage: str, seconds: float) -> None:
        self.latency_ms[stage] += histograms.magnitude_counts([seconds * 1e3])

    @property
    def dropped(self) -> dict[str, dict[str, int]]:
        """What did not become a scored pair: radar and image messages, and pairs, by reason."""
        counts = self._pairs.pairing.counts
        radar, image = dict(counts.radar_dropped), dict(counts.image_dropped)
        for held, topic in ((radar, self.radar_topic), (image, self.image_topic)):
            if self._pairs.stamp_zero[topic]:
                held['stamp_zero'] = self._pairs.stamp_zero[topic]
        returns = {'strongest_kept': self.returns_dropped, 'not_finite': self.returns_not_finite}
        return {
            'radar': radar,
            'image': image,
            'pairs': dict(self.undecodable),
            'returns': {reason: count for reason, count in returns.items() if count},
        }
