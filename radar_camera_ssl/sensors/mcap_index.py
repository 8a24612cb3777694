# SPDX-License-Identifier: Apache-2.0
"""Long MCAP files in little memory.

The index of an MCAP file has an entry for each of its chunks, and a raw image is more than a chunk
holds: an hour of driving has over a hundred thousand of them. rosbags keeps more than a kilobyte
for each, and to sort messages by time begins to read all chunks at once.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Generator, Iterator
from copy import copy
from itertools import pairwise
from typing import cast

import numpy as np
from numpy.typing import NDArray
from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection
from rosbags.interfaces.typing import RPath
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.reader import DirectoryReader
from rosbags.rosbag2.storage_mcap import ChunkInfo, McapReader

_CHUNKS_AT_ONCE = 256
# Chunks on both sides of where the reading is cut are read twice.
_MOST_READ_TWICE = 16
_NUMBERS = (
    'message_start_time',
    'message_end_time',
    'chunk_start_offset',
    'chunk_length',
    'message_index_length',
    'compressed_size',
    'uncompressed_size',
)


def read_frugally(bag: AnyReader) -> None:
    """Have a bag that is not open yet read its MCAP files by `FrugalMcapReader`."""
    for reader in bag.readers:
        if not isinstance(reader, Reader):
            continue
        if isinstance(reader.storage, McapReader):
            reader.storage = FrugalMcapReader(reader.path)
        elif isinstance(reader.storage, DirectoryReader):
            plugins = {**reader.storage.STORAGE_PLUGINS, 'mcap': FrugalMcapReader}
            reader.storage.STORAGE_PLUGINS = plugins


class PackedChunks:
    """Instead of McapReader's list of `ChunkInfo`: 64 bytes for each.

    Left out is where in a chunk's index each channel begins, which is only asked for while that
    index is read.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._numbers = array('Q')
        self._kind = array('L')
        self._kinds: dict[tuple[str, tuple[tuple[int, int], ...]], int] = {}

    def append(self, chunk: ChunkInfo) -> None:
        """Add a chunk."""
        self._numbers.extend(getattr(chunk, name) for name in _NUMBERS)
        kind = (chunk.compression, tuple(chunk.channel_count.items()))
        self._kind.append(self._kinds.setdefault(kind, len(self._kinds)))

    def clear(self) -> None:
        """Forget all chunks."""
        del self._numbers[:], self._kind[:]
        self._kinds.clear()

    def __len__(self) -> int:
        """How many chunks there are."""
        return len(self._kind)

    def __iter__(self) -> Iterator[ChunkInfo]:
        """Yield the chunks in the order in which they were added."""
        return iter(self.within(None, None))

    def within(self, start: int | None, stop: int | None) -> list[ChunkInfo]:
        """Return the chunks that may have messages from start on, ns, and before stop."""
        table = self._table()
        first, last = table[:, 0], table[:, 1]
        wanted = np.ones(len(table), np.bool_)
        if start is not None:
            wanted &= last >= max(start, 0)
        if stop is not None:
            wanted &= first < max(stop, 0)
        kinds = [(compression, dict(counts)) for compression, counts in self._kinds]
        return [
            ChunkInfo(
                **dict(zip(_NUMBERS, table[i].tolist(), strict=True)),
                message_index_offsets={},
                compression=kinds[self._kind[i]][0],
                channel_count=kinds[self._kind[i]][1],
            )
            for i in np.flatnonzero(wanted).tolist()
        ]

    def cuts(self) -> list[int]:
        """Return times, ns, ascending, at which to cut the reading: few chunks lie between two.

        There is none where many chunks have messages of both sides, as in a file whose messages
        are not in the order of their times.
        """
        table = self._table()
        starts, ends = np.sort(table[:, 0]), np.sort(table[:, 1])
        cuts = np.unique(starts[_CHUNKS_AT_ONCE::_CHUNKS_AT_ONCE])
        begun = np.searchsorted(starts, cuts, 'left')
        over = np.searchsorted(ends, cuts, 'left')
        return [int(cut) for cut in cuts[begun - over <= _MOST_READ_TWICE]]

    def _table(self) -> NDArray[np.uint64]:
        numbers = np.array(self._numbers, np.uint64)
        return numbers.reshape(-1, len(_NUMBERS))


class FrugalMcapReader(McapReader):
    """McapReader of the same messages in the same order, with `PackedChunks`, in stretches."""

    def __init__(self, path: RPath) -> None:
        """Take a file; `open` reads its index."""
        super().__init__(path)
        self._packed = PackedChunks()
        # Of its list McapReader uses what PackedChunks has.
        self.chunks = cast('list[ChunkInfo]', self._packed)

    def messages(
        self,
        connections: Collection[Connection],
        start: int | None = None,
        stop: int | None = None,
    ) -> Generator[tuple[Connection, int, bytes], None, None]:
        """Yield (connection, log time ns, serialised message), start and stop as McapReader's."""
        cuts = [
            cut
            for cut in self._packed.cuts()
            if (start is None or cut > start) and (stop is None or cut < stop)
        ]
        for begin, end in pairwise((start, *cuts, stop)):
            stretch = copy(self)
            stretch.chunks = self._packed.within(begin, end)
            yield from McapReader.messages(stretch, connections, begin, end)
