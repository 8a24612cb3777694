# SPDX-License-Identifier: Apache-2.0
"""Names of what is at the ends of a topic, as ROS's tools print them."""

from __future__ import annotations

from typing import Any

from rclpy.topic_endpoint_info import TopicEndpointInfo


def type_name(message_type: Any) -> str:
    """Return `sensor_msgs/msg/Image` for the class."""
    package, kind = message_type.__module__.split('.')[:2]
    return f'{package}/{kind}/{message_type.__name__}'


def node_name(end: TopicEndpointInfo) -> str:
    """Return the full name of the node that a publisher or subscriber belongs to."""
    return f'{end.node_namespace.rstrip("/")}/{end.node_name}'
