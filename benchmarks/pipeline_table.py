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
from pipeline_inputs import Inputs
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
                'images': len(one.images),
                'bytes_per_image': len(one.images[0]),
                'size': f'{one.image.shape[1]}x{one.image.shape[0]}',
                'returns': len(one.returns),
            }
            for kind, one in inputs.items()
        },
        **ratios(runs),
        'runs': runs,
    }
    for name, text in (
        ('pipeline.json', json.dumps(result, indent=1)),
        ('pipeline.md', markdown(runs)),
    ):
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
    that an image completes. Over the naive node's: both at 20 Hz and triggered together, where
    both nodes make the same pairs; so is what is left without the echo's transport. Rates: peaks.
    """
    found: dict[str, Any] = {}
    for kind in (kind for kind in runs[0] if kind != 'bare'):
        prefix = '' if kind == 'raw' else f'{kind}_'
        for name, ratio in _RATIOS.items():
            values = [_value(ratio, one, kind) for one in runs]
            if None not in values:
                known = [round(value, 3) for value in values if value is not None]
                found[f'{prefix}{name}'] = {
                    'median': float(np.median(known)),
                    'spread': round(max(known) - min(known), 3),
                    'runs': known,
                }
    return found


def _value(ratio: Callable[[Run, Run], float], one: Run, kind: str) -> float | None:
    """None where what it needs was not measured."""
    try:
        return ratio(one[kind], one['bare'])
    except (KeyError, TypeError, ZeroDivisionError):
        return None


def _latency(subject: Run, rate: str, part: str) -> float:
    return float(subject['at_hz'][rate][part]['median'])


_RATIOS: dict[str, Callable[[Run, Run], float]] = {
    'node_over_bare_latency': lambda kind, bare: (
        _latency(kind['node'], FREE, 'after_image') / bare['median']
    ),
    'node_over_bare_latency_triggered': lambda kind, bare: (
        _latency(kind['node'], TRIGGERED, 'working') / bare['median']
    ),
    'node_less_transport_over_bare_latency': lambda kind, bare: (
        (_latency(kind['node'], TRIGGERED, 'working') - _latency(kind['echo'], TRIGGERED, 'all'))
        / bare['median']
    ),
    'node_over_bare_rate': lambda kind, bare: kind['node']['peak_hz'] / bare['rate_hz'],
    'naive_over_node_latency': lambda kind, _: (
        _latency(kind['naive'], TRIGGERED, 'working')
        / _latency(kind['node'], TRIGGERED, 'working')
    ),
    'naive_over_node_rate': lambda kind, _: kind['naive']['peak_hz'] / kind['node']['peak_hz'],
}


def markdown(runs: list[Run]) -> str:
    """Tables of the medians over the runs."""
    rates = list(next(iter(next(v for k, v in runs[0].items() if k != 'bare').values()))['at_hz'])
    lines = [
        '| | '
        + ' | '.join(f'{rate} Hz: median, p99, jitter' for rate in rates)
        + ' | peak | CPU per pair | memory |',
        '|---' * (len(rates) + 4) + '|',
    ]
    bare = {key: _median(runs, lambda one, k=key: one['bare'][k]) for key in ('median', 'p99')}
    rate = _median(runs, lambda one: one['bare']['rate_hz'])
    once = f'{bare["median"]:.1f}, {bare["p99"]:.1f} ms'
    lines.append(f'| bare `session.run` | {once}' + ' | ' * len(rates) + f'| {rate:.0f} Hz | | |')
    for kind in (kind for kind in runs[0] if kind != 'bare'):
        for name in runs[0][kind]:
            lines.append(_row(runs, kind, name, rates))
    lines += ['', *_waits(runs, rates), '', *_ratio_lines(runs)]
    return '\n'.join(lines)


def _row(runs: list[Run], kind: str, name: str, rates: list[str]) -> str:
    cells = []
    for rate in rates:
        parts = [
            _median(runs, lambda one, r=rate, p=part: one[kind][name]['at_hz'][r]['working'][p])
            for part in ('median', 'p99', 'jitter')
        ]
        cells.append(', '.join(f'{part:.1f}' for part in parts) + ' ms')
    peak = ''
    if 'peak_hz' in runs[0][kind][name]:
        peak = f'{_median(runs, lambda one: one[kind][name]["peak_hz"]):.0f} Hz'
    cpu = _median(runs, lambda one: one[kind][name]['at_hz'][rates[-1]]['cpu_ms_per_heatmap'])
    memory = _median(runs, lambda one: one[kind][name]['rss_mb'])
    cells += [peak, f'{cpu:.1f} ms', f'{memory:.0f} MB']
    return f'| {name}, {kind} | ' + ' | '.join(cells) + ' |'


def _waits(runs: list[Run], rates: list[str]) -> list[str]:
    """What pairing waited for, and the node's own account of its stages."""
    lines = ['| pairing waits | ' + ' | '.join(f'{rate} Hz: median, p99' for rate in rates) + ' |']
    lines.append('|---' * (len(rates) + 1) + '|')
    kinds = [kind for kind in runs[0] if kind != 'bare']
    for name in ('node', 'naive'):
        cells = []
        for rate in rates:
            parts = [
                _median(
                    runs,
                    lambda one, r=rate, p=part, n=name: one[kinds[0]][n]['at_hz'][r]['wait'][p],
                )
                for part in ('median', 'p99')
            ]
            cells.append(', '.join(f'{part:.1f}' for part in parts) + ' ms')
        lines.append(f'| {name} | ' + ' | '.join(cells) + ' |')
    stages = runs[0][kinds[0]]['node']['stages']
    told = ', '.join(
        f'{stage} {_median(runs, lambda one, s=stage: one[kinds[0]]["node"]["stages"][s]):.2f}'
        for stage in stages
    )
    return [*lines, '', f'The node of its own stages (median, ms): {told}.']


def _ratio_lines(runs: list[Run]) -> list[str]:
    lines = ['| ratio | median | runs |', '|---|---|---|']
    for name, ratio in ratios(runs).items():
        told = ', '.join(f'{value:.2f}' for value in ratio['runs'])
        lines.append(f'| {name} | {ratio["median"]:.2f} | {told} |')
    return lines


def _median(runs: list[Run], value: Callable[..., float]) -> float:
    return float(np.median([value(one) for one in runs]))
