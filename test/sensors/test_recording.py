# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sensor_messages as messages
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from radar_camera_ssl.sensors.radar_points import decode_radar_scan
from radar_camera_ssl.sensors.recording import (
    Recording,
    RecordingError,
    read_pairs,
    stamp_ns,
)

MS = 1_000_000
STORE = get_typestore(Stores.ROS2_JAZZY)
T = STORE.types
STORAGES = [StoragePlugin.MCAP, StoragePlugin.SQLITE3]


def a_cloud(stamp: int) -> Any:
    points = np.zeros(3, [(name, 'f4') for name in ('x', 'y', 'z', 'velocity', 'rcs')])
    return messages.cloud(points, stamp_ns=stamp)


def an_image(stamp: int) -> Any:
    return messages.image(np.zeros((4, 6, 3), np.uint8), 'bgr8', stamp_ns=stamp)


def a_cube(stamp: int) -> Any:
    return messages.image(np.zeros((4, 6, 3), np.float32), '32FC3', stamp_ns=stamp)


def camera_info(focal: float) -> Any:
    k = np.diag([focal, focal, 1.0])
    region = T['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    return T['sensor_msgs/msg/CameraInfo'](
        messages.header(), 4, 6, 'plumb_bob', np.zeros(5), k.ravel(), np.eye(3).ravel(),
        np.zeros(12), 0, 0, region,
    )  # fmt: skip


def transform(parent: str, child: str, x: float, w: float = 1.0) -> Any:
    stamped = T['geometry_msgs/msg/TransformStamped'](
        messages.header(frame_id=parent),
        child,
        T['geometry_msgs/msg/Transform'](
            T['geometry_msgs/msg/Vector3'](x, 0.0, 0.0),
            T['geometry_msgs/msg/Quaternion'](0.0, 0.0, 0.0, w),
        ),
    )
    return T['tf2_msgs/msg/TFMessage']([stamped])


def write(
    path: Path,
    content: list[tuple[str, int, Any]],
    storage: StoragePlugin = StoragePlugin.MCAP,
    store: Any = STORE,
) -> Path:
    """A bag of (topic, time ms, message)."""
    with Writer(path, version=9, storage_plugin=storage) as writer:
        connections: dict[Any, Any] = {}
        for topic, time_ms, msg in content:
            key = (topic, msg.__msgtype__)
            if key not in connections:
                connections[key] = writer.add_connection(topic, msg.__msgtype__, typestore=store)
            data = store.serialize_cdr(msg, msg.__msgtype__)
            writer.write(connections[key], time_ms * MS, data)
    return path


def drive(lag_ms: int = 0) -> list[tuple[str, int, Any]]:
    content: list[tuple[str, int, Any]] = [
        ('/tf_static', 990, transform('base', 'camera', 1.0)),
        ('/tf_static', 990, transform('base', 'radar', 3.0)),
        ('/camera/camera_info', 995, camera_info(0.0)),
        ('/camera/camera_info', 996, camera_info(500.0)),
    ]
    for stamp in range(1000, 2000, 100):
        content.append(('/radar/points', stamp, a_cloud(stamp * MS)))
        content.append(('/radar/cube', stamp, a_cube(stamp * MS)))
        content.append(('/ground_truth/instances', stamp, an_image(stamp * MS)))
    content += [
        ('/camera/image_raw', stamp + lag_ms, an_image(stamp * MS))
        for stamp in range(1010, 2000, 33)
    ]
    return sorted(content, key=lambda item: item[1])


@pytest.fixture(params=STORAGES, ids=lambda plugin: plugin.name)
def bag(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / 'bag', drive(), request.param)


def test_topics_and_duration(bag: Path) -> None:
    with Recording(bag) as recording:
        assert recording.topics['/radar/points'] == 'sensor_msgs/msg/PointCloud2'
        assert recording.topics['/ground_truth/instances'] == 'sensor_msgs/msg/Image'
        assert recording.message_counts['/radar/points'] == 10
        assert recording.duration_s == pytest.approx(0.977, abs=0.001)


def test_finds_the_topics_of_a_drive(bag: Path) -> None:
    with Recording(bag) as recording:
        found = {kind: recording.find_topic(kind)
                 for kind in ('image', 'points', 'cube', 'camera_info')}  # fmt: skip
    assert found == {
        'image': '/camera/image_raw',
        'points': '/radar/points',
        'cube': '/radar/cube',
        'camera_info': '/camera/camera_info',
    }


def test_messages_come_in_order_and_only_as_asked(bag: Path) -> None:
    with Recording(bag) as recording:
        content = list(recording.messages(['/radar/points', '/camera/image_raw']))
        assert {topic for topic, _, _ in content} == {'/radar/points', '/camera/image_raw'}
        times = [time_ns for _, time_ns, _ in content]
        assert times == sorted(times)
        assert all(stamp_ns(msg) == time_ns for _, time_ns, msg in content)
        with pytest.raises(RecordingError, match=r"no topic \['/lidar'\]"):
            list(recording.messages(['/lidar']))


def test_ground_truth_is_read_only_where_it_is_named(bag: Path) -> None:
    with Recording(bag) as recording:
        assert not any('ground_truth' in item[0] for item in recording.raw_messages())
        assert len(list(recording.raw_messages(['/ground_truth/instances']))) == 10
        assert list(recording.raw_messages([])) == []


def test_raw_messages_are_byte_for_byte(bag: Path) -> None:
    with Recording(bag) as recording:
        for topic, msgtype, time_ns, data in recording.raw_messages(['/radar/points']):
            assert (topic, msgtype) == ('/radar/points', 'sensor_msgs/msg/PointCloud2')
            assert bytes(data) == bytes(STORE.serialize_cdr(a_cloud(time_ns), msgtype))


def test_transforms_and_the_first_calibrated_intrinsics(bag: Path) -> None:
    with Recording(bag) as recording:
        transforms = recording.static_transforms()
        assert set(transforms) == {('base', 'camera'), ('base', 'radar')}
        np.testing.assert_allclose(transforms['base', 'radar'].translation, [3, 0, 0])
        intrinsics = recording.intrinsics()
        assert intrinsics is not None
        assert intrinsics.matrix[0, 0] == 500


@pytest.mark.parametrize('lag_ms', [0, 30])
@pytest.mark.parametrize('radar_kind', ['points', 'cube'])
def test_pairs_of_a_recording(tmp_path: Path, lag_ms: int, radar_kind: str) -> None:
    with Recording(write(tmp_path / 'bag', drive(lag_ms))) as recording:
        reader = read_pairs(recording, radar_kind, slop_s=0.05)
        pairs = list(reader)
        assert reader.radar_topic == f'/radar/{radar_kind}'
    assert len(pairs) == 10
    assert all(abs(pair.gap_s) <= 0.017 for pair in pairs)
    assert all(stamp_ns(pair.radar) == pair.radar_stamp for pair in pairs)
    counts = reader.pairing.counts
    assert counts.pairs == counts.radar_received == 10
    assert counts.image_dropped == {'no_partner': 20}


def test_messages_without_a_stamp_are_counted_apart(tmp_path: Path) -> None:
    content = [*drive(), ('/radar/points', 2001, a_cloud(0)), ('/radar/points', 2002, a_cloud(0))]
    with Recording(write(tmp_path / 'bag', content)) as recording:
        reader = read_pairs(recording, 'points', slop_s=0.05)
        assert len(list(reader)) == 10
    assert reader.stamp_zero == {'/camera/image_raw': 0, '/radar/points': 2}


def latched() -> Qos:
    never = QosTime(2147483647, 4294967295)
    return Qos(
        QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL,
        never, never, QosLiveliness.AUTOMATIC, never, False,
    )  # fmt: skip


def test_several_publishers_of_one_topic(tmp_path: Path) -> None:
    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        kind = 'tf2_msgs/msg/TFMessage'
        for k, (frame, qos) in enumerate([('camera', []), ('radar', [latched()])]):
            connection = writer.add_connection(
                '/tf_static', kind, typestore=STORE, offered_qos_profiles=qos
            )
            data = STORE.serialize_cdr(transform('base', frame, 1.0), kind)
            writer.write(connection, k * MS, data)
    with Recording(tmp_path / 'bag') as recording:
        assert len(recording.static_transforms()) == 2
        assert recording.message_counts == {'/tf_static': 2}


def test_other_names_are_found_by_type_content_and_name(tmp_path: Path) -> None:
    depth = messages.image(np.zeros((4, 6), np.uint16), '16UC1', stamp_ns=1)
    heatmap = messages.image(np.zeros((4, 6), np.float32), '32FC1', stamp_ns=1)
    content = [
        ('/cam/depth', 1, depth),
        ('/cam/heatmap', 1, heatmap),
        ('/cam/left/image_color', 2, an_image(1)),
        ('/cam/left/camera_info', 2, camera_info(1.0)),
        ('/cam/right/camera_info', 2, camera_info(1.0)),
        ('/lidar/points', 3, a_cloud(1)),
        ('/front_radar/detections', 3, a_cloud(1)),
        ('/front_radar/power', 3, a_cube(1)),
    ]
    with Recording(write(tmp_path / 'bag', content)) as recording:
        assert recording.find_topic('image') == '/cam/left/image_color'
        assert recording.find_topic('points') == '/front_radar/detections'
        assert recording.find_topic('cube') == '/front_radar/power'
        assert recording.find_topic('camera_info') == '/cam/left/camera_info'


def test_several_candidates_must_be_chosen_from_by_name(tmp_path: Path) -> None:
    content = [('/left_radar', 1, a_cloud(1)), ('/right_radar', 1, a_cloud(1))]
    with Recording(write(tmp_path / 'bag', content)) as recording:
        with pytest.raises(RecordingError, match=r'/left_radar.*/right_radar'):
            recording.find_topic('points')
        assert recording.find_topic('image') is None
        assert recording.intrinsics() is None
        with pytest.raises(RecordingError, match='no topic of kind image'):
            read_pairs(recording, 'points', 0.05, radar_topic='/left_radar')


def test_a_topic_of_another_kind_is_refused_by_its_type(bag: Path) -> None:
    with Recording(bag) as recording:
        for kind, topic in (('image', '/radar/points'), ('points', '/camera/image_raw')):
            with pytest.raises(RecordingError, match=f'{topic} is sensor_msgs/msg/.*, not sensor'):
                recording.required_topic(kind, topic)
        with pytest.raises(RecordingError, match='PointCloud2, not sensor_msgs/msg/CameraInfo'):
            recording.camera_info('/radar/points')


def radar_scan_store() -> Any:
    store = get_typestore(Stores.ROS2_JAZZY)
    returned = 'float32 range\nfloat32 azimuth\nfloat32 elevation\n'
    returned += 'float32 doppler_velocity\nfloat32 amplitude\n'
    scan = 'std_msgs/Header header\nradar_msgs/RadarReturn[] returns\n'
    store.register(get_types_from_msg(returned, 'radar_msgs/msg/RadarReturn'))
    store.register(get_types_from_msg(scan, 'radar_msgs/msg/RadarScan'))
    return store


def a_scan(store: Any) -> Any:
    one = store.types['radar_msgs/msg/RadarReturn'](10.0, 0.5, 0.0, -1.0, 20.0)
    return store.types['radar_msgs/msg/RadarScan'](messages.header(1), [one])


def test_a_type_that_only_the_bag_defines(tmp_path: Path) -> None:
    store = radar_scan_store()
    with Recording(write(tmp_path / 'bag', [('/radar', 1, a_scan(store))], store=store)) as bag:
        topic = bag.find_topic('points')
        assert topic == '/radar'
        ((_, _, msg),) = bag.messages([topic])
        assert decode_radar_scan(msg).range.tolist() == [10.0]


def strip_definitions(bag: Path) -> None:
    """Make of a sqlite3 bag one of an older recorder, without message definitions."""
    apsw = pytest.importorskip('apsw', reason='rosbags brings apsw')
    (file,) = bag.glob('*.db3')
    database = apsw.Connection(str(file))
    database.execute('DELETE FROM message_definitions')
    database.close()


def test_a_bag_without_definitions_has_the_standard_types(tmp_path: Path) -> None:
    bag = write(tmp_path / 'bag', drive(), StoragePlugin.SQLITE3)
    strip_definitions(bag)
    with Recording(bag) as recording:
        assert len(list(read_pairs(recording, 'points', 0.05))) == 10


def test_a_type_nobody_defines_is_named(tmp_path: Path) -> None:
    store = radar_scan_store()
    content = [('/radar', 1, a_scan(store)), ('/points', 1, a_cloud(1))]
    bag = write(tmp_path / 'bag', content, StoragePlugin.SQLITE3, store)
    strip_definitions(bag)
    with Recording(bag) as recording:
        assert len(list(recording.raw_messages())) == 2
        assert len(list(recording.messages(['/points']))) == 1
        with pytest.raises(RecordingError, match='radar_msgs/msg/RadarScan'):
            list(recording.messages(['/radar']))


def test_a_crashed_recorder_leaves_no_metadata(tmp_path: Path) -> None:
    bag = write(tmp_path / 'bag', drive())
    (bag / 'metadata.yaml').unlink()
    with Recording(bag) as recording:
        assert len(list(read_pairs(recording, 'points', 0.05))) == 10
    with Recording(next(bag.glob('*.mcap'))) as recording:
        assert recording.find_topic('points') == '/radar/points'


def test_an_empty_bag(tmp_path: Path) -> None:
    with Recording(write(tmp_path / 'bag', [])) as recording:
        assert recording.topics == {}
        assert recording.duration_s == 0
        assert recording.find_topic('image') is None


def test_what_is_no_bag(tmp_path: Path) -> None:
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'text.mcap').write_text('no bag')
    (tmp_path / 'nothing.db3').write_bytes(b'')
    (tmp_path / 'file.txt').write_text('no bag')
    for name in ('missing', 'empty', 'text.mcap', 'nothing.db3', 'file.txt'):
        with pytest.raises(RecordingError, match=name):
            Recording(tmp_path / name)


@pytest.mark.parametrize('keep', [0.0, 0.001])
def test_a_bag_of_which_nothing_is_left_is_an_error(bag: Path, keep: float) -> None:
    (file,) = [f for f in bag.iterdir() if f.suffix in ('.mcap', '.db3')]
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(RecordingError, match='bag'):
        Recording(bag)


def test_a_corrupt_message_is_left_out_and_told(tmp_path: Path) -> None:
    kind = 'sensor_msgs/msg/PointCloud2'
    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection('/radar/points', kind, typestore=STORE)
        whole = bytes(STORE.serialize_cdr(a_cloud(1), kind))
        for time_ns, data in ((4, whole), (5, whole[:40]), (6, whole), (7, whole[:30])):
            writer.write(connection, time_ns, data)
    with Recording(tmp_path / 'bag') as recording:
        assert recording.damages == []
        times = [time_ns for _, time_ns, _ in recording.messages(['/radar/points'])]
        assert times == [4, 6]
        (damage,) = recording.damages
    assert damage.startswith('/radar/points: 2 messages are corrupt, the first at 5 ns')


def test_an_invalid_transform_is_an_error_that_names_it(tmp_path: Path) -> None:
    bag = write(tmp_path / 'bag', [('/tf_static', 1, transform('base', 'radar', 1.0, w=0.0))])
    with Recording(bag) as recording, pytest.raises(RecordingError, match=r"'base', 'radar'"):
        recording.static_transforms()


def test_an_error_of_the_caller_is_not_the_bags(bag: Path) -> None:
    def fail(recording: Recording) -> None:
        for _ in recording.messages(['/radar/points']):
            raise KeyError('mine')

    with Recording(bag) as recording, pytest.raises(KeyError, match='mine'):
        fail(recording)
