# SPDX-License-Identifier: Apache-2.0
"""What the command lines that run a model are told in the same way: where, and how exactly."""

from __future__ import annotations

import argparse
from pathlib import Path

from .session import CPU, CUDA, FP32, PRECISIONS, TENSORRT


def add_acceleration_arguments(parser: argparse.ArgumentParser, required: bool) -> None:
    """Declare `--providers` (the CPU unless `required`), `--precision` and `--cache`."""
    parser.add_argument(
        '--providers',
        nargs='+',
        choices=(TENSORRT, CUDA, CPU),
        metavar='PROVIDER',
        required=required,
        default=None if required else [CPU],
        help=f'execution providers in order of preference: {TENSORRT}, {CUDA}, {CPU}; '
        'never silently another one',
    )
    parser.add_argument(
        '--precision',
        choices=PRECISIONS,
        default=FP32,
        help='arithmetic of an accelerator; the CPU always has fp32',
    )
    parser.add_argument(
        '--cache',
        type=Path,
        metavar='DIR',
        help='folder of the engines of TensorRT, the same as the parameter engine_cache of the '
        'node; radar_camera_ssl in XDG_CACHE_HOME or ~/.cache if not given',
    )
