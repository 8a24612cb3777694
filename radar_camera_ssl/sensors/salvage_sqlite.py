# SPDX-License-Identifier: Apache-2.0
"""What can still be read of a sqlite3 bag that was cut off or has damaged pages.

Rows are read in the order of their numbers, from the table itself: a query in the order of time
needs an index, and one bad page of it would take everything.
"""

from __future__ import annotations

import sqlite3
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinition,
    MessageDefinitionFormat,
)

_FORMATS = {'ros2msg': MessageDefinitionFormat.MSG, 'ros2idl': MessageDefinitionFormat.IDL}
# A damaged page hides the rows in it: how far the search for the next whole one goes.
_LARGEST_STEP = 1 << 40


def journal_of(path: Path) -> Path | None:
    """Return the file in which a recorder that was killed has left its last messages, if any."""
    journal = path.with_name(f'{path.name}-wal')
    return journal if journal.exists() and journal.stat().st_size else None


class SqliteSalvage:
    """A sqlite3 bag read row by row, past damaged pages."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError for a file whose topics cannot be read."""
        self.path = path
        self.damages: list[str] = []
        """What is not whole, as far as it has been come across."""
        mode = 'immutable=1' if journal_of(path) is None else 'mode=ro'
        # Opened in one thread it may be read in another.
        self._database = sqlite3.connect(
            f'file:{quote(str(path))}?{mode}', uri=True, check_same_thread=False
        )
        try:
            # A file shorter than it says it is would be refused otherwise.
            self._database.execute('PRAGMA writable_schema = ON')
            topics = self._topics()
        except sqlite3.Error as error:
            self._database.close()
            raise ValueError(str(error)) from error
        counts: Counter[int] = Counter()
        self.start_ns, self.end_ns = sys.maxsize, 0
        for _, topic, time_ns in self._rows('topic_id, timestamp', topics):
            counts[topic] += 1
            self.start_ns = min(self.start_ns, time_ns)
            self.end_ns = max(self.end_ns, time_ns)
        self.connections = [c._replace(msgcount=counts[key]) for key, c in topics.items()]

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[int, int, bytes]]:
        """Yield (topic's number, bag time ns, serialised message) in the order of recording."""
        wanted = {connection.id for connection in connections}
        for _, topic, time_ns, data in self._rows('topic_id, timestamp, data', wanted):
            if isinstance(data, bytes):
                yield topic, time_ns, data

    def _topics(self) -> dict[int, Connection]:
        definitions: dict[str, MessageDefinition] = {}
        # Older recorders have no definitions.
        with suppress(sqlite3.Error):
            query = 'SELECT topic_type, encoding, encoded_message_definition FROM '
            for msgtype, encoding, text in self._database.execute(query + 'message_definitions'):
                if encoding in _FORMATS:
                    definitions[msgtype] = MessageDefinition(_FORMATS[encoding], text)
        nothing = MessageDefinition(MessageDefinitionFormat.NONE, '')
        ext = ConnectionExtRosbag2('cdr', [])
        query = "SELECT id, name, type FROM topics WHERE serialization_format = 'cdr'"
        return {
            key: Connection(key, topic, kind, definitions.get(kind, nothing), '', 0, ext, self)
            for key, topic, kind in self._database.execute(query)
        }

    def _rows(self, columns: str, topics: Collection[int]) -> Iterator[tuple[int, ...]]:
        """Yield (row's number, *columns) of the messages of these topics that can be read."""
        among = ', '.join(str(int(topic)) for topic in topics)
        query = f'SELECT id, {columns} FROM messages WHERE id > ? AND topic_id IN ({among})'
        last, step = -1, 1
        while step <= _LARGEST_STEP:
            whole = True
            for row in self._rows_after(last, f'{query} ORDER BY id'):
                if row is None:
                    whole = False
                    last, step = last + step, 2 * step
                else:
                    last, step = row[0], 1
                    yield row
            if whole:
                return

    def _rows_after(self, last: int, query: str) -> Iterator[tuple[int, ...] | None]:
        """Yield rows, and None where a damage ends them."""
        try:
            yield from self._database.execute(query, (last,))
        except sqlite3.ProgrammingError:
            raise  # no damage of the file's
        except sqlite3.DatabaseError as error:
            damage = f'{self.path.name}: not all rows can be read ({error})'
            if damage not in self.damages:
                self.damages.append(damage)
            yield None
