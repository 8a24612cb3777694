# SPDX-License-Identifier: Apache-2.0
"""The `quantize` subcommand."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from radar_camera_ssl.arguments import add_reading_arguments, count, file_to_write
from radar_camera_ssl.quantization.quantize import FrameSource, quantize


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `quantize`."""
    add = parser.add_argument
    add('model', metavar='MODEL', type=Path, help='the .onnx file to start from')
    add('bags', metavar='BAG', nargs='+', type=Path, help='drives to calibrate on; not those '
        'that the result is judged by')  # fmt: skip
    add(
        '--out', type=file_to_write, required=True, metavar='MODEL', help='the .onnx file to write'
    )
    add('--frames', type=count, default=200, metavar='N', help='of all bags together')
    add_reading_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Quantize and say how far the answers are from the original's; returns 0."""
    source = FrameSource(
        args.frames, args.slop, args.image_topic, args.radar_topic, dict(args.field) or None
    )
    with tqdm(total=args.frames, unit='frame', disable=not sys.stderr.isatty()) as bar:
        done = quantize(
            args.model, args.bags, args.out, source, lambda frames: bar.update(frames - bar.n)
        )
    print(
        f'{args.out}: {done.convolutions} convolutions in int8, calibrated on {done.frames} '
        f'frames; {done.deviation}, on {done.held_out} other frames'
    )
    print(
        'before you use it: radar_camera_ssl evaluate with both models, on drives that were not '
        'calibrated on; python benchmarks/inference.py --rival for the speed on your machine'
    )
    return 0
