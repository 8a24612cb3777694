# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag are taken for the camera and the radar; ROS 1 bags among them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_factory import PIXELS, POINTS, ros1_bag

from radar_camera_ssl.sensors import messages
from radar_camera_ssl.sensors.bag_writer import BagWriter
from radar_camera_ssl.sensors.camera import decode_image
from radar_camera_ssl.sensors.geometry import Intrinsics
from radar_camera_ssl.sensors.radar_points import decode_points
from radar_camera_ssl.sensors.recording import Recording, RecordingError, read_pairs


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


def test_where_cdr_is_wanted_a_ros_1_bag_is_refused_with_what_converts_it(tmp_path: Path) -> None:
    with (
        Recording(ros1_bag(tmp_path / 'drive.bag')) as recording,
        pytest.raises(RecordingError, match=r'drive\.bag: a ROS 1 bag') as caught,
    ):
        recording.require_cdr()
    arguments = str(caught.value).partition('rosbags-convert ')[2].split()
    subprocess.run([sys.executable, '-m', 'rosbags.convert', *arguments], check=True)
    with Recording(tmp_path / 'drive') as recording:
        recording.require_cdr()
        assert len(list(read_pairs(recording, 'points', 0.05))) == 10
