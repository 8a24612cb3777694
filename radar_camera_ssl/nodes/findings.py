# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the node, by rules: each finding has a code, a level and a remedy.

docs/DIAGNOSTICS.md explains every code; a test compares. Knows no ROS.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .health import Configured, InputStatus, Snapshot
from .parameters import stage_limits

OK, WARN, ERROR = 0, 1, 2

PERCEPTION, INPUTS, PAIRING, INFERENCE, AGREEMENT = (
    'perception',
    'inputs',
    'pairing',
    'inference',
    'agreement',
)
PARTS = (PERCEPTION, INPUTS, PAIRING, INFERENCE, AGREEMENT)

SENSORS = ('image', 'radar')
# An image without partner is normal, and one that went with its radar frame is told as that.
OWN_FAULTS_OF_IMAGES = (
    'stamp_zero',
    'stamp_far_from_clock',
    'out_of_order',
    'duplicate_stamp',
    'queue_overflow',
)
# Fewer durations say little about their 95th percentile.
LEAST_DURATIONS = 20


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: in which part, how bad, what, and what to do."""

    part: str
    code: str
    level: int
    text: str
    remedy: str


def findings(snapshot: Snapshot) -> list[Finding]:
    """Return all that is wrong, the worst first."""
    found = list(_of_node(snapshot))
    if snapshot.configured is not None and snapshot.state == 'active':
        for rule in (_of_inputs, _of_pairing, _of_inference, _of_agreement):
            found += rule(snapshot, snapshot.configured)
    return sorted(found, key=lambda finding: -finding.level)


def _of_node(snapshot: Snapshot) -> Iterator[Finding]:
    if snapshot.failure:
        yield Finding(
            PERCEPTION, 'failed', ERROR, snapshot.failure, 'mend it, then configure again'
        )
    if snapshot.executor_age_s <= snapshot.settings.executor_timeout:
        return
    if snapshot.transition is not None:
        name, seconds = snapshot.transition
        yield Finding(
            PERCEPTION,
            'transition_slow',
            WARN,
            f'{name} has been at work for {seconds:.1f} s',
            'engines of an accelerator take minutes to build; otherwise see the log',
        )
        return
    yield Finding(
        PERCEPTION,
        'executor_blocked',
        ERROR,
        f'no callback has run for {snapshot.executor_age_s:.1f} s: one of them blocks',
        'see the last lines of the log; restart the process if it stays',
    )


def _of_inputs(snapshot: Snapshot, configured: Configured) -> Iterator[Finding]:
    yield from _of_sensors(snapshot, configured)
    yield from _of_connections(configured)
    if configured.camera_info_error:
        yield Finding(
            INPUTS,
            'camera_info_invalid',
            WARN,
            f'camera_info cannot be used: {configured.camera_info_error}',
            'calibrate the camera, connect the topic of its own driver, or none',
        )
    if misfit := configured.seen.image_misfit:
        yield Finding(
            INPUTS,
            'image_shape',
            ERROR,
            misfit,
            'do not trust the outputs: adapt the model to this camera (radar_camera_ssl adapt) or '
            'send the images that it was made for',
        )
    if not configured.clock_started:
        yield Finding(
            INPUTS,
            'clock_silent',
            WARN,
            'use_sim_time is set, and no /clock has come',
            'play the bag with its clock, or unset use_sim_time',
        )


def _of_sensors(snapshot: Snapshot, configured: Configured) -> Iterator[Finding]:
    settings = snapshot.settings
    for name in SENSORS:
        status = configured.inputs[name]
        if (silent_s := _silent_s(status, configured)) > settings.stale_after:
            yield Finding(
                INPUTS,
                f'{name}_silent',
                ERROR,
                f'{name} silent on {status.topic} for {silent_s:.1f} s ({_publishers(status)})',
                'does its driver send, and do messages of that size and QoS get through?'
                if status.publishers and not status.other_types
                else 'is its driver running, is the topic right?',
            )
        if status.publishers > 1:
            yield Finding(
                INPUTS,
                f'{name}_sources',
                WARN,
                f'{status.publishers} publishers on {status.topic}: what they send is taken for '
                'the frames of one sensor',
                'leave one of them: ros2 topic info --verbose names them',
            )
        facts = status.facts
        if facts.missing > settings.missing_warn * facts.expected:
            yield Finding(
                INPUTS,
                f'{name}_missing',
                WARN,
                f'{facts.missing} of {facts.expected} messages of {status.topic} are missing by '
                'their stamps',
                'lost on the way or not sent: compare with the rate at the driver',
            )


def _of_connections(configured: Configured) -> Iterator[Finding]:
    for name, status in configured.inputs.items():
        if lost := configured.recent.get(f'{name}.lost', 0):
            yield Finding(
                INPUTS,
                f'{name}_lost',
                WARN,
                f'{lost} messages of {status.topic} were lost on the way',
                "larger than the publisher's shared memory, or the network drops them: "
                'config/fastdds_large_images.xml',
            )
    for mismatch in configured.mismatches:
        whose, does = ('publisher', 'offer') if mismatch.is_input else ('subscriber', 'accept')
        whose = f'{whose} {", ".join(mismatch.peers)}'
        yield Finding(
            INPUTS,
            'qos_mismatch',
            WARN,
            f'QoS of {mismatch.topic} does not match: its {whose} does not {does} '
            f'our {mismatch.policy}, no messages pass',
            f'set {mismatch.policy} there or in the parameters here',
        )


def _silent_s(status: InputStatus, configured: Configured) -> float:
    age_s = status.facts.age_s
    return configured.active_s if age_s is None else min(age_s, configured.active_s)


def _publishers(status: InputStatus) -> str:
    if status.other_types:
        return status.other_types
    if status.publishers == 0:
        return 'no publisher'
    return f'{status.publishers} publisher{"s" if status.publishers > 1 else ""}'


def _of_pairing(snapshot: Snapshot, configured: Configured) -> Iterator[Finding]:
    settings, recent = snapshot.settings, configured.recent
    if configured.silent_s > settings.stale_after:
        yield Finding(
            PAIRING,
            'no_pairs',
            ERROR,
            f'no pair for {configured.silent_s:.1f} s: {_why_no_pairs(snapshot, configured)}',
            'nothing is published meanwhile',
        )
    radar, image = recent.get('radar.received', 0), recent.get('image.received', 0)
    drops = _dropped(recent, 'radar')
    # A slower camera has no image for every radar frame.
    drops['no_partner'] = max(0, drops.get('no_partner', 0) - max(0, radar - image))
    if sum(drops.values()) > settings.drop_warn * radar:
        yield Finding(
            PAIRING,
            'radar_drops',
            WARN,
            f'radar frames dropped: {_counts(drops)}, of {radar} in '
            f'{settings.diagnostics_window:g} s',
            'TROUBLESHOOTING.md has the reasons',
        )
    own = _own_faults_of_images(recent)
    if sum(own.values()) > settings.drop_warn * image:
        yield Finding(
            PAIRING,
            'image_drops',
            WARN,
            f'images dropped: {_counts(own)}, of {image} in {settings.diagnostics_window:g} s',
            'TROUBLESHOOTING.md has the reasons',
        )


def _why_no_pairs(snapshot: Snapshot, configured: Configured) -> str:
    limit_s = snapshot.settings.stale_after
    inputs = configured.inputs
    silent = [name for name in SENSORS if _silent_s(inputs[name], configured) > limit_s]
    if silent:
        return ', '.join(f'{name} silent' for name in silent)
    stage = configured.seen.stage
    if stage is not None and stage[1] > limit_s:
        return f'the worker has been in {stage[0]} for {stage[1]:.1f} s'
    drops = _dropped(configured.recent, 'radar')
    if set(drops) - {'no_partner'}:
        return f'both inputs arrive, but radar frames are dropped: {_counts(drops)}'
    if own := _own_faults_of_images(configured.recent):
        return f'both inputs arrive, but images are dropped: {_counts(own)}'
    stamps = [inputs[name].facts.stamp for name in ('radar', 'image')]
    apart_s = abs(stamps[0] - stamps[1]) * 1e-9
    return (
        f'both inputs arrive, but their latest stamps are {apart_s:.3f} s apart '
        f'(slop {snapshot.settings.slop:g} s)'
    )


def _dropped(recent: dict[str, int], sensor: str) -> dict[str, int]:
    prefix = f'{sensor}.dropped.'
    return {key.removeprefix(prefix): n for key, n in recent.items() if key.startswith(prefix)}


def _own_faults_of_images(recent: dict[str, int]) -> dict[str, int]:
    dropped = _dropped(recent, 'image')
    return {reason: dropped[reason] for reason in OWN_FAULTS_OF_IMAGES if reason in dropped}


def _counts(counts: dict[str, int]) -> str:
    return ', '.join(f'{reason} {count}' for reason, count in sorted(counts.items()) if count)


def _of_inference(snapshot: Snapshot, configured: Configured) -> Iterator[Finding]:
    settings, seen = snapshot.settings, configured.seen
    if not configured.worker_alive:
        yield Finding(
            INFERENCE, 'worker_dead', ERROR, 'the worker thread has died', 'restart the process'
        )
    if seen.stage is not None and seen.stage[1] > settings.inference_timeout:
        stage, seconds = seen.stage
        is_inference = stage == 'infer'
        yield Finding(
            INFERENCE,
            'inference_hangs' if is_inference else 'worker_hangs',
            ERROR,
            f'inference has not answered for {seconds:.1f} s'
            if is_inference
            else f'the worker has been in {stage} for {seconds:.1f} s',
            'nothing but a restart of the process ends a hanging call',
        )
    if seen.radar_field_error:
        yield Finding(
            INFERENCE,
            'radar_field_missing',
            ERROR,
            seen.radar_field_error,
            'name it in radar_fields',
        )
    if seen.consecutive_failures:
        yield Finding(
            INFERENCE,
            'inference_failing',
            WARN,
            f'{seen.consecutive_failures} failed in a row: {seen.failure}',
            f'at {settings.max_consecutive_failures} the node gives up',
        )
    if configured.providers_passed_over:
        yield Finding(
            INFERENCE,
            'provider_fallback',
            WARN,
            f'runs on {configured.model["provider"]}: '
            f'{"; ".join(configured.providers_passed_over)}',
            'mend the accelerator, or take it out of providers',
        )
    yield from _of_latency(snapshot, configured)


def _of_latency(snapshot: Snapshot, configured: Configured) -> Iterator[Finding]:
    settings = snapshot.settings
    over: dict[str, tuple[int, float]] = {}
    for level, entries in ((WARN, settings.latency_warn), (ERROR, settings.latency_error)):
        for stage, limit_s in stage_limits(entries).items():
            took = configured.seen.latency_ms.get(stage)
            if took and took.count >= LEAST_DURATIONS and took.p95 > limit_s * 1e3:
                over[stage] = (level, limit_s)
    for stage, (level, limit_s) in over.items():
        yield Finding(
            INFERENCE,
            f'latency_{stage}',
            level,
            f'{stage} takes {configured.seen.latency_ms[stage].p95:.0f} ms (95th percentile, '
            f'limit {limit_s * 1e3:.0f} ms)',
            'the sensor or its clock is late: see the delay_ms of the inputs'
            if stage == 'since_stamp'
            else 'is the machine overloaded or throttled?',
        )


def _of_agreement(snapshot: Snapshot, configured: Configured) -> Iterator[Finding]:
    settings, facts = snapshot.settings, configured.agreement
    for name, seconds in (('image', facts.image_frozen_s), ('radar', facts.radar_frozen_s)):
        if seconds >= settings.frozen_after:
            yield Finding(
                AGREEMENT,
                f'{name}_frozen',
                ERROR,
                f'{name} has been the same for {seconds:.1f} s while the other sensor moves on',
                'restart its driver: the outputs are wrong',
            )
    if facts.window is None or facts.window >= max(
        settings.agreement_warn, settings.agreement_error
    ):
        return
    is_error = facts.window < settings.agreement_error
    limit = settings.agreement_error if is_error else settings.agreement_warn
    yield Finding(
        AGREEMENT,
        'agreement_low',
        ERROR if is_error else WARN,
        f'radar and image do not fit together: agreement {facts.window:.2f} over '
        f'{settings.agreement_window:g} s, limit {limit:g}',
        'a sensor is covered, late, or has moved on its mount; do not trust the outputs',
    )
