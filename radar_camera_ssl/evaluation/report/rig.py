# SPDX-License-Identifier: Apache-2.0
"""What the heatmaps alone say of the rig: is the radar turned, is a clock late."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from radar_camera_ssl.evaluation.report.markup import Node, h, key_name, section, table
from radar_camera_ssl.evaluation.summary import format_figure

_FIGURES = {
    'yaw_error_deg': 'Yaw of the radar against its calibration; positive is to the left',
    'time_offset_ms': 'Clock of the radar against that of the camera; positive is late',
}


def rig_section(metrics: Mapping[str, Any]) -> Element:
    """Yaw and clock offset, each with its uncertainty, or why there is none."""
    rows: list[list[Node]] = []
    for key, meaning in _FIGURES.items():
        value, interval = metrics.get(key), metrics['confidence_95'].get(key)
        name = h('span', meaning, h('br'), key_name(key))
        if value is None:
            why = metrics['null_because'].get(key, 'not measured')
            rows.append([name, h('small', why), format_figure(key, None)])
        else:
            ends = (format_figure(key, end) for end in interval) if interval else ('no interval',)
            rows.append([name, h('strong', format_figure(key, value)), ' to '.join(ends)])
    return section(
        'rig',
        'Self-diagnosis of the rig',
        table('From the heatmaps alone', ('Figure', 'Value', '95 % interval'), rows, 'numbers'),
    )
