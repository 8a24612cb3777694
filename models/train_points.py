# SPDX-License-Identifier: Apache-2.0
"""Make models/points.onnx: simulate the demo rig's training drives, train, judge on unseen seeds.

    python models/train_points.py --out out/models/points

Interrupted, it goes on where it was. The training bags hold no ground truth at all; the test
drives have seeds that training never saw. `--install` copies the result to models/.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from tqdm import tqdm

from radar_camera_ssl.cli import main as command_line
from radar_camera_ssl.simulation import CameraConfig, DriveConfig, simulate_drive

TRAINING_SEEDS = range(1000, 1028)
TEST_SEEDS = range(9000, 9005)
TRAINING_DURATION_S, TEST_DURATION_S = 40.0, 20.0


def simulate(folder: Path, workers: int) -> tuple[list[Path], list[Path]]:
    """Simulate what is not there yet; returns training and test bags."""
    # Only the images that a radar frame will take, as JPEG: the same pairs in a third of the time.
    camera = CameraConfig(only_near_radar=True)
    training = {
        folder / f'training_{seed}': DriveConfig(
            seed=seed,
            duration_s=TRAINING_DURATION_S,
            camera=camera,
            compressed=True,
            cube=False,
            ground_truth=False,
        )
        for seed in TRAINING_SEEDS
    }
    test = {
        folder / f'test_{seed}': DriveConfig(
            seed=seed, duration_s=TEST_DURATION_S, camera=camera, compressed=True, cube=False
        )
        for seed in TEST_SEEDS
    }
    folder.mkdir(parents=True, exist_ok=True)
    for path, config in tqdm({**test, **training}.items(), unit='drive'):
        if not path.exists():
            simulate_drive(path, config, workers=workers)
    return list(training), list(test)


def main() -> int:
    """Run the whole recipe; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=Path('out/models/points'))
    parser.add_argument('--seed', type=int, default=0, help='of the training')
    parser.add_argument('--workers', type=int, default=2, help='processes that simulate')
    parser.add_argument('--install', action='store_true', help='copy the model to models/')
    args = parser.parse_args()
    training, test = simulate(args.out / 'drives', args.workers)
    run = args.out / f'seed_{args.seed}'
    bags = [str(path) for path in training]
    code = command_line(['train', *bags, '--out', str(run), '--seed', str(args.seed)])
    if code != 0:
        return code
    model = run / 'model.onnx'
    bags = [str(path) for path in test]
    results = str(run / 'evaluation')
    code = command_line(['evaluate', *bags, '--model', str(model), '--out', results])
    if code == 0 and args.install:
        shutil.copyfile(model, Path(__file__).parent / 'points.onnx')
    return code


if __name__ == '__main__':
    sys.exit(main())
