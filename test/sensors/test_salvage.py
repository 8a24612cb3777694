# SPDX-License-Identifier: Apache-2.0
"""Bags that are not whole: what could be read is read as it was, and the rest is told."""

from __future__ import annotations

import shutil
import sqlite3
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
import sensor_messages as messages
from bag_factory import Row, write_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import CompressionMode, StoragePlugin
from rosbags.typesys import Stores, get_typestore

from radar_camera_ssl.sensors.decompression import zstd
from radar_camera_ssl.sensors.recording import Recording, RecordingError, read_pairs, stamp_ns

STORE = get_typestore(Stores.ROS2_JAZZY)
MS = 1_000_000
PAIRS = 30
CLOUD, IMAGE = 'sensor_msgs/msg/PointCloud2', 'sensor_msgs/msg/Image'
STORAGES = [StoragePlugin.MCAP, StoragePlugin.SQLITE3]


def serialised() -> list[Row]:
    """Pairs as (topic, type, time ns, data); images of 100 KB, so that bags have many chunks."""
    noise = np.random.default_rng(0)
    rows = []
    for k in range(PAIRS):
        stamp = (1000 + 100 * k) * MS
        points = np.zeros(3, [(name, 'f4') for name in ('x', 'y', 'z', 'velocity', 'rcs')])
        pixels = noise.integers(0, 255, (130, 256, 3), dtype=np.uint8)
        for topic, kind, msg in (
            ('/radar/points', CLOUD, messages.cloud(points, stamp_ns=stamp)),
            ('/camera/image_raw', IMAGE, messages.image(pixels, 'bgr8', stamp_ns=stamp)),
        ):
            rows.append((topic, kind, stamp, bytes(STORE.serialize_cdr(msg, kind))))
    return rows


ROWS = serialised()


def storage_file(bag: Path) -> Path:
    (file,) = (f for f in bag.iterdir() if f.suffix != '.yaml')
    return file


def read(bag: Path) -> tuple[list[Row], list[str]]:
    """What a recording holds, and what it says of what it does not."""
    with Recording(bag) as recording:
        rows = [(t, kind, ns, bytes(data)) for t, kind, ns, data in recording.raw_messages()]
        return rows, recording.damages


@pytest.mark.parametrize('storage', STORAGES, ids=lambda plugin: plugin.name)
@pytest.mark.parametrize('share', [0.35, 0.7, 0.99])
def test_of_a_file_cut_off_what_is_whole_is_read(
    tmp_path: Path, storage: StoragePlugin, share: float
) -> None:
    bag = write_rows(tmp_path / 'bag', ROWS, storage=storage)
    file = storage_file(bag)
    data = file.read_bytes()
    file.write_bytes(data[: int(share * len(data))])
    rows, damages = read(bag)
    assert rows == ROWS[: len(rows)]
    assert len(rows) >= int(share * len(ROWS)) - 2
    assert damages[0].startswith('not a whole bag')
    assert file.name in damages[1]
    with Recording(bag) as recording:
        pairs = list(read_pairs(recording, 'points', 0.05))
        assert len(pairs) == sum(topic == '/camera/image_raw' for topic, *_ in rows)
        assert recording.duration_s == pytest.approx(0.1 * len(rows) / 2, abs=0.25)


def test_a_damaged_page_costs_the_message_that_it_belongs_to(tmp_path: Path) -> None:
    bag = write_rows(tmp_path / 'bag', ROWS, storage=StoragePlugin.SQLITE3)
    file = storage_file(bag)
    data = bytearray(file.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = b'\xff' * 4096
    file.write_bytes(data)
    rows, damages = read(bag)
    assert set(rows) < set(ROWS)
    assert len(rows) >= len(ROWS) - 3
    assert rows[-1] == ROWS[-1]
    assert 'not all rows can be read' in damages[1]


def test_a_damaged_chunk_costs_what_is_in_it(tmp_path: Path) -> None:
    """Of a bag with an index, which nothing is wrong with until its reading comes there."""
    bag = write_rows(tmp_path / 'bag', ROWS, compression=CompressionMode.STORAGE)
    file = storage_file(bag)
    data = bytearray(file.read_bytes())
    chunks = [i for i in range(len(data)) if data[i : i + 4] == b'\x28\xb5\x2f\xfd']
    data[chunks[1]] = 0
    file.write_bytes(data)
    rows, damages = read(bag)
    assert set(rows) < set(ROWS)
    assert (rows[0], rows[-1]) == (ROWS[0], ROWS[-1])
    assert len(rows) > len(ROWS) * (1 - 1.5 / len(chunks))
    assert 'is damaged' in damages[1]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cut=st.floats(0, 1),
    hits=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=64)), max_size=3),
    storage=st.sampled_from(STORAGES),
)
def test_no_damage_makes_more_than_an_error(
    tmp_path: Path,
    cut: float,
    hits: list[tuple[float, bytes]],
    storage: StoragePlugin,
) -> None:
    whole = tmp_path / storage.name
    if not whole.exists():
        write_rows(whole, ROWS[:8], storage=storage)
    shutil.rmtree(tmp_path / 'bag', ignore_errors=True)
    shutil.copytree(whole, tmp_path / 'bag')
    file = storage_file(tmp_path / 'bag')
    data = bytearray(file.read_bytes())
    for place, rubbish in hits:
        start = int(place * len(data))
        data[start : start + len(rubbish)] = rubbish
    file.write_bytes(data[: int(cut * len(data))])
    with suppress(RecordingError), Recording(tmp_path / 'bag') as recording:
        for topic in set(recording.topics) & {'/radar/points', '/camera/image_raw'}:
            for _, _, msg in recording.messages([topic]):
                stamp_ns(msg)


def test_a_killed_recorder_of_split_bags_leaves_the_last_file_cut(tmp_path: Path) -> None:
    bag = tmp_path / 'bag'
    bag.mkdir()
    third = len(ROWS) // 3
    for number, name in enumerate(('bag_8', 'bag_9', 'bag_10')):
        part = write_rows(tmp_path / name, ROWS[number * third : (number + 1) * third])
        shutil.move(storage_file(part), bag / f'{name}.mcap')
    data = (bag / 'bag_10.mcap').read_bytes()
    (bag / 'bag_10.mcap').write_bytes(data[: len(data) // 2])
    rows, damages = read(bag)
    assert rows == ROWS[: len(rows)]
    assert len(rows) > 2 * third
    assert len(damages) == 2
    assert 'bag_10.mcap: cut off' in damages[1]


def test_one_file_of_a_split_bag_that_is_no_bag_is_named(tmp_path: Path) -> None:
    bag = write_rows(tmp_path / 'bag', ROWS)
    (bag / 'metadata.yaml').unlink()
    (bag / 'bag_1.mcap').write_bytes(b'')
    rows, damages = read(bag)
    assert rows == ROWS
    assert any('bag_1.mcap: cannot be read' in damage for damage in damages)


@pytest.mark.parametrize('storage', STORAGES, ids=lambda plugin: plugin.name)
def test_a_metadata_file_that_is_not_whole_is_done_without(
    tmp_path: Path, storage: StoragePlugin
) -> None:
    bag = write_rows(tmp_path / 'bag', ROWS, storage=storage)
    (bag / 'metadata.yaml').write_text('rosbag2_bagfile_information:\n  version: 9\n')
    rows, damages = read(bag)
    assert rows == ROWS
    assert 'metadata' in damages[0]


def test_messages_that_a_journal_still_holds_are_read(tmp_path: Path) -> None:
    """sqlite3 bags of a recorder with a write-ahead log that was killed."""
    bag = write_rows(tmp_path / 'bag', ROWS, storage=StoragePlugin.SQLITE3)
    file = storage_file(bag)
    database = sqlite3.connect(file)
    database.execute('PRAGMA journal_mode = WAL')
    last = max(row[0] for row in database.execute('SELECT id FROM messages'))
    again = 'INSERT INTO messages SELECT ?, topic_id, timestamp, data FROM messages WHERE id = ?'
    database.execute(again, (last + 1, last))
    database.commit()
    killed = tmp_path / 'killed'
    shutil.copytree(bag, killed)
    database.close()
    rows, damages = read(killed)
    assert rows == [*ROWS, ROWS[-1]]
    assert 'journal' in damages[0]


@pytest.mark.parametrize('storage', STORAGES, ids=lambda plugin: plugin.name)
def test_messages_compressed_one_by_one_without_the_metadata_that_says_so(
    tmp_path: Path, storage: StoragePlugin
) -> None:
    bag = write_rows(tmp_path / 'bag', ROWS, storage=storage, compression=CompressionMode.MESSAGE)
    assert read(bag) == (ROWS, [])
    assert read(storage_file(bag)) == (ROWS, [])
    (bag / 'metadata.yaml').unlink()
    assert read(bag) == (ROWS, [])


@pytest.mark.parametrize('storage', STORAGES, ids=lambda plugin: plugin.name)
def test_files_compressed_as_a_whole_need_their_metadata(
    tmp_path: Path, storage: StoragePlugin
) -> None:
    bag = write_rows(tmp_path / 'bag', ROWS, storage=storage, compression=CompressionMode.FILE)
    assert read(bag) == (ROWS, [])
    with pytest.raises(RecordingError, match='compressed as a file'):
        Recording(storage_file(bag))
    (bag / 'metadata.yaml').unlink()
    with pytest.raises(RecordingError, match='compressed as a file'):
        Recording(bag)


# MCAP files of other writers: chunks of lz4, or no chunks, and no index.


def record(opcode: int, content: bytes) -> bytes:
    return struct.pack('<BQ', opcode, len(content)) + content


def text(value: str) -> bytes:
    return struct.pack('<I', len(value)) + value.encode()


def declarations() -> bytes:
    """Header, schemas and channels of ROWS' topics, numbered from 1."""
    made = record(1, text('ros2') + text('test'))
    for number, (topic, kind) in enumerate(
        (('/radar/points', CLOUD), ('/camera/image_raw', IMAGE))
    ):
        definition, _ = STORE.generate_msgdef(kind, ros_version=2)
        key = struct.pack('<H', number + 1)
        made += record(3, key + text(kind) + text('ros2msg') + text(definition))
        made += record(4, key + key + text(topic) + text('cdr') + struct.pack('<I', 0))
    return made


def message(row: Row) -> bytes:
    topic, _, time_ns, data = row
    channel = 1 if topic == '/radar/points' else 2
    return record(5, struct.pack('<HIQQ', channel, 0, time_ns, time_ns) + data)


def chunk(records: bytes, compression: str) -> bytes:
    packed = {'lz4': lz4.frame.compress, 'zstd': zstd.compress}[compression](records)
    head = struct.pack('<QQQI', 0, 0, len(records), zlib.crc32(records))
    return record(6, head + text(compression) + struct.pack('<Q', len(packed)) + packed)


MAGIC = b'\x89MCAP0\r\n'
END = record(15, bytes(4)) + record(2, bytes(20)) + MAGIC


@pytest.mark.parametrize('compression', ['lz4', 'zstd'])
def test_a_chunk_cut_in_the_middle_is_read_up_to_there(tmp_path: Path, compression: str) -> None:
    rows = [message(row) for row in ROWS]
    head = MAGIC + declarations()
    first, second = (chunk(b''.join(half), compression) for half in (rows[:30], rows[30:]))
    file = tmp_path / 'cut.mcap'
    file.write_bytes(head + first + second[: len(second) // 2])
    read_rows, damages = read(file)
    assert read_rows == ROWS[: len(read_rows)]
    assert 40 < len(read_rows) < 50
    assert any('cut off' in damage for damage in damages)


def test_messages_out_of_order_in_a_file_without_chunks(tmp_path: Path) -> None:
    rows = [ROWS[i] for i in (0, 1, 4, 5, 2, 3, 6, 7)]
    file = tmp_path / 'fast.mcap'
    file.write_bytes(MAGIC + declarations() + b''.join(map(message, rows)) + END)
    found, damages = read(file)
    assert found == rows
    assert 'order' in damages[0]


def test_a_file_that_ends_in_zeros(tmp_path: Path) -> None:
    """As a power failure leaves it: the file is longer than what has reached the disk."""
    file = tmp_path / 'zeros.mcap'
    file.write_bytes(MAGIC + declarations() + b''.join(map(message, ROWS[:6])) + bytes(5000))
    rows, damages = read(file)
    assert rows == ROWS[:6]
    assert any('no record' in damage for damage in damages)


def test_messages_of_other_serialisations_are_no_topics(tmp_path: Path) -> None:
    other = record(4, struct.pack('<HH', 3, 1) + text('/json') + text('json') + bytes(4))
    file = tmp_path / 'mixed.mcap'
    file.write_bytes(MAGIC + declarations() + other + message(ROWS[0]))
    with Recording(file) as recording:
        assert set(recording.topics) == {'/radar/points', '/camera/image_raw'}
