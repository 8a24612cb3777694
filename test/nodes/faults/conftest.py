# SPDX-License-Identifier: Apache-2.0
"""Faults provoked on a real node: what is reported, what is lost, how long until recovery.

Every test states these through the fixture `fault`, which holds docs/FAULTS.md to them, and after
every test the account of messages is held at each of the node's reports. `pytest -v` prints what
was measured as a table.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))

from faults_page import rows_by_test
from node_process import NodeProcess
from provoked import Fault
from ros_graph import Rig, report_values

_MEASURED: list[str] = []
_NUMBERS = itertools.count()


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Iterator[Fault]:
    """What the test states of its fault; must be on the page, in the row of the test."""
    stated = Fault()
    yield stated
    _MEASURED.append(f'| `{request.node.name}` | {stated} |')
    row = rows_by_test().get(request.node.originalname, '')
    for name in stated.names:
        assert f'`{name}`' in row, f'docs/FAULTS.md does not say {name} of {request.node.name}'


@pytest.fixture
def make_rig(make_rig: Callable[..., Rig]) -> Iterator[Callable[..., Rig]]:
    """The rigs of all tests of nodes; no message may leave one uncounted."""
    rigs: list[Rig] = []

    def make(**parameters: Any) -> Rig:
        rigs.append(make_rig(**parameters))
        return rigs[-1]

    yield make
    for rig in rigs:
        assert rig.is_alive
        for report in rig.reports:
            _check_account(report_values(report))


@pytest.fixture
def start_node(
    ros: None, tiny_model: Path, tmp_path: Path
) -> Iterator[Callable[..., NodeProcess]]:
    """A factory of nodes as processes."""
    nodes: list[NodeProcess] = []

    def start(
        console: Path | None = None, log_dir: Path | None = None, **parameters: Any
    ) -> NodeProcess:
        number = next(_NUMBERS)
        parameters = {'model_path': str(tiny_model), 'autostart': True} | parameters
        nodes.append(
            NodeProcess(
                f'/process_{number}',
                console or tmp_path / f'console_{number}',
                log_dir or tmp_path / f'log_{number}',
                parameters,
            )
        )
        return nodes[-1]

    yield start
    for node in nodes:
        node.close()


def _check_account(values: dict[str, str]) -> None:
    if 'radar_received' not in values:
        return
    for sensor in ('radar', 'image'):
        left = ('published', f'{sensor}_dropped', f'{sensor}_pending')
        assert int(values[f'{sensor}_received']) == sum(int(values[key]) for key in left)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what the faults did."""
    if _MEASURED and terminalreporter.config.option.verbose > 0:
        terminalreporter.section('faults')
        terminalreporter.write_line('| test | reported | lost | recovery |')
        terminalreporter.write_line('|---|---|---|---|')
        for line in _MEASURED:
            terminalreporter.write_line(line)
