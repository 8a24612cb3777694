# SPDX-License-Identifier: Apache-2.0
"""The demo, short and with a small model; what it refuses to call a success."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('rclpy') is None or importlib.util.find_spec('av') is None,
    reason='the demo needs rclpy and av',
)


def run(out: Path, model: Path) -> subprocess.CompletedProcess[str]:
    arguments = ['--duration', '2', '--out', str(out), '--model', str(model)]
    return subprocess.run(
        [sys.executable, '-m', 'radar_camera_ssl.demo', *arguments],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != 'HOME'},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.fixture(scope='module')
def done(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    out = tmp_path_factory.mktemp('demo') / 'out' / 'demo'
    return out, run(out, tiny_model)


def test_demo_leaves_what_it_promises(
    done: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    out, process = done
    assert process.returncode == 0, process.stdout + process.stderr
    assert 'nothing lost unseen' in process.stdout
    assert len(process.stdout.splitlines()) < 40
    left = {path.name for path in out.iterdir()}
    assert {'overlay.mp4', 'overlay.png', 'metrics.json', 'report.html', 'outputs'} <= left
    assert 'recorded' not in left
    metrics = json.loads((out / 'metrics.json').read_text(encoding='utf-8'))
    assert metrics['pairs'] > 10


def test_what_differs_from_the_library_is_seen(
    done: tuple[Path, subprocess.CompletedProcess[str]], tiny_model: Path, tmp_path: Path
) -> None:
    from model_factory import write_tiny_model

    from radar_camera_ssl import demo
    from radar_camera_ssl.evaluation.evaluate import evaluate_bags

    out, _ = done
    dimmer = write_tiny_model(tmp_path / 'dimmer.onnx', scale_output={'heatmap': 0.5})
    for model, name in ((tiny_model, 'same'), (dimmer, 'dimmer')):
        evaluate_bags([out / 'drive'], model, tmp_path / name, record=True, overlay=False)
    same = demo.compare(out / 'outputs', tmp_path / 'same' / 'recorded' / 'drive')
    total = same['heatmaps'][1]
    assert same == {'heatmaps': (total, total), 'reflections': (total, total)}
    differing = demo.compare(out / 'outputs', tmp_path / 'dimmer' / 'recorded' / 'drive')
    assert differing['heatmaps'][0] < total
    assert differing['reflections'] == (total, total)


def test_every_shortfall_is_a_failure(tmp_path: Path) -> None:
    from radar_camera_ssl import demo
    from radar_camera_ssl.nodes.replay_session import ReplaySummary

    for name in ('overlay.mp4', 'overlay.png', 'metrics.json', 'outputs/metadata.yaml'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('x')
    summary = ReplaySummary(
        bag='drive',
        recording='outputs',
        image_topic='/camera/image_raw',
        radar_topic='/radar/points',
        images_published=30,
        radar_published=10,
        radar_received=10,
        pairs=9,
        heatmaps_published=9,
        radar_dropped={'no_partner': 1},
        radar_pending=0,
        recorded={'/reflection_heatmap/output/heatmap': 9},
        wall_s=1.0,
        player_lag_ms=1.0,
        damages=(),
        diagnostics={},
    )
    good = demo.Demo(summary, {}, {'heatmaps': (9, 9)}, overlays=9)
    assert demo.problems(good, tmp_path) == []

    def with_summary(**changes: object) -> demo.Demo:
        return dataclasses.replace(good, summary=dataclasses.replace(summary, **changes))

    uncounted = with_summary(radar_published=11)
    assert demo.problems(uncounted, tmp_path) == ['radar frames were lost without being counted']
    (said,) = demo.problems(with_summary(damages=('a chunk is damaged',)), tmp_path)
    assert 'a chunk is damaged' in said
    unequal = dataclasses.replace(good, equal={'heatmaps': (8, 9)})
    assert 'only 8 of 9 heatmaps' in demo.problems(unequal, tmp_path)[0]
    undrawn = dataclasses.replace(good, overlays=3)
    assert demo.problems(undrawn, tmp_path) == ['3 overlays for 9 heatmaps']
    silent = with_summary(
        radar_dropped={'no_partner': 10},
        heatmaps_published=0,
        recorded={'/reflection_heatmap/output/heatmap': 0},
    )
    assert 'the node published no heatmap' in demo.problems(silent, tmp_path)
    (tmp_path / 'overlay.mp4').write_bytes(b'')
    assert demo.problems(good, tmp_path) == [f'{tmp_path / "overlay.mp4"} is missing']


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    process = run(tmp_path / 'out', tmp_path / 'no.onnx')
    assert process.returncode == 1
    assert 'no.onnx' in process.stderr.splitlines()[-1]
    assert 'Traceback' not in process.stderr
    assert not (tmp_path / 'out' / 'drive').exists()
