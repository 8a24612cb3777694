# SPDX-License-Identifier: Apache-2.0
"""Bags that are not whole, with what rosbags' `AnyReader` offers of those that are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.typesys import (
    Stores,
    TypesysError,
    get_types_from_idl,
    get_types_from_msg,
    get_typestore,
)

from .salvage_mcap import McapSalvage
from .salvage_sqlite import SqliteSalvage

SalvagedFile = McapSalvage | SqliteSalvage

SALVAGERS: dict[str, Callable[[Path], SalvagedFile]] = {
    '.mcap': McapSalvage,
    '.db3': SqliteSalvage,
}


class SalvagedBag:
    """The storage files of one bag, read as far as they can be, one file after another.

    Messages come in the order in which they were recorded, which need not be that of their times.
    """

    def __init__(self, files: Sequence[SalvagedFile], unread: Sequence[str]) -> None:
        """Take files that have been opened; unread: what is to be said of others."""
        # By time, not by name: bag_10 comes after bag_9.
        self._files = sorted(files, key=lambda file: file.start_ns)
        self._unread = list(unread)
        self.connections = [c for file in self._files for c in file.connections]
        self.typestore = get_typestore(Stores.EMPTY)
        for connection in self.connections:
            self._define(connection)

    @classmethod
    def of(cls, paths: Sequence[Path]) -> SalvagedBag | None:
        """Open the storage files that can be read at all; None where there is none."""
        opened = [_open(path) for path in paths]
        files = [file for file in opened if not isinstance(file, str)]
        if not any(file.connections for file in files):
            for file in files:
                file.close()
            return None
        return cls(files, [file for file in opened if isinstance(file, str)])

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    @property
    def damages(self) -> list[str]:
        """What is not whole, as far as it has been come across."""
        return self._unread + [damage for file in self._files for damage in file.damages]

    @property
    def message_count(self) -> int:
        """Messages that there are, some of which may yet prove damaged."""
        return sum(connection.msgcount for connection in self.connections)

    @property
    def start_time(self) -> int:
        """Bag time of the first message, ns."""
        return min(file.start_ns for file in self._files)

    @property
    def end_time(self) -> int:
        """Bag time after the last message, ns."""
        return max(file.end_ns for file in self._files) + 1

    def messages(
        self, connections: Collection[Connection]
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield (connection, bag time ns, serialised message) of these connections."""
        for file in self._files:
            own = {c.id: c for c in connections if c.owner is file}
            if own:
                for key, time_ns, data in file.messages(list(own.values())):
                    yield own[key], time_ns, data

    def messages_behind(
        self, topics: Collection[str], given: Mapping[str, int]
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Yield the messages of topics behind as many of each as have been given already."""
        left = Counter(given)
        wanted = [connection for connection in self.connections if connection.topic in topics]
        for connection, time_ns, data in self.messages(wanted):
            if left[connection.topic] > 0:
                left[connection.topic] -= 1
            else:
                yield connection, time_ns, data

    def deserialize(self, data: bytes, msgtype: str) -> Any:
        """Return the message of a type."""
        return self.typestore.deserialize_cdr(data, msgtype)

    def _define(self, connection: Connection) -> None:
        definition, name = connection.msgdef, connection.msgtype
        types: dict[str, Any] = {}
        try:
            if definition.format == MessageDefinitionFormat.MSG:
                types.update(get_types_from_msg(definition.data, name))
            elif definition.format == MessageDefinitionFormat.IDL:
                for text in _idl_files(definition.data):
                    types.update(get_types_from_idl(text))
            self.typestore.register(types)
        except TypesysError as error:
            self._unread.append(f'the definition of {name} cannot be read ({error})')


def _open(path: Path) -> SalvagedFile | str:
    """Open a file, or say why it cannot be read."""
    if path.suffix not in SALVAGERS:
        return f'{path.name}: nothing to read a damaged {path.suffix} with'
    try:
        return SALVAGERS[path.suffix](path)
    except (OSError, ValueError) as error:
        return f'{path.name}: cannot be read ({error})'


def _idl_files(text: str) -> list[str]:
    """Take the files apart that a recorder wrote one after another, each under its name."""
    rule = '=' * 80 + '\nIDL: '
    return [part.partition('\n')[2] for part in text.split(rule)[1:]] or [text]
