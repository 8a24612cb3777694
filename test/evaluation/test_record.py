# SPDX-License-Identifier: Apache-2.0
"""The bag of outputs; test/nodes/test_recorded_outputs.py compares it with the node's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radar_camera_ssl.evaluation.drive_run import DriveJob, EvaluationOptions, evaluate_drive
from radar_camera_ssl.evaluation.outputs import OutputOptions
from radar_camera_ssl.evaluation.progress import DriveProgress
from radar_camera_ssl.evaluation.record import (
    CAMERA_INFO_TOPIC,
    HEATMAP_TOPIC,
    OVERLAY_TOPIC,
    REFLECTIONS_TOPIC,
    TF_STATIC_TOPIC,
    OutputRecorder,
)
from radar_camera_ssl.evaluation.recorded_rig import RecordedRig
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.inference.overlay import draw_overlay
from radar_camera_ssl.sensors.bag_writer import BagWriter
from radar_camera_ssl.sensors.camera import decode_image, encode_jpeg
from radar_camera_ssl.sensors.geometry import decode_camera_info, transform_chain
from radar_camera_ssl.sensors.radar_points import decode_points, structured_view
from radar_camera_ssl.sensors.recording import Recording, read_pairs, stamp_ns

Drive = Callable[..., Path]
ANSWERS = {HEATMAP_TOPIC, OVERLAY_TOPIC, REFLECTIONS_TOPIC}


def unheard(word: str, pairs: int) -> None:
    """Hears of the progress."""


def record(
    bag: Path, model: Path, folder: Path, tell: Callable[[str, int], None] = unheard
) -> list[tuple[str, int, Any]]:
    """Evaluate with a recording of the outputs; returns its (topic, bag time ns, message)."""
    outputs = OutputOptions(overlay=False, record=True)
    job = DriveJob(bag, (), EvaluationOptions(), folder, outputs)
    evaluate_drive(job, CorrespondenceModel.load(model), DriveProgress(tell, 0.0))
    with Recording(folder / 'recorded' / bag.stem) as recording:
        return list(recording.messages(recording.topics))


def test_answers_are_those_of_the_library_for_the_same_pairs(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    bag = block_drive(frames=4)
    rows = record(bag, tiny_model, tmp_path / 'part')
    model = CorrespondenceModel.load(tiny_model)
    with Recording(bag) as recording:
        pairs = list(read_pairs(recording, 'points', 0.05))
    by_topic = {topic: [msg for name, _, msg in rows if name == topic] for topic, _, _ in rows}
    for i, pair in enumerate(pairs):
        heatmap, overlay, cloud = (
            by_topic[topic][i] for topic in (HEATMAP_TOPIC, OVERLAY_TOPIC, REFLECTIONS_TOPIC)
        )
        image = decode_image(pair.image)
        answer = model.infer(image, decode_points(pair.radar))
        assert [stamp_ns(msg) for msg in (heatmap, overlay)] == 2 * [pair.image_stamp]
        assert stamp_ns(cloud) == pair.radar_stamp
        assert heatmap.header.frame_id == overlay.header.frame_id == 'camera_optical'
        assert cloud.header.frame_id == 'radar'
        values = np.frombuffer(heatmap.data, '<f4').reshape(heatmap.height, heatmap.width)
        np.testing.assert_array_equal(values, answer.heatmap)
        np.testing.assert_array_equal(overlay.data, encode_jpeg(draw_overlay(image, answer)))
        table = structured_view(cloud)
        assert table.dtype.names == ('x', 'y', 'z', 'velocity', 'rcs', 'u', 'v', 'likelihood')
        np.testing.assert_array_equal(table['u'], answer.pixel[:, 0])
        np.testing.assert_array_equal(table['likelihood'], answer.likelihood)
        np.testing.assert_array_equal(table['rcs'], answer.returns.rcs)
    assert [len(by_topic[topic]) for topic in ANSWERS] == 3 * [4]


def test_it_opens_without_the_input(block_drive: Drive, tiny_model: Path, tmp_path: Path) -> None:
    """Frames are connected from its first message on, and the heatmap has its camera."""
    bag = block_drive(frames=3)
    rows = record(bag, tiny_model, tmp_path / 'part')
    assert rows[0][0] == TF_STATIC_TOPIC
    infos = [msg for topic, _, msg in rows if topic == CAMERA_INFO_TOPIC]
    heatmaps = [msg for topic, _, msg in rows if topic == HEATMAP_TOPIC]
    assert [msg.header for msg in infos] == [msg.header for msg in heatmaps]
    assert {(msg.height, msg.width) for msg in infos} == {(heatmaps[0].height, heatmaps[0].width)}
    with Recording(bag) as recording, Recording(tmp_path / 'part' / 'recorded' / 'drive') as made:
        wanted, found = (
            transform_chain(one.static_transforms(), 'camera_optical', 'radar')
            for one in (recording, made)
        )
        intrinsics = recording.intrinsics()
    assert wanted is not None
    assert found is not None
    assert intrinsics is not None
    np.testing.assert_allclose(found.apply(np.eye(3)), wanted.apply(np.eye(3)), atol=1e-12)
    scaled = intrinsics.scaled(infos[0].width, infos[0].height)
    np.testing.assert_allclose(decode_camera_info(infos[0]).matrix, scaled.matrix)


def test_what_the_input_lacks_is_left_out(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    bag = block_drive(frames=2, camera_info=False, transforms=False)
    rows = record(bag, tiny_model, tmp_path / 'part')
    assert {topic for topic, _, _ in rows} == ANSWERS


def test_messages_lie_beside_those_they_answer_where_bag_time_is_not_the_stamp(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    """A drive that was played and recorded again two years later, the images 60 ms late."""
    years = 2 * 365 * 86_400 * 10**9
    with Recording(block_drive(frames=5)) as drive, BagWriter(tmp_path / 'again') as again:
        for topic, msgtype in drive.topics.items():
            again.add_topic(topic, msgtype)
        late = {topic: 60_000_000 if 'camera' in topic else 20_000_000 for topic in drive.topics}
        rows = [
            (time_ns + years + late[topic], topic, data)
            for topic, _, time_ns, data in drive.raw_messages(drive.topics)
        ]
        for time_ns, topic, data in sorted(rows):
            again.write(topic, time_ns, data)
    made = record(tmp_path / 'again', tiny_model, tmp_path / 'part')
    with Recording(tmp_path / 'again') as recording:
        topics = ['/camera/image_raw', '/radar/points']
        lies_at = {
            (msg.header.frame_id, stamp_ns(msg)): time_ns
            for _, time_ns, msg in recording.messages(topics)
        }
    answers = [row for row in made if row[0] != TF_STATIC_TOPIC]
    assert len(answers) == 4 * 5
    for topic, time_ns, msg in answers:
        assert time_ns == lies_at[msg.header.frame_id, stamp_ns(msg)], topic
    assert made[0][1] == min(time_ns for _, time_ns, _ in made)


def test_nothing_is_left_of_an_evaluation_that_breaks_off(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    def interrupt(word: str, pairs: int) -> None:
        if word == 'done':
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record(block_drive(frames=3), tiny_model, tmp_path / 'part', interrupt)
    assert list((tmp_path / 'part' / 'recorded').iterdir()) == []


def test_an_existing_bag_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / 'bag').mkdir()
    with pytest.raises(FileExistsError, match='exists'):
        OutputRecorder(tmp_path / 'bag', RecordedRig())
