# SPDX-License-Identifier: Apache-2.0
"""What command lines share: values checked while they are read, for argparse's `type`."""

from __future__ import annotations

import argparse
import math


def not_negative(text: str) -> int:
    """Read an integer from zero on."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f'{text} is negative')
    return value


def count(text: str) -> int:
    """Read an integer from one on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is not a positive number')
    return value


def duration(text: str) -> float:
    """Read a finite duration above zero."""
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f'{text} is not a positive duration')
    return value


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
