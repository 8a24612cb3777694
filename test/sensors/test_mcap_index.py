# SPDX-License-Identifier: Apache-2.0
"""MCAP files of many chunks: the same messages in the same order as by rosbags, in less memory."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import McapReader
from rosbags.typesys import Stores, get_typestore

from radar_camera_ssl.sensors import mcap_index
from radar_camera_ssl.sensors.mcap_index import FrugalMcapReader, PackedChunks
from radar_camera_ssl.sensors.recording import Recording

STORE = get_typestore(Stores.ROS2_JAZZY)
STRING = 'std_msgs/msg/String'
TOPICS = ('/a', '/b', '/c')
Row = tuple[int, int]


def write(path: Path, chunks: Sequence[Sequence[Row]]) -> Path:
    """Write a bag with these chunks of (index in TOPICS, time ns); each message is another."""
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = [writer.add_connection(topic, STRING, typestore=STORE) for topic in TOPICS]
        number = 0
        for chunk in chunks:
            for topic, time_ns in chunk:
                message = STORE.types[STRING](str(number))
                data = STORE.serialize_cdr(message, STRING)
                writer.write(connections[topic], time_ns, data)
                number += 1
            writer.storage.close_chunk()
    return path


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 60)), max_size=4), max_size=24),
    st.booleans(),
    st.sets(st.integers(0, 2), min_size=1),
    st.none() | st.integers(0, 60),
    st.none() | st.integers(0, 60),
)
@settings(deadline=None, max_examples=150)
def test_messages_and_their_order_are_those_of_rosbags(
    chunks: list[list[Row]],
    in_order: bool,
    wanted: set[int],
    start: int | None,
    stop: int | None,
) -> None:
    if in_order:
        times = iter(sorted(time_ns for chunk in chunks for _, time_ns in chunk))
        chunks = [[(topic, next(times)) for topic, _ in chunk] for chunk in chunks]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(mcap_index, '_CHUNKS_AT_ONCE', 3)
        patch.setattr(mcap_index, '_MOST_READ_TWICE', 1)
        bag = write(Path(folder) / 'bag', chunks)
        read = []
        for kind in (McapReader, FrugalMcapReader):
            reader = kind(bag / 'bag.mcap')
            reader.open()
            connections = [reader.connections[k] for k in wanted if k < len(reader.connections)]
            messages = reader.messages(connections, start, stop)
            read.append([(c.topic, time_ns, bytes(data)) for c, time_ns, data in messages])
            assert reader.chunks or not any(chunks)
            reader.close()
    assert read[0] == read[1]


def test_reading_is_cut_where_few_chunks_lie_on_both_sides(tmp_path: Path) -> None:
    in_order = [[(0, 10 * k), (1, 10 * k + 9)] for k in range(1000)]
    assert _cuts(write(tmp_path / 'sorted', in_order)) == [2560, 5120, 7680]
    everywhere = [[(0, 10 * k), (1, 20_000)] for k in range(1000)]
    assert _cuts(write(tmp_path / 'unsorted', everywhere)) == []


def _cuts(bag: Path) -> list[int]:
    reader = FrugalMcapReader(bag / f'{bag.name}.mcap')
    reader.open()
    assert isinstance(reader.chunks, PackedChunks)
    cuts = reader.chunks.cuts()
    reader.close()
    return cuts


@pytest.mark.parametrize('opened', [lambda bag: bag, lambda bag: bag / f'{bag.name}.mcap'])
def test_a_recording_takes_little_memory_for_each_chunk(
    tmp_path: Path, opened: Callable[[Path], Path]
) -> None:
    peaks = []
    for count in (1000, 5000):
        bag = write(tmp_path / str(count), [[(0, 10 * k)] for k in range(count)])
        tracemalloc.start()
        with Recording(opened(bag)) as recording:
            assert sum(1 for _ in recording.raw_messages(['/a'])) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 64 for the index, as much again while it grows, and what looks for the cuts; a list of
    # rosbags' own takes over a kilobyte.
    assert peaks[1] - peaks[0] < 4000 * 300
