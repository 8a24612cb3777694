# SPDX-License-Identifier: Apache-2.0
"""Quality of service profiles by parameter, and which of its events are listened to.

An executor looks at each event handler with every message, so there is none without a use: what
does not match is found in the graph (`qos_mismatches`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks


def profile(reliability: str, depth: int) -> QoSProfile:
    """Return keep-last QoS of `best_effort` or `reliable`, volatile: late ones get nothing old."""
    policy = {
        'best_effort': ReliabilityPolicy.BEST_EFFORT,
        'reliable': ReliabilityPolicy.RELIABLE,
    }[reliability]
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=policy,
        durability=DurabilityPolicy.VOLATILE,
    )


def latched(depth: int = 1) -> QoSProfile:
    """Return reliable, transient-local QoS: late subscribers get the last `depth` messages."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def loss_alone(on_loss: Callable[[int], None]) -> SubscriptionEventCallbacks:
    """Return the events of a subscription that gives `on_loss` the messages lost so far."""

    def lost(info: Any) -> None:
        on_loss(info.total_count)

    return SubscriptionEventCallbacks(message_lost=lost, use_default_callbacks=False)


def no_events() -> PublisherEventCallbacks:
    """Return the events of a publisher that listens to none."""
    return PublisherEventCallbacks(use_default_callbacks=False)
