# SPDX-License-Identifier: Apache-2.0
"""A subscriber that does not read, a log that cannot be written, signals, endless restarts."""

from __future__ import annotations

import gc
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from node_process import NodeProcess, StartNode
from provoked import Drive, Fault
from ros_graph import Rig, wait_until

MakeRig = Callable[..., Rig]
LINUX = pytest.mark.skipif(not Path('/proc/self').is_dir(), reason='reads /proc')

DEAF = """
import sys, time, rclpy
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, PointCloud2
rclpy.init()
node = rclpy.create_node('deaf')
qos = QoSProfile(history=HistoryPolicy.KEEP_ALL, reliability=ReliabilityPolicy.RELIABLE)
for name, kind in (('heatmap', Image), ('overlay', Image), ('reflections', PointCloud2)):
    node.create_subscription(kind, f'{sys.argv[1]}/output/{name}', lambda message: None, qos)
time.sleep(600)
"""


@pytest.fixture
def deaf() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Starts a process that subscribes to all that a node says, reliably, and reads nothing."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str) -> subprocess.Popen[bytes]:
        processes.append(subprocess.Popen([sys.executable, '-c', DEAF, name]))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_a_subscriber_that_never_reads(
    make_rig: MakeRig, fault: Fault, deaf: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    """Neither what waits unread nor a process that is stopped holds the node up."""
    rig = make_rig(stale_after=30.0, output_depth=5, heatmap_resolution='camera')
    drive = Drive(rig)
    process = deaf(rig.name)
    wait_until(
        lambda: rig.peer.count_subscribers(rig.topic('output/overlay')) == 1, 'it is not there'
    )
    for stop in (False, True):
        if stop:
            process.send_signal(signal.SIGSTOP)
        for _ in range(30):
            # One at a time, so that each has to be heard by those who do listen.
            drive.flows(1)
    fault.loses_nothing(rig)
    fault.recovers(drive)


def fill_disk(process: subprocess.Popen[bytes], log: Path) -> int:
    """Let no file of the process grow beyond what its log has now, bytes: as on a full disk."""
    size = max(1, log.stat().st_size)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))
    return size


@LINUX
def test_the_disk_of_the_log_is_full(
    start_node: StartNode, fault: Fault, tmp_path: Path, tiny_model: Path
) -> None:
    """The console is a file on the full disk, too."""
    model = tmp_path / 'later.onnx'
    node = start_node(console=Path('/dev/full'), model_path=str(model))
    node.value('failure', 'no model file')
    log = wait_until(lambda: next(node.log_dir.glob('*.log'), None), 'no log')
    size = fill_disk(node.process, log)
    # An error's line is written through at once.
    assert not node.lifecycle.change('configure')
    assert log.stat().st_size <= size
    model.write_bytes(tiny_model.read_bytes())
    began_s = time.monotonic()
    node.lifecycle.bring_up()
    node.feed()
    node.answers()
    fault.took('answers', time.monotonic() - began_s)
    node.end()
    fault.is_said('exit code 0')


@LINUX
@pytest.mark.parametrize('console', ['/dev/full', None])
def test_no_log_can_be_created(
    start_node: StartNode, fault: Fault, tmp_path: Path, console: str | None
) -> None:
    node = start_node(console=console and Path(console), log_dir=Path('/dev/null/log'))
    node.feed()
    node.answers()
    if console is None:
        assert 'logging to the console only: /dev/null/log cannot be written' in node.console
        fault.is_said('console')
    node.end()
    fault.is_said('exit code 0')


@LINUX
def test_sigterm_at_any_moment(start_node: StartNode, fault: Fault) -> None:
    """While it starts, configures, activates, infers; the second one while it already ends."""
    rng = random.Random(5)
    due: dict[NodeProcess, list[float]] = {}
    nodes = [start_node() for _ in range(5)]
    for node in nodes:
        node.feed()

    def all_are_told() -> bool:
        for node in nodes:
            # Before that a signal ends Python itself, as it does any program.
            if node not in due and node.handles_signals():
                first = time.monotonic() + rng.uniform(0.0, 1.5)
                due[node] = [first, first + rng.uniform(0.0, 0.1)]
            while due.get(node) and time.monotonic() >= due[node][0]:
                due[node].pop(0)
                node.process.terminate()
        return len(due) == len(nodes) and not any(due.values())

    wait_until(all_are_told, 'a node does not handle signals', 60.0)
    began_s = time.monotonic()
    for node in nodes:
        node.has_ended_well()
    fault.took('all ended', time.monotonic() - began_s)
    fault.is_said('exit code 0')


@LINUX
def test_200_cycles_of_activation(make_rig: MakeRig, fault: Fault) -> None:
    rig = make_rig(stale_after=30.0, diagnostics_period=1.0)
    drive = Drive(rig)
    drive.flows()

    def cycle(times: int) -> None:
        for _ in range(times):
            assert rig.lifecycle.change('deactivate')
            assert rig.lifecycle.change('activate')

    def held() -> dict[str, int]:
        return {
            'threads': len(os.listdir('/proc/self/task')),
            'files': len(os.listdir('/proc/self/fd')),
            'subscriptions': len(list(rig.node.subscriptions)),
            'publishers': len(list(rig.node.publishers)),
            'timers': len(list(rig.node.timers)),
        }

    # The allocators and the middleware's pools grow to their size first.
    cycle(40)
    before, before_kb = held(), rss_kb()
    began_s = time.monotonic()
    cycle(160)
    fault.took('one cycle', (time.monotonic() - began_s) / 160)
    grown = {name: count for name, count in held().items() if count > before[name]}
    assert not grown
    grown_kb = rss_kb() - before_kb
    assert grown_kb < 4000
    drive.rig.close_talks()
    fault.recovers(drive)


def rss_kb() -> int:
    """The resident memory of this process, KB."""
    gc.collect()
    return int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize() // 1024
