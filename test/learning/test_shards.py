# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
import tarfile

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: learning is optional')

import webdataset
from toy_bags import (
    AXES,
    CUBE_SHAPE,
    GAP_NS,
    HEIGHT,
    WIDTH,
    cube_info,
    points,
    toy_cube,
    toy_frames,
    write_bag,
    write_toy_bag,
)
from toy_shards import FORM, FRAMES, content, prepared

from radar_camera_ssl.learning.bag_pairs import BagSource
from radar_camera_ssl.learning.prepare import prepare_drives
from radar_camera_ssl.learning.shards import SampleFormat
from radar_camera_ssl.sensors.messages import image as image_message
from radar_camera_ssl.sensors.recording import Recording, RecordingError
from radar_camera_ssl.simulation import messages


@pytest.mark.parametrize('kinds', ['points', 'cube', 'points cube'])
def test_a_drive_holds_what_the_bag_held(tmp_path, kinds):
    drive = prepared(write_toy_bag(tmp_path / 'bag', 1, FRAMES, kinds), tmp_path / 'store')
    frames = list(toy_frames(1, FRAMES))
    assert len(drive) == FRAMES
    assert (drive.has_points, drive.has_cube) == ('points' in kinds, 'cube' in kinds)
    assert drive.image_size == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(drive.stamps, [stamp for stamp, _, _ in frames])
    for i, (_, image, returns) in enumerate(frames):
        assert np.abs(drive.image(i).astype(float) - image).mean() < 4.0
        if drive.has_points:
            np.testing.assert_array_equal(drive.returns(i), returns)
        if drive.has_cube:
            np.testing.assert_allclose(drive.cube(i), toy_cube(returns), atol=0.02)
    assert (drive.cube_axes, drive.cube_shape) == (
        (AXES, CUBE_SHAPE) if drive.has_cube else (None, None)
    )


def test_images_come_in_the_networks_size_and_the_strongest_returns(bag, tmp_path):
    drive = prepared(bag, tmp_path, SampleFormat(height=30, width=40, max_returns=3))
    for i, (_, image, returns) in enumerate(toy_frames(1, FRAMES)):
        assert drive.image(i).shape == (30, 40, 3)
        small = cv2.resize(image, (40, 30), interpolation=cv2.INTER_AREA)
        assert np.abs(drive.image(i).astype(float) - small).mean() < 3.0
        kept = np.sort(np.argsort(-returns[:, 3])[:3])
        np.testing.assert_array_equal(drive.returns(i), returns[kept])


@pytest.mark.filterwarnings('ignore:unclosed file:ResourceWarning')  # webdataset's own
def test_plain_webdataset_reads_the_shards(bag, tmp_path):
    drive = prepared(bag, tmp_path)
    (shard,) = drive.folder.glob('*.tar')
    # A percent sign or space needs no quoting in a path.
    samples = list(webdataset.WebDataset(str(shard), shardshuffle=False).decode())
    assert len(samples) == FRAMES
    for i, sample in enumerate(samples):
        image = cv2.imdecode(np.frombuffer(_raw(shard, sample, 'jpg'), np.uint8), 1)
        np.testing.assert_array_equal(image, drive.image(i))
        np.testing.assert_array_equal(sample['returns.npy'], drive.returns(i))
        np.testing.assert_array_equal(sample['cube.npy'], drive.cube(i))
        stamp = int(drive.stamps[i])
        assert sample['json'] == {
            'image': stamp, 'radar': stamp + GAP_NS, 'gap_s': pytest.approx(GAP_NS * 1e-9)
        }  # fmt: skip


def _raw(shard, sample: dict, kind: str) -> bytes:
    with tarfile.open(shard) as archive:
        member = archive.extractfile(f'{sample["__key__"]}.{kind}')
        assert member is not None
        return member.read()


def test_a_drive_of_several_shards_reads_like_one_of_one(bag, tmp_path, monkeypatch):
    whole = prepared(bag, tmp_path / 'whole')
    monkeypatch.setattr('radar_camera_ssl.learning.shards.SHARD_BYTES', 40e3)
    parts = prepared(bag, tmp_path / 'parts')
    assert len(list(parts.folder.glob('*.tar'))) > 1
    for i in range(FRAMES):
        np.testing.assert_array_equal(parts.image(i), whole.image(i))
        np.testing.assert_array_equal(parts.cube(i), whole.cube(i))


def test_ground_truth_never_enters_a_shard(tmp_path, monkeypatch):
    """It is not even read: the topics asked of a bag are the sensors', and its content is absurd.

    The same drive with and without ground truth gives the same bytes.
    """
    asked: set[str] = set()
    raw_messages = Recording.raw_messages

    def spy(self, topics=None):
        asked.update(self.topics if topics is None else topics)
        return raw_messages(self, topics)

    made = list(_messages(1))
    truth = image_message(1, 'camera', np.zeros((4, 4), np.uint16), '16UC1')
    truth.data = np.frombuffer(b'GROUND TRUTH', np.uint8)
    cloud = points(1, np.zeros((2, 4), np.float32))
    cloud.point_step = 10**6
    with_truth = [
        entry
        for topic, time_ns, message in made
        for entry in (
            (topic, time_ns, message),
            (messages.INSTANCES, time_ns, truth),
            (messages.TRUE_POINTS, time_ns, cloud),
        )
    ]
    monkeypatch.setattr(Recording, 'raw_messages', spy)
    seen = prepared(write_bag(tmp_path / 'a' / 'bag', with_truth), tmp_path / 'seen')
    blind = prepared(write_bag(tmp_path / 'b' / 'bag', made), tmp_path / 'blind')
    sensors = {messages.IMAGE, messages.POINTS, messages.CUBE, messages.CUBE_INFO}
    assert asked == sensors
    assert content(seen.folder) == content(blind.folder)
    with tarfile.open(next(seen.folder.glob('*.tar'))) as archive:
        kinds = {name.partition('.')[2] for name in archive.getnames()}
    assert kinds == {'jpg', 'json', 'returns.npy', 'cube.npy'}
    assert b'GROUND TRUTH' not in b''.join(content(seen.folder))


@pytest.mark.parametrize('option', ['image_topic', 'points_topic', 'cube_topic'])
def test_ground_truth_cannot_be_asked_for(tmp_path, option):
    made = list(_messages(1))
    made += [('/ground_truth/x', time_ns, message) for _, time_ns, message in made]
    bag = write_bag(tmp_path / 'bag', made[: len(made) // 2] + made[-1:])
    with pytest.raises(RecordingError, match='ground truth'):
        prepared(bag, tmp_path / 'store', source=BagSource(**{option: '/ground_truth/x'}))


def _messages(seed: int, frames: int = FRAMES, kinds: str = 'points cube'):
    """The messages of a toy bag, to be tampered with."""
    if 'cube' in kinds:
        yield messages.CUBE_INFO, 1, cube_info()
    for stamp, image, returns in toy_frames(seed, frames):
        radar = stamp + GAP_NS
        yield messages.IMAGE, stamp, image_message(stamp, 'camera', image, 'bgr8')
        if 'points' in kinds:
            yield messages.POINTS, radar, points(radar, returns)
        if 'cube' in kinds:
            cube = toy_cube(returns)
            message = image_message(radar, 'radar', cube, f'32FC{cube.shape[2]}')
            yield messages.CUBE, radar, message


def tampered(change, frame: int, topic: str, seed: int = 1):
    """The messages of a toy bag, with the one of a topic and frame changed, or left out (None)."""
    count = 0
    for entry in _messages(seed):
        if entry[0] == topic:
            count += 1
            if count == frame + 1:
                entry = (*entry[:2], change(entry[2]))
        if entry[2] is not None:
            yield entry


def _another_shape(message):
    cube = np.zeros((8, 12, 8), np.float32)
    stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
    return image_message(stamp, 'radar', cube, '32FC8')


def _linear(message):
    message.data = np.full(CUBE_SHAPE, 1e6, np.float32).reshape(-1).view(np.uint8)
    return message


def _short(message):
    message.data = message.data[:100]
    return message


@pytest.mark.parametrize(
    ('topic', 'change', 'reason'),
    [
        (messages.CUBE, lambda message: None, 'cube_missing'),
        (messages.CUBE, _another_shape, 'cube_shape_changed'),
        (messages.CUBE, _linear, 'cube_not_db'),
        (messages.CUBE, _short, 'cube_truncated'),
        (messages.IMAGE, _short, 'image_truncated'),
        (messages.POINTS, _short, 'points_truncated'),
    ],
)
def test_a_pair_that_cannot_be_used_is_dropped_and_counted(tmp_path, topic, change, reason):
    bag = write_bag(tmp_path / 'bag', tampered(change, 2, topic))
    said: list[str] = []
    (drive,) = prepare_drives([bag], tmp_path / 'store', FORM, report=said.append)
    stamps = [stamp for stamp, _, _ in toy_frames(1, FRAMES)]
    assert drive.stamps.tolist() == stamps[:2] + stamps[3:]
    assert len(drive.speeds) == FRAMES - 1
    np.testing.assert_allclose(
        drive.cube(2), toy_cube(list(toy_frames(1, FRAMES))[3][2]), atol=0.02
    )
    assert json.loads((drive.folder / 'summary.json').read_text())['dropped'] == {reason: 1}
    assert reason in said[0]


def test_messages_without_a_partner_are_counted(tmp_path):
    bag = write_bag(tmp_path / 'bag', tampered(lambda message: None, 2, messages.IMAGE))
    drive = prepared(bag, tmp_path / 'store')
    summary = json.loads((drive.folder / 'summary.json').read_text())
    assert summary['pairs'] == FRAMES - 1
    assert sum(summary['unpaired'].values()) == 1


def test_a_bag_without_a_usable_pair_is_refused_with_the_reasons(tmp_path):
    def nameless(entry):
        topic, time_ns, message = entry
        if topic == messages.POINTS:
            message.fields[4].name = 'brightness'
        return topic, time_ns, message

    bag = write_bag(tmp_path / 'bag', map(nameless, _messages(1, kinds='points')))
    with pytest.raises(ValueError, match=r"no usable pair.*'points_field_missing': 6"):
        prepared(bag, tmp_path / 'store')
    assert not list((tmp_path / 'store').iterdir())
    named = BagSource(aliases=(('rcs', 'brightness'),))
    drive = prepared(bag, tmp_path / 'store', source=named)
    np.testing.assert_array_equal(drive.returns(3), list(toy_frames(1, FRAMES))[3][2])


def test_topics_are_found_or_named(tmp_path):
    names = {messages.IMAGE: '/left/image', messages.POINTS: '/front/targets'}
    made = [
        (names[topic], time_ns, message) for topic, time_ns, message in _messages(1, 4, 'points')
    ]
    assert len(prepared(write_bag(tmp_path / 'one', made), tmp_path / 'store')) == 4
    made += [('/lidar', time_ns, m) for topic, time_ns, m in made if topic == '/front/targets']
    two = write_bag(tmp_path / 'two', made)
    with pytest.raises(RecordingError, match='several topics of kind points'):
        prepared(two, tmp_path / 'store')
    named = BagSource(points_topic='/front/targets')
    assert len(prepared(two, tmp_path / 'store', source=named)) == 4


def test_a_cube_needs_the_limits_of_its_axes(tmp_path):
    made = [entry for entry in _messages(1, 3) if entry[0] != messages.CUBE_INFO]
    bag = write_bag(tmp_path / 'bag', made)
    with pytest.raises(ValueError, match='nothing tells the axis limits'):
        prepared(bag, tmp_path / 'store')
    handed = BagSource(cube_axes=AXES)
    assert prepared(bag, tmp_path / 'store', source=handed).cube_axes == AXES
    drive = prepared(bag, tmp_path / 'store', source=BagSource(kinds=('points',)))
    assert (drive.has_points, drive.has_cube) == (True, False)


def test_a_bag_that_is_cut_off_is_taken_as_far_as_it_goes(tmp_path):
    bag = write_toy_bag(tmp_path / 'bag', 1, FRAMES, 'points')
    (file,) = bag.glob('*.mcap')
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    said: list[str] = []
    (drive,) = prepare_drives([bag], tmp_path / 'store', FORM, report=said.append)
    assert 2 <= len(drive) < FRAMES
    assert 'incomplete: not a whole bag' in said[0]


def test_the_arrays_are_plain_numpy(bag, tmp_path):
    drive = prepared(bag, tmp_path)
    with tarfile.open(next(drive.folder.glob('*.tar'))) as archive:
        for member in archive:
            if member.name.endswith('cube.npy'):
                read = archive.extractfile(member)
                assert read is not None
                cube = np.load(io.BytesIO(read.read()), allow_pickle=False)
                assert (cube.dtype, cube.shape) == (np.float16, CUBE_SHAPE)
