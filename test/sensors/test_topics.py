# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag are taken for the camera and the radar; ROS 1 bags among them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.typesys import Stores, get_typestore

from radar_camera_ssl.sensors import messages
from radar_camera_ssl.sensors.bag_writer import BagWriter
from radar_camera_ssl.sensors.camera import decode_image
from radar_camera_ssl.sensors.geometry import Intrinsics
from radar_camera_ssl.sensors.radar_points import decode_points
from radar_camera_ssl.sensors.recording import Recording, RecordingError, read_pairs

PIXELS = np.full((4, 6, 3), 77, np.uint8)
POINTS = np.ones(3, [(name, 'f4') for name in ('x', 'y', 'z', 'velocity', 'rcs')])


def image(frame: str = 'camera') -> Any:
    return messages.image(1, frame, PIXELS, 'bgr8')


def compressed() -> Any:
    jpeg = np.frombuffer(b'\xff\xd8', np.uint8)
    return messages.compressed_image(1, 'camera', jpeg)


def cloud() -> Any:
    return messages.point_cloud(1, 'radar', POINTS)


def info(focal: float, frame: str = 'camera') -> Any:
    return messages.camera_info(1, frame, Intrinsics(6, 4, np.diag([focal, focal, 1.0])))


def bag(path: Path, content: dict[str, Any]) -> Path:
    with BagWriter(path) as writer:
        for topic, msg in content.items():
            writer.add_topic(topic, msg.__msgtype__)
            writer.write(topic, 1, msg)
    return path


def test_of_a_cameras_raw_and_compressed_images_the_raw_are_taken(tmp_path: Path) -> None:
    content = {'/front/image_raw/compressed': compressed(), '/front/image_raw': image()}
    with Recording(bag(tmp_path / 'bag', content)) as recording:
        assert recording.find_topic('image') == '/front/image_raw'
        assert set(recording.topics_of('image')) == set(content)


def test_the_camera_info_is_that_of_the_camera_asked_for(tmp_path: Path) -> None:
    content = {
        '/left/image_raw': image(),
        '/right/image_raw/compressed': compressed(),
        '/left/camera_info': info(100.0),
        '/right/camera_info': info(200.0),
    }
    with Recording(bag(tmp_path / 'bag', content)) as recording:
        with pytest.raises(RecordingError, match=r'several topics of kind image: .*/left.*/right'):
            recording.find_topic('camera_info')
        for side, focal in (('/left/image_raw', 100), ('/right/image_raw/compressed', 200)):
            found = recording.camera_info(image_topic=side)
            assert found is not None
            assert found.k[0] == focal


def test_a_camera_info_elsewhere_is_told_by_its_frame(tmp_path: Path) -> None:
    content = {
        '/images/front': image('front_optical'),
        '/calibration/a': info(100.0, 'rear_optical'),
        '/calibration/b': info(200.0, 'front_optical'),
    }
    with Recording(bag(tmp_path / 'bag', content)) as recording:
        assert recording.find_topic('camera_info') == '/calibration/b'


def test_camera_infos_that_nothing_tells_apart_are_listed(tmp_path: Path) -> None:
    content = {'/images/front': image(), '/a': info(100.0), '/b': info(200.0)}
    with (
        Recording(bag(tmp_path / 'bag', content)) as recording,
        pytest.raises(RecordingError, match='several topics of kind camera_info'),
    ):
        recording.camera_info()


def ros1_bag(path: Path) -> Path:
    store = get_typestore(Stores.ROS1_NOETIC)
    t = store.types

    def header(frame: str, stamp_ns: int) -> Any:
        stamp = t['builtin_interfaces/msg/Time'](*divmod(stamp_ns, 10**9))
        return t['std_msgs/msg/Header'](0, stamp, frame)

    fields = [
        t['sensor_msgs/msg/PointField'](name, 4 * i, 7, 1)
        for i, name in enumerate(POINTS.dtype.names or ())
    ]
    data = np.frombuffer(POINTS.tobytes(), np.uint8)
    region = t['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
    k = np.diag([100.0, 100.0, 1.0]).ravel()
    with Ros1Writer(path) as writer:
        connections: dict[str, Any] = {}
        for stamp in range(10**9, 2 * 10**9, 10**8):
            camera, radar = header('camera', stamp), header('radar', stamp)
            content = {
                '/usb_cam/image_raw': t['sensor_msgs/msg/Image'](
                    camera, 4, 6, 'bgr8', 0, 18, PIXELS.ravel()
                ),
                '/usb_cam/camera_info': t['sensor_msgs/msg/CameraInfo'](
                    camera, 4, 6, 'plumb_bob', np.zeros(5), k, np.eye(3).ravel(), np.zeros(12),
                    0, 0, region,
                ),
                '/ti_mmwave/radar_scan_pcl': t['sensor_msgs/msg/PointCloud2'](
                    radar, 1, 3, fields, False, 20, 60, data, True
                ),
            }  # fmt: skip
            for topic, msg in content.items():
                if topic not in connections:
                    connection = writer.add_connection(topic, msg.__msgtype__, typestore=store)
                    connections[topic] = connection
                raw = store.serialize_ros1(msg, msg.__msgtype__)
                writer.write(connections[topic], stamp, raw)
    return path


def test_a_ros_1_bag_is_read_like_any_other(tmp_path: Path) -> None:
    with Recording(ros1_bag(tmp_path / 'drive.bag')) as recording:
        pairs = list(read_pairs(recording, 'points', 0.05))
        intrinsics = recording.intrinsics()
    assert len(pairs) == 10
    assert intrinsics is not None
    assert intrinsics.matrix[0, 0] == 100
    assert (decode_image(pairs[0].image) == PIXELS).all()
    assert (decode_points(pairs[0].radar).velocity == 1).all()


def test_a_ros_1_bag_without_its_index_is_refused(tmp_path: Path) -> None:
    file = ros1_bag(tmp_path / 'drive.bag')
    file.write_bytes(file.read_bytes()[:-4000])
    with pytest.raises(RecordingError, match=r'drive\.bag: cannot be read'):
        Recording(file)
