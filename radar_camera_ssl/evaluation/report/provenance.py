# SPDX-License-Identifier: Apache-2.0
"""What was evaluated: the recordings by their fingerprints, and the model by its card."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from xml.etree.ElementTree import Element

from radar_camera_ssl.evaluation.report.card import card_element
from radar_camera_ssl.evaluation.report.markup import Node, h, section, table

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def recordings_section(metrics: Mapping[str, Any]) -> Element:
    """Fingerprint of each recording."""
    return section('recordings', 'Recordings', *map(_recording, metrics['bags']))


def _recording(bag: Mapping[str, Any]) -> Element:
    title = h('h3', bag['bag'])
    fingerprint = bag.get('fingerprint')
    if not fingerprint:
        return h('div', title, h('p', 'No fingerprint was taken.'))
    facts = h(
        'dl',
        *(h('dt', 'sha256'), h('dd', h('code', fingerprint['sha256'], class_='digest'))),
        *(h('dt', 'size'), h('dd', f'{fingerprint["bytes"] / 1e6:.1f} MB')),
        *(h('dt', 'start'), h('dd', _time(fingerprint['start_ns']))),
        *(h('dt', 'duration'), h('dd', f'{fingerprint["duration_s"]:.1f} s')),
    )
    topics: list[list[Node]] = [
        [h('code', name), h('code', topic['type']), f'{topic["messages"]}']
        for name, topic in sorted(fingerprint['topics'].items())
    ]
    head = ('Topic', 'Type', 'Messages')
    return h('div', title, facts, table(f'Topics of {bag["bag"]}', head, topics, 'counts'))


def _time(stamp_ns: int | None) -> str:
    """UTC to the millisecond; a count of seconds where no calendar has such a date."""
    if stamp_ns is None:
        return 'no message'
    try:
        time = _EPOCH + timedelta(microseconds=stamp_ns // 1000)
    except OverflowError:
        return f'{stamp_ns * 1e-9:.3f} s'
    return time.isoformat(' ', 'milliseconds').replace('+00:00', ' UTC')


def model_section(metrics: Mapping[str, Any], card: str | None) -> Element:
    """The model file and its card."""
    model = metrics['model']
    rows, columns = model['grid']
    facts = h(
        'dl',
        *(h('dt', 'sha256'), h('dd', h('code', model['sha256'], class_='digest'))),
        *(h('dt', 'reads'), h('dd', f'radar {model["radar"]}')),
        *(h('dt', 'heatmap'), h('dd', f'{columns} x {rows} cells')),
        *(h('dt', 'ran on'), h('dd', f'{model["provider"]}, {model["arithmetic"]}')),
    )
    shown = card_element(card) if card else h('p', 'No card (.md) lies beside the model file.')
    return section('model', 'The model and its card', facts, shown)
