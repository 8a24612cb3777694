# SPDX-License-Identifier: Apache-2.0
"""The verdict on states that a real node cannot be brought into on demand."""

from __future__ import annotations

from dataclasses import replace

from radar_camera_ssl.nodes.health import ERROR, OK, WARN, InputStatus, Snapshot, judge, key_values
from radar_camera_ssl.nodes.monitor import InputMeter, ThrottledLog, WorkerMonitor


def healthy() -> Snapshot:
    status = InputStatus('/topic', 100, 30.0, 0.01, 1, 0, 0)
    return Snapshot(
        state='active',
        stale_after_s=1.0,
        silent_s=0.1,
        inputs={'image': status, 'radar': status, 'camera_info': status},
        seen=WorkerMonitor().seen(),
    )


def test_a_healthy_node_is_ok() -> None:
    assert judge(healthy()) == (OK, 'active')


def test_a_dead_worker_is_an_error() -> None:
    level, message = judge(replace(healthy(), worker_alive=False))
    assert (level, message) == (ERROR, 'the worker thread has died')


def test_a_stuck_worker_is_named_with_its_stage() -> None:
    now = [0.0]
    monitor = WorkerMonitor(clock=lambda: now[0])
    with monitor.stage('infer'):
        now[0] = 7.0
        stuck = replace(healthy(), seen=monitor.seen(), silent_s=7.0)
    level, message = judge(stuck)
    assert level == ERROR
    assert 'in infer for 7.0 s' in message


def test_messages_lost_by_the_middleware_are_a_warning() -> None:
    snapshot = healthy()
    lossy = replace(snapshot.inputs['image'], lost=113, newly_lost=20)
    level, message = judge(replace(snapshot, inputs=snapshot.inputs | {'image': lossy}))
    assert level == WARN
    assert '20 messages of /topic were lost' in message
    assert key_values(replace(snapshot, inputs={'image': lossy}))['image.lost'] == '113'


def test_the_worst_level_speaks_alone() -> None:
    snapshot = replace(healthy(), worker_alive=False, camera_info_error='K is zero')
    assert judge(snapshot) == (ERROR, 'the worker thread has died')
    assert judge(replace(snapshot, failure='no model')) == (ERROR, 'no model')


def test_new_losses_are_told_once() -> None:
    meter = InputMeter()
    meter.lost_now(5)
    assert (meter.take_new_losses(), meter.take_new_losses()) == (5, 0)


def test_a_meter_knows_rate_and_age() -> None:
    meter = InputMeter()
    assert meter.age_s(1.0) is None
    for i in range(31):
        meter.arrived(i / 10)
    assert abs(meter.rate_hz(3.0) - 10.0) < 1e-6
    assert abs(meter.age_s(3.5) - 0.5) < 1e-9  # type: ignore[operator]


def test_one_reason_does_not_silence_another() -> None:
    lines: list[str] = []
    log = ThrottledLog(lines.append, period_s=100.0)
    for _ in range(3):
        log('truncated', 'truncated image')
        log('missing', 'missing field')
    assert lines == ['truncated image', 'missing field']
