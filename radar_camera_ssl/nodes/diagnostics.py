# SPDX-License-Identifier: Apache-2.0
"""The health of a node as a message on /diagnostics."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from . import health
from .conversions import stamp_message

LEVELS = {
    health.OK: DiagnosticStatus.OK,
    health.WARN: DiagnosticStatus.WARN,
    health.ERROR: DiagnosticStatus.ERROR,
}


def diagnostic_array(
    snapshot: health.Snapshot, name: str, hardware_id: str, now_ns: int
) -> DiagnosticArray:
    """Return the snapshot's verdict and key values as a DiagnosticArray of one status."""
    level, message = health.judge(snapshot)
    status = DiagnosticStatus(
        level=LEVELS[level],
        name=name,
        message=message,
        hardware_id=hardware_id,
        values=[
            KeyValue(key=key, value=value) for key, value in health.key_values(snapshot).items()
        ],
    )
    array = DiagnosticArray(status=[status])
    array.header.stamp = stamp_message(now_ns)
    return array
