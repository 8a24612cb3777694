# SPDX-License-Identifier: Apache-2.0
"""Real nodes over real DDS, in this process: each test has its own namespace on one domain."""

from __future__ import annotations

import os

# Before anything imports a message: discovery stays on this machine, fields are checked.
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ['ROS_DOMAIN_ID'] = str(1 + os.getpid() % 100)
os.environ['ROS_PYTHON_CHECK_FIELDS'] = '1'

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

rclpy = pytest.importorskip('rclpy', reason='the nodes need ROS 2: requirements file or distro')

sys.path.append(str(Path(__file__).parent))

from ros_graph import Rig  # noqa: E402

_numbers = itertools.count()


@pytest.fixture(scope='session')
def ros() -> Iterator[None]:
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def make_rig(
    ros: None, tiny_model: Path, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Rig]]:
    """A factory of rigs: the node under test, and a peer that feeds and hears it."""
    rigs: list[Rig] = []

    def make(remappings: Sequence[str] = (), **parameters: Any) -> Rig:
        parameters.setdefault('model_path', str(tiny_model))
        # Never a name twice: /rosout's publisher goes by the node's name, and the garbage
        # collector may take the new node's along with the old.
        test = request.node.name.split('[')[0]
        rigs.append(Rig(f'/rig_{next(_numbers)}_{test}', parameters, remappings))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()
