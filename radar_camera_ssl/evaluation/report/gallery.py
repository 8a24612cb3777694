# SPDX-License-Identifier: Apache-2.0
"""Moments of the drives as pictures that open large: by their links alone, script or not."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from radar_camera_ssl.evaluation.moments import ReportMoment
from radar_camera_ssl.evaluation.report.markup import h, section


def moments_section(
    best: Sequence[ReportMoment], worst: Sequence[ReportMoment], video: bool
) -> Element:
    """Worst and best moments, each with its time, score and drive."""
    shown = [*worst, *best]
    figures = [_moment(shown, i) for i in range(len(shown))]
    return section(
        'moments',
        'Moments',
        h('p', 'A picture opens large; arrow keys go on, Escape closes.') if shown else None,
        *_grid('Worst', figures[: len(worst)]),
        *_grid('Best', figures[len(worst) :]),
        None if shown else h('p', 'None: no pair was evaluated.'),
        h('p', 'Every moment, drive by drive: ', h('a', 'overlay.mp4', href='overlay.mp4'))
        if video
        else None,
    )


def _grid(title: str, figures: Sequence[Element]) -> list[Element]:
    if not figures:
        return []
    items = (h('li', figure) for figure in figures)
    return [h('h3', f'{title} {len(figures)}'), h('ul', *items, class_='moments')]


def _moment(shown: Sequence[ReportMoment], index: int) -> Element:
    """Return the figure: in its place small, as the target of its own link large."""
    moment = shown[index]
    score = '' if moment.score is None else f'score {moment.score:.2f}, '
    said = f'{score}agreement {moment.agreement:.2f}'
    where = f'{moment.bag}, {moment.time_s:.1f} s'
    data = base64.b64encode(moment.jpeg).decode('ascii')
    picture = h('img', alt=f'Overlay of {where}: {said}', src=f'data:image/jpeg;base64,{data}')
    ways = [h('a', 'Close', href=f'#at-moment-{index}', class_='close')]
    if index + 1 < len(shown):
        ways.insert(0, h('a', 'Next', href=f'#moment-{index + 1}', class_='next'))
    if index > 0:
        ways.insert(0, h('a', 'Previous', href=f'#moment-{index - 1}', class_='previous'))
    return h(
        'figure',
        h('a', picture, href=f'#moment-{index}', id=f'at-moment-{index}', class_='open'),
        h('figcaption', h('strong', where), h('br'), said, h('br'), moment.caption),
        h('nav', *ways, aria_label='Moments'),
        id=f'moment-{index}',
        class_='moment',
        tabindex='-1',
    )
