# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from radar_camera_ssl.sensors.bag_writer import BagWriter
from radar_camera_ssl.sensors.messages import image, serialise
from radar_camera_ssl.sensors.recording import Recording, stamp_ns

SECOND = 10**9
KIND = 'sensor_msgs/msg/Image'


def write(path: Path, stamps: list[int], replace: bool = False) -> None:
    with BagWriter(path, replace=replace) as bag:
        bag.add_topic('/camera', KIND)
        bag.add_topic('/map', KIND, latched=True)
        for stamp in stamps:
            bag.write('/camera', stamp + 5, image(stamp, 'c', np.zeros((2, 3), np.uint8), 'mono8'))


def recorded(path: Path) -> list[tuple[str, int, int]]:
    with Recording(path) as recording:
        rows = recording.messages(recording.topics)
        return [(topic, time_ns, stamp_ns(msg)) for topic, time_ns, msg in rows]


def test_a_bag_holds_what_was_written(tmp_path: Path) -> None:
    write(tmp_path / 'front.left', [SECOND, 2 * SECOND])
    assert recorded(tmp_path / 'front.left') == [
        ('/camera', SECOND + 5, SECOND),
        ('/camera', 2 * SECOND + 5, 2 * SECOND),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ['front.left']


def test_serialised_messages_are_taken_as_they_are(tmp_path: Path) -> None:
    data = serialise(image(7, 'c', np.zeros((2, 3), np.uint8), 'mono8'))
    with BagWriter(tmp_path / 'bag') as bag:
        bag.add_topic('/camera', KIND)
        bag.write('/camera', 9, data)
    with Recording(tmp_path / 'bag') as recording:
        assert [row[2:] for row in recording.raw_messages()] == [(9, data)]


def test_late_subscribers_get_what_is_latched(tmp_path: Path) -> None:
    write(tmp_path / 'bag', [SECOND])
    described = yaml.safe_load((tmp_path / 'bag' / 'metadata.yaml').read_text())
    topics = described['rosbag2_bagfile_information']['topics_with_message_count']
    durability = {
        row['topic_metadata']['name']: row['topic_metadata']['offered_qos_profiles'][0][
            'durability'
        ]
        for row in topics
    }
    assert durability == {'/camera': 'volatile', '/map': 'transient_local'}


@pytest.mark.parametrize('error', [OSError('disk full'), KeyboardInterrupt()])
def test_nothing_is_left_of_a_bag_that_breaks_off(tmp_path: Path, error: BaseException) -> None:
    bag = BagWriter(tmp_path / 'bag')
    bag.__enter__()
    bag.add_topic('/camera', KIND)
    assert not bag.path.exists()
    bag.__exit__(type(error), error, None)
    assert list(tmp_path.iterdir()) == []


def test_a_bag_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / 'bag'
    write(path, [SECOND])
    with pytest.raises(FileExistsError, match='exists'):
        BagWriter(path)
    before = recorded(path)
    with pytest.raises(OSError, match='disk full'), BagWriter(path, replace=True):
        raise OSError('disk full')
    assert recorded(path) == before
    write(path, [3 * SECOND], replace=True)
    assert [stamp for _, _, stamp in recorded(path)] == [3 * SECOND]


def test_what_is_no_bag_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / 'thesis').mkdir()
    with pytest.raises(FileExistsError, match='is no bag'):
        BagWriter(tmp_path / 'thesis', replace=True)
