# SPDX-License-Identifier: Apache-2.0
"""Arguments that tell what to read of a bag, for every command that learns from bags."""

from __future__ import annotations

import argparse

from radar_camera_ssl.arguments import add_reading_arguments
from radar_camera_ssl.learning.bag_pairs import BagSource
from radar_camera_ssl.sensors.radar_cube import CubeAxes


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    add_reading_arguments(parser)
    parser.add_argument(
        '--cube-axes',
        nargs=6,
        type=float,
        metavar='X',
        help="the cube's limits, where the bags do not tell them: "
        'first and last edge of range (m), azimuth (rad, left positive), Doppler (m/s)',
    )


def bag_source(args: argparse.Namespace, radar: str) -> BagSource:
    """What the arguments say; radar: `points`, `cube`, or `auto` (then without --radar-topic).

    Raises SensorDataError for limits of a cube that are none.
    """
    axes = args.cube_axes
    return BagSource(
        image_topic=args.image_topic,
        aliases=tuple(args.field),
        cube_axes=CubeAxes(*zip(axes[::2], axes[1::2], strict=True)) if axes else None,
        **({f'{radar}_topic': args.radar_topic} if args.radar_topic else {}),
    )
