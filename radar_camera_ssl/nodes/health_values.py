# SPDX-License-Identifier: Apache-2.0
"""The key values of each diagnostic status; docs/DIAGNOSTICS.md explains them. Knows no ROS.

Every value is a plain number or text; what is not known is an empty text.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import findings
from .health import Configured, Mismatch, Snapshot


def key_values(snapshot: Snapshot) -> dict[str, dict[str, str]]:
    """Return the key values of each part; of an unconfigured node those of the node alone."""
    values = {part: dict[str, str]() for part in findings.PARTS}
    values[findings.PERCEPTION] = _of_node(snapshot)
    if (configured := snapshot.configured) is not None:
        values[findings.INPUTS] = _of_inputs(configured)
        values[findings.PAIRING] = _of_pairing(configured)
        values[findings.INFERENCE] = _of_inference(configured)
        values[findings.AGREEMENT] = _of_agreement(configured)
    return values


def _number(value: float | None, digits: int) -> str:
    return '' if value is None else f'{value:.{digits}f}'


def _of_node(snapshot: Snapshot) -> dict[str, str]:
    transition, seconds = snapshot.transition or ('', None)
    errors = snapshot.errors
    return {
        'state': snapshot.state,
        'transition': transition,
        'transition_s': _number(seconds, 1),
        'failure': snapshot.failure,
        'executor_age_s': _number(snapshot.executor_age_s, 3),
        'errors': str(errors.total),
        'last_error': errors.text,
        'last_error_age_s': _number(errors.age_s, 1),
        'last_error_count': str(errors.count),
    }


def _of_inputs(configured: Configured) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, status in configured.inputs.items():
        facts = status.facts
        arrival_gap = facts.arrival_gap_ms or (None, None)
        stamp_gap = facts.stamp_gap_ms or (None, None)
        values |= {
            f'{name}.topic': status.topic,
            f'{name}.publishers': str(status.publishers),
            f'{name}.received': str(facts.received),
            f'{name}.lost': str(facts.lost),
            f'{name}.missing': str(facts.missing),
            f'{name}.rate_hz': _number(facts.rate_hz, 2),
            f'{name}.age_s': _number(facts.age_s, 3),
            f'{name}.delay_ms': _number(facts.delay_ms, 1),
            f'{name}.arrival_gap_ms.median': _number(arrival_gap[0], 1),
            f'{name}.arrival_gap_ms.max': _number(arrival_gap[1], 1),
            f'{name}.stamp_gap_ms.median': _number(stamp_gap[0], 1),
            f'{name}.stamp_gap_ms.max': _number(stamp_gap[1], 1),
        }
    values['camera_info_error'] = configured.camera_info_error
    values['qos_mismatch'] = ', '.join(map(_told, configured.mismatches))
    return values


def _told(mismatch: Mismatch) -> str:
    return f'{mismatch.topic}: {mismatch.policy} ({" ".join(mismatch.peers)})'


def _of_pairing(configured: Configured) -> dict[str, str]:
    account, gap = configured.account, configured.seen.gap_ms
    values = {
        'pairs': str(account.pairs),
        'published': str(account.published),
        'silent_s': _number(configured.silent_s, 1),
        'time_jumps': str(account.time_jumps),
        'gap_ms.median': _number(gap.median if gap else None, 2),
        'gap_ms.p95': _number(gap.p95 if gap else None, 2),
        'radar_received': str(account.radar_received),
        'radar_pending': str(account.radar_pending),
        'image_received': str(account.image_received),
        'image_pending': str(account.image_pending),
    }
    return values | _drops('radar', account.radar_dropped) | _drops('image', account.image_dropped)


def _drops(sensor: str, dropped: Mapping[str, int]) -> dict[str, str]:
    values = {f'{sensor}_dropped': str(sum(dropped.values()))}
    for reason, count in sorted(dropped.items()):
        values[f'{sensor}_dropped.{reason}'] = str(count)
    return values


def _of_inference(configured: Configured) -> dict[str, str]:
    seen = configured.seen
    stage, seconds = seen.stage or ('', None)
    values = {
        **configured.model,
        'stage': stage,
        'stage_s': _number(seconds, 3),
        'consecutive_failures': str(seen.consecutive_failures),
        'returns_not_finite': str(seen.returns_not_finite),
        'returns_dropped': str(seen.returns_dropped),
        'radar_field_error': seen.radar_field_error,
    }
    for name, took in sorted(seen.latency_ms.items()):
        values[f'latency_ms.{name}.median'] = _number(took.median, 2)
        values[f'latency_ms.{name}.p95'] = _number(took.p95, 2)
        values[f'latency_ms.{name}.p99'] = _number(took.p99, 2)
    return values


def _of_agreement(configured: Configured) -> dict[str, str]:
    facts = configured.agreement
    return {
        'agreement': _number(facts.last, 3),
        'agreement.window': _number(facts.window, 3),
        'agreement.pairs': str(facts.pairs),
        'ego_speed_mps': _number(facts.speed_mps, 1),
        'image_frozen_s': _number(facts.image_frozen_s, 1),
        'radar_frozen_s': _number(facts.radar_frozen_s, 1),
    }
