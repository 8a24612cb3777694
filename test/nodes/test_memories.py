# SPDX-License-Identifier: Apache-2.0
"""What the node remembers: errors, counters, stages, lines of the log."""

from __future__ import annotations

import pytest

from radar_camera_ssl.nodes.error_memory import ErrorFacts, ErrorMemory
from radar_camera_ssl.nodes.monitor import WorkerMonitor
from radar_camera_ssl.nodes.recent_counts import RecentCounts
from radar_camera_ssl.nodes.throttled_log import ThrottledLog


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_last_error_is_known_with_its_age_and_how_often_it_came() -> None:
    clock = Clock()
    errors = ErrorMemory(clock)
    assert errors.facts() == ErrorFacts('', None, 0, 0)
    for reason, text in (('a', 'first'), ('b', 'other'), ('a', 'second')):
        errors.note(reason, text)
    clock.now = 4.0
    assert errors.facts() == ErrorFacts('second', 4.0, 2, 3)


def test_what_grew_in_the_window_is_told() -> None:
    recent = RecentCounts()
    assert recent.growth(0.0, {'a': 2}, 10.0) == {'a': 2}
    assert recent.growth(5.0, {'a': 2, 'b': 1}, 10.0) == {'a': 2, 'b': 1}
    assert recent.growth(10.0, {'a': 2, 'b': 1}, 10.0) == {'b': 1}
    assert recent.growth(15.0, {'a': 2, 'b': 1}, 10.0) == {}


def test_what_was_counted_before_the_beginning_is_not_new() -> None:
    recent = RecentCounts()
    recent.growth(0.0, {'a': 100}, 10.0)
    recent.begin({'a': 103})
    assert recent.growth(1.0, {'a': 103}, 10.0) == {}
    assert recent.growth(2.0, {'a': 105}, 10.0) == {'a': 2}


def test_a_window_that_is_widened_counts_nothing_twice() -> None:
    recent = RecentCounts()
    for second in range(20):
        recent.growth(float(second), {'a': second}, 2.0)
    assert recent.growth(20.0, {'a': 20}, 10.0)['a'] <= 4


def test_a_stage_in_progress_is_told_with_its_time() -> None:
    clock = Clock()
    monitor = WorkerMonitor(clock)
    with monitor.stage('infer'):
        clock.now = 7.0
        assert monitor.seen(10.0).stage == ('infer', 7.0)
    assert monitor.seen(10.0).stage is None
    assert monitor.seen(10.0).latency_ms['infer'].median == pytest.approx(7000.0)


def test_latencies_are_those_of_the_window() -> None:
    clock = Clock()
    monitor = WorkerMonitor(clock)
    for second in range(10):
        clock.now = float(second)
        monitor.latency('infer', 1.0 if second < 5 else 0.1)
    seen = monitor.seen(4.5).latency_ms['infer']
    assert (seen.median, seen.p99, seen.count) == (pytest.approx(100.0), pytest.approx(100.0), 5)
    clock.now = 100.0
    assert monitor.seen(4.5).latency_ms == {}


def test_one_reason_does_not_silence_another() -> None:
    lines: list[str] = []
    log = ThrottledLog(lines.append, period_s=100.0)
    for _ in range(3):
        log('truncated', 'truncated image')
        log('missing', 'missing field')
    assert lines == ['truncated image', 'missing field']
