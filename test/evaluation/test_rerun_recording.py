# SPDX-License-Identifier: Apache-2.0
"""The Rerun recording, read back with Rerun's own reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radar_camera_ssl.evaluation.drive_run import DriveJob, EvaluationOptions, evaluate_drive
from radar_camera_ssl.evaluation.outputs import RERUN, OutputOptions
from radar_camera_ssl.evaluation.progress import DriveProgress
from radar_camera_ssl.evaluation.recorded_rig import RecordedRig
from radar_camera_ssl.evaluation.replay import Replay
from radar_camera_ssl.evaluation.rerun_recording import (
    AGREEMENT,
    HEATMAP,
    OVERLAY,
    PIXELS,
    RETURNS,
    RerunRecording,
)
from radar_camera_ssl.inference.colour_map import colourise
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.inference.overlay import draw_overlay
from radar_camera_ssl.sensors.camera import decode_image, encode_jpeg
from radar_camera_ssl.sensors.geometry import transform_chain
from radar_camera_ssl.sensors.radar_points import RadarPoints, decode_points
from radar_camera_ssl.sensors.recording import Recording, read_pairs

pytest.importorskip('rerun', reason='the Rerun SDK is not installed: requirements/rerun.txt')
try:
    from rerun.chunk import RrdReader
except ImportError:  # before 0.41, which is the latest for Python 3.10
    from rerun.experimental import RrdReader

Drive = Callable[..., Path]
# By entity and stamp in ns: the columns of what was logged, each a list of values.
Rows = dict[tuple[str, int], dict[str, Any]]


def unheard(word: str, pairs: int) -> None:
    """Hears of the progress."""


def record(
    bag: Path, model: Path, folder: Path, tell: Callable[[str, int], None] = unheard
) -> Path:
    outputs = OutputOptions(overlay=False, rerun=folder / 'named.rrd')
    job = DriveJob(bag, (), EvaluationOptions(), folder / 'part', outputs)
    evaluate_drive(job, CorrespondenceModel.load(model), DriveProgress(tell, 0.0))
    return folder / 'part' / RERUN


def read(path: Path) -> tuple[Rows, dict[str, dict[str, Any]]]:
    """What lies on the timeline, and what is static."""
    import pyarrow

    rows: Rows = {}
    static: dict[str, dict[str, Any]] = {}
    for chunk in RrdReader(path).stream():
        table = chunk.to_record_batch()
        names = [name for name in table.schema.names if not name.endswith(('_time', 'RowId'))]
        if chunk.is_static:
            made = static.setdefault(chunk.entity_path, {})
            made |= {name: table.column(name).to_pylist()[0] for name in names}
            continue
        stamps = table.column('stamp').cast(pyarrow.int64()).to_pylist()
        values = {name: table.column(name).to_pylist() for name in names if name != 'stamp'}
        for i, stamp in enumerate(stamps):
            row = rows.setdefault((chunk.entity_path, stamp), {})
            row |= {name: column[i] for name, column in values.items()}
    return rows, static


def test_what_is_logged_is_the_answer_at_its_images_stamp(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    bag = block_drive(frames=5)
    rows, _ = read(record(bag, tiny_model, tmp_path))
    model = CorrespondenceModel.load(tiny_model)
    with Recording(bag) as recording:
        pairs = list(read_pairs(recording, 'points', 0.05))
    entities = (OVERLAY, PIXELS, RETURNS, HEATMAP, AGREEMENT)
    assert rows.keys() == {(entity, pair.image_stamp) for entity in entities for pair in pairs}
    for pair in pairs:
        image = decode_image(pair.image)
        answer = model.infer(image, decode_points(pair.radar))
        overlay, pixels, returns, heatmap, agreement = (
            rows[entity, pair.image_stamp] for entity in entities
        )
        jpeg = bytes(overlay['EncodedImage:blob'][0])
        assert jpeg == encode_jpeg(draw_overlay(image, answer)).tobytes()
        np.testing.assert_array_equal(pixels['Points2D:positions'], answer.pixel)
        np.testing.assert_array_equal(returns['Points3D:positions'], answer.returns.position)
        for row, colours in ((pixels, 'Points2D:colors'), (returns, 'Points3D:colors')):
            np.testing.assert_array_equal(np.float32(row['likelihood']), answer.likelihood)
            np.testing.assert_array_equal(np.float32(row['rcs']), answer.returns.rcs)
            # RGBA in one number; the opacity last.
            rgb = [[c >> 24, c >> 16 & 255, c >> 8 & 255] for c in row[colours]]
            wanted = colourise(answer.likelihood[:, None])[:, 0, ::-1]
            np.testing.assert_array_equal(rgb, wanted)
        tensor = heatmap['Tensor:data'][0]
        values = np.float32(tensor['buffer']).reshape(tensor['shape'])
        np.testing.assert_array_equal(values, answer.heatmap)
        assert heatmap['Tensor:value_range'] == [[0.0, 1.0]]
        assert agreement['Scalars:scalars'] == [answer.agreement]


def test_a_frame_without_returns_has_no_points(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    """What stood there before must not stay."""
    model = CorrespondenceModel.load(tiny_model)
    with Recording(block_drive(frames=2)) as recording:
        frames = list(Replay(recording, model))
    empty = model.infer(frames[1].image, RadarPoints.empty())
    frames[1] = replace(frames[1], radar=RadarPoints.empty(), correspondence=empty)
    path = tmp_path / 'answers.rrd'
    with RerunRecording(path, 'drive', RecordedRig()) as answers:
        for frame in frames:
            answers.add(frame, encode_jpeg(np.asarray(frame.image)))
    rows, _ = read(path)
    assert len(rows[RETURNS, frames[0].image_stamp]['Points3D:positions']) > 0
    for entity, column in ((RETURNS, 'Points3D:positions'), (PIXELS, 'Points2D:positions')):
        assert rows[entity, frames[1].image_stamp][column] == []


def test_the_camera_stands_at_its_place(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    bag = block_drive(frames=2)
    _, static = read(record(bag, tiny_model, tmp_path))
    with Recording(bag) as recording:
        rig = RecordedRig.of(recording)
    assert rig.intrinsics is not None
    camera = static['/camera']
    # Column by column, as Rerun keeps matrices.
    k = np.reshape(camera['Pinhole:image_from_camera'][0], (3, 3)).T
    np.testing.assert_allclose(k, rig.intrinsics.matrix)
    assert camera['Pinhole:resolution'] == [[320.0, 240.0]]
    rotation = np.reshape(camera['Transform3D:mat3x3'][0], (3, 3)).T
    optical_from_radar = transform_chain(rig.transforms, 'camera_optical', 'radar')
    assert optical_from_radar is not None
    np.testing.assert_allclose(rotation, optical_from_radar.rotation.T, atol=1e-6)


def test_without_a_calibration_there_is_no_camera_in_space(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    bag = block_drive(frames=2, camera_info=False)
    rows, static = read(record(bag, tiny_model, tmp_path))
    assert '/camera' not in static
    assert len(rows) == 5 * 2


def test_nothing_is_left_of_an_evaluation_that_breaks_off(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    def interrupt(word: str, pairs: int) -> None:
        if word == 'done':
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(block_drive(frames=3), tiny_model, tmp_path, interrupt)
    assert list((tmp_path / 'part').iterdir()) == []


def test_an_existing_file_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / 'answers.rrd').write_text('mine')
    with pytest.raises(FileExistsError, match='exists'):
        RerunRecording(tmp_path / 'answers.rrd', 'drive', RecordedRig())
    assert (tmp_path / 'answers.rrd').read_text() == 'mine'
