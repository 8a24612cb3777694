# SPDX-License-Identifier: Apache-2.0
"""What the diagnostics find wrong, on states that a real node cannot be brought into on demand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from radar_camera_ssl.nodes.agreement_watch import AgreementFacts
from radar_camera_ssl.nodes.findings import (
    AGREEMENT,
    ERROR,
    INFERENCE,
    INPUTS,
    LEAST_DURATIONS,
    OK,
    PAIRING,
    PARTS,
    PERCEPTION,
    WARN,
    findings,
)
from radar_camera_ssl.nodes.health import Configured, InputStatus, Mismatch, Snapshot
from radar_camera_ssl.nodes.input_meter import InputFacts
from radar_camera_ssl.nodes.intake import Account
from radar_camera_ssl.nodes.monitor import Percentiles, Seen
from radar_camera_ssl.nodes.parameters import Settings
from radar_camera_ssl.nodes.verdicts import Judge

FACTS = InputFacts(100, 0, 10**9, 30.0, 0.01, (33.0, 40.0), (33.0, 40.0), 15.0, 0, 99)
STATUS = InputStatus('/topic', FACTS, 1)
CONFIGURED = Configured(
    active_s=60.0,
    silent_s=0.1,
    worker_alive=True,
    clock_started=True,
    inputs={'image': STATUS, 'radar': STATUS, 'camera_info': STATUS},
    account=Account(100, 100, 100, 100, {}, {}, 0, 0, 0),
    recent={'radar.received': 100, 'image.received': 300},
    seen=Seen(last_published_s=1.0),
    agreement=AgreementFacts(last=0.9, window=0.9, pairs=50, speed_mps=10.0),
    model={'provider': 'CPUExecutionProvider'},
)
HEALTHY = Snapshot('active', Settings(), configured=CONFIGURED)


def snapshot(**changes: Any) -> Snapshot:
    return replace(HEALTHY, configured=replace(CONFIGURED, **changes))


def with_input(name: str, status: InputStatus = STATUS, **changes: Any) -> Snapshot:
    status = replace(status, facts=replace(FACTS, **changes))
    return snapshot(inputs=CONFIGURED.inputs | {name: status})


def took(stage: str, p95_ms: float, count: int = 100) -> Snapshot:
    return snapshot(seen=Seen(latency_ms={stage: Percentiles(1.0, p95_ms, p95_ms, count)}))


def recent(**counts: int) -> Snapshot:
    return snapshot(recent={key.replace('__', '.'): count for key, count in counts.items()})


PROVOKED = {
    'failed': replace(HEALTHY, state='unconfigured', failure='no model', configured=None),
    'executor_blocked': replace(HEALTHY, executor_age_s=2.5),
    'transition_slow': replace(HEALTHY, executor_age_s=2.5, transition=('configure', 2.5)),
    'image_silent': with_input('image', age_s=1.5),
    'radar_silent': with_input('radar', age_s=None, received=0),
    'image_sources': with_input('image', replace(STATUS, publishers=2)),
    'radar_sources': with_input('radar', replace(STATUS, publishers=2)),
    'image_missing': with_input('image', missing=30, expected=129),
    'radar_missing': with_input('radar', missing=11, expected=100),
    'image_lost': recent(image__lost=3),
    'radar_lost': recent(radar__lost=3),
    'camera_info_lost': recent(camera_info__lost=3),
    'camera_info_invalid': snapshot(camera_info_error='K is zero'),
    'image_shape': snapshot(seen=Seen(image_misfit='images of 1280x720 are stretched')),
    'clock_silent': snapshot(clock_started=False),
    'qos_mismatch': snapshot(
        mismatches=(Mismatch('/radar/points', 'reliability', ('/driver',), True),)
    ),
    'no_pairs': snapshot(silent_s=1.5),
    'radar_drops': recent(radar__received=100, radar__dropped__too_old=6, image__received=300),
    'image_drops': recent(image__received=100, image__dropped__stamp_zero=6),
    'worker_dead': snapshot(worker_alive=False),
    'inference_hangs': snapshot(seen=Seen(stage=('infer', 2.5))),
    'worker_hangs': snapshot(seen=Seen(stage=('publish', 2.5))),
    'radar_field_missing': snapshot(seen=Seen(radar_field_error='no field rcs')),
    'inference_failing': snapshot(seen=Seen(consecutive_failures=2, failure='division')),
    'provider_fallback': snapshot(providers_passed_over=('CUDAExecutionProvider: no GPU',)),
    'latency_wait': replace(took('wait', 11.0), settings=Settings(latency_warn=('', 'wait=0.01'))),
    'latency_decode': replace(
        took('decode', 11.0), settings=Settings(latency_error=('decode=0.01',))
    ),
    'latency_infer': replace(took('infer', 11.0), settings=Settings(latency_warn=('infer=0.01',))),
    'latency_publish': replace(
        took('publish', 11.0), settings=Settings(latency_warn=('publish = 0.01',))
    ),
    'latency_total': took('total', 151.0),
    'latency_since_stamp': took('since_stamp', 1001.0),
    'image_frozen': snapshot(agreement=replace(CONFIGURED.agreement, image_frozen_s=1.0)),
    'radar_frozen': snapshot(agreement=replace(CONFIGURED.agreement, radar_frozen_s=1.0)),
    'agreement_low': snapshot(agreement=replace(CONFIGURED.agreement, window=0.49)),
}
ERRORS = {
    'failed',
    'executor_blocked',
    'image_silent',
    'radar_silent',
    'image_shape',
    'no_pairs',
    'worker_dead',
    'inference_hangs',
    'worker_hangs',
    'radar_field_missing',
    'latency_decode',
    'latency_since_stamp',
    'image_frozen',
    'radar_frozen',
}


def test_a_healthy_node_has_no_findings() -> None:
    assert findings(HEALTHY) == []
    verdicts = Judge().verdicts(HEALTHY, 0.0)
    assert [verdict.part for verdict in verdicts] == list(PARTS)
    assert {verdict.level for verdict in verdicts} == {OK}
    assert verdicts[0].message == 'active'


@pytest.mark.parametrize('code', PROVOKED)
def test_each_fault_has_one_finding_with_its_code_level_and_remedy(code: str) -> None:
    (finding,) = findings(PROVOKED[code])
    assert finding.code == code
    assert finding.level == (ERROR if code in ERRORS else WARN)
    assert finding.text
    assert finding.remedy
    verdicts = {v.part: v for v in Judge().verdicts(PROVOKED[code], 0.0)}
    assert verdicts[finding.part].level == verdicts[PERCEPTION].level == finding.level
    assert all(
        v.level == OK for part, v in verdicts.items() if part not in (finding.part, PERCEPTION)
    )
    assert verdicts[PERCEPTION].values['findings'] == code


def test_the_message_says_what_since_when_and_what_to_do() -> None:
    judge = Judge()
    judge.verdicts(snapshot(worker_alive=False), 10.0)
    verdict = judge.verdicts(snapshot(worker_alive=False), 22.4)[0]
    wanted = 'the worker thread has died: restart the process [worker_dead for 12 s]'
    assert verdict.message == wanted
    assert verdict.values['finding.worker_dead.for_s'] == '12.4'
    judge.verdicts(HEALTHY, 30.0)
    again = judge.verdicts(snapshot(worker_alive=False), 31.0)[0]
    assert 'worker_dead for 0 s' in again.message


def test_the_whole_tells_the_worst_and_the_parts_everything() -> None:
    both = snapshot(worker_alive=False, camera_info_error='K is zero', silent_s=5.0)
    verdicts = {verdict.part: verdict for verdict in Judge().verdicts(both, 0.0)}
    assert verdicts[PERCEPTION].level == ERROR
    assert 'worker thread' in verdicts[PERCEPTION].message
    assert 'no pair for 5.0 s' in verdicts[PERCEPTION].message
    assert 'K is zero' not in verdicts[PERCEPTION].message
    assert 'K is zero' in verdicts[INPUTS].message
    levels = {part: verdicts[part].level for part in (INPUTS, PAIRING, INFERENCE, AGREEMENT)}
    assert levels == {INPUTS: WARN, PAIRING: ERROR, INFERENCE: ERROR, AGREEMENT: OK}


def test_an_inactive_node_is_not_judged_for_what_it_does_not_do() -> None:
    for provoked in PROVOKED.values():
        codes = {found.code for found in findings(replace(provoked, state='inactive'))}
        assert codes <= {'failed', 'executor_blocked', 'transition_slow'}


def test_just_activated_it_has_time_until_it_is_silent() -> None:
    begun = replace(with_input('radar', age_s=100.0).configured, active_s=0.5)
    assert findings(replace(HEALTHY, configured=begun)) == []


def test_a_slow_camera_leaves_radar_frames_without_partner() -> None:
    counts = {'radar__received': 200, 'image__received': 100, 'radar__dropped__no_partner': 100}
    assert findings(recent(**counts)) == []
    counts['radar__dropped__no_partner'] = 120
    (finding,) = findings(recent(**counts))
    assert 'no_partner 20, of 200' in finding.text


def test_stamps_that_never_meet_are_told_by_how_much() -> None:
    inputs = CONFIGURED.inputs | {'radar': replace(STATUS, facts=replace(FACTS, stamp=3 * 10**9))}
    (finding,) = findings(snapshot(silent_s=5.0, inputs=inputs))
    assert '2.000 s apart (slop 0.05 s)' in finding.text


def test_images_that_are_refused_are_the_reason_for_no_pairs() -> None:
    """The stamps of a camera that stamps nothing say nothing of clocks that are apart."""
    inputs = CONFIGURED.inputs | {'image': replace(STATUS, facts=replace(FACTS, stamp=0))}
    counts = {'radar.received': 100, 'image.received': 300, 'image.dropped.stamp_zero': 300}
    found = findings(snapshot(silent_s=5.0, inputs=inputs, recent=counts))
    (no_pairs,) = (finding for finding in found if finding.code == 'no_pairs')
    assert no_pairs.text.endswith('images are dropped: stamp_zero 300')


def test_a_publisher_of_another_type_is_named() -> None:
    status = replace(STATUS, other_types='/driver publishes a/msg/B, not c/msg/D')
    (finding,) = findings(with_input('image', status, age_s=9.0))
    assert '/driver publishes a/msg/B, not c/msg/D' in finding.text


def test_few_durations_are_not_judged() -> None:
    assert findings(took('total', 1e4, LEAST_DURATIONS - 1)) == []


def test_the_agreement_has_two_limits() -> None:
    limits = replace(HEALTHY.settings, agreement_warn=0.6, agreement_error=0.3)
    for window, level in ((0.61, OK), (0.59, WARN), (0.31, WARN), (0.29, ERROR)):
        facts = replace(CONFIGURED.agreement, window=window)
        found = findings(replace(snapshot(agreement=facts), settings=limits))
        assert max([finding.level for finding in found], default=OK) == level
    off = replace(HEALTHY.settings, agreement_warn=0.0, agreement_error=0.0)
    low = snapshot(agreement=replace(CONFIGURED.agreement, window=0.0))
    assert findings(replace(low, settings=off)) == []
