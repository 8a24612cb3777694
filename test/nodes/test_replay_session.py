# SPDX-License-Identifier: Apache-2.0
"""A bag through player, node and recorder as real processes."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_factory import ros1_bag
from bags import START_NS, drive_rows, row, write_bag
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from model_factory import CUBE, tiny_metadata, write_tiny_model
from ros_graph import stamped
from sensor_msgs.msg import Image

from radar_camera_ssl.evaluation.evaluate import evaluate_bags
from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.nodes.conversions import bytes_field
from radar_camera_ssl.nodes.replay_session import (
    ReplayError,
    ReplaySummary,
    run_replay_session,
)
from radar_camera_ssl.sensors.camera import decode_image
from radar_camera_ssl.sensors.radar_cube import CubeAxes
from radar_camera_ssl.sensors.radar_points import decode_points
from radar_camera_ssl.sensors.recording import Recording, RecordingError, read_pairs, stamp_ns

HEATMAP = '/reflection_heatmap/output/heatmap'
REFLECTIONS = '/reflection_heatmap/output/reflections'


@dataclass(frozen=True)
class Replayed:
    bag: Path
    outputs: Path
    summary: ReplaySummary
    shares: list[float]


@pytest.fixture(scope='module')
def replayed(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Replayed:
    """640x480 at 30 Hz, radar at 10 Hz, through the node over DDS."""
    folder = tmp_path_factory.mktemp('replayed')
    bag = write_bag(folder / 'bag', drive_rows(2.0, height=480, width=640))
    shares: list[float] = []
    summary = run_replay_session(bag, tiny_model, folder / 'outputs', progress=shares.append)
    return Replayed(bag, folder / 'outputs', summary, shares)


def test_each_radar_frame_gives_the_librarys_heatmap(replayed: Replayed, tiny_model: Path) -> None:
    """Over DDS as in process, and none is lost."""
    summary = replayed.summary
    assert summary.radar_published == 20
    assert summary.images_published == 60
    assert summary.conserved, summary
    assert summary.heatmaps_recorded == 20, summary
    assert summary.radar_dropped == {}
    assert replayed.shares[-1] == 1.0
    model = CorrespondenceModel.load(tiny_model)
    best, radar, images = [], [], {}
    with Recording(replayed.bag) as recording:
        for pair in read_pairs(recording, 'points', 0.05):
            best.append(pair.image_stamp)
            radar.append(decode_points(pair.radar, model.metadata.radar.field_names))
        for _, _, msg in recording.messages(['/camera/image_raw']):
            images[stamp_ns(msg)] = decode_image(msg)
    with Recording(replayed.outputs) as outputs:
        recorded = {
            stamp_ns(msg): np.frombuffer(msg.data, np.float32).reshape(msg.height, msg.width)
            for _, _, msg in outputs.messages([HEATMAP])
        }
        assert outputs.message_counts == summary.recorded
        assert outputs.duration_s < 3.0
    # A machine that stalls for longer than the slop makes the node take the image before; what
    # it then answers must still be right.
    assert sum(taken != nearest for taken, nearest in zip(recorded, best, strict=True)) <= 2
    for returns, (stamp, heatmap) in zip(radar, recorded.items(), strict=True):
        np.testing.assert_array_equal(heatmap, model.infer(images[stamp], returns).heatmap)


def test_evaluate_records_what_came_over_dds(
    replayed: Replayed, tiny_model: Path, tmp_path: Path
) -> None:
    """Message by message, header and all, but for pairs that a stall of this machine changed."""
    evaluate_bags([replayed.bag], tiny_model, tmp_path, record=True, overlay=False)
    in_process = contents(tmp_path / 'recorded' / 'bag')
    over_dds = contents(replayed.outputs)
    del over_dds['/diagnostics']
    assert in_process.keys() == over_dds.keys()
    assert {topic.rpartition('output/')[2] for topic in over_dds} == {
        *('heatmap', 'reflections', 'camera_info', 'overlay/compressed'),
    }
    for topic, expected in over_dds.items():
        found = in_process[topic]
        assert len(found) == len(expected) == 20
        both = found.keys() & expected.keys()
        assert len(both) >= 18
        differing = [stamp for stamp in both if found[stamp] != expected[stamp]]
        assert len(differing) <= 2 if topic == REFLECTIONS else differing == [], topic


def contents(bag: Path) -> dict[str, dict[int, Any]]:
    """A bag's messages by topic and stamp, in what can be compared."""
    found: dict[str, dict[int, Any]] = {}
    with Recording(bag) as recording:
        for topic, _, msg in recording.messages(recording.topics):
            found.setdefault(topic, {})[stamp_ns(msg)] = comparable(msg)
    return found


def comparable(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: comparable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    return [comparable(item) for item in value] if isinstance(value, list) else value


def test_a_cube_whose_azimuth_runs_downwards_is_replayed(tmp_path: Path) -> None:
    """With the axes that the bag tells, which are the model's."""
    cube = replace(CUBE, azimuth_rad=(0.9, -0.9))
    model = write_tiny_model(
        tmp_path / 'model.onnx', 'cube', description=tiny_metadata('cube', cube=cube)
    )
    axes = CubeAxes(cube.range_m, cube.azimuth_rad, cube.doppler_mps)
    info = DiagnosticStatus(values=[KeyValue(key=k, value=v) for k, v in axes.to_key_values()])
    rows = [r for r in drive_rows(0.5) if r[0] != '/radar/points']
    rows.append(row('/radar/cube_info', START_NS, info))
    height, width, bins = cube.shape
    radar = Image(encoding=f'32FC{bins}', height=height, width=width, step=4 * width * bins)
    radar.data = bytes_field(np.zeros(cube.shape, np.float32))
    rows += [
        row('/radar/cube', time_ns, stamped(radar, time_ns, 'radar'))
        for time_ns in range(START_NS, START_NS + 5 * 10**8, 10**8)
    ]
    bag = write_bag(tmp_path / 'bag', rows)
    summary = run_replay_session(bag, model, tmp_path / 'outputs', radar_format='cube')
    assert summary.heatmaps_recorded == 5, summary


def test_a_model_that_cannot_be_loaded_ends_the_session_with_the_reason(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', drive_rows(0.2))
    with pytest.raises(ReplayError, match='no model file'):
        run_replay_session(bag, tmp_path / 'nowhere.onnx', tmp_path / 'outputs')


def test_a_bag_without_a_radar_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    rows = [row for row in drive_rows(0.2) if row[0] != '/radar/points']
    bag = write_bag(tmp_path / 'bag', rows)
    with pytest.raises(RecordingError, match='no topic of kind points'):
        run_replay_session(bag, tiny_model, tmp_path / 'outputs')


def test_a_ros_1_bag_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    bag = ros1_bag(tmp_path / 'drive.bag')
    with pytest.raises(RecordingError, match='convert it: rosbags-convert'):
        run_replay_session(bag, tiny_model, tmp_path / 'outputs')


def test_a_recording_is_not_overwritten(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / 'outputs').mkdir()
    with pytest.raises(FileExistsError):
        run_replay_session(tmp_path / 'bag', tiny_model, tmp_path / 'outputs')
