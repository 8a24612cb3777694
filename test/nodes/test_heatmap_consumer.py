# SPDX-License-Identifier: Apache-2.0
"""examples/heatmap_consumer.py as a process of its own beside a real node, over DDS."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rclpy.parameter import Parameter
from ros_graph import Rig, radar_message, wait_until

EXAMPLE = Path(__file__).parents[2] / 'examples' / 'heatmap_consumer.py'


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    rig = make_rig(stale_after=3600.0, drop_warn=1.0)
    rig.bring_up()
    return rig


@pytest.fixture
def consumer(rig: Rig, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The running example, and the file of what it prints."""
    log = tmp_path / 'log'
    arguments = ['-r', f'heatmap:={rig.topic("output/heatmap")}', '-p', f'source:={rig.name[1:]}']
    command = [sys.executable, str(EXAMPLE), '--ros-args', *arguments, '-p', 'oldest:=0.0']
    with log.open('wb') as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    yield process, log
    process.kill()
    process.wait()


def test_it_uses_the_heatmap_only_while_it_may(
    rig: Rig, consumer: tuple[subprocess.Popen[bytes], Path]
) -> None:
    process, log = consumer
    stamps = iter(range(10**8, 10**13, 10**8))
    fields = ('x', 'y', 'z', 'velocity')

    def told() -> list[str]:
        return [line.partition(': heatmap ')[2] for line in log.read_text().splitlines()]

    def pairs_until(state: str, names: tuple[str, ...] = (*fields, 'rcs')) -> None:
        def published() -> bool:
            stamp = next(stamps)
            rig.pair(
                stamp, radar_message(stamp, [(10.0, 1.0, 0.5, -2.0, 8.0)[: len(names)]], names)
            )
            return bool(told()) and told()[-1].startswith(state)

        wait_until(published, lambda: f'{state}: {told()}')

    pairs_until('usable, up to 0.')
    wait_until(lambda: told()[-1] == 'not usable: no heatmap comes', lambda: str(told()))
    pairs_until('usable')
    # ERROR: what is published before the timeout is not used either.
    pairs_until('not usable: radar points lack', fields)
    pairs_until('usable')
    # A WARN alone, but of the kind that says the heat may lie elsewhere.
    limits = {'agreement_window': 1.0, 'agreement_warn': 1.0}
    rig.node.set_parameters([Parameter(name, value=value) for name, value in limits.items()])
    pairs_until('not usable: radar and image do not fit together')
    rig.node.set_parameters([Parameter('agreement_warn', value=0.0)])
    pairs_until('usable')
    rig.lifecycle.change('deactivate')
    wait_until(lambda: told()[-1] == 'not usable: no heatmap comes', lambda: str(told()))
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
