# SPDX-License-Identifier: Apache-2.0
"""/diagnostics: verdicts as messages, published by a thread of its own."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from . import findings, qos
from .conversions import stamp_message
from .health import Snapshot
from .verdicts import Judge, Verdict

LEVELS = {
    findings.OK: DiagnosticStatus.OK,
    findings.WARN: DiagnosticStatus.WARN,
    findings.ERROR: DiagnosticStatus.ERROR,
}
# How soon a changed period or the end of the node is noticed.
_STEP_S = 0.05


class Diagnostics:
    """Publishes the verdict on a node once a period, by the steady clock.

    In a thread of its own: no callback that blocks the executor, no inference that hangs and no
    jump of a clock keeps it from speaking. It logs nothing, for a log that blocks would do so.
    """

    def __init__(
        self, node: Node, snapshot: Callable[[float], Snapshot], period_s: Callable[[], float]
    ) -> None:
        """Create the publisher; `snapshot(now_s)` is called in the thread, by the steady clock."""
        self._node, self._snapshot, self._period_s = node, snapshot, period_s
        self._publisher = node.create_publisher(
            DiagnosticArray, '/diagnostics', 10, event_callbacks=qos.no_events()
        )
        self._judge = Judge()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name='diagnostics', daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; to be called before the node is destroyed."""
        self._stopped = True
        self._thread.join()

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._stopped and self._node.context.ok():
            now_s = time.monotonic()
            if now_s >= due_s:
                self._publish(now_s)
                due_s = max(due_s + self._period_s(), now_s)
            # Sleep is by the steady clock; before Python 3.11 no lock's or event's timeout is.
            time.sleep(min(_STEP_S, max(0.0, due_s - time.monotonic())))
            # A period that was shortened holds from now on.
            due_s = min(due_s, time.monotonic() + self._period_s())

    def _publish(self, now_s: float) -> None:
        try:
            self._send(self._judge.verdicts(self._snapshot(now_s), now_s))
        except Exception:  # noqa: BLE001 - a fault in here must be told too
            message = f'the diagnostics themselves failed: {traceback.format_exc()}'
            # Where even that cannot be published, the next period may.
            with suppress(Exception):
                self._send([Verdict(findings.PERCEPTION, findings.ERROR, message, {})])

    def _send(self, verdicts: Sequence[Verdict]) -> None:
        array = DiagnosticArray(status=[self._status(verdict) for verdict in verdicts])
        array.header.stamp = stamp_message(self._node.get_clock().now().nanoseconds)
        self._publisher.publish(array)

    def _status(self, verdict: Verdict) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=LEVELS[verdict.level],
            name=f'{self._node.get_fully_qualified_name().lstrip("/")}: {verdict.part}',
            message=verdict.message,
            hardware_id=self._node.get_name(),
            values=[KeyValue(key=key, value=value) for key, value in verdict.values.items()],
        )
