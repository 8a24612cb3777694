# SPDX-License-Identifier: Apache-2.0
"""Quality of service: profiles by parameter, and mismatches told by topic and policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

OnMismatch = Callable[[str, str], None]
"""Called with the topic and the name of the policy."""

OnLoss = Callable[[int], None]
"""Called with the number of messages lost so far."""


def profile(reliability: str, depth: int) -> QoSProfile:
    """Return keep-last QoS of `best_effort` or `reliable`, volatile."""
    policy = {
        'best_effort': ReliabilityPolicy.BEST_EFFORT,
        'reliable': ReliabilityPolicy.RELIABLE,
    }[reliability]
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=policy)


def latched(depth: int = 1) -> QoSProfile:
    """Return reliable, transient-local QoS: late subscribers get the last `depth` messages."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def _policy_name(info: Any) -> str:
    name = str(qos_policy_name_from_kind(info.last_policy_kind))
    return name.removesuffix('_QOS_POLICY').lower()


def subscription_events(
    topic: str, on_mismatch: OnMismatch, on_loss: OnLoss
) -> SubscriptionEventCallbacks:
    """Return event callbacks for publishers of `topic` that do not match, and lost messages."""

    def lost(info: Any) -> None:
        on_loss(info.total_count)

    return SubscriptionEventCallbacks(
        incompatible_qos=lambda info: on_mismatch(topic, _policy_name(info)), message_lost=lost
    )


def publisher_events(topic: str, on_mismatch: OnMismatch) -> PublisherEventCallbacks:
    """Return event callbacks that report subscribers of `topic` whose QoS does not match."""
    return PublisherEventCallbacks(
        incompatible_qos=lambda info: on_mismatch(topic, _policy_name(info))
    )
