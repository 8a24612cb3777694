# SPDX-License-Identifier: Apache-2.0
"""Two evaluations beside each other: what has changed by more than chance, and can it be told.

A figure has changed where the two 95 % intervals do not overlap and the difference shows in the
digits reported. For independent intervals of equal width that errs about once in 180 figures, not
in 20 (Schenker and Gentleman, The American Statistician 55, 2001): an alarm on a dozen figures at
once needs that. On the same recordings, which favour or burden both alike, it is stricter still.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from radar_camera_ssl.evaluation.summary import (
    HEADLINES,
    format_figure,
    goodness,
    resolution,
)

RULE = (
    'A change counts where the two 95 % intervals do not overlap and it shows in the digits '
    'reported.'
)
_SHOWN_NAMES = 3


class ComparisonError(ValueError):
    """A metrics.json that cannot be compared with; one line says why."""


class Verdict(Enum):
    """What a comparison says of one figure."""

    BETTER = 'better'
    WORSE = 'worse'
    SAME = 'no change beyond the interval'
    UNJUDGED = 'no interval to judge by'
    NEW = 'measured only now'
    LOST = 'no longer measured'


@dataclass(frozen=True)
class Reference:
    """An earlier evaluation. name: what to call it; metrics: what its metrics.json holds."""

    name: str
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Change:
    """One figure now and in the reference."""

    key: str
    value: float | None
    reference: float | None
    verdict: Verdict

    @property
    def difference(self) -> float | None:
        """Value minus reference, None where one is missing."""
        if self.value is None or self.reference is None:
            return None
        return self.value - self.reference

    @property
    def shown_difference(self) -> str:
        """Difference as text, with sign and unit; a dash where there is none."""
        if self.difference is None:
            return format_figure(self.key, None)
        sign = '+' if self.difference > 0 else '\N{MINUS SIGN}'
        if abs(self.difference) < resolution(self.key) / 2:
            sign = '±'
        return sign + format_figure(self.key, abs(self.difference))


@dataclass(frozen=True)
class Comparison:
    """What changed against a reference.

    changes: by key, every headline figure that either has. models: which models they are of.
    unlike: why the two were not measured alike, one sentence each; empty for like with like, as
    far as is known: known is false where a recording has no fingerprint.
    """

    reference: Reference
    changes: dict[str, Change]
    models: str
    unlike: tuple[str, ...]
    known: bool

    @property
    def likeness(self) -> str:
        """Whether this is like with like, in one sentence."""
        if self.unlike:
            return 'Not like with like.'
        if self.known:
            return 'Like with like: the same recordings, paired alike.'
        return 'Recordings of the same names; without fingerprints nobody knows if the same.'

    def having(self, verdict: Verdict) -> list[Change]:
        """Changes of one verdict."""
        return [change for change in self.changes.values() if change.verdict is verdict]

    def failures(self) -> list[str]:
        """Why this is no pass, one line each: figures worse or lost, or none to judge by."""
        lines = [
            f'{change.key}: {format_figure(change.key, change.value)}, '
            f'was {format_figure(change.key, change.reference)}'
            f' ({change.verdict.value})'
            for verdict in (Verdict.WORSE, Verdict.LOST)
            for change in self.having(verdict)
        ]
        judged = (Verdict.BETTER, Verdict.WORSE, Verdict.SAME)
        if not lines and not any(change.verdict in judged for change in self.changes.values()):
            lines.append('no figure could be judged: none has a 95 % interval in both')
        return lines


def read_reference(path: Path, schema: int) -> Reference:
    """Read another evaluation's metrics.json.

    Raises ComparisonError, in one line, for a file that cannot be read, is no metrics.json, is of
    another schema than `schema`, or is damaged in what is compared.
    """
    try:
        metrics = json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise ComparisonError(f'cannot read {path}: {error.strerror}') from error
    except (ValueError, RecursionError) as error:
        raise ComparisonError(f'{path} is no JSON: {_one_line(error)}') from error
    if not isinstance(metrics, dict) or 'schema' not in metrics:
        raise ComparisonError(f'{path} is no metrics.json of an evaluation')
    if metrics['schema'] != schema:
        raise ComparisonError(
            f'{path} has schema {_one_line(metrics["schema"])}, this version writes {schema}: '
            'evaluate anew to compare'
        )
    for problem in _problems(metrics):
        raise ComparisonError(f'{path} is damaged: {problem}')
    return Reference(str(path), metrics)


def _one_line(said: object) -> str:
    return ' '.join(str(said).split())[:80]


def _problems(metrics: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the parts that a comparison reads."""
    model = metrics.get('model')
    if not isinstance(model, dict) or not isinstance(model.get('sha256'), str):
        yield 'model'
    if not _is_number(metrics.get('slop_s')):
        yield 'slop_s'
    if not isinstance(metrics.get('pairs'), int):
        yield 'pairs'
    bags = metrics.get('bags')
    if not isinstance(bags, list) or not all(_is_bag(bag) for bag in bags):
        yield 'bags'
    intervals = metrics.get('confidence_95')
    if not isinstance(intervals, dict):
        yield 'confidence_95'
        return
    for key in HEADLINES:
        if metrics.get(key) is not None and not _is_number(metrics[key]):
            yield key
        interval = intervals.get(key)
        if interval is not None and not _is_interval(interval):
            yield f'confidence_95.{key}'
    for name in ('by_range', 'by_azimuth'):
        rows = metrics.get(name)
        if rows is not None and not (isinstance(rows, list) and all(map(_is_bin, rows))):
            yield name


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _is_interval(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(_is_number(end) for end in value)
        and value[0] <= value[1]
    )


def _is_bag(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get('bag'), str):
        return False
    fingerprint = value.get('fingerprint')
    return fingerprint is None or (
        isinstance(fingerprint, dict) and isinstance(fingerprint.get('sha256'), str)
    )


def _is_bin(value: object) -> bool:
    return (
        isinstance(value, dict)
        and _is_number(value.get('from'))
        and _is_number(value.get('to'))
        and all(
            value.get(key) is None or _is_number(value[key])
            for key in ('pointing_accuracy', 'column_error_deg')
        )
    )


def compare(metrics: Mapping[str, Any], reference: Reference) -> Comparison:
    """Set an evaluation's metrics beside those of a reference of the same schema."""
    other = reference.metrics
    changes = {
        key: Change(key, metrics.get(key), other.get(key), _verdict(key, metrics, other))
        for key in HEADLINES
        if metrics.get(key) is not None or other.get(key) is not None
    }
    models, unlike = _models(metrics, other), tuple(_unlike(metrics, other))
    return Comparison(reference, changes, models, unlike, _known(metrics, other))


def _verdict(key: str, metrics: Mapping[str, Any], other: Mapping[str, Any]) -> Verdict:
    value, before = metrics.get(key), other.get(key)
    if before is None:
        return Verdict.NEW
    if value is None:
        return Verdict.LOST
    intervals = metrics['confidence_95'].get(key), other['confidence_95'].get(key)
    if intervals[0] is None or intervals[1] is None:
        return Verdict.UNJUDGED
    now, then = (goodness(key, interval) for interval in intervals)
    # A difference that is written as 0.000 is none, however narrow the intervals are.
    if abs(value - before) < resolution(key) / 2:
        return Verdict.SAME
    if now[0] > then[1]:
        return Verdict.BETTER
    return Verdict.WORSE if now[1] < then[0] else Verdict.SAME


def _models(metrics: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    now, then = metrics['model'], other['model']
    if now['sha256'] == then['sha256']:
        return f'The same model, {now["sha256"][:12]}.'
    return f'Another model: {_model_name(now)} here, {_model_name(then)} there.'


def _model_name(model: Mapping[str, Any]) -> str:
    sha = model['sha256'][:12]
    return f'{model["name"]} ({sha})' if isinstance(model.get('name'), str) else sha


def _unlike(metrics: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    bags, others = metrics['bags'], other['bags']
    known = _known(metrics, other)
    only_here, only_there = _unmatched(bags, others, known), _unmatched(others, bags, known)
    if only_here or only_there:
        here, there = _names(only_here), _names(only_there)
        yield f'Other recordings. Only here: {here}. Only there: {there}.'
    if metrics['slop_s'] != other['slop_s']:
        yield (
            f'Pairs may lie {metrics["slop_s"] * 1e3:g} ms apart here, '
            f'{other["slop_s"] * 1e3:g} ms there.'
        )
    elif not only_here and not only_there and metrics['pairs'] != other['pairs']:
        yield f'{metrics["pairs"]} pairs here, {other["pairs"]} there, of as many drives.'
    units = metrics.get('confidence_unit'), other.get('confidence_unit')
    if units[0] != units[1] and None not in units:
        yield f'Intervals are drawn from each {units[0]} here, from each {units[1]} there.'
    kinds = metrics['model'].get('radar'), other['model'].get('radar')
    if kinds[0] != kinds[1]:
        yield f'The model reads the radar as {kinds[0]} here, as {kinds[1]} there.'


def _known(metrics: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether every recording can be told by its content, not only by its name."""
    return all(bag.get('fingerprint') for bag in (*metrics['bags'], *other['bags']))


def _unmatched(
    bags: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]], known: bool
) -> list[str]:
    """Names of the recordings that the others do not have, each of which matches one at most."""
    left = Counter(_identity(bag, known) for bag in others)
    names = []
    for bag in bags:
        if left[_identity(bag, known)] > 0:
            left[_identity(bag, known)] -= 1
        else:
            names.append(bag['bag'])
    return names


def _identity(bag: Mapping[str, Any], known: bool) -> str:
    return str(bag['fingerprint']['sha256'] if known else bag['bag'])


def _names(bags: Sequence[str]) -> str:
    more = len(bags) - _SHOWN_NAMES
    shown = ', '.join(bags[:_SHOWN_NAMES]) or 'none'
    return f'{shown} and {more} more' if more > 0 else shown


def comparison_table(comparison: Comparison) -> str:
    """Text table of every change, and what makes the two unlike."""
    lines = [f'compared with {comparison.reference.name}', comparison.models]
    lines += [comparison.likeness, *comparison.unlike]
    lines.append(f'{"":26}{"now":>10}{"reference":>12}{"difference":>12}')
    for key, change in comparison.changes.items():
        values = format_figure(key, change.value), format_figure(key, change.reference)
        lines.append(
            f'{key:26}{values[0]:>10}{values[1]:>12}{change.shown_difference:>12}'
            f'  {change.verdict.value}'
        )
    return '\n'.join(lines)
