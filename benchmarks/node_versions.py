# SPDX-License-Identifier: Apache-2.0
"""Whether a change made the node faster: this checkout against another, in turns.

    git worktree add /tmp/before HEAD~1
    OMP_NUM_THREADS=1 python benchmarks/node_versions.py /tmp/before [--turns 10] [--inputs raw]

Both nodes run with this interpreter, this checkout's parameters and model, on the inputs of
pipeline.py and over the same transport, one after the other in each turn, now this one first and
now that. A shared machine drifts, but less between neighbours: each
figure is the median of the turns' ratios, this one's over the other's, with the interval that 95 %
of resampled medians lie in. Writes out/benchmarks/node_versions.json. Linux only.
Times are of the pairs that were answered, so a node that drops the slow ones looks faster: where
the shares answered differ by more than 1 %, it says so at the end and exits with 1.
"""

from __future__ import annotations

import argparse
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from numpy.typing import NDArray
from pipeline import RADAR_HZ, Bench, Subject, prepare_environment, subjects
from pipeline_driver import triggered
from pipeline_inputs import Inputs, load
from soak import usage
from tqdm import tqdm

from radar_camera_ssl.resources import default_model_path

CAMERA_HZ = 30.0
BUSY_HZ = 60.0
ANSWERED = 'answered_at_'
LARGEST_DIFFERENCE = 0.01
"""Of the shares that were answered: beyond, the times are of different pairs."""
HERE = Path(__file__).parents[1]


def figures(subject: Subject, inputs: Inputs, seconds: float) -> dict[str, float]:
    """One node's turn: ms, and the shares of the pairs that were answered."""
    with ExitStack() as stack:
        bench = Bench(subject, inputs, stack)
        free = bench.fixed(CAMERA_HZ, seconds)
        stages = bench.stages()
        before = usage(bench.process.pid)['cpu_s']
        pairs = round(BUSY_HZ * seconds)
        answers = bench.answers(triggered(BUSY_HZ, pairs))
        busy = (usage(bench.process.pid)['cpu_s'] - before) * 1e3 / max(1, answers)
    return {
        'latency_from_arrival': free['after_call']['median'],
        **{f'stage_{name}': stages[name] for name in ('decode', 'infer', 'publish', 'total')},
        f'cpu_at_{RADAR_HZ:g}_hz': free['cpu_ms_per_heatmap'],
        f'cpu_at_{BUSY_HZ:g}_hz': busy,
        f'{ANSWERED}{RADAR_HZ:g}_hz': free['answered'],
        f'{ANSWERED}{BUSY_HZ:g}_hz': answers / pairs,
    }


def interval(ratios: NDArray[np.float64]) -> tuple[float, float]:
    """Where 95 % of the medians of resampled ratios lie."""
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(ratios, (2000, len(ratios))), axis=1)
    low, high = np.percentile(medians, (2.5, 97.5))
    return float(low), float(high)


def compare(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> dict[str, Any]:
    """Each figure of both, median (of a share the mean), and the ratios of neighbours."""
    found = {}
    for name in ours[0]:
        here, there = (np.array([turn[name] for turn in side]) for side in (ours, theirs))
        middle = np.mean if name.startswith(ANSWERED) else np.median
        found[name] = {
            'this': float(middle(here)),
            'other': float(middle(there)),
            'ratio': float(np.median(here / there)),
            'interval_95': interval(here / there),
        }
    return found


def other_pairs(result: dict[str, dict[str, Any]]) -> list[str]:
    """Where the two did not answer the same pairs, whose times do not compare."""
    return [
        f'{kind}, {name}: {_told(name, one["this"])}, the other {_told(name, one["other"])}'
        for kind, found in result.items()
        for name, one in found.items()
        if name.startswith(ANSWERED) and abs(one['this'] - one['other']) > LARGEST_DIFFERENCE
    ]


def _told(name: str, value: float) -> str:
    return f'{value:.1%}' if name.startswith(ANSWERED) else f'{value:.2f} ms'


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('other', type=Path, help='a checkout of another version')
    parser.add_argument('--turns', type=int, default=10)
    parser.add_argument('--inputs', nargs='+', choices=('raw', 'jpeg'), default=['raw', 'jpeg'])
    parser.add_argument('--seconds', type=float, default=2.5, help='at each rate')
    parser.add_argument('--out', type=Path, default=Path('out/benchmarks'))
    args = parser.parse_args()
    if not (args.other / 'radar_camera_ssl').is_dir():
        parser.error(f'{args.other} is no checkout')
    args.out, args.other = args.out.absolute(), args.other.absolute()
    args.out.mkdir(parents=True, exist_ok=True)
    prepare_environment()
    # `python -m` takes the package of the folder it starts in, were it a checkout, before others.
    os.chdir(args.out)
    path = os.environ['PYTHONPATH']
    checkouts = {'this': HERE, 'other': args.other}
    result: dict[str, Any] = {}
    rclpy.init(args=[])
    try:
        with tqdm(total=2 * args.turns * len(args.inputs), unit='node') as bar:
            for kind in args.inputs:
                inputs = load(args.out, kind)
                node = next(one for one in subjects(kind, default_model_path()) if one.managed)
                sides: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
                for turn in range(args.turns):
                    for name in list(sides)[:: 1 if turn % 2 else -1]:
                        os.environ['PYTHONPATH'] = f'{checkouts[name]}{os.pathsep}{path}'
                        sides[name].append(figures(node, inputs, args.seconds))
                        bar.update()
                result[kind] = compare(sides['this'], sides['other'])
    finally:
        rclpy.try_shutdown()
    (args.out / 'node_versions.json').write_text(json.dumps(result, indent=1) + '\n')
    print('| | this | other | ratio | 95 % |\n|---|---|---|---|---|')
    for kind, found in result.items():
        for name, one in found.items():
            low, high = one['interval_95']
            print(
                f'| {kind}, {name} | {_told(name, one["this"])} | {_told(name, one["other"])} '
                f'| {one["ratio"]:.2f} | {low:.2f} to {high:.2f} |'
            )
    if differing := other_pairs(result):
        raise SystemExit(f'not comparable, different pairs were answered: {"; ".join(differing)}')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
