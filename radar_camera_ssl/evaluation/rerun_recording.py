# SPDX-License-Identifier: Apache-2.0
"""Answers as a Rerun recording (https://rerun.io). Needs the extra `rerun`."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radar_camera_ssl.evaluation.recorded_rig import RecordedRig
from radar_camera_ssl.evaluation.replay import ReplayFrame
from radar_camera_ssl.inference.colour_map import colourise
from radar_camera_ssl.sensors.geometry import transform_chain

APPLICATION = 'radar_camera_ssl'
TIMELINE = 'stamp'
OVERLAY = '/camera/overlay'
PIXELS = '/camera/reflections'
RETURNS = '/radar/reflections'
HEATMAP = '/heatmap'
AGREEMENT = '/agreement'

# In points of the screen, whatever the zoom.
_DOT = 4.0


def require_rerun() -> None:
    """Raise ModuleNotFoundError where the Rerun SDK is not installed."""
    importlib.import_module('rerun')


class RerunRecording:
    """Logs answers to an .rrd file; a context manager.

    On the timeline `stamp` (the image's): the overlay, the returns at their pixels over it and at
    their positions in the radar's frame (coloured by likelihood, with likelihood, velocity and
    rcs), the heatmap and the agreement. Where the recording has camera_info and transforms, the
    camera stands at its place among the returns; its lens distortion is not shown. The file
    appears once it is whole.
    """

    def __init__(self, path: Path | str, name: str, rig: RecordedRig) -> None:
        """Write to `path` (.rrd) as the recording `name`; FileExistsError where it exists."""
        self.path = Path(path)
        if self.path.exists():
            raise FileExistsError(f'{self.path} exists')
        self._draft = self.path.with_name(f'.{self.path.name}.{os.getpid()}.partial')
        self._name = name
        self._rig = rig
        self._frames = 0

    def __enter__(self) -> RerunRecording:
        import rerun

        self._rerun = rerun
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = rerun.RecordingStream(APPLICATION, recording_id=self._name)
        self._stream.save(self._draft, default_blueprint=_views())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._stream.disconnect()
            if kind is None:
                os.replace(self._draft, self.path)
        finally:
            self._draft.unlink(missing_ok=True)

    def add(self, frame: ReplayFrame, overlay: NDArray[np.uint8]) -> None:
        """Append one answer. overlay: what `draw_overlay` made of it, as a JPEG (N,)."""
        if not self._frames:
            self._log_rig(frame)
        self._frames += 1
        rerun, log = self._rerun, self._stream.log
        self._stream.set_time(TIMELINE, timestamp=np.datetime64(frame.image_stamp, 'ns'))
        log(OVERLAY, rerun.EncodedImage(contents=overlay.tobytes(), media_type='image/jpeg'))
        answer = frame.correspondence
        returns = answer.returns
        colours = colourise(answer.likelihood[:, None])[:, 0, ::-1] if len(returns) else None
        dot = rerun.Radius.ui_points(_DOT)
        values = rerun.AnyValues(
            likelihood=answer.likelihood, velocity=returns.velocity, rcs=returns.rcs
        )
        log(RETURNS, rerun.Points3D(returns.position, colors=colours, radii=dot), values)
        log(PIXELS, rerun.Points2D(answer.pixel, colors=colours, radii=dot), values)
        log(
            HEATMAP,
            rerun.Tensor(answer.heatmap, dim_names=('row', 'column'), value_range=(0.0, 1.0)),
        )
        log(AGREEMENT, rerun.Scalars(answer.agreement))

    def _log_rig(self, frame: ReplayFrame) -> None:
        """The radar's axes, and where the camera stands."""
        rerun, log = self._rerun, self._stream.log
        log('/', rerun.ViewCoordinates.FLU, static=True)
        optical_from_radar = transform_chain(
            self._rig.transforms, frame.image_frame_id, frame.radar_frame_id
        )
        intrinsics = self._rig.intrinsics
        if intrinsics is None or optical_from_radar is None:
            return
        pose = optical_from_radar.inverse()
        log(
            '/camera',
            rerun.Transform3D(translation=pose.translation, mat3x3=pose.rotation),
            rerun.Pinhole(
                image_from_camera=intrinsics.matrix,
                resolution=(intrinsics.width, intrinsics.height),
                camera_xyz=rerun.ViewCoordinates.RDF,
            ),
            static=True,
        )


def _views() -> Any:
    """How the viewer lays it out at first."""
    import rerun.blueprint as views

    numbers = views.Vertical(
        views.Spatial3DView(origin='/', name='returns by likelihood', contents='+ /**'),
        views.TensorView(origin=HEATMAP, name='heatmap'),
        views.TimeSeriesView(
            origin=AGREEMENT, name='agreement', axis_y=views.ScalarAxis(range=(0.0, 1.0))
        ),
        row_shares=(2, 1, 1),
    )
    camera = views.Spatial2DView(origin='/camera', name='overlay')
    return views.Blueprint(
        views.Horizontal(camera, numbers, column_shares=(3, 2)), collapse_panels=True
    )
