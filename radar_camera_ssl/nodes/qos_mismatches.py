# SPDX-License-Identifier: Apache-2.0
"""Which topics have a publisher or subscriber that our quality of service does not match."""

from __future__ import annotations

import time
from collections.abc import Callable

OUTPUT_REMEMBERED_S = 30.0


class QosMismatches:
    """Topic to policy, as the middleware's events tell it.

    An input's mismatch stands until a message of that topic arrives; an output's, which no event
    takes back, for 30 s: a passing `ros2 topic echo` must not mark the node for ever.
    """

    def __init__(self, log: Callable[[str], object]) -> None:
        """Start without mismatches; each new one is told to `log`."""
        self._log = log
        self._inputs: dict[str, str] = {}
        self._outputs: dict[str, tuple[str, float]] = {}

    def input(self, topic: str, policy: str) -> None:
        """Note a publisher of `topic` whose `policy` does not match what we ask."""
        self._inputs[topic] = policy
        self._log(
            f'a publisher of {topic} does not offer the {policy} this node asks: no messages'
        )

    def output(self, topic: str, policy: str) -> None:
        """Note a subscriber of `topic` that asks a `policy` we do not offer."""
        self._outputs[topic] = (policy, time.monotonic())
        self._log(f'a subscriber of {topic} asks a {policy} this node does not offer')

    def resolved(self, topic: str) -> None:
        """Forget the mismatch of an input: its messages arrive."""
        self._inputs.pop(topic, None)

    def clear(self) -> None:
        """Forget all."""
        self._inputs.clear()
        self._outputs.clear()

    @property
    def current(self) -> dict[str, str]:
        """Topic to policy of what is known to mismatch now."""
        now = time.monotonic()
        recent = {
            topic: policy
            for topic, (policy, since) in self._outputs.items()
            if now - since < OUTPUT_REMEMBERED_S
        }
        return self._inputs | recent
