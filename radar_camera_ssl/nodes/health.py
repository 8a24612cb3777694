# SPDX-License-Identifier: Apache-2.0
"""The node's verdict on itself: one level, one message, and the key values. Knows no ROS."""

from __future__ import annotations

from dataclasses import dataclass, field

from .intake import Account
from .monitor import Seen

OK, WARN, ERROR = 0, 1, 2


@dataclass(frozen=True)
class InputStatus:
    """One input: its topic, what arrived of it, and who publishes it."""

    topic: str
    received: int
    rate_hz: float
    age_s: float | None
    publishers: int
    lost: int
    newly_lost: int
    """Messages the middleware lost: so far, and since the last report."""


@dataclass(frozen=True)
class Snapshot:
    """Everything the verdict rests on. Fields without a session (unconfigured) are None."""

    state: str
    failure: str = ''
    """Why the node could not be configured, or went to ErrorProcessing."""
    stale_after_s: float = 0.0
    silent_s: float = 0.0
    """Since the last published pair, or since activation."""
    worker_alive: bool = True
    inputs: dict[str, InputStatus] = field(default_factory=dict)
    account: Account | None = None
    new_radar_drops: dict[str, int] = field(default_factory=dict)
    """Radar frames dropped since the last report."""
    seen: Seen | None = None
    camera_info_error: str = ''
    qos_mismatches: dict[str, str] = field(default_factory=dict)
    model: dict[str, str] = field(default_factory=dict)


def judge(snapshot: Snapshot) -> tuple[int, str]:
    """Return the level and the message: the worst that is true, all of that level."""
    if snapshot.failure:
        return ERROR, snapshot.failure
    findings = [*_errors(snapshot), *_warnings(snapshot)]
    if not findings:
        return OK, snapshot.state
    level = max(found for found, _ in findings)
    return level, '; '.join(text for found, text in findings if found == level)


def _errors(snapshot: Snapshot) -> list[tuple[int, str]]:
    if snapshot.state != 'active' or snapshot.seen is None:
        return []
    texts = []
    if not snapshot.worker_alive:
        texts.append('the worker thread has died')
    if snapshot.seen.radar_field_error:
        texts.append(snapshot.seen.radar_field_error)
    if snapshot.silent_s > snapshot.stale_after_s:
        texts.append(f'no pair for {snapshot.silent_s:.1f} s: {_why_silent(snapshot)}')
    return [(ERROR, text) for text in texts]


def _why_silent(snapshot: Snapshot) -> str:
    silent = [
        f'{name} silent on {status.topic} ({_publishers(status)})'
        for name, status in snapshot.inputs.items()
        if name in ('image', 'radar')
        and (status.age_s is None or status.age_s > snapshot.stale_after_s)
    ]
    if silent:
        return ', '.join(silent)
    seen, account = snapshot.seen, snapshot.account
    if seen is not None and seen.stage is not None:
        stage, seconds = seen.stage
        if seconds > snapshot.stale_after_s:
            return f'the worker has been in {stage} for {seconds:.1f} s'
    if account is not None and snapshot.new_radar_drops:
        return f'both inputs arrive, but pairs are dropped: {_counts(snapshot.new_radar_drops)}'
    return 'both inputs arrive, but no stamps within slop of each other'


def _publishers(status: InputStatus) -> str:
    if status.publishers == 0:
        return 'no publisher'
    return f'{status.publishers} publisher{"s" if status.publishers > 1 else ""}'


def _warnings(snapshot: Snapshot) -> list[tuple[int, str]]:
    texts = [
        f'QoS of {topic} does not match the other side: {policy}'
        for topic, policy in snapshot.qos_mismatches.items()
    ]
    texts += [
        f'{status.newly_lost} messages of {status.topic} were lost on the way: larger than the '
        "publisher's shared memory, or the network drops them"
        for status in snapshot.inputs.values()
        if status.newly_lost
    ]
    if snapshot.camera_info_error:
        texts.append(snapshot.camera_info_error)
    if snapshot.new_radar_drops:
        texts.append(f'radar frames dropped: {_counts(snapshot.new_radar_drops)}')
    if snapshot.seen is not None and snapshot.seen.consecutive_failures:
        texts.append(
            f'{snapshot.seen.consecutive_failures} failed in a row: {snapshot.seen.last_error}'
        )
    return [(WARN, text) for text in texts]


def _counts(counts: dict[str, int]) -> str:
    return ', '.join(f'{reason} {count}' for reason, count in sorted(counts.items()))


def key_values(snapshot: Snapshot) -> dict[str, str]:
    """Return the key values of the diagnostic status."""
    values = {'state': snapshot.state, **snapshot.model}
    for name, status in snapshot.inputs.items():
        values[f'{name}.topic'] = status.topic
        values[f'{name}.publishers'] = str(status.publishers)
        values[f'{name}.received'] = str(status.received)
        values[f'{name}.lost'] = str(status.lost)
        values[f'{name}.rate_hz'] = f'{status.rate_hz:.2f}'
        values[f'{name}.age_s'] = '' if status.age_s is None else f'{status.age_s:.3f}'
    if snapshot.account is not None:
        values |= _account_values(snapshot.account)
    if snapshot.seen is not None:
        values |= _seen_values(snapshot.seen)
    values['camera_info_error'] = snapshot.camera_info_error
    values['qos_mismatch'] = ', '.join(
        f'{topic}: {policy}' for topic, policy in snapshot.qos_mismatches.items()
    )
    if snapshot.failure:
        values['failure'] = snapshot.failure
    return values


def _account_values(account: Account) -> dict[str, str]:
    values = {
        'pairs': str(account.pairs),
        'published': str(account.published),
        'radar_received': str(account.radar_received),
        'radar_pending': str(account.radar_pending),
        'radar_dropped': str(sum(account.radar_dropped.values())),
        'image_received': str(account.image_received),
        'image_pending': str(account.image_pending),
        'image_dropped': str(sum(account.image_dropped.values())),
    }
    for sensor, dropped in (('radar', account.radar_dropped), ('image', account.image_dropped)):
        for reason, count in sorted(dropped.items()):
            values[f'{sensor}_dropped.{reason}'] = str(count)
    return values


def _seen_values(seen: Seen) -> dict[str, str]:
    values = {
        'returns_not_finite': str(seen.returns_not_finite),
        'returns_dropped': str(seen.returns_dropped),
        'agreement': '' if seen.agreement is None else f'{seen.agreement:.3f}',
        'radar_field_error': seen.radar_field_error,
        'consecutive_failures': str(seen.consecutive_failures),
        'last_error': seen.last_error,
    }
    if seen.gap_ms is not None:
        values['gap_ms.median'], values['gap_ms.p95'] = (f'{gap:.2f}' for gap in seen.gap_ms)
    for stage, (median, high) in seen.latency_ms.items():
        values[f'latency_ms.{stage}.median'] = f'{median:.2f}'
        values[f'latency_ms.{stage}.p99'] = f'{high:.2f}'
    return values
