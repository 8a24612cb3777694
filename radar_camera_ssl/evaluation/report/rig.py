# SPDX-License-Identifier: Apache-2.0
"""What the heatmaps alone say of the rig: is the radar turned, is a clock late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from radar_camera_ssl.evaluation.report.markup import Node, h, key_name, section, table
from radar_camera_ssl.evaluation.summary import format_figure

RIG_FIGURES = {'yaw_error_deg': 'Yaw of the radar', 'time_offset_ms': 'Clock of the radar'}
# Positive and negative, of a value whose interval does not reach zero.
_SENTENCES = {
    'yaw_error_deg': (
        'The radar looks {amount} further to the left than the {against} says.',
        'The radar looks {amount} further to the right than the {against} says.',
    ),
    'time_offset_ms': (
        "The radar's stamps are {amount} later than the camera's for the same instant.",
        "The radar's stamps are {amount} earlier than the camera's for the same instant.",
    ),
}


def rig_section(metrics: Mapping[str, Any]) -> Element:
    """Yaw and clock offset, each with its uncertainty and what it says, or why there is none."""
    rig = metrics.get('rig') or {}
    rows: list[list[Node]] = []
    for key, name in RIG_FIGURES.items():
        value, interval = metrics.get(key), metrics['confidence_95'].get(key)
        title = h('span', name, h('br'), key_name(key))
        if value is None:
            why = metrics['null_because'].get(key, 'not measured')
            rows.append([title, format_figure(key, None), format_figure(key, None), why])
            continue
        ends = (format_figure(key, end) for end in interval) if interval else ('no interval',)
        shown = h('strong', format_figure(key, value))
        against = rig.get('yaw_measured_against') or 'calibration'
        rows.append([title, shown, ' to '.join(ends), _says(key, value, interval, against)])
    head = ('Figure', 'Value', '95 % interval', 'What it says')
    rests = None
    if rig.get('moments'):
        rests = h('p', f'From {rig["moments"]} moments of {rig.get("drives")} drives.')
    shown = table('From the heatmaps alone, without labels', head, rows)
    return section('rig', 'Self-diagnosis of the rig', shown, rests)


def _says(key: str, value: float, interval: Sequence[float] | None, against: str) -> str:
    if not interval:
        return 'Without an interval nobody knows how sure this is.'
    if interval[0] <= 0 <= interval[1]:
        return 'No error beyond the interval.'
    sentence = _SENTENCES[key][0 if value > 0 else 1]
    return sentence.format(amount=format_figure(key, abs(value)), against=against)
