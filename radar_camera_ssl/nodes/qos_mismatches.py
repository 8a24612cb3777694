# SPDX-License-Identifier: Apache-2.0
"""Which publishers and subscribers our quality of service does not match."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible, qos_policy_name_from_kind
from rclpy.topic_endpoint_info import TopicEndpointInfo

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

from .endpoints import node_name
from .health import Mismatch

# The graph may know of an endpoint a moment later than the event that tells its mismatch.
_GRAPH_DELAY_S = 2.0


@dataclass(frozen=True)
class _Noted:
    policy: str
    ours: QoSProfile
    is_input: bool
    since_s: float


class QosMismatches:
    """Topics with a mismatch, from the middleware's events, as long as the graph confirms it.

    No event takes a mismatch back; so the other side's endpoints are asked for as long as there
    is one. Events come in the executor's thread, `current` is for any.
    """

    def __init__(self, node: Node, log: Callable[[str], object]) -> None:
        """Start without mismatches; each new one is told to `log`."""
        self._node, self._log = node, log
        self._lock = threading.Lock()
        self._noted: dict[str, _Noted] = {}

    def of_subscription(
        self, topic: str, ours: QoSProfile, on_loss: Callable[[int], None]
    ) -> SubscriptionEventCallbacks:
        """Return callbacks for a subscription; `on_loss` gets the messages lost so far."""

        def incompatible(info: Any) -> None:
            policy = self._note(topic, info, ours, is_input=True)
            self._log(
                f'a publisher of {topic} does not offer the {policy} this node asks: no messages'
            )

        def lost(info: Any) -> None:
            on_loss(info.total_count)

        return SubscriptionEventCallbacks(incompatible_qos=incompatible, message_lost=lost)

    def of_publisher(self, topic: str, ours: QoSProfile) -> PublisherEventCallbacks:
        """Return callbacks for a publisher."""

        def incompatible(info: Any) -> None:
            policy = self._note(topic, info, ours, is_input=False)
            self._log(f'a subscriber of {topic} asks a {policy} this node does not offer')

        return PublisherEventCallbacks(incompatible_qos=incompatible)

    def _note(self, topic: str, info: Any, ours: QoSProfile, is_input: bool) -> str:
        name = str(qos_policy_name_from_kind(info.last_policy_kind))
        policy = name.removesuffix('_QOS_POLICY').lower()
        with self._lock:
            self._noted[topic] = _Noted(policy, ours, is_input, time.monotonic())
        return policy

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._noted.clear()

    def current(self) -> tuple[Mismatch, ...]:
        """Return what mismatches now."""
        with self._lock:
            noted = dict(self._noted)
        found = []
        for topic, mismatch in noted.items():
            peers = self._incompatible(topic, mismatch)
            if peers or time.monotonic() - mismatch.since_s < _GRAPH_DELAY_S:
                found.append(Mismatch(topic, mismatch.policy, peers, mismatch.is_input))
                continue
            with self._lock:
                if self._noted.get(topic) is mismatch:
                    del self._noted[topic]
        return tuple(found)

    def _incompatible(self, topic: str, mismatch: _Noted) -> tuple[str, ...]:
        if mismatch.is_input:
            ends = self._node.get_publishers_info_by_topic(topic)
        else:
            ends = self._node.get_subscriptions_info_by_topic(topic)
        names = {
            node_name(end) for end in ends if not _fits(end, mismatch.ours, mismatch.is_input)
        }
        return tuple(sorted(names))


def _fits(end: TopicEndpointInfo, ours: QoSProfile, is_input: bool) -> bool:
    offered, asked = (end.qos_profile, ours) if is_input else (ours, end.qos_profile)
    return qos_check_compatible(offered, asked)[0] != QoSCompatibility.ERROR
