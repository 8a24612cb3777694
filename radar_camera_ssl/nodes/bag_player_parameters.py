# SPDX-License-Identifier: Apache-2.0
"""The parameters of `bag_player_node`, as the node's are in parameters.py. No ROS in this file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from .parameter_table import START
from .parameter_table import parameter as any_parameter

parameter = partial(any_parameter, settable=START)


@dataclass(frozen=True)
class PlayerSettings:
    """The values of the player's parameters."""

    bag: str = parameter('', 'The bag: a directory, or an .mcap or .db3 file.')
    rate: float = parameter(
        1.0, 'Speed; 2 plays twice as fast as recorded.', minimum=0.01, maximum=100.0
    )
    loop: bool = parameter(False, 'Start again at the end, until stopped.')
    start_offset: float = parameter(
        0.0,
        'How much to leave out from the start of the bag, whichever `topics` are played; '
        'latched topics are published all the same.',
        unit='s',
        minimum=0.0,
        maximum=1e6,
    )
    topics: tuple[str, ...] = parameter(('',), 'Topics to publish. Empty: all but ground truth.')
    publish_clock: bool = parameter(True, 'Publish the bag time on `/clock`.')
    wait_for_subscribers: tuple[str, ...] = parameter(
        ('',), 'Topics that must have a subscriber before the first message is published.'
    )
    wait_timeout: float = parameter(
        30.0,
        'How long to wait for them; then the player gives up with exit code 1.',
        unit='s',
        minimum=0.0,
        maximum=3600.0,
    )
    depth: int = parameter(
        100,
        'History depth of the (reliable) publishers.',
        unit='messages',
        minimum=1,
        maximum=10000,
    )
    read_ahead: float = parameter(
        64.0, 'How much to read ahead.', unit='MiB', minimum=0.001, maximum=4096.0
    )
    report_path: str = parameter(
        '', 'File for the JSON report of what was published. Empty: the log only.'
    )
