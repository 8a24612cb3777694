# SPDX-License-Identifier: Apache-2.0
"""The pipeline's benchmark: what it makes of arrivals, and that it runs over DDS."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / 'benchmarks'
MS = 1_000_000


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module('pipeline')


def sent_on_time(pipeline: Any, events: list[Any]) -> list[Any]:
    """As published without a delay; a call takes 1 ms, stamps are those of another clock."""
    return [pipeline.Sent(topic, due + 7 * 10**9, due, due + MS) for due, topic, _ in events]


def test_what_pairing_waits_for_is_told_apart_from_what_the_node_does(pipeline: Any) -> None:
    sent = sent_on_time(pipeline, pipeline.free_running(30.0, 20.0, 1.0))
    answered = []
    pairing = pipeline.Ours()
    for one in sent:
        pairs = pairing.add(int(one.topic == pipeline.IMAGE_TOPIC), one.stamp)
        answered += [(image, one.instant + 12 * MS) for _, image in pairs]
    figures = pipeline.latencies(sent, np.array(answered), pipeline.Ours)
    assert figures['heatmaps'] == figures['pairs'] == len(answered) > 10
    assert figures['working']['median'] == figures['working']['p99'] == pytest.approx(12.0)
    assert figures['wait']['p99'] > 10.0
    assert figures['all']['p99'] == pytest.approx(12.0 + figures['wait']['p99'])
    assert figures['driver_call']['median'] == pytest.approx(1.0)


def test_triggered_sensors_make_pairs_that_the_image_completes(pipeline: Any) -> None:
    sent = sent_on_time(pipeline, pipeline.triggered(20.0, 30))
    images = [one for one in sent if one.topic == pipeline.IMAGE_TOPIC]
    heard = np.array([(one.stamp, one.instant + 15 * MS) for one in images])
    for pairing in (pipeline.Ours, pipeline.Simulated, None):
        figures = pipeline.latencies(sent, heard, pairing)
        assert figures['pairs'] == figures['after_image']['count'] == 30
        assert figures['wait']['p99'] == 0.0
        assert figures['after_image']['median'] == pytest.approx(15.0)
        assert figures['after_call']['median'] == pytest.approx(14.0)


def test_a_heatmap_that_no_pair_explains_is_not_timed(pipeline: Any) -> None:
    sent = sent_on_time(pipeline, pipeline.triggered(20.0, 5))
    figures = pipeline.latencies(sent, np.array([(1, 2), (3, 4)]), pipeline.Ours)
    assert figures['heatmaps'] == 2
    assert figures['working'] is figures['after_image'] is None
    assert figures['answered'] == 0.0


def test_who_answers_only_the_fast_half_is_told(pipeline: Any) -> None:
    sent = sent_on_time(pipeline, pipeline.triggered(20.0, 30))
    images = [one for one in sent if one.topic == pipeline.IMAGE_TOPIC]
    heard = np.array([(one.stamp, one.instant + 15 * MS) for one in images[::2]])
    figures = pipeline.latencies(sent, heard, pipeline.Ours)
    assert figures['answered'] == 0.5
    assert figures['working']['median'] == pytest.approx(15.0)


@pytest.mark.skipif(not Path('/proc').is_dir(), reason='reads CPU time and memory from /proc')
def test_it_measures_all_rivals_over_dds(tmp_path: Path) -> None:
    quick = ['--runs=1', '--inputs=raw', '--rates=20', '--seconds=0.4', '--steps=1']
    environment = os.environ | {'ROS_DOMAIN_ID': str(1 + (os.getpid() + 57) % 100)}
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / 'pipeline.py'), *quick, '--out', str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / 'pipeline.json').read_text())
    subjects = result['runs'][0]['raw']
    assert set(subjects) == {'node', 'naive', 'echo'}
    for subject in subjects.values():
        assert subject['at_hz']['20']['heatmaps'] > 0
    assert len(result['naive_over_node_latency']['runs']) == 1
    assert len(result['inputs']['raw']['sha256']) == 64
    table = (tmp_path / 'pipeline.md').read_text().split('\n\n')[0].splitlines()
    assert '| answered at each |' in table[0]
    assert any(row.startswith('| node, raw |') for row in table)
    assert len({row.count('|') for row in table}) == 1
