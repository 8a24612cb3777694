# SPDX-License-Identifier: Apache-2.0
"""Bags evaluated on a Ray cluster, of this machine's two cores."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from block_drive import BlockDrive, write_block_drive

from radar_camera_ssl.cli import main
from radar_camera_ssl.evaluation.cluster import ClusterError
from radar_camera_ssl.evaluation.evaluate import evaluate_bags

pytest.importorskip('ray', reason='ray is not installed (requirements/ray.txt)')

Drive = Callable[..., Path]

CLUSTER = """
import ray, sys
ray.init(
    address='local', num_cpus=2, object_store_memory=80_000_000, include_dashboard=False,
    log_to_driver=False, logging_level='error', _temp_dir=sys.argv[1],
)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope='module')
def cluster() -> Iterator[str]:
    """Address of a cluster in processes of its own, which know it by their environment."""
    # Not pytest's folder: the path of a socket in it must be short.
    folder = tempfile.mkdtemp(prefix='ray_')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('RAY_USAGE_STATS_ENABLED', '0')
        patch.setenv('RAY_AUTH_MODE', 'disabled')
        patch.setenv('TEST_CLUSTER', folder)
        head = subprocess.Popen(
            [sys.executable, '-c', CLUSTER, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        patch.delenv('TEST_CLUSTER')
        assert head.stdout is not None
        yield head.stdout.readline().strip()
        head.communicate('')
    shutil.rmtree(folder)


def tasks() -> list[int]:
    """Processes of the cluster that evaluate a drive."""
    return [int(process.name) for process in Path('/proc').glob('[0-9]*') if is_task(process)]


def is_task(process: Path) -> bool:
    try:
        at_work = (process / 'cmdline').read_bytes().startswith(b'ray::_work')
        return at_work and b'TEST_CLUSTER=' in (process / 'environ').read_bytes()
    except OSError:  # it has ended
        return False


def without_latency(metrics: dict[str, Any]) -> dict[str, Any]:
    kept = json.loads(json.dumps(metrics))
    for row in (kept, *kept['bags']):
        del row['latency_ms']
    return kept


def test_a_cluster_gives_what_one_process_gives(
    cluster: str,
    block_drive: Drive,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # where the cluster's processes are not
    good = [block_drive('b', seed=1, frames=16), block_drive('a', seed=2, frames=8)]
    bags = [good[0], tmp_path / 'nowhere', good[1]]
    seen: list[tuple[int, int]] = []
    far = evaluate_bags(
        [bag.name for bag in bags],
        os.path.relpath(tiny_model),
        'far',
        ray=cluster,
        record=True,
        progress=lambda *pair: seen.append(pair),
    )
    near = evaluate_bags(good, tiny_model, tmp_path / 'near', record=True)
    (failed,) = far['failed_bags']
    assert failed['bag'] == 'nowhere'
    assert 'not there on node' in failed['error']
    assert without_latency(far) == {**without_latency(near), 'failed_bags': [failed]}
    assert seen[-1][0] == seen[-1][1] >= 24
    for name in ('overlay.mp4', 'overlay.png', 'recorded/a/a.mcap', 'recorded/b/b.mcap'):
        assert (tmp_path / 'far' / name).read_bytes() == (tmp_path / 'near' / name).read_bytes()


@pytest.fixture(scope='module')
def long_bags(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp('long')
    drive = write_block_drive(folder / 'drive', BlockDrive(frames=200))
    names = [folder / name for name in 'ab']
    for name in names:
        shutil.copytree(drive, name)
    return names


def test_a_task_that_is_killed_is_its_bags_failure(
    cluster: str, long_bags: list[Path], tiny_model: Path
) -> None:
    killed: list[int] = []

    def kill_one(done: int, total: int) -> None:
        if not killed:
            killed.extend(tasks()[:1])
            os.kill(killed[0], signal.SIGKILL)

    metrics = evaluate_bags(long_bags, tiny_model, None, ray=cluster, progress=kill_one)
    (failed,) = metrics['failed_bags']
    assert failed['error']
    assert {row['bag'] for row in metrics['bags']} | {failed['bag']} == {'a', 'b'}


def test_an_interrupt_ends_the_tasks(
    cluster: str, long_bags: list[Path], tiny_model: Path, tmp_path: Path
) -> None:
    def interrupt(done: int, total: int) -> None:
        assert tasks()
        raise KeyboardInterrupt

    out = tmp_path / 'out'
    with pytest.raises(KeyboardInterrupt):
        evaluate_bags(long_bags, tiny_model, out, ray=cluster, progress=interrupt)
    deadline = time.monotonic() + 30
    while tasks():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert list(out.iterdir()) == []


def test_no_cluster_is_one_line_and_code_2(
    block_drive: Drive, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = block_drive(frames=3)
    with pytest.raises(ClusterError, match=r'127\.0\.0\.1:1'):
        evaluate_bags([bag], tiny_model, None, ray='127.0.0.1:1')
    arguments = [str(bag), '--model', str(tiny_model), '--out', str(tmp_path / 'out')]
    assert main(['evaluate', *arguments, '--ray', 'nowhere']) == 2
    said = capsys.readouterr().err
    assert said.startswith('radar_camera_ssl evaluate: no Ray cluster at nowhere')
    assert len(said.splitlines()) == 1
