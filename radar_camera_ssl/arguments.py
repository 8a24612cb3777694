# SPDX-License-Identifier: Apache-2.0
"""What command lines share: values checked while they are read, for argparse's `type`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

LARGEST_INTEGER = 2**31 - 1
LARGEST_SEED = 2**63 - 1
LONGEST_S = 1e9


def not_negative(text: str) -> int:
    """Read an integer from zero to LARGEST_INTEGER."""
    return _integer(text, 0, LARGEST_INTEGER)


def seed(text: str) -> int:
    """Read an integer from zero to LARGEST_SEED."""
    return _integer(text, 0, LARGEST_SEED)


def count(text: str) -> int:
    """Read an integer from one to LARGEST_INTEGER."""
    return _integer(text, 1, LARGEST_INTEGER)


def _integer(text: str, lowest: int, highest: int) -> int:
    value = int(text)
    if not lowest <= value <= highest:
        raise argparse.ArgumentTypeError(f'{text} is not between {lowest} and {highest}')
    return value


def duration(text: str) -> float:
    """Read a duration above zero and up to LONGEST_S."""
    value = float(text)
    if not 0 < value <= LONGEST_S:
        raise argparse.ArgumentTypeError(
            f'{text} is no duration above 0 and up to {LONGEST_S:g} s'
        )
    return value


def file_to_write(text: str) -> Path:
    """Read the path of a file to write: what is no place for one is told before the work."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f'{text} is a folder')
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not (above.is_dir() and os.access(above, os.W_OK)):
        raise argparse.ArgumentTypeError(f'{above} is no folder to write to')
    return path


def field_alias(text: str) -> tuple[str, str]:
    """Read NAME=FIELD: our name of a radar field, and the driver's."""
    name, equals, field = text.partition('=')
    if not (name and equals and field):
        raise argparse.ArgumentTypeError(f'{text} is not NAME=FIELD')
    return name, field


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what every command that reads pairs from bags is told in the same way."""
    add = parser.add_argument
    add('--slop', type=duration, default=0.05, metavar='S', help='largest gap of a pair, seconds')
    add('--image-topic', metavar='T', help='camera topic; found if not given')
    add('--radar-topic', metavar='T', help='radar topic; found if not given')
    add(
        '--field',
        action='append',
        default=[],
        type=field_alias,
        metavar='NAME=FIELD',
        help='radar field of another name, such as rcs=power; repeat for more',
    )
