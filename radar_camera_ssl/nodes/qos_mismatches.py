# SPDX-License-Identifier: Apache-2.0
"""Which publishers and subscribers our quality of service does not match."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.duration import Infinite
from rclpy.node import Node
from rclpy.qos import LivelinessPolicy, QoSCompatibility, QoSProfile, qos_check_compatible

from .endpoints import node_name, type_name
from .health import Mismatch

# What a publisher must offer at least as strictly as a subscriber asks for it.
_POLICIES = ('reliability', 'durability', 'deadline', 'liveliness', 'liveliness_lease_duration')


@dataclass(frozen=True)
class _End:
    """Our end of a topic."""

    type_name: str
    ours: QoSProfile
    is_input: bool


class QosMismatches:
    """Topics with a mismatch, by what the graph says of who is at their other end.

    The middleware's events say the same, a moment sooner. But rclpy's executors add each event
    handler to the wait set anew with every message (two of each publisher and subscription by
    default: two dozen in this node), and no event takes a mismatch back.
    """

    def __init__(self, node: Node, log: Callable[[str], object]) -> None:
        """Start without topics; `tell` tells each new mismatch to `log`."""
        self._node, self._log = node, log
        self._lock = threading.Lock()
        self._ends: dict[str, _End] = {}
        self._found: tuple[Mismatch, ...] = ()
        self._told: set[tuple[str, str]] = set()

    def watch(self, topic: str, message_type: Any, ours: QoSProfile, *, is_input: bool) -> None:
        """Look from now on at who publishes (`is_input`) or subscribes to a topic.

        Of `ours` reliability and durability count, which are all that `qos` sets.
        """
        with self._lock:
            self._ends[topic] = _End(type_name(message_type), _as_in_the_graph(ours), is_input)

    def forget(self, topic: str) -> None:
        """Look no longer; what mismatches when it is watched again is told again."""
        with self._lock:
            self._ends.pop(topic, None)
            self._found = tuple(one for one in self._found if one.topic != topic)

    def current(self) -> tuple[Mismatch, ...]:
        """Ask the graph what mismatches now; callable from any thread."""
        with self._lock:
            ends = dict(self._ends)
        found = tuple(
            Mismatch(topic, policy, tuple(sorted(peers)), end.is_input)
            for topic, end in ends.items()
            for policy, peers in self._mismatching(topic, end).items()
        )
        with self._lock:
            self._found = tuple(one for one in found if one.topic in self._ends)
        return found

    def tell(self) -> None:
        """Log what `current` found and has not been logged since it last matched."""
        found = {(mismatch.topic, mismatch.policy): mismatch for mismatch in self._found}
        for key in found.keys() - self._told:
            mismatch = found[key]
            peers = ' '.join(mismatch.peers)
            self._log(
                f'{peers} publishes {mismatch.topic} and does not offer the {mismatch.policy} '
                'that this node asks: no messages'
                if mismatch.is_input
                else f'{peers} subscribes to {mismatch.topic} and asks a {mismatch.policy} that '
                'this node does not offer'
            )
        self._told = set(found)

    def _mismatching(self, topic: str, end: _End) -> dict[str, set[str]]:
        """The nodes at the other end by the policy that keeps them from hearing or being heard."""
        if end.is_input:
            others = self._node.get_publishers_info_by_topic(topic)
        else:
            others = self._node.get_subscriptions_info_by_topic(topic)
        found: dict[str, set[str]] = {}
        for other in others:
            # Of another type they never meet, whatever their policies.
            if other.topic_type != end.type_name:
                continue
            theirs = other.qos_profile
            offered, asked = (theirs, end.ours) if end.is_input else (end.ours, theirs)
            if policy := _incompatible_policy(offered, asked):
                found.setdefault(policy, set()).add(node_name(other))
        return found


def _incompatible_policy(offered: QoSProfile, asked: QoSProfile) -> str:
    """The first policy by which the two do not match; nothing where they do."""
    if _compatible(offered, asked):
        return ''
    for name in _POLICIES:
        only = [QoSProfile(depth=1, **{name: getattr(qos, name)}) for qos in (offered, asked)]
        if not _compatible(*only):
            return name
    # One that a later ROS has.
    return 'policy'


def _compatible(offered: QoSProfile, asked: QoSProfile) -> bool:
    return qos_check_compatible(offered, asked)[0] != QoSCompatibility.ERROR


def _as_in_the_graph(ours: QoSProfile) -> QoSProfile:
    """The profile with what it leaves open as the middleware takes it: without end."""
    return QoSProfile(
        depth=ours.depth,
        reliability=ours.reliability,
        durability=ours.durability,
        deadline=Infinite,
        liveliness=LivelinessPolicy.AUTOMATIC,
        liveliness_lease_duration=Infinite,
    )
