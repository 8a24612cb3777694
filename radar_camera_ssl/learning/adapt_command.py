# SPDX-License-Identifier: Apache-2.0
"""Command line of adaptation: `adapt MODEL BAG... --out MODEL`."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from radar_camera_ssl.arguments import duration, file_to_write, seed
from radar_camera_ssl.learning.adaptation import STEPS, Adapted, adapt
from radar_camera_ssl.learning.bag_arguments import add_source_arguments, bag_source
from radar_camera_ssl.learning.bag_pairs import BagSource
from radar_camera_ssl.learning.command import WRONG_USE
from radar_camera_ssl.learning.drives import Drive, common_cube
from radar_camera_ssl.learning.export import export_model
from radar_camera_ssl.learning.model import CorrespondenceNetwork
from radar_camera_ssl.learning.prepare import drive_name
from radar_camera_ssl.learning.rig import image_size
from radar_camera_ssl.learning.shards import SampleFormat, ShardSettings, write_drive
from radar_camera_ssl.learning.source import source_commit
from radar_camera_ssl.learning.warm_start import load_model
from radar_camera_ssl.sensors.bag_files import refuse_repeated
from radar_camera_ssl.sensors.errors import SensorDataError
from radar_camera_ssl.sensors.recording import RecordingError

LEAST_AGREEMENT = 0.7
"""Below this the rig was not found: a model that agrees with nothing is worse than none."""

_FAR_M = 30.0


def add_adapt_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `adapt`."""
    add = parser.add_argument
    add('model', type=Path, metavar='MODEL', help='the .onnx file to start from')
    add('bags', nargs='+', type=Path, metavar='BAG', help='driving with the rig to adapt to')
    add(
        '--out', type=file_to_write, required=True, metavar='MODEL', help='the .onnx file to write'
    )
    add('--seconds', type=duration, default=30.0, metavar='S', help='taken from each bag')
    add('--seed', type=seed, default=0, help='of every random number')
    add_source_arguments(parser)


def run_adapt(args: argparse.Namespace) -> int:
    """Adapt and write; exit code 1, and no file, where the frames then do not fit the images."""
    try:
        refuse_repeated(args.bags)
        model, metadata = load_model(args.model)
        radar = metadata.radar.kind
        source = dataclasses.replace(bag_source(args, radar), kinds=(radar,))
        size = image_size(args.bags, source)
        with tempfile.TemporaryDirectory() as store:
            drives = _drives(args, model, source, Path(store))
            with tqdm(total=STEPS, desc='searching the rig', unit='step') as bar:
                rng = np.random.default_rng(args.seed)
                found = adapt(model, drives, rng, STEPS, bar.update)
            _tell(model, found)
            # Not 'below': what is not a number is no agreement either.
            if not found.agreement_after >= LEAST_AGREEMENT:
                print(
                    f'radar_camera_ssl adapt: agreement {found.agreement_after:.2f} is not '
                    f'{LEAST_AGREEMENT} or more: the rig was not found, nothing is written; try '
                    'another stretch of driving, or train on drives of this rig',
                    file=sys.stderr,
                )
                return 1
            digest = hashlib.sha256(args.model.read_bytes()).hexdigest()
            adaptation = {
                'from': digest,
                'drives': [drive.name for drive in drives],
                'pairs': sum(len(drive) for drive in drives),
                'commit': source_commit(),
                **dataclasses.asdict(found),
            }
            training = {**metadata.training, 'adaptation': adaptation}
            camera = dataclasses.replace(metadata.camera, adapted_to=size)
            metadata = dataclasses.replace(metadata, camera=camera, training=training)
            export_model(model, metadata, args.out, drives)
    except (RecordingError, SensorDataError, ValueError) as error:
        print(f'radar_camera_ssl adapt: {error}', file=sys.stderr)
        return WRONG_USE
    except FloatingPointError as error:
        print(f'radar_camera_ssl adapt: {error}; nothing is written', file=sys.stderr)
        return 1
    print(f'wrote {args.out}')
    return 0


def _drives(
    args: argparse.Namespace, model: CorrespondenceNetwork, source: BagSource, store: Path
) -> list[Drive]:
    """The first seconds of each bag, as the model takes them; ValueError for another cube."""
    form = SampleFormat(height=model.config.height, width=model.config.width)
    settings = ShardSettings(form, args.slop, source)
    drives = []
    for number, bag in enumerate(args.bags):
        folder = store / f'{number}_{drive_name(bag)}'
        write_drive(bag, folder, settings, seconds=args.seconds)
        drives.append(Drive(folder))
    if model.config.cube is not None:
        axes, shape = common_cube(drives)
        cube = model.config.cube
        same = (axes.range_m, axes.azimuth_rad, axes.doppler_mps) == (
            cube.range_m,
            cube.azimuth_rad,
            cube.doppler_mps,
        )
        if shape != cube.shape or not same:
            raise ValueError(
                'the cube has other axes than the model: another radar needs training'
            )
    return drives


@torch.no_grad()
def _tell(model: CorrespondenceNetwork, found: Adapted) -> None:
    """Say what was found in terms that can be checked on the vehicle."""
    geometry = model.correspondence.geometry
    centre, _, _ = geometry(torch.tensor([[_FAR_M, 0.0, 0.0, 0.0]]))
    aside = (geometry.columns - 1) / 2 - float(centre[0, 0])
    bearing = np.rad2deg(np.arctan(aside / float(geometry.focal)))
    view = np.rad2deg(2 * np.arctan(0.5 * geometry.columns / float(geometry.focal)))
    print(
        f'loss {found.loss_before:.2f} to {found.loss_after:.2f}, '
        f'agreement {found.agreement_before:.2f} to {found.agreement_after:.2f}; '
        f'the camera sees {view:.0f} degrees, and what is {_FAR_M:g} m straight ahead of the '
        f'radar {abs(bearing):.1f} degrees {"left" if bearing > 0 else "right"} of its middle'
    )
