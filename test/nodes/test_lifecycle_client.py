# SPDX-License-Identifier: Apache-2.0
"""The client of a managed node's states, over DDS, where a node may be in any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from lifecycle_msgs.srv import GetState
from rclpy.node import Node
from ros_graph import Rig, Spinner

from radar_camera_ssl.nodes.lifecycle_client import LifecycleClient, LifecycleError


def test_shutting_down_a_finalized_node_is_done_already(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig()
    for _ in range(2):
        assert rig.lifecycle.change('shutdown')
        assert rig.lifecycle.state() == 'finalized'


@pytest.fixture
def configuring(ros: None) -> Iterator[str]:
    """The name of a node that is being configured, and answers all the same, as rclcpp's can."""
    node = Node('configuring', namespace='/lifecycle_client')

    def state(_: GetState.Request, response: GetState.Response) -> GetState.Response:
        response.current_state.label = 'configuring'
        return response

    node.create_service(GetState, '~/get_state', state)
    spinner = Spinner(node)
    yield node.get_fully_qualified_name()
    spinner.close()


def test_a_node_in_transition_is_not_shut_down(configuring: str) -> None:
    with (
        LifecycleClient(configuring) as client,
        pytest.raises(
            LifecycleError, match='/configuring is configuring: it can be shut down while'
        ),
    ):
        client.change('shutdown')
