# SPDX-License-Identifier: Apache-2.0
"""Several bags at once: the same results, and nothing left behind however it ends."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from block_drive import BlockDrive, write_block_drive

from radar_camera_ssl.cli import main
from radar_camera_ssl.evaluation.evaluate import EvaluationOptions, evaluate_bags
from radar_camera_ssl.sensors.recording import RecordingError

Drive = Callable[..., Path]


def without_latency(metrics: dict[str, Any]) -> dict[str, Any]:
    kept = json.loads(json.dumps(metrics))
    for row in (kept, *kept['bags']):
        del row['latency_ms']
    return kept


def test_processes_give_what_one_gives(
    block_drive: Drive, tiny_model: Path, tmp_path: Path
) -> None:
    bags = [block_drive('b', seed=1, frames=24), block_drive('a', seed=2, frames=12)]
    bags.append(block_drive('c', seed=3, frames=4, ground_truth=False))
    made = {}
    (tmp_path / 'out2' / '.parts' / '0000').mkdir(parents=True)
    (tmp_path / 'out2' / '.parts' / '0000' / 'overlay.mp4').write_text('left by a kill')
    for jobs in (1, 2):
        out = tmp_path / f'out{jobs}'
        made[jobs] = evaluate_bags(bags, tiny_model, out, record=True, jobs=jobs)
        assert {path.name for path in out.iterdir()} == {
            *('metrics.json', 'report.html', 'overlay.mp4', 'overlay.png', 'recorded'),
        }
    assert without_latency(made[2]) == without_latency(made[1])
    assert [row['bag'] for row in made[2]['bags']] == ['b', 'a', 'c']
    for name in ('overlay.mp4', 'overlay.png', 'recorded/a/a.mcap', 'recorded/c/c.mcap'):
        one, many = ((tmp_path / f'out{jobs}' / name).read_bytes() for jobs in (1, 2))
        assert one == many, name


@pytest.mark.parametrize('jobs', [1, 2])
def test_a_bag_that_fails_does_not_sink_the_others(
    block_drive: Drive, tiny_model: Path, tmp_path: Path, jobs: int
) -> None:
    """Nor does it, as the next drive, keep the others from having misaligned pairs."""
    good = [block_drive('a', seed=1, frames=6), block_drive('b', seed=2, frames=6)]
    (tmp_path / 'text.mcap').write_text('no bag')
    bags = [good[0], tmp_path / 'text.mcap', tmp_path / 'nowhere', good[1]]
    out = tmp_path / 'out'
    metrics = evaluate_bags(bags, tiny_model, out, jobs=jobs)
    alone = without_latency(evaluate_bags(good, tiny_model, None))
    failed = metrics['failed_bags']
    assert [row['bag'] for row in failed] == ['text.mcap', 'nowhere']
    assert 'magic' in failed[0]['error']
    assert 'no such bag' in failed[1]['error']
    assert without_latency(metrics) == {**alone, 'failed_bags': failed}
    assert json.loads((out / 'metrics.json').read_text())['failed_bags'] == failed


@pytest.mark.parametrize('jobs', [1, 2])
def test_where_every_bag_fails_all_are_told(tiny_model: Path, tmp_path: Path, jobs: int) -> None:
    bags = [tmp_path / 'first', tmp_path / 'second']
    with pytest.raises(RecordingError, match=r'none of 2 bags.*first: no such.*second: no such'):
        evaluate_bags(bags, tiny_model, tmp_path / 'out', jobs=jobs)
    assert list((tmp_path / 'out').iterdir()) == []


def test_the_command_ends_with_1_where_a_bag_failed(
    block_drive: Drive, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bags = [str(tmp_path / 'nowhere'), str(block_drive('a', frames=6))]
    out = ['--model', str(tiny_model), '--out', str(tmp_path / 'out'), '--no-video']
    assert main(['evaluate', *bags, *out, '--jobs', '2']) == 1
    said = capsys.readouterr()
    assert 'pointing_accuracy' in said.out
    assert f'not evaluated: nowhere: {bags[0]}: no such bag' in said.err


@pytest.fixture(scope='module')
def long_bags(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three copies of one drive, of which no process is done before all have begun."""
    folder = tmp_path_factory.mktemp('long')
    drive = write_block_drive(folder / 'drive', BlockDrive(frames=500))
    names = [folder / name for name in 'abc']
    for name in names:
        shutil.copytree(drive, name)
    return names


def test_a_process_that_is_killed_is_its_bags_failure(
    long_bags: list[Path], tiny_model: Path
) -> None:
    killed: list[int] = []

    def kill_one(done: int, total: int) -> None:
        if not killed:
            victim = multiprocessing.active_children()[0]
            killed.append(victim.pid or 0)
            victim.kill()

    options = EvaluationOptions(max_pairs=40)
    metrics = evaluate_bags(
        long_bags, tiny_model, None, progress=kill_one, options=options, jobs=2
    )
    (failed,) = metrics['failed_bags']
    assert 'SIGKILL' in failed['error']
    assert {row['bag'] for row in metrics['bags']} | {failed['bag']} == {'a', 'b', 'c'}


@pytest.fixture
def running(long_bags: list[Path], tiny_model: Path, tmp_path: Path) -> Any:
    """A command with two processes in the middle of their bags, in a session of its own."""
    bags = [str(bag) for bag in long_bags]
    out = tmp_path / 'out'
    command = [sys.executable, '-m', 'radar_camera_ssl', 'evaluate', *bags, '--jobs', '2']
    process = subprocess.Popen(
        [*command, '--model', str(tiny_model), '--out', str(out), '--record'],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # As from a terminal: a job in the background inherits that interrupts are ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        wait_until(lambda: len(list(out.glob('.parts/*/overlay.mp4'))) == 2)
        yield process, out
    finally:
        if session_is_alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def session_is_alive(session: int) -> bool:
    """Whether a process of the session is there that has not ended."""
    for status in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = status.read_text().rpartition(')')[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != 'Z':
            return True
    return False


def test_an_interrupt_ends_all_processes_and_leaves_nothing(
    running: tuple[subprocess.Popen[str], Path],
) -> None:
    process, out = running
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the children too
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert 'interrupted' in said
    assert 'Traceback' not in said
    wait_until(lambda: not session_is_alive(process.pid))
    assert list(out.iterdir()) == []


def test_processes_do_not_outlive_one_that_is_killed(
    running: tuple[subprocess.Popen[str], Path],
) -> None:
    process, out = running
    process.kill()
    wait_until(lambda: not session_is_alive(process.pid))
    assert [path.name for path in out.iterdir()] == ['.parts']
