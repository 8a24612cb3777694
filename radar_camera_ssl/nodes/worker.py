# SPDX-License-Identifier: Apache-2.0
"""The worker thread: takes the next pair, decodes, infers, publishes, and accounts for it."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.sensors.camera_image import CameraImage
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.pairing import Pair
from radar_camera_ssl.sensors.radar_points import RadarPoints

from .agreement_watch import AgreementWatch
from .decode_ahead import DecodeAhead
from .decoding import ImageDecoder, RadarDecoder
from .intake import ready_since
from .monitor import WorkerMonitor
from .pair_queue import PairQueue

if TYPE_CHECKING:
    from radar_camera_ssl.inference.model import Correspondence

TOO_OLD = 'too_old'
FAILED = 'inference_failed'
FIELD_MISSING = 'points_field_missing'


@dataclass(frozen=True)
class Decoded:
    """A pair decoded: the image, and its pixels at the size of the model's input."""

    radar: RadarPoints | NDArray[np.float32]
    image: CameraImage
    scaled: NDArray[np.uint8]


@dataclass(frozen=True)
class Stages:
    """What is done with a pair, in this order; each may raise."""

    decode_radar: RadarDecoder
    decode_image: ImageDecoder
    scale: Callable[[CameraImage], NDArray[np.uint8]]
    """Makes the model's input of a decoded image."""
    infer: Callable[[Decoded], Correspondence]
    publish: Callable[[Any, Any, CameraImage, Correspondence], None]
    """Called with radar message, image message, image and result."""


class PairWorker:
    """One thread that works the queue off until it is closed, one that decodes what waits."""

    def __init__(
        self,
        queue: PairQueue[Pair],
        stages: Stages,
        monitor: WorkerMonitor,
        watch: AgreementWatch,
        max_age_s: Callable[[], float],
        on_drop: Callable[[str, str], None],
        on_failure: Callable[[int, str], None],
    ) -> None:
        """Prepare the thread.

        `on_drop(reason, text)` is told of each dropped pair, `on_failure(in_a_row, text)` of each
        failed one; both are called in the worker's thread.
        """
        self._queue, self._stages = queue, stages
        self._monitor, self._watch = monitor, watch
        self._max_age_s, self._on_drop, self._on_failure = max_age_s, on_drop, on_failure
        self._ahead = DecodeAhead(queue, self._decode)
        self._thread = threading.Thread(target=self._run, name='pair_worker', daemon=True)

    def start(self) -> None:
        """Start the thread, and the one that decodes ahead of it."""
        self._ahead.start()
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> bool:
        """Wait for the threads after the queue was closed; False when one is still at work."""
        end_s = time.monotonic() + timeout_s
        self._thread.join(timeout_s)
        ahead_ended = self._ahead.join(max(0.0, end_s - time.monotonic()))
        return ahead_ended and not self._thread.is_alive()

    def _run(self) -> None:
        while (pair := self._queue.take()) is not None:
            self._queue.finish(dropped=self._process(pair))

    def _process(self, pair: Pair) -> str | None:
        """Do the work on one pair; return None when published, or the reason of the drop."""
        waited = time.monotonic() - ready_since(pair)
        self._monitor.latency('wait', waited)
        if waited > self._max_age_s():
            self._on_drop(TOO_OLD, f'pair dropped: {TOO_OLD} ({waited:.3f} s after its arrival)')
            return TOO_OLD
        try:
            self._run_stages(pair)
        except SensorDataError as error:
            text = f'pair dropped: {error.reason} ({error})'
            if error.reason == FIELD_MISSING:
                self._monitor.radar_field_missing(str(error))
            self._on_drop(error.reason, text)
            return error.reason
        except Exception as error:  # noqa: BLE001 - whatever fails, the node goes on and tells
            text = f'pair failed: {type(error).__name__}: {error}'
            in_a_row = self._monitor.failed(text)
            self._on_drop(FAILED, f'{text}\n{traceback.format_exc()}')
            self._on_failure(in_a_row, text)
            return FAILED
        return None

    def _decode(self, pair: Pair) -> Decoded:
        radar = self._stages.decode_radar(pair.radar.message)
        self._monitor.radar_decoded(getattr(radar, 'not_finite', 0))
        image = self._stages.decode_image(pair.image.message)
        return Decoded(radar, image, self._stages.scale(image))

    def _run_stages(self, pair: Pair) -> None:
        with self._monitor.stage('decode'):
            decoded = self._ahead.result(pair) or self._decode(pair)
        with self._monitor.stage('infer'):
            result = self._stages.infer(decoded)
        with self._monitor.stage('publish'):
            self._stages.publish(pair.radar.message, pair.image.message, decoded.image, result)
        self._monitor.latency('total', time.monotonic() - ready_since(pair))
        self._monitor.published(pair.gap_s, result.returns_dropped)
        # Nobody waits for what follows: the heatmap is out.
        self._watch.add(pair.radar_stamp, decoded.scaled, decoded.radar, result)
