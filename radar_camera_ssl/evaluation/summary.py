# SPDX-License-Identifier: Apache-2.0
"""How figures are said: which ones first, in which unit, beside what."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

# Key in metrics.json to what a person calls it, in the order in which they are told.
HEADLINES = {
    'pointing_accuracy': 'Returns that point at their source',
    'pointing_accuracy_strict': 'the same, without a cell of tolerance',
    'column_error_deg': 'Median horizontal error',
    'heatmap_ap': 'Heatmap, average precision',
    'heatmap_max_f1': 'Heatmap, best F1',
    'ciou': 'Heatmap, overlap with the sources',
    'ghost_auroc': 'True returns told from ghosts (AUROC)',
    'ece': 'Calibration error of the heatmap',
    'lit_area_empty_radar': 'Image lit without any return',
    'mismatch_auroc': 'Misaligned pairs noticed (AUROC)',
    'mismatch_auroc_2s': 'Misalignment noticed within 2 s (AUROC)',
    'yaw_alarm_auroc': 'Radar turned by 2° noticed within 2 s (AUROC)',
    'retrieval_recall_at_1': 'Own image first of 16 (recall@1)',
    'retrieval_recall_at_5': 'Own image in the first 5 of 16 (recall@5)',
    'projection_distance_px': 'Median distance from the projected return',
}
# What each baseline is blind to: the radar frame, or the image.
WITHOUT_RADAR = (
    'centre',
    'best_fixed',
    'mean_heatmap',
    'image_only',
    'empty_radar',
    'another_radar',
    'chance',
)
WITHOUT_IMAGE = ('radar_only', 'another_image', 'rcs', 'doppler', 'chance')
# By the end of the key: digits, unit.
_UNITS = {'_deg': (2, '°'), '_px': (1, ' px'), '_ms': (1, ' ms')}
_SMALLER_IS_BETTER = (
    'column_error_deg',
    'column_error_p90_deg',
    'ece',
    'lit_area_empty_radar',
    'projection_distance_px',
)
# Signed: errors to either side.
_NEARER_ZERO_IS_BETTER = ('yaw_error_deg', 'time_offset_ms')


def best_baseline(
    figures: dict[str, dict[str, float | None]], key: str
) -> tuple[str, float] | None:
    """Name and value of the baseline that is best at a metric; None where none has it."""
    known = [(name, value) for name, row in figures.items() if (value := row.get(key)) is not None]
    if not known:
        return None
    choose = min if key in _SMALLER_IS_BETTER else max
    return choose(known, key=lambda item: item[1])


def goodness(key: str, interval: Sequence[float]) -> tuple[float, float]:
    """Interval (low, high) of a figure turned such that more is better.

    Negated where smaller is better; minus the magnitude where nearer to zero is.
    """
    low, high = interval
    if key in _NEARER_ZERO_IS_BETTER:
        nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        return -max(abs(low), abs(high)), -nearest
    return (-high, -low) if key in _SMALLER_IS_BETTER else (low, high)


def format_figure(key: str, value: float | None) -> str:
    """Figure as text, with its unit; a dash for None."""
    if value is None:
        return '–'
    digits, unit = _digits_and_unit(key)
    return f'{value:.{digits}f}{unit}'


def resolution(key: str) -> float:
    """Smallest difference that `format_figure` shows."""
    return float(10 ** -_digits_and_unit(key)[0])


def is_share(key: str) -> bool:
    """Whether a figure is a plain number from 0 to 1."""
    return not _digits_and_unit(key)[1]


def _digits_and_unit(key: str) -> tuple[int, str]:
    for suffix, (digits, unit) in _UNITS.items():
        if key.endswith(suffix):
            return digits, unit
    return 3, ''


def figures_table(metrics: dict[str, Any]) -> str:
    """Text table: value, best blind baseline and oracle of every headline figure measured.

    What was not measured follows in lines of its own, by reason.
    """
    lines = [f'{"":26}{"model":>10}  {"best blind baseline":<26}{"oracle":>8}']
    for key in HEADLINES:
        if metrics[key] is None:
            continue
        best = best_baseline(metrics['baselines'], key)
        shown = f'{format_figure(key, best[1])} {best[0]}' if best else '–'
        oracle = metrics['oracle'][key] if metrics['oracle'] else None
        lines.append(
            f'{key:26}{format_figure(key, metrics[key]):>10}  {shown:<26}'
            f'{format_figure(key, oracle):>8}'
        )
    reasons: dict[str, list[str]] = {}
    for key in HEADLINES:
        if metrics[key] is None:
            reasons.setdefault(metrics['null_because'][key], []).append(key)
    lines += [f'not measured ({reason}): {", ".join(keys)}' for reason, keys in reasons.items()]
    return '\n'.join(lines)


def figures_markdown(metrics: dict[str, Any], command: str) -> str:
    """Headline figures as a Markdown table, with what produced them.

    Baselines stand in two columns, by the sensor that they ignore: without the radar frame nobody
    knows what reflects; without the image a return is where the learnt geometry puts it.
    """
    bags = [row['bag'] for row in metrics['bags']]
    lines = [
        f'`{command}`: {metrics["pairs"]} pairs of {len(bags)} drives ({", ".join(bags)}), '
        f'model {metrics["model"]["sha256"][:12]}; in brackets the 95 % interval.',
        '',
        '| figure | key | model | best without the radar | best without the image | oracle |',
        '|---|---|---|---|---|---|',
    ]
    for key, meaning in HEADLINES.items():
        cells = [f'{meaning}', f'`{key}`', _with_interval(metrics, key)]
        for names in (WITHOUT_RADAR, WITHOUT_IMAGE):
            best = best_baseline(_rows(metrics, names), key)
            cells.append(f'{format_figure(key, best[1])} ({best[0]})' if best else '–')
        oracle = metrics['oracle'][key] if metrics['oracle'] else None
        lines.append(f'| {" | ".join([*cells, format_figure(key, oracle)])} |')
    stages = ', '.join(
        f'{stage} {times["median"]:.1f} / {times["p99"]:.1f}'
        for stage, times in metrics['latency_ms'].items()
        if times['median'] is not None
    )
    lines += ['', f'Latency in ms, median / 99th percentile: {stages}.']
    return '\n'.join(lines)


def _with_interval(metrics: dict[str, Any], key: str) -> str:
    interval = metrics['confidence_95'].get(key)
    value = format_figure(key, metrics[key])
    if metrics[key] is None or not interval:
        return value
    return f'{value} ({format_figure(key, interval[0])} to {format_figure(key, interval[1])})'


def seeds_markdown(results: dict[int, dict[str, Any]]) -> str:
    """Headline figures of several training seeds as a Markdown table, their median first.

    results: by training seed, what metrics.json holds of one evaluation on the same recordings.
    The baselines stand in `figures_markdown`.
    """
    seeds = sorted(results)
    names = ' | '.join(f'seed {seed}' for seed in seeds)
    lines = [
        f'| key | median | {names} |',
        f'|---|---|{"---|" * len(seeds)}',
    ]
    for key in HEADLINES:
        if any(results[seed][key] is None for seed in seeds):
            continue
        values = [results[seed][key] for seed in seeds]
        cells = [f'`{key}`', format_figure(key, statistics.median(values))]
        cells += [_with_interval(results[seed], key) for seed in seeds]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def _rows(metrics: dict[str, Any], names: tuple[str, ...]) -> dict[str, dict[str, float | None]]:
    return {name: metrics['baselines'][name] for name in names if name in metrics['baselines']}
