# SPDX-License-Identifier: Apache-2.0
"""What one drive's evaluation draws and records of the frames that pass."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from radar_camera_ssl.evaluation.record import OutputRecorder
from radar_camera_ssl.evaluation.recorded_rig import RecordedRig
from radar_camera_ssl.evaluation.replay import ReplayFrame
from radar_camera_ssl.evaluation.rerun_recording import RerunRecording
from radar_camera_ssl.evaluation.video import MomentSampler, OverlayVideo
from radar_camera_ssl.evaluation.write_behind import WriteBehind
from radar_camera_ssl.inference.overlay import draw_overlay
from radar_camera_ssl.sensors.camera import encode_jpeg

# In a drive's part folder; `ResultFolder` puts the parts together.
VIDEO = 'overlay.mp4'
RECORDED = 'recorded'
RERUN = 'answers.rrd'

# Encoded once more for the sheet: of the moments that are shown, nothing may be lost twice.
_MOMENT_QUALITY = 95


@dataclass(frozen=True)
class OutputOptions:
    """What is made of the frames besides figures.

    overlay: a video and a sheet of moments. record: a bag of the model's answers. rerun: where the
    same goes as an .rrd file.
    """

    overlay: bool = True
    record: bool = False
    rerun: Path | None = None


@dataclass(frozen=True)
class Drawn:
    """What a drive's outputs are, besides the files in its part folder; can be pickled.

    duration_s: from the first to the last frame. moments: seconds since the first frame, JPEG.
    """

    duration_s: float = 0.0
    moments: tuple[tuple[float, bytes], ...] = ()


class DriveOutputs:
    """Draws and records one drive's frames while they pass, in a thread; a context manager.

    Everything goes into the folder `part`, the drive's own; None draws and records nothing.
    """

    def __init__(
        self, part: Path | None, name: str, options: OutputOptions, rig: RecordedRig
    ) -> None:
        self._video: OverlayVideo | None = None
        self._recorders: list[OutputRecorder | RerunRecording] = []
        self._sampler: MomentSampler[bytes] | None = None
        self._held = ExitStack()
        self._first: int | None = None
        self._duration = 0
        if part is None:
            return
        part.mkdir(parents=True, exist_ok=True)
        self._sampler = MomentSampler()
        if options.overlay:
            self._video = OverlayVideo(part / VIDEO)
        if options.record:
            self._recorders.append(OutputRecorder(part / RECORDED / name, rig))
        if options.rerun is not None:
            self._recorders.append(RerunRecording(part / RERUN, name, rig))

    def __enter__(self) -> DriveOutputs:
        with ExitStack() as entered:
            for kept in (self._video, *self._recorders):
                if kept is not None:
                    entered.enter_context(kept)
            self._behind = entered.enter_context(WriteBehind(self._draw))
            self._held = entered.pop_all()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._held.__exit__(kind, error, trace)

    def add(self, frame: ReplayFrame) -> None:
        """Have one frame drawn and recorded, as far as anybody wants it.

        Raises, some frames later, what went wrong with it (OSError).
        """
        self._behind.put(frame)

    def _draw(self, frame: ReplayFrame) -> None:
        if self._first is None:
            self._first = frame.image_stamp
        since_start = frame.image_stamp - self._first
        self._duration = max(self._duration, since_start)
        sampled = self._sampler is not None and self._sampler.wants_next
        if self._video is not None or self._recorders or sampled:
            drawn = draw_overlay(frame.image, frame.correspondence)
            if self._video is not None:
                self._video.add(since_start, drawn)
            if self._recorders:
                jpeg = encode_jpeg(drawn)
                for recorder in self._recorders:
                    recorder.add(frame, jpeg)
        if self._sampler is not None:
            if sampled:
                moment = encode_jpeg(drawn, _MOMENT_QUALITY).tobytes()
                self._sampler.add(since_start * 1e-9, moment)
            else:
                self._sampler.skip()

    @property
    def drawn(self) -> Drawn:
        """What there is to show, once the context has ended."""
        moments = tuple(self._sampler.moments()) if self._sampler is not None else ()
        return Drawn(self._duration * 1e-9, moments)
