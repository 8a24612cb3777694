# SPDX-License-Identifier: Apache-2.0
"""What evaluating a drive costs: time, and memory over the length of a drive.

    python benchmarks/evaluation.py [--lengths 20 60 120] [--variants figures report all]

Simulates drives of these lengths (640x480 raw images at 30 Hz; kept beside the results), and
evaluates each in a process of its own, in three variants: figures alone, with the report, and all,
with the video and the recorded bag too. Of each it prints wall clock and processor time per second
of driving and the largest resident memory; then what two drives take with `--jobs 2` against one
after the other, and what a fingerprint takes. The machine's load beforehand is told too: on a busy
one only the processor time means something. Writes out/benchmarks/evaluation.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from radar_camera_ssl.evaluation.evaluate import evaluate_bags
from radar_camera_ssl.evaluation.fingerprint import fingerprint
from radar_camera_ssl.resources import default_model_path
from radar_camera_ssl.sensors.recording import Recording
from radar_camera_ssl.simulation.config import DriveConfig
from radar_camera_ssl.simulation.drive import simulate_drive

SEED = 77
VARIANTS = ('figures', 'report', 'all')


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--lengths', type=float, nargs='+', default=[20.0, 60.0, 120.0])
    parser.add_argument('--variants', nargs='+', choices=VARIANTS, default=VARIANTS)
    parser.add_argument('--model', type=Path, default=default_model_path())
    parser.add_argument('--out', type=Path, default=Path('out/benchmarks/evaluation'))
    parser.add_argument('--measure', nargs='+', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        evaluate(args.model, args.out, *args.measure)
        return
    args.out.mkdir(parents=True, exist_ok=True)
    drives = {length: drive(args.out, length) for length in args.lengths}
    result: dict[str, Any] = {
        'machine': {
            'processor': platform.processor() or platform.machine(),
            'cores': len(os.sched_getaffinity(0)),
            'load_before': os.getloadavg()[0],
        },
        'drives': [],
    }
    for length, bag in drives.items():
        for variant in args.variants:
            row = {'seconds': length, 'variant': variant}
            row |= measured(args.model, args.out, variant, '1', str(bag))
            result['drives'].append(row)
            print(told(f'{length:g} s, {variant}', row, length))
    shortest = min(args.lengths)
    two = [str(drives[shortest]), str(drive(args.out, shortest, SEED + 1))]
    result['jobs'] = {
        jobs: measured(args.model, args.out, 'all', jobs, *two) for jobs in ('1', '2')
    }
    for jobs, row in result['jobs'].items():
        print(told(f'two of {shortest:g} s, --jobs {jobs}', row, 2 * shortest))
    result['fingerprint'] = hashing(drives[max(args.lengths)])
    print('fingerprint: {bytes_per_s:.3g} bytes per second'.format(**result['fingerprint']))
    path = args.out.with_suffix('.json')
    path.write_text(json.dumps(result, indent=2) + '\n')
    print(f'written: {path}')


def drive(folder: Path, seconds: float, seed: int = SEED) -> Path:
    """Simulated drive, made once."""
    bag = folder / f'drive_{seed}_{seconds:g}s'
    if not (bag / 'metadata.yaml').exists():
        print(f'simulating {seconds:g} s', flush=True)
        simulate_drive(bag, DriveConfig(seed=seed, duration_s=seconds, cube=False), workers=2)
    return bag


def measured(model: Path, out: Path, *arguments: str) -> dict[str, float]:
    """Run `evaluate` in a process of its own; its time, and memory of its largest process."""
    command = [sys.executable, __file__, '--model', str(model), '--out', str(out)]
    began = time.monotonic()
    process = subprocess.Popen([*command, '--measure', *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f'evaluation failed: {arguments}')
    return {
        'wall_s': time.monotonic() - began,
        'processor_s': usage.ru_utime + usage.ru_stime,
        'largest_mb': usage.ru_maxrss / 1024,
    }


def evaluate(model: Path, out: Path, variant: str, jobs: str, *bags: str) -> None:
    """Evaluate with more or less to write, in this process."""
    every = variant == 'all'
    results = out / f'results_{variant}_{len(bags)}_{jobs}_{os.getpid()}'
    evaluate_bags(
        bags,
        model,
        None if variant == 'figures' else results,
        record=every,
        overlay=every,
        jobs=int(jobs),
    )


def hashing(bag: Path) -> dict[str, float]:
    """Time to take a fingerprint of a bag that has just been read."""
    with Recording(bag) as recording:
        began = time.monotonic()
        size = fingerprint(recording)['bytes']
    seconds = time.monotonic() - began
    return {'bytes': size, 'wall_s': seconds, 'bytes_per_s': size / seconds}


def told(what: str, row: dict[str, Any], seconds: float) -> str:
    """One line of the table."""
    return (
        f'{what:<28}{row["wall_s"] / seconds:6.2f} s, {row["processor_s"] / seconds:5.2f} s of '
        f'processor per second of driving{row["largest_mb"]:8.0f} MB'
    )


if __name__ == '__main__':
    main()
