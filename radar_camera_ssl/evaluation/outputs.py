# SPDX-License-Identifier: Apache-2.0
"""What an evaluation draws and records of the frames that pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from radar_camera_ssl.evaluation.record import OutputRecorder
from radar_camera_ssl.evaluation.replay import ReplayFrame
from radar_camera_ssl.evaluation.video import MomentSampler, OverlayVideo
from radar_camera_ssl.inference.overlay import draw_overlay


def _recorded(folder: Path, paths: Sequence[Path]) -> dict[Path, Path]:
    """Where each drive's answers go; raises FileExistsError before anything has been computed."""
    targets: dict[Path, Path] = {}
    for path in paths:
        target = folder / 'recorded' / path.stem
        if target.exists() or target in targets.values():
            raise FileExistsError(f'{target} exists already: --record does not overwrite a bag')
        targets[path] = target
    return targets


class Outputs:
    """Draws and records frames while they pass; a context manager."""

    def __init__(
        self,
        folder: Path | None,
        paths: Sequence[Path],
        overlay: bool,
        record: bool,
        sampler: MomentSampler,
    ) -> None:
        self._video = OverlayVideo(folder / 'overlay.mp4') if folder and overlay else None
        self._record_to = _recorded(folder, paths) if folder and record else {}
        self._recorder: OutputRecorder | None = None
        self._sampler = sampler if folder else None
        self._first: int | None = None
        self._shift = 0
        self._last = 0

    def __enter__(self) -> Outputs:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        for held in (self._video, self._recorder):
            if held is not None:
                held.__exit__(kind, error, trace)

    def begin(self, path: Path) -> None:
        """Start another drive."""
        self._first = None
        if path in self._record_to:
            if self._recorder is not None:
                self._recorder.__exit__(None, None, None)
            self._recorder = OutputRecorder(self._record_to[path])
            self._recorder.__enter__()

    def add(self, frame: ReplayFrame) -> None:
        """Draw and record one frame, as far as anybody wants it."""
        if self._recorder is not None:
            self._recorder.add(frame)
        if self._first is None:
            # Drives follow one another in the video, whatever their clocks say.
            self._first = frame.image_stamp
            self._shift = self._last + 100_000_000 if self._last else 0
        since_start = frame.image_stamp - self._first
        self._last = since_start + self._shift
        sampled = self._sampler is not None and self._sampler.wants_next
        drawn = None
        if self._video is not None or sampled:
            drawn = draw_overlay(frame.image, frame.correspondence)
        if self._video is not None and drawn is not None:
            self._video.add(self._last, drawn)
        if self._sampler is not None:
            if drawn is not None:
                self._sampler.add(self._last * 1e-9, drawn)
            else:
                self._sampler.skip()
