# SPDX-License-Identifier: Apache-2.0
"""What a user's own rig needs: adapt to 30 s of it, or train on ten drives, from scratch or not.

    python benchmarks/new_rig.py [--start adapted scratch shipped]

The rig differs from the shipped model's in everything: mounting yaw, height and place of both
sensors, lens, and the radar's noise. Ten drives of 60 s are learnt from, or the first 30 s of one
of them adapted to; a drive of another seed is judged on. Prints, for each start, the minutes from
bags to model file and the figures beside those of the shipped model as it is, the blind baselines
and the projection oracle. Writes out/benchmarks/new_rig.md. Interrupted, it goes on where it was
(the minutes then are of the rest).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

from radar_camera_ssl.cli import main as command_line
from radar_camera_ssl.evaluation.evaluate import evaluate_bags
from radar_camera_ssl.evaluation.summary import WITHOUT_RADAR, best_baseline, format_figure
from radar_camera_ssl.resources import default_model_path
from radar_camera_ssl.simulation import (
    CameraConfig,
    DriveConfig,
    Mounting,
    RadarConfig,
    simulate_missing,
)

CAMERA = CameraConfig(
    hfov_rad=math.radians(88.0),
    mounting=Mounting(x=2.0, y=0.15, z=1.15, yaw=math.radians(2.0), pitch=0.01),
    only_near_radar=True,
)
RADAR = RadarConfig(
    azimuth_noise_rad=math.radians(2.0),
    mounting=Mounting(x=3.4, y=0.35, z=0.4, yaw=math.radians(-3.0), pitch=0.0),
)
TRAINING_SEEDS, TEST_SEED = range(2000, 2010), 9100
DURATION_S = 60.0
KEYS = (
    'pointing_accuracy',
    'pointing_accuracy_strict',
    'heatmap_ap',
    'ghost_auroc',
    'ece',
    'mismatch_auroc',
)


def simulate(folder: Path, workers: int) -> tuple[list[Path], Path]:
    """Simulate what is not there yet; returns training bags and the test bag."""
    seeds = {folder / f'training_{seed}': seed for seed in TRAINING_SEEDS}
    test = folder / f'test_{TEST_SEED}'
    drives = {
        path: DriveConfig(
            seed=seed,
            duration_s=DURATION_S,
            camera=CAMERA,
            radar=RADAR,
            compressed=True,
            cube=False,
            ground_truth=path == test,
        )
        for path, seed in {**seeds, test: TEST_SEED}.items()
    }
    simulate_missing(drives, workers)
    return list(seeds), test


def judge(model: Path, test: Path, kept: Path) -> dict[str, Any]:
    """Figures of a model on the test drive; kept in a file, for the next call."""
    if kept.exists():
        return json.loads(kept.read_text(encoding='utf-8'))
    metrics = evaluate_bags([test], model, None, overlay=False)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(metrics), encoding='utf-8')
    return metrics


def table(results: dict[str, dict[str, Any]], minutes: dict[str, float]) -> str:
    """Two rows a start, with its geometry alone, then the blind baselines and the oracle."""
    lines = [
        f'| | minutes | {" | ".join(f"`{key}`" for key in KEYS)} |',
        f'|---|---|{"---|" * len(KEYS)}',
    ]

    def row(name: str, minutes: str, figures: dict[str, Any]) -> None:
        cells = [format_figure(key, figures.get(key)) for key in KEYS]
        lines.append(f'| {name} | {minutes} | {" | ".join(cells)} |')

    for name, metrics in results.items():
        row(name, f'{minutes[name]:.1f}' if name in minutes else '–', metrics)
        row(f'{name}, radar only', '', metrics['baselines']['radar_only'])
    last = list(results.values())[-1]
    blind = {name: last['baselines'][name] for name in WITHOUT_RADAR}
    best = {key: best_baseline(blind, key) for key in KEYS}
    row('best without the radar', '', {key: found[1] for key, found in best.items() if found})
    row('oracle', '', last['oracle'])
    return '\n'.join(lines)


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, default=Path('out/benchmarks/new_rig'))
    parser.add_argument(
        '--start',
        nargs='+',
        choices=('adapted', 'scratch', 'shipped'),
        default=['adapted', 'scratch', 'shipped'],
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument('--steps', type=int, help='of the training, where not the default')
    length.add_argument('--minutes', type=float, help='as many steps as about fit into them')
    parser.add_argument('--workers', type=int, default=2, help='processes that simulate')
    args = parser.parse_args()
    training, test = simulate(args.out / 'drives', args.workers)
    shipped = default_model_path()
    results = {'as shipped': judge(shipped, test, args.out / 'as_shipped.json')}
    minutes: dict[str, float] = {}
    for start in args.start:
        name = start if start == 'adapted' else f'from {start}'
        run = args.out / start
        run.mkdir(parents=True, exist_ok=True)
        model = run / 'model.onnx'
        command = ['train', *map(str, training), '--out', str(run), '--radar', 'points']
        if start == 'adapted':
            command = ['adapt', str(shipped), str(training[0]), '--out', str(model)]
        if start == 'shipped':
            command += ['--start-from', str(shipped)]
        for option in ('steps', 'minutes'):
            value = getattr(args, option)
            if value is not None and start != 'adapted':
                command += [f'--{option}', str(value)]
        if not model.exists():
            started = time.monotonic()
            code = command_line(command)
            if code != 0:
                return code
            minutes[name] = (time.monotonic() - started) / 60.0
            (run / 'minutes.json').write_text(json.dumps(minutes[name]))
        minutes[name] = json.loads((run / 'minutes.json').read_text())
        results[name] = judge(model, test, run / 'metrics.json')
    text = table(results, minutes)
    print(text)
    args.out.with_suffix('.md').write_text(text + '\n', encoding='utf-8')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
