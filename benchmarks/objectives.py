# SPDX-License-Identifier: Apache-2.0
"""Ours against published objectives: the same drives, the same time, the same scores.

    python benchmarks/objectives.py --minutes 4

Trains each objective from scratch on simulated drives for as many steps as fit into the minutes
(found from a few steps on this machine before), scores it on drives of other seeds with the
package's own evaluation, and writes a table beside the blind baselines and the oracle. Where one
is interrupted the same command goes on; what has a result is not made again.

The published objectives are given the better of two readings, see objectives_scoring.py. Needs
the extra `learning`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from objectives_scoring import OursExported, RivalInTorch, evaluate

from radar_camera_ssl.inference.model import CorrespondenceModel
from radar_camera_ssl.learning.budget import FEWEST_STEPS, step_seconds
from radar_camera_ssl.learning.cube_tokens import CubeConfig
from radar_camera_ssl.learning.drives import Drive, common_cube
from radar_camera_ssl.learning.export import describe, export_model
from radar_camera_ssl.learning.network import NetworkConfig
from radar_camera_ssl.learning.objectives import OBJECTIVES
from radar_camera_ssl.learning.objectives.agreement import AgreementObjective
from radar_camera_ssl.learning.objectives.base import Objective
from radar_camera_ssl.learning.objectives.correspondence import CorrespondenceObjective
from radar_camera_ssl.learning.objectives.two_stream import TwoStream
from radar_camera_ssl.learning.prepare import prepare_drives
from radar_camera_ssl.learning.recipe import Recipe
from radar_camera_ssl.learning.shards import SampleFormat
from radar_camera_ssl.learning.training import train
from radar_camera_ssl.simulation import CameraConfig, DriveConfig, simulate_missing

TRAINING_SEEDS = range(1000, 1028)
TEST_SEEDS = range(9000, 9005)
TRAINING_DURATION_S, TEST_DURATION_S = 40.0, 20.0
OURS = ('correspondence', 'correspondence_cube')
NAMES = (*OURS, *OBJECTIVES)
FIRST_STAGE = 0.75
"""Share of the minutes that ours spends on its first stage; the second one tells the agreement."""
COLUMNS = {
    'pointing_accuracy': 'pointing',
    'pointing_accuracy_strict': 'undilated',
    'heatmap_ap': 'heatmap AP',
    'mismatch_auroc': 'mismatch AUROC',
}
POINTING = ('pointing_accuracy', 'pointing_accuracy_strict')
BASELINES = ('centre', 'best_fixed', 'image_only', 'radar_only')


def simulated(folder: Path, training: int, test: int) -> tuple[list[Path], list[Path]]:
    """Training and test bags with points and cubes; what is not there is simulated."""
    camera = CameraConfig(only_near_radar=True)
    wanted = {
        folder / f'training_{seed}': DriveConfig(
            seed=seed,
            duration_s=TRAINING_DURATION_S,
            camera=camera,
            compressed=True,
            ground_truth=False,
        )
        for seed in TRAINING_SEEDS[:training]
    }
    split = len(wanted)
    for seed in TEST_SEEDS[:test]:
        wanted[folder / f'test_{seed}'] = DriveConfig(
            seed=seed, duration_s=TEST_DURATION_S, camera=camera, compressed=True
        )
    simulate_missing(wanted, workers=2)
    bags = list(wanted)
    return bags[:split], bags[split:]


def trained(
    name: str, drives: Sequence[Drive], folder: Path, minutes: float, seed: int
) -> tuple[Objective, dict[str, Any]]:
    """The objective, trained for the minutes; and what it took, calibration included."""
    axes, shape = common_cube(drives)
    cube = CubeConfig(shape, axes.range_m, axes.azimuth_rad, axes.doppler_mps)
    height, width = drives[0].image_size
    torch.manual_seed(seed)
    if name in OURS:
        config = NetworkConfig(height, width, cube=cube if name == OURS[1] else None)
        objective: Objective = CorrespondenceObjective(config)
    else:
        objective = OBJECTIVES[name](NetworkConfig(height, width, cube=cube))
    seconds = 60.0 * minutes * (FIRST_STAGE if name in OURS else 1.0)
    kept = folder / 'budget.json'
    if kept.exists():
        budget = json.loads(kept.read_text())
    else:
        steps = _steps(objective, drives, Recipe(seed=seed), seconds)
        parameters = sum(p.numel() for p in objective.parameters())
        budget = {'steps': steps, 'trained_s': 0.0, 'parameters': parameters}
        folder.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(budget))
    recipe = Recipe(seed=seed, steps=budget['steps'])
    settings = {'objective': name, 'minutes': minutes}
    start = time.perf_counter()
    try:
        train(objective, drives, recipe, folder / 'training', True, settings)
        if isinstance(objective, CorrespondenceObjective):
            second = AgreementObjective(objective.model)
            if 'agreement_steps' not in budget:
                left = 60.0 * minutes - seconds
                budget['agreement_steps'] = _steps(second, drives, recipe, left)
                kept.write_text(json.dumps(budget))
            recipe = replace(recipe, steps=budget['agreement_steps'])
            train(second, drives, recipe, folder / 'agreement', True, settings)
    finally:
        budget['trained_s'] += time.perf_counter() - start
        kept.write_text(json.dumps(budget))
    return objective, budget


def _steps(objective: Objective, drives: Sequence[Drive], recipe: Recipe, seconds: float) -> int:
    return max(FEWEST_STEPS, round(seconds / step_seconds(objective, drives, recipe)))


def scored(
    name: str, objective: Objective, drives: Sequence[Drive], test: Sequence[Path], folder: Path
) -> dict[str, Any]:
    """Figures of a trained objective."""
    if isinstance(objective, TwoStream):
        return evaluate(RivalInTorch(objective, common_cube(drives)[0]), test)
    assert isinstance(objective, CorrespondenceObjective)
    metadata = describe(objective.model, drives[0].max_returns, {}, {'objective': name})
    export_model(objective.model, metadata, folder / 'model.onnx', drives[:1])
    return evaluate(OursExported(CorrespondenceModel.load(folder / 'model.onnx')), test)


def table(results: dict[str, dict[str, Any]]) -> str:
    """Markdown: every objective, then what is blind, then the oracle."""
    lines = [
        '| objective | reading | steps | minutes | ' + ' | '.join(COLUMNS.values()) + ' |',
        '|---|---|---|---|' + '---|' * len(COLUMNS),
    ]
    for name, result in results.items():
        figures = dict(result['figures'])
        intervals = dict(figures['confidence_95'])
        reading, other = 'per return', figures.get('by_part')
        if other is not None:
            reading = 'frame peak'
            if (other[POINTING[0]] or 0.0) > (figures[POINTING[0]] or 0.0):
                reading = 'own part'
                figures.update({key: other[key] for key in POINTING})
                intervals.update({key: other['confidence_95'][key] for key in POINTING})
        cells = [_figure(figures[key], intervals[key]) for key in COLUMNS]
        budget = f'{result["steps"]} | {result["trained_s"] / 60:.1f}'
        lines.append(f'| {name} | {reading} | {budget} | {" | ".join(cells)} |')
    figures = next(iter(results.values()))['figures']
    rows = {f'blind: {name}': figures['baselines'][name] for name in BASELINES}
    rows['oracle (knows the extrinsics)'] = figures['oracle'] or {}
    for name, values in rows.items():
        cells = [_figure(values.get(key), None) for key in COLUMNS]
        lines.append(f'| {name} |  |  |  | {" | ".join(cells)} |')
    return '\n'.join(lines)


def _figure(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None:
        return '–'
    return f'{value:.3f}' + (f' ({interval[0]:.3f} to {interval[1]:.3f})' if interval else '')


def main() -> int:
    """Train, score, print and write; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--minutes', type=float, default=4.0, help='training time of each')
    parser.add_argument('--objectives', nargs='+', choices=NAMES, default=NAMES, metavar='NAME')
    parser.add_argument('--drives', type=Path, default=Path('out/models/drives/1deg'))
    parser.add_argument('--training', type=int, default=len(TRAINING_SEEDS), help='drives')
    parser.add_argument('--test', type=int, default=len(TEST_SEEDS), help='drives')
    parser.add_argument('--seed', type=int, default=0, help='of the training')
    parser.add_argument('--out', type=Path, default=Path('out/benchmarks/objectives'))
    args = parser.parse_args()
    training, test = simulated(args.drives, args.training, args.test)
    drives = prepare_drives(training, args.out / 'shards', SampleFormat())
    settings = {'minutes': args.minutes, 'seed': args.seed, 'test': [bag.name for bag in test]}
    settings['training'] = [drive.name for drive in drives]
    results: dict[str, dict[str, Any]] = {}
    # Ours comes first: its radar-only baseline, in the table, is what it has learnt of the rig.
    for name in sorted(args.objectives, key=NAMES.index):
        folder = args.out / f'{name}_seed_{args.seed}'
        path = folder / 'result.json'
        if path.exists():
            result = json.loads(path.read_text())
        else:
            print(f'{name}: training', flush=True)
            try:
                objective, cost = trained(name, drives, folder, args.minutes, args.seed)
            except ValueError as error:
                print(error, file=sys.stderr)
                return 2
            figures = scored(name, objective, drives, test, folder)
            result = {'settings': settings, **cost, 'figures': figures}
            path.write_text(json.dumps(result, indent=1) + '\n')
        if result['settings'] != settings:
            print(f'{folder} is of other settings; choose another --out', file=sys.stderr)
            return 2
        results[name] = result
    text = table(results)
    print(text)
    (args.out / 'table.md').write_text(text + '\n')
    (args.out / 'results.json').write_text(json.dumps(results, indent=1) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
