# SPDX-License-Identifier: Apache-2.0
"""What benchmarks/pipeline.py measured, as JSON and as a table."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from pipeline_inputs import IMAGE_TOPIC, Inputs
from rclpy.utilities import get_rmw_implementation_identifier

Run = dict[str, Any]

# Both make the same pairs then, completed by the image.
TRIGGERED = '20'
FREE = '30'


def save(out: Path, model: Path, inputs: Mapping[str, Inputs], runs: list[Run]) -> None:
    """Write pipeline.json and pipeline.md, all or nothing."""
    result = {
        'machine': {
            'processor': _processor(),
            'cores': len(os.sched_getaffinity(0)),
            'load_now': os.getloadavg()[0],
        },
        'versions': {
            'python': platform.python_version(),
            'onnxruntime': onnxruntime.__version__,
            'numpy': np.__version__,
            'middleware': get_rmw_implementation_identifier(),
        },
        'model': {'file': model.name, 'sha256': hashlib.sha256(model.read_bytes()).hexdigest()},
        'inputs': {
            kind: {
                'sha256': one.sha256,
                'images': len(one.messages[IMAGE_TOPIC]),
                'bytes_of_one_image': len(one.messages[IMAGE_TOPIC][0].data),
                'size': f'{one.image.shape[1]}x{one.image.shape[0]}',
                'returns': len(one.returns),
            }
            for kind, one in inputs.items()
        },
        **ratios(runs),
        'runs': runs,
    }
    texts = {'pipeline.json': json.dumps(result, indent=1), 'pipeline.md': markdown(runs)}
    for name, text in texts.items():
        part = out / f'{name}.part'
        part.write_text(text + '\n', encoding='utf-8')
        part.replace(out / name)


def _processor() -> str:
    lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.machine()


def ratios(runs: list[Run]) -> dict[str, Any]:
    """The ratios, each with its value in every run, their median and spread.

    Latency over the bare model's: with the camera at 30 Hz and the radar at 20 Hz, of the pairs
    that an image completes, over the bare model at the same 20 a second. `node_over_bare`: from
    the arrival of the image (the driver's publish call has returned), `with_driver`: from before
    that call, `back_to_back`: that over the bare model one after the other, when its core never
    sleeps. Over the naive node's: both at 20 Hz and triggered together, where both nodes make the
    same pairs. Rates: the peaks.
    """
    found: dict[str, Any] = {}
    for kind in kinds(runs):
        prefix = '' if kind == 'raw' else f'{kind}_'
        for name, ratio in _RATIOS.items():
            values = [_value(ratio, one, kind) for one in runs]
            known = [round(value, 3) for value in values if value is not None]
            if len(known) == len(runs):
                found[f'{prefix}{name}'] = {
                    'median': float(np.median(known)),
                    'spread': round(max(known) - min(known), 3),
                    'runs': known,
                }
    return found


def kinds(runs: list[Run]) -> list[str]:
    """The kinds of image that were measured."""
    return [kind for kind in runs[0] if kind != 'bare']


def _value(ratio: Callable[[Run, Run], float], one: Run, kind: str) -> float | None:
    """None where what it needs was not measured."""
    try:
        return ratio(one[kind], one['bare'])
    except (KeyError, TypeError, ZeroDivisionError):
        return None


def _latency(subject: Run, rate: str, part: str) -> float:
    return float(subject['at_hz'][rate][part]['median'])


_RATIOS: dict[str, Callable[[Run, Run], float]] = {
    'node_over_bare_latency': lambda kind, _: (
        _latency(kind['node'], FREE, 'after_call') / kind['node']['bare']['at_rate']['median']
    ),
    'node_with_driver_over_bare_latency': lambda kind, _: (
        _latency(kind['node'], FREE, 'after_image') / kind['node']['bare']['at_rate']['median']
    ),
    'node_with_driver_over_bare_back_to_back_latency': lambda kind, _: (
        _latency(kind['node'], FREE, 'after_image') / kind['node']['bare']['alone']['median']
    ),
    'node_less_echo_over_bare_latency': lambda kind, _: (
        (_latency(kind['node'], FREE, 'after_image') - _latency(kind['echo'], FREE, 'all'))
        / kind['node']['bare']['at_rate']['median']
    ),
    'node_over_bare_beside_images_latency': lambda kind, bare: (
        _latency(kind['node'], FREE, 'after_call') / bare['beside_30_hz']['median']
    ),
    'node_over_bare_rate': lambda kind, _: (
        kind['node']['peak_hz'] / kind['node']['bare']['alone']['rate_hz']
    ),
    'node_over_bare_beside_images_rate': lambda kind, bare: (
        kind['node']['peak_hz'] / bare['beside_peak']['rate_hz']
    ),
    'naive_over_node_latency': lambda kind, _: (
        _latency(kind['naive'], TRIGGERED, 'working')
        / _latency(kind['node'], TRIGGERED, 'working')
    ),
    'naive_over_node_rate': lambda kind, _: kind['naive']['peak_hz'] / kind['node']['peak_hz'],
}


def markdown(runs: list[Run]) -> str:
    """Tables of the medians over the runs."""
    rates = list(runs[0][kinds(runs)[0]]['node']['at_hz'])
    head = ' | '.join(f'camera {rate} Hz' for rate in rates)
    lines = [
        f'| median, p99, jitter (ms) | {head} | answered at each | peak | CPU per pair | memory |',
        '|---' * (len(rates) + 5) + '|',
        *_bare_rows(runs, rates),
        *(_row(runs, kind, name, rates) for kind in kinds(runs) for name in runs[0][kind]),
        '',
        *_waits(runs, rates),
        '',
        '| ratio | median | runs |',
        '|---|---|---|',
    ]
    for name, ratio in ratios(runs).items():
        told = ', '.join(f'{value:.2f}' for value in ratio['runs'])
        lines.append(f'| `{name}` | {ratio["median"]:.2f} | {told} |')
    return '\n'.join(lines)


def _bare_rows(runs: list[Run], rates: list[str]) -> list[str]:
    labels = {
        'alone': 'bare `session.run`, one after the other',
        'at_rate': 'the same, 20 a second',
        'beside_30_hz': 'the same, 20 a second beside 30 images a second',
        'beside_peak': 'the same, one after the other beside images at 0.85 of its rate',
    }
    rows = []
    for name, label in labels.items():
        if name not in runs[0]['bare']:
            continue
        figures = _figures(runs, lambda one, n=name: one['bare'][n])
        rate = _median([one['bare'][name]['rate_hz'] for one in runs])
        at_peak = '' if name in ('at_rate', 'beside_30_hz') else f'{rate:.0f} Hz'
        rows.append(f'| {label} | {figures} |' + ' |' * len(rates) + f' {at_peak} | | |')
    return rows


def _row(runs: list[Run], kind: str, name: str, rates: list[str]) -> str:
    subject = [one[kind][name] for one in runs]
    cells = [
        _figures(runs, lambda one, r=rate: one[kind][name]['at_hz'][r]['working'])
        for rate in rates
    ]
    answered = (np.mean([one['at_hz'][rate]['answered'] for one in subject]) for rate in rates)
    peaks = [one['peak_hz'] for one in subject if 'peak_hz' in one]
    cells += [
        ', '.join(f'{100 * share:.3g}' for share in answered) + ' %',
        f'{_median(peaks):.0f} Hz' if peaks else '',
        f'{_median([one["at_hz"][rates[-1]]["cpu_ms_per_heatmap"] for one in subject]):.1f} ms',
        f'{_median([one["rss_mb"] for one in subject]):.0f} MB',
    ]
    return f'| {name}, {kind} | ' + ' | '.join(cells) + ' |'


def _waits(runs: list[Run], rates: list[str]) -> list[str]:
    """What is not the node's work, and its own account of its stages."""
    kind = kinds(runs)[0]
    parts = {
        'pairing waits (ours)': ('node', 'wait'),
        'pairing waits (naive)': ('naive', 'wait'),
        "the driver's publish call": ('node', 'driver_call'),
    }
    head = ' | '.join(f'camera {rate} Hz' for rate in rates)
    lines = [f'| median, p99, jitter (ms) | {head} |', '|---' * (len(rates) + 1) + '|']
    for label, (name, part) in parts.items():
        cells = [
            _figures(runs, lambda one, r=rate, n=name, p=part: one[kind][n]['at_hz'][r][p])
            for rate in rates
        ]
        lines.append(f'| {label} | ' + ' | '.join(cells) + ' |')
    return [*lines, '', *(_stages(runs, kind) for kind in kinds(runs))]


def _stages(runs: list[Run], kind: str) -> str:
    measured = [one[kind]['node']['at_hz'] for one in runs]
    rate = TRIGGERED if TRIGGERED in measured[0] else next(iter(measured[0]))
    stages = [one[rate]['stages'] for one in measured]
    told = ', '.join(f'{name} {_median([one[name] for one in stages]):.2f}' for name in stages[0])
    return f'The node of its own stages at {rate} Hz, {kind} (median, ms): {told}.'


def _figures(runs: list[Run], part: Callable[[Run], dict[str, float] | None]) -> str:
    """Median over the runs of each figure; nothing where no heatmap came."""
    found = [one for one in map(part, runs) if one]
    parts = ('median', 'p99', 'jitter') if found else ()
    return ', '.join(f'{_median([one[name] for one in found]):.1f}' for name in parts)


def _median(values: list[float]) -> float:
    return float(np.median(values))
