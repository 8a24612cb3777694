# SPDX-License-Identifier: Apache-2.0
"""A bag's files, opened: by rosbags where they are whole, else as far as they can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from .mcap_index import read_frugally
from .salvage import SALVAGERS, SalvagedBag
from .salvage_sqlite import journal_of

METADATA = 'metadata.yaml'
_PACKED_SUFFIX = '.zstd'


def storage_files(path: Path) -> list[Path]:
    """Return the files that hold a bag's messages, by name: of its directory, or itself."""
    if not path.is_dir():
        return [path]
    return sorted(
        file
        for file in path.iterdir()
        if (file.with_suffix('') if file.suffix == _PACKED_SUFFIX else file).suffix in SALVAGERS
    )


def refuse_repeated(bags: Sequence[Path]) -> None:
    """Raise ValueError where one of several bags is given twice, under whatever name.

    Its frames would be taken for more evidence than they are.
    """
    files = Counter(file.resolve() for bag in bags for file in storage_files(bag))
    if repeated := [file for file, n in files.items() if n > 1]:
        raise ValueError(f'{repeated[0]} is given more than once')


def open_bag(path: Path) -> tuple[AnyReader | SalvagedBag, str | None]:
    """Open a bag; also why it is not taken for a whole one, None for one that is.

    path: a bag's directory, with or without metadata.yaml, or one .mcap, .db3 or (ROS 1) .bag
    file. Raises OSError, ValueError or what rosbags raises for one that cannot be read at all.
    """
    files = storage_files(path)
    described = path.is_dir() and (path / METADATA).exists()
    packed = [file.name for file in files if file.suffix == _PACKED_SUFFIX]
    if packed and not described:
        raise ValueError(
            f'{packed[0]} is compressed as a file: give its directory with {METADATA}, '
            'or decompress it (zstd -d)'
        )
    if not files and not described:
        raise ValueError(f'a directory without {METADATA} or storage')
    # Bags of older sqlite3 recorders carry no message definitions.
    fallback = get_typestore(Stores.ROS2_JAZZY)
    bag: AnyReader | SalvagedBag
    reason = None
    try:
        _refuse_journals(files)
        bag = AnyReader([path] if described else files, default_typestore=fallback)
        read_frugally(bag)
        bag.open()
    except Exception as error:
        salvaged = SalvagedBag.of(files)
        if salvaged is None:
            raise
        bag, reason = salvaged, str(error)
    known = bag.typestore.fielddefs
    # All of them take as long as opening the bag itself.
    if any(connection.msgtype not in known for connection in bag.connections):
        bag.typestore.register({k: v for k, v in fallback.fielddefs.items() if k not in known})
    return bag, reason


def _refuse_journals(files: Sequence[Path]) -> None:
    """Raise ValueError for a sqlite3 file with a journal: rosbags would not look into that."""
    for file in files:
        if journal_of(file) is not None:
            raise ValueError(f'{file.name}: its last messages are in a journal beside it')
