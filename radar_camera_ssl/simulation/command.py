# SPDX-License-Identifier: Apache-2.0
"""The command line's `simulate`."""

from __future__ import annotations

import argparse
import math
import os
import sys
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from .config import THEMES, CameraConfig, DriveConfig, Mounting, RadarConfig
from .drive import simulate_drive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `simulate` takes to a parser."""
    parser.add_argument('--out', type=Path, required=True, help='folder of the bag to write')
    parser.add_argument('--seed', type=int, default=0, help='the same seed gives the same drive')
    parser.add_argument('--duration', type=float, default=20.0, metavar='S')
    parser.add_argument('--force', action='store_true', help='overwrite an existing bag')
    parser.add_argument(
        '--workers', type=int, default=min(2, os.cpu_count() or 1), help='processes that render'
    )
    scene = parser.add_argument_group('scene')
    scene.add_argument('--theme', choices=THEMES, help='kind of road (default: by the seed)')
    scene.add_argument('--density', type=float, default=1.0, help='how crowded, 0 to 3')
    camera = parser.add_argument_group('camera')
    camera.add_argument('--image-size', default='640x480', metavar='WxH')
    camera.add_argument('--image-rate', type=float, default=30.0, metavar='HZ')
    camera.add_argument('--image-hfov', type=float, default=70.0, metavar='DEG')
    camera.add_argument(
        '--only-near-radar',
        action='store_true',
        help='keep only the images nearest to a radar frame: fast, for training data',
    )
    camera.add_argument('--compressed', action='store_true', help='JPEG instead of raw images')
    radar = parser.add_argument_group('radar')
    radar.add_argument('--radar-rate', type=float, default=10.0, metavar='HZ')
    radar.add_argument('--radar-fov', type=float, default=45.0, metavar='DEG', help='half angle')
    radar.add_argument('--radar-range', type=float, default=60.0, metavar='M')
    radar.add_argument('--azimuth-noise', type=float, default=1.0, metavar='DEG')
    radar.add_argument('--elevation-noise', type=float, default=2.0, metavar='DEG')
    radar.add_argument('--clutter', type=float, default=3.0, help='returns a frame')
    radar.add_argument('--ghosts', type=float, default=1.0, help='factor on their rate')
    radar.add_argument('--no-cube', action='store_true', help='leave the radar cube out')
    for name, mount in (
        ('camera', CameraConfig().mounting),
        ('radar', RadarConfig().mounting),
    ):
        group = parser.add_argument_group(f'{name} mounting in base_link')
        for axis in 'xyz':
            value = getattr(mount, axis)
            group.add_argument(f'--{name}-{axis}', type=float, default=value, metavar='M')
        for angle in ('yaw', 'pitch'):
            degrees = round(math.degrees(getattr(mount, angle)), 3)
            group.add_argument(f'--{name}-{angle}', type=float, default=degrees, metavar='DEG')
    parser.add_argument(
        '--no-ground-truth', action='store_true', help='leave the /ground_truth topics out'
    )


def _mounting(args: argparse.Namespace, name: str) -> Mounting:
    x, y, z, yaw, pitch = (
        getattr(args, f'{name}_{part}') for part in ('x', 'y', 'z', 'yaw', 'pitch')
    )
    return Mounting(x, y, z, math.radians(yaw), math.radians(pitch))


def drive_config(args: argparse.Namespace) -> DriveConfig:
    """Turn parsed arguments into a configuration; raises ValueError naming what is wrong."""
    try:
        width, height = (int(side) for side in args.image_size.lower().split('x'))
    except ValueError:
        raise ValueError(f'image size must look like 640x480, got {args.image_size}') from None
    camera = CameraConfig(
        width=width,
        height=height,
        hfov_rad=math.radians(args.image_hfov),
        rate_hz=args.image_rate,
        mounting=_mounting(args, 'camera'),
        only_near_radar=args.only_near_radar,
    )
    radar = RadarConfig(
        rate_hz=args.radar_rate,
        azimuth_fov_rad=math.radians(args.radar_fov),
        max_range_m=args.radar_range,
        azimuth_noise_rad=math.radians(args.azimuth_noise),
        elevation_noise_rad=math.radians(args.elevation_noise),
        clutter_per_frame=args.clutter,
        ghost_rate=args.ghosts,
        mounting=_mounting(args, 'radar'),
    )
    config = DriveConfig(seed=args.seed, duration_s=args.duration, camera=camera, radar=radar)
    return replace(
        config,
        density=args.density,
        theme=args.theme,
        compressed=args.compressed,
        cube=not args.no_cube,
        ground_truth=not args.no_ground_truth,
    )


def run(args: argparse.Namespace) -> int:
    """Simulate; exit code 0 for a whole bag, 2 for wrong use."""
    try:
        config = drive_config(args)
        if args.workers < 1:
            raise ValueError(f'workers must be at least 1, got {args.workers}')
    except ValueError as error:
        print(f'simulate: {error}', file=sys.stderr)
        return 2
    with tqdm(total=None, unit='frame', desc=args.out.name, disable=None) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        try:
            summary = simulate_drive(
                args.out, config, progress, workers=args.workers, force=args.force
            )
        except FileExistsError as error:
            hint = '' if args.force else ' (--force overwrites a bag)'
            print(f'simulate: {error}{hint}', file=sys.stderr)
            return 2
        except (OSError, ValueError) as error:
            print(f'simulate: {error}', file=sys.stderr)
            return 2 if isinstance(error, ValueError) else 1
    print(f'{summary.path}: {summary.theme}, {summary.light}, {summary.sources} sources')
    for topic, count in summary.messages.items():
        print(f'  {topic}: {count} messages')
    return 0
