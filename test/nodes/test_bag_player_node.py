# SPDX-License-Identifier: Apache-2.0
"""The player, over DDS: every byte, in order, at its time."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bags import START_NS, drive_rows, row, write_bag
from rclpy.node import Node
from rclpy.parameter import Parameter
from ros_graph import RELIABLE, Spinner, image_message, radar_message, wait_until
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from radar_camera_ssl.nodes.bag_player_node import BagPlayerNode
from radar_camera_ssl.nodes.qos import latched
from radar_camera_ssl.nodes.read_ahead import messages_ahead
from radar_camera_ssl.sensors.bag_writer import BagWriter
from radar_camera_ssl.sensors.recording import Recording, RecordingError

ZSTD = b'\x28\xb5\x2f\xfd'
TOPICS = {'/camera/image_raw': Image, '/radar/points': PointCloud2}


class Listener:
    """Hears the bag's topics in a namespace, as bytes."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.node = Node('listener', namespace=namespace)
        self.heard: dict[str, list[bytes]] = {topic: [] for topic in TOPICS}
        self.clock: list[Clock] = []
        for topic, message_type in TOPICS.items():
            self.node.create_subscription(
                message_type, namespace + topic, self.heard[topic].append, RELIABLE, raw=True
            )
        self.node.create_subscription(Clock, namespace + '/clock', self.clock.append, RELIABLE)
        self._spinner = Spinner(self.node)
        self._players: list[Spinner] = []

    def play(self, bag: Path, **parameters: Any) -> BagPlayerNode:
        values = {'bag': str(bag), 'wait_for_subscribers': list(TOPICS)} | parameters
        remappings = [f'{topic}:={self.namespace}{topic}' for topic in (*TOPICS, '/clock')]
        remappings.append(f'/camera/camera_info:={self.namespace}/camera/camera_info')
        player = BagPlayerNode(
            namespace=self.namespace,
            parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
            cli_args=['--ros-args', *(part for rule in remappings for part in ('-r', rule))],
        )
        self._players.append(Spinner(player))
        return player

    def stamps(self) -> list[int]:
        """The times on /clock so far, ns."""
        return [message.clock.sec * 10**9 + message.clock.nanosec for message in self.clock]

    def close(self) -> None:
        for spinner in (*self._players, self._spinner):
            spinner.close()


def published(report: Path) -> dict[str, int]:
    """What the player's report says of each topic."""
    return dict(json.loads(report.read_text())['published'])


@pytest.fixture
def listener(ros: None, request: pytest.FixtureRequest) -> Iterator[Listener]:
    listener = Listener(f'/player_{request.node.name.split("[")[0]}')
    yield listener
    listener.close()


def test_each_message_arrives_byte_for_byte_in_order(listener: Listener, tmp_path: Path) -> None:
    rows = drive_rows(0.5, height=480, width=640)
    player = listener.play(
        write_bag(tmp_path / 'bag', rows), report_path=str(tmp_path / 'report.json')
    )
    wait_until(player.done, 'the player does not end')
    assert player.exit_code == 0
    for topic in TOPICS:
        sent = [data for name, _, _, data in sorted(rows, key=lambda r: r[2]) if name == topic]
        heard = listener.heard[topic]
        wait_until(lambda heard=heard, sent=sent: len(heard) == len(sent), f'lost on {topic}')
        assert heard == sent
    assert published(tmp_path / 'report.json') == {
        '/camera/camera_info': 1,
        '/camera/image_raw': 15,
        '/radar/points': 5,
    }


@pytest.mark.parametrize(('rate', 'duration_s'), [(0.5, 0.6), (8.0, 8.0)])
def test_messages_keep_their_recorded_distance(
    listener: Listener, tmp_path: Path, rate: float, duration_s: float
) -> None:
    bag = write_bag(tmp_path / 'bag', drive_rows(duration_s, height=6, width=8))
    began_s = time.monotonic()
    player = listener.play(bag, rate=rate)
    wait_until(player.done, 'the player does not end')
    # A busy machine may play late, never early.
    assert 0.0 < time.monotonic() - began_s - (duration_s - 1 / 30) / rate < 5.0


def test_the_clock_is_the_bags(listener: Listener, tmp_path: Path) -> None:
    player = listener.play(write_bag(tmp_path / 'bag', drive_rows(0.4)), rate=4.0)
    wait_until(player.done, 'the player does not end')
    last = START_NS + 11 * 10**9 // 30
    wait_until(lambda: last in listener.stamps(), lambda: f'{last} is not in {listener.stamps()}')
    assert listener.stamps() == sorted(listener.stamps())
    assert listener.stamps()[0] >= START_NS
    assert listener.stamps()[-1] == last


def test_the_start_is_left_out_but_latched_topics_are_not(
    listener: Listener, tmp_path: Path
) -> None:
    infos: list[CameraInfo] = []
    report = tmp_path / 'report.json'
    player = listener.play(
        write_bag(tmp_path / 'bag', drive_rows(1.0)),
        start_offset=0.5,
        rate=10.0,
        report_path=str(report),
    )
    wait_until(player.done, 'the player does not end')
    assert published(report)['/radar/points'] == 5
    listener.node.create_subscription(
        CameraInfo, f'{listener.namespace}/camera/camera_info', infos.append, latched()
    )
    wait_until(lambda: infos, 'a late subscriber gets no camera_info')


def test_skipping_the_start_is_not_caught_up(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow the disk: what is played keeps its recorded distance."""
    bag = write_bag(tmp_path / 'bag', drive_rows(1.0))
    raw_messages = Recording.raw_messages
    read_s: list[float] = []

    def slowly(self: Recording, topics: list[str]) -> Iterator[tuple[str, str, int, bytes]]:
        for item in raw_messages(self, topics):
            if item[2] < START_NS + 5 * 10**8:
                time.sleep(0.03)
            else:
                read_s.append(time.monotonic())
            yield item

    monkeypatch.setattr(Recording, 'raw_messages', slowly)
    player = listener.play(bag, start_offset=0.5)
    wait_until(player.done, 'the player does not end')
    assert time.monotonic() - read_s[0] > 0.45


def test_the_offset_counts_from_the_start_of_the_bag(listener: Listener, tmp_path: Path) -> None:
    """Of a radar that was switched on later as of any other topic."""
    switched_on = START_NS + 4 * 10**8
    rows = [r for r in drive_rows(1.0) if r[0] != '/radar/points' or r[2] > switched_on]
    player = listener.play(
        write_bag(tmp_path / 'bag', rows),
        topics=['/radar/points'],
        wait_for_subscribers=['/radar/points'],
        start_offset=0.5,
        rate=10.0,
    )
    wait_until(player.done, 'the player does not end')
    heard = listener.heard['/radar/points']
    wait_until(lambda: len(heard) == 5, lambda: f'{len(heard)} of 5')


def test_a_loop_plays_again_until_it_is_stopped(listener: Listener, tmp_path: Path) -> None:
    player = listener.play(write_bag(tmp_path / 'bag', drive_rows(0.2)), loop=True, rate=10.0)
    wait_until(lambda: len(listener.heard['/radar/points']) > 6, 'no second round')
    assert not player.done()


def test_a_type_that_is_not_installed_is_left_out(listener: Listener, tmp_path: Path) -> None:
    rows = drive_rows(0.2)
    image = image_message(START_NS)
    name, _, time_ns, data = row('/strange', START_NS, image)
    bag = write_bag(tmp_path / 'bag', [*rows, (name, 'tf2_msgs/msg/TFMessage', time_ns, data)])
    report = tmp_path / 'report.json'
    player = listener.play(bag, report_path=str(report))
    wait_until(player.done, 'the player does not end')
    assert player.exit_code == 0
    assert published(report) == {
        '/camera/camera_info': 1,
        '/camera/image_raw': 6,
        '/radar/points': 2,
    }


def test_ground_truth_is_not_published_unless_it_is_asked_for(
    listener: Listener, tmp_path: Path
) -> None:
    truth = row('/ground_truth/instances', START_NS, image_message(START_NS))
    report = tmp_path / 'report.json'
    player = listener.play(
        write_bag(tmp_path / 'bag', [*drive_rows(0.2), truth]), report_path=str(report)
    )
    wait_until(player.done, 'the player does not end')
    assert set(published(report)) == {'/camera/camera_info', *TOPICS}


@pytest.mark.parametrize('wanted', [True, False])
def test_the_clock_is_published_where_it_is_wanted(
    listener: Listener, tmp_path: Path, wanted: bool
) -> None:
    player = listener.play(write_bag(tmp_path / 'bag', drive_rows(0.1)), publish_clock=wanted)
    clock = f'{listener.namespace}/clock'
    assert (clock in {output.topic_name for output in player.publishers}) == wanted
    wait_until(player.done, 'the player does not end')
    assert player.exit_code == 0


def test_what_is_damaged_is_told_and_the_rest_is_played(
    listener: Listener, tmp_path: Path
) -> None:
    bag, rows = tmp_path / 'bag', sorted(drive_rows(2.0), key=lambda row: row[2])
    with BagWriter(bag) as writer:
        for topic, message_type in sorted({row[:2] for row in rows}):
            writer.add_topic(topic, message_type)
        for topic, _, time_ns, data in rows:
            writer.write(topic, time_ns, data)
    (file,) = bag.glob('*.mcap')
    content = bytearray(file.read_bytes())
    second_chunk = content.index(ZSTD, content.index(ZSTD) + 1)
    content[second_chunk] = 0
    file.write_bytes(content)
    report = tmp_path / 'report.json'
    player = listener.play(bag, rate=20.0, report_path=str(report))
    wait_until(player.done, 'not played to its end')
    assert player.exit_code == 0
    assert 0 < sum(published(report).values()) < len(rows)
    damages = json.loads(report.read_text())['damages']
    assert [damage for damage in damages if damage.endswith('is damaged')] == damages[-1:]


def test_it_gives_up_when_nobody_listens(listener: Listener, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', drive_rows(0.2))
    player = listener.play(bag, wait_for_subscribers=['/camera/camera_info'], wait_timeout=0.1)
    wait_until(player.done, 'the player waits for ever')
    assert player.exit_code == 1
    assert not listener.heard['/radar/points']


def test_a_report_that_cannot_be_written_is_a_failure_and_no_hang(
    listener: Listener, tmp_path: Path
) -> None:
    bag = write_bag(tmp_path / 'bag', drive_rows(0.1))
    player = listener.play(bag, report_path=str(tmp_path / 'no' / 'folder' / 'report.json'))
    wait_until(player.done, 'the player does not end')
    assert player.exit_code == 1


@pytest.mark.parametrize(
    ('parameters', 'reason'),
    [
        ({'bag': ''}, 'bag is empty'),
        ({'bag': '/nowhere/at/all'}, 'no such bag'),
        ({'topics': ['/not/there']}, 'no topic /not/there'),
        ({'start_offset': 60.0, 'loop': True}, 'start_offset 60 s leaves nothing'),
    ],
)
def test_it_does_not_start_without_something_to_play(
    ros: None, tmp_path: Path, parameters: dict[str, Any], reason: str
) -> None:
    values = {'bag': str(write_bag(tmp_path / 'bag', drive_rows(0.1)))} | parameters
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    with pytest.raises(ValueError, match=reason):
        BagPlayerNode(parameter_overrides=overrides)


def test_reading_ahead_keeps_its_limit_and_order(tmp_path: Path) -> None:
    rows = [row('/radar/points', START_NS + i, radar_message(i)) for i in range(50)]
    bag = write_bag(tmp_path / 'bag', rows)
    with messages_ahead(bag, ['/radar/points'], 1e-6, pytest.fail) as messages:
        assert [message.time_ns for message in messages] == [START_NS + i for i in range(50)]


def test_a_reading_error_reaches_the_player(tmp_path: Path) -> None:
    with (
        messages_ahead(tmp_path / 'nowhere', ['/radar/points'], 64.0, pytest.fail) as messages,
        pytest.raises(RecordingError),
    ):
        list(messages)
