# SPDX-License-Identifier: Apache-2.0
"""The folder of an evaluation's results: each drive makes a part, the end puts them together."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from radar_camera_ssl.evaluation.outputs import RECORDED, RERUN, VIDEO, Drawn, OutputOptions
from radar_camera_ssl.evaluation.rerun_recording import require_rerun
from radar_camera_ssl.evaluation.video import Picture, join_videos, picture_of, spread

CONTACT_SHEET = 'overlay.png'
MOMENTS = 6
# Between two drives in the video.
_PAUSE_S = 0.1


class ResultFolder:
    """Where results appear, whole or not at all; a context manager.

    Drives write into `part(index)`, a hidden folder each, which is gone at the end: an evaluation
    that breaks off leaves what was there before it.
    """

    def __init__(self, folder: Path, drives: Sequence[Path], options: OutputOptions) -> None:
        """Make the folder.

        Raises FileExistsError for a bag or .rrd file that would be overwritten, and
        ModuleNotFoundError where an .rrd file cannot be written.
        """
        self._folder = folder
        self._parts = folder / '.parts'
        self.has_video = False
        """Whether overlay.mp4 is one of the results; known from `join` on."""
        names = [drive.stem for drive in drives]
        self._bags = [folder / RECORDED / name for name in names] if options.record else []
        self._rerun: list[Path] = []
        if (file := options.rerun) is not None:
            require_rerun()
            several = len(names) > 1
            self._rerun = [
                file.with_stem(f'{file.stem}_{name}') if several else file for name in names
            ]
        for targets, option in ((self._bags, '--record'), (self._rerun, '--rerun')):
            for target in targets:
                if target.exists():
                    raise FileExistsError(f'{target} exists already: {option} overwrites nothing')
                if targets.count(target) > 1:
                    raise FileExistsError(f'several drives would be recorded as {target}')
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> ResultFolder:
        # What a kill left behind.
        shutil.rmtree(self._parts, ignore_errors=True)
        self._parts.mkdir()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._parts, ignore_errors=True)

    def part(self, index: int) -> Path:
        """Return the folder for the outputs of the drive of this index; it is not made here."""
        return self._parts / f'{index:04}'

    def join(self, drawn: dict[int, Drawn]) -> list[tuple[float, Picture]]:
        """Put together the parts of the drives that have been evaluated, by their index.

        Leaves overlay.mp4, recorded/<name of the drive> and .rrd files, as far as they were asked
        for, and returns moments of all drives as (time in the video in s, image).
        """
        starts, start_s = {}, 0.0
        for index in sorted(drawn):
            starts[index] = start_s
            start_s += drawn[index].duration_s + _PAUSE_S
        videos = [
            (self.part(index) / VIDEO, start)
            for index, start in starts.items()
            if (self.part(index) / VIDEO).exists()
        ]
        self.has_video = bool(videos)
        if videos:
            with self.file(VIDEO) as joined:
                join_videos(videos, joined)
        else:
            self.take_away(VIDEO)
        for index in starts:
            if self._bags:
                target = self._bags[index]
                target.parent.mkdir(exist_ok=True)
                os.replace(self.part(index) / RECORDED / target.name, target)
            if self._rerun:
                target = self._rerun[index]
                target.parent.mkdir(parents=True, exist_ok=True)
                # It may be on another file system.
                shutil.move(self.part(index) / RERUN, target)
        moments = [
            (starts[index] + time_s, jpeg)
            for index in starts
            for time_s, jpeg in drawn[index].moments
        ]
        return [(time_s, picture_of(jpeg)) for time_s, jpeg in spread(moments, MOMENTS)]

    def take_away(self, name: str) -> None:
        """Remove what another evaluation left under the name of a file that this one has not."""
        (self._folder / name).unlink(missing_ok=True)

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """Give a path to write the results' file `name` to: it appears once it is whole."""
        draft = self._parts / name
        yield draft
        os.replace(draft, self._folder / name)
