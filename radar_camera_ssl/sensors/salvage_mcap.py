# SPDX-License-Identifier: Apache-2.0
"""What can still be read of an MCAP file that has no index: one that was cut off or damaged.

An MCAP file is a row of records, each with its length before it; the index stands at the end,
where a recorder that is killed never comes. Format: https://mcap.dev/spec.
"""

from __future__ import annotations

import struct
import sys
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinition,
    MessageDefinitionFormat,
)

from .decompression import decompressed

_MAGIC = b'\x89MCAP0\r\n'
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _MESSAGE_INDEX, _DATA_END = 3, 4, 5, 6, 7, 15
_OPCODES = range(1, 16)
_RECORD = struct.Struct('<BQ')
_CHUNK_HEAD = struct.Struct('<QQQI')
_MESSAGE_HEAD = struct.Struct('<HIQQ')
_FORMATS = {'ros2msg': MessageDefinitionFormat.MSG, 'ros2idl': MessageDefinitionFormat.IDL}


@dataclass(frozen=True)
class _Part:
    """A chunk, or a message outside of any: where its content lies in the file."""

    opcode: int
    start: int
    length: int
    cut: bool = False


class McapSalvage:
    """An MCAP file read by walking from record to record.

    Opening reads the records' heads and the chunks that declare channels, not the messages.
    """

    def __init__(self, path: Path) -> None:
        """Raises ValueError for a file that is no MCAP, OSError for one that cannot be read."""
        self.path = path
        self._file = path.open('rb')
        self._size = path.stat().st_size
        self._schemas: dict[int, tuple[str, MessageDefinition]] = {}
        self._channels: dict[int, Connection] = {}
        self._declared: set[int] = set()
        self._counts: Counter[int] = Counter()
        self._parts: list[_Part] = []
        self.start_ns, self.end_ns = sys.maxsize, 0
        self.damages: list[str] = []
        """What is not whole, as far as it has been come across."""
        try:
            if self._file.read(len(_MAGIC)) != _MAGIC:
                raise ValueError('no MCAP file')
            self._walk()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def connections(self) -> list[Connection]:
        """The channels of ROS 2 messages."""
        return [
            channel._replace(msgcount=self._counts[key]) for key, channel in self._channels.items()
        ]

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[int, int, bytes]]:
        """Yield (channel, log time ns, serialised message) in the file's order."""
        wanted = {connection.id for connection in connections}
        for part in self._parts:
            for opcode, content in self._records(part):
                if opcode == _MESSAGE:
                    channel, _, time_ns, _ = _MESSAGE_HEAD.unpack_from(content)
                    if channel in wanted:
                        yield channel, time_ns, bytes(content[_MESSAGE_HEAD.size :])

    def _walk(self) -> None:
        position = len(_MAGIC)
        chunk: _Part | None = None
        indexed: dict[int, int] = {}
        while position + _RECORD.size <= self._size:
            self._file.seek(position)
            head = self._file.read(_RECORD.size + _CHUNK_HEAD.size)
            opcode, length = _RECORD.unpack_from(head)
            content = position + _RECORD.size
            if opcode not in _OPCODES:
                self.damages.append(f'{self.path.name}: from byte {position} on no record')
                break
            if opcode != _MESSAGE_INDEX and chunk is not None:
                self._take(chunk, indexed)
                chunk, indexed = None, {}
            if opcode == _DATA_END:
                return
            position = content + length
            if position > self._size:
                self.damages.append(f'{self.path.name}: cut off at byte {self._size}')
                if opcode == _CHUNK:
                    chunk = _Part(_CHUNK, content, self._size - content, cut=True)
                break
            if opcode == _CHUNK and length >= _CHUNK_HEAD.size:
                chunk = _Part(_CHUNK, content, length)
                self._note_times(*struct.unpack_from('<QQ', head, _RECORD.size))
            elif opcode == _MESSAGE and length >= _MESSAGE_HEAD.size:
                channel, _, time_ns, _ = _MESSAGE_HEAD.unpack_from(head, _RECORD.size)
                self._take(_Part(_MESSAGE, content, length), {channel: 1})
                self._note_times(time_ns, time_ns)
            elif opcode == _MESSAGE_INDEX and length >= 6:
                channel, size = struct.unpack_from('<HI', head, _RECORD.size)
                indexed[channel] = size // 16
            elif opcode in (_SCHEMA, _CHANNEL):
                self._file.seek(content)
                self._declare(opcode, self._file.read(length))
        else:
            self.damages.append(f'{self.path.name}: cut off at byte {self._size}')
        if chunk is not None:
            self._take(chunk, {})  # whose index may be cut off

    def _note_times(self, first_ns: int, last_ns: int) -> None:
        self.start_ns = min(self.start_ns, first_ns)
        self.end_ns = max(self.end_ns, last_ns)

    def _take(self, part: _Part, indexed: dict[int, int]) -> None:
        """Keep a part; one whose index is lost, or of channels unknown so far, is looked into."""
        self._parts.append(part)
        if not indexed or (part.opcode == _CHUNK and not indexed.keys() <= self._declared):
            counted: Counter[int] = Counter()
            for opcode, content in self._records(part):
                if opcode == _MESSAGE:
                    channel, _, time_ns, _ = _MESSAGE_HEAD.unpack_from(content)
                    counted[channel] += 1
                    self._note_times(time_ns, time_ns)
                elif opcode in (_SCHEMA, _CHANNEL):
                    self._declare(opcode, bytes(content))
            indexed = indexed or counted
        self._counts.update(indexed)

    def _records(self, part: _Part) -> Iterator[tuple[int, memoryview]]:
        """Yield (opcode, content) of the whole records of a part; notes what is damaged."""
        self._file.seek(part.start)
        data = self._file.read(part.length)
        if part.opcode == _MESSAGE:
            yield _MESSAGE, memoryview(data)
            return
        whole, content = _unpacked(data)
        if not whole and not part.cut:
            # Where the damage begins nobody knows: what it decompresses to may be anything.
            damage = f'{self.path.name}: the chunk at byte {part.start} is damaged'
            if damage not in self.damages:
                self.damages.append(damage)
            return
        view, position = memoryview(content), 0
        while position + _RECORD.size <= len(view):
            opcode, length = _RECORD.unpack_from(view, position)
            position += _RECORD.size + length
            if position > len(view) or (opcode == _MESSAGE and length < _MESSAGE_HEAD.size):
                return
            yield opcode, view[position - length : position]

    def _declare(self, opcode: int, content: bytes) -> None:
        """Take a schema, or a channel of messages as ROS 2 serialises them."""
        fields = _Fields(content)
        try:
            key = fields.number('<H')
            if opcode == _SCHEMA:
                name, encoding = fields.text(), fields.text()
                kind = _FORMATS.get(encoding, MessageDefinitionFormat.NONE)
                text = fields.text() if kind != MessageDefinitionFormat.NONE else ''
                self._schemas[key] = (name, MessageDefinition(kind, text))
                return
            self._declared.add(key)
            schema, topic, encoding = fields.number('<H'), fields.text(), fields.text()
        except ValueError as error:
            self.damages.append(f'{self.path.name}: a declaration is damaged ({error})')
            return
        if encoding == 'cdr' and schema in self._schemas:
            msgtype, definition = self._schemas[schema]
            ext = ConnectionExtRosbag2(encoding, [])
            self._channels[key] = Connection(key, topic, msgtype, definition, '', 0, ext, self)


class _Fields:
    """Reads a record's fields one after another; ValueError where it ends too early."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def number(self, kind: str) -> int:
        size = struct.calcsize(kind)
        return int(struct.unpack(kind, self.take(size))[0])

    def text(self) -> str:
        return self.take(self.number('<I')).decode('utf-8')

    def take(self, size: int) -> bytes:
        taken = self._content[self._position : self._position + size]
        if len(taken) < size:
            raise ValueError('a record ends too early')
        self._position += size
        return taken


def _unpacked(chunk: bytes) -> tuple[bool, bytes]:
    """Whether a chunk is whole, and its records decompressed, as far as they can be."""
    fields = _Fields(chunk)
    try:
        _, _, size, crc = _CHUNK_HEAD.unpack(fields.take(_CHUNK_HEAD.size))
        compression = fields.text()
        packed_size = fields.number('<Q')
        packed = chunk[_CHUNK_HEAD.size + 4 + len(compression) + 8 :][:packed_size]
    except ValueError:
        return False, b''
    records = decompressed(packed, compression)
    whole = len(records) == size and (not crc or zlib.crc32(records) == crc)
    return whole, records
