# SPDX-License-Identifier: Apache-2.0
"""The report as a whole: what comes first, what is missing, and one file of it all."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from radar_camera_ssl import __version__
from radar_camera_ssl.evaluation.comparison import Comparison, Verdict
from radar_camera_ssl.evaluation.drive_figures import Curves
from radar_camera_ssl.evaluation.moments import ReportMoment
from radar_camera_ssl.evaluation.report.curves import curves_section, where_section
from radar_camera_ssl.evaluation.report.figures import against_blind, figures_section
from radar_camera_ssl.evaluation.report.gallery import moments_section
from radar_camera_ssl.evaluation.report.markup import (
    Node,
    add,
    h,
    key_name,
    render,
    section,
    table,
)
from radar_camera_ssl.evaluation.report.pairing import latency_section, pairing_section
from radar_camera_ssl.evaluation.report.provenance import model_section, recordings_section
from radar_camera_ssl.evaluation.report.rig import RIG_FIGURES, rig_section
from radar_camera_ssl.evaluation.report.style import SCRIPT, STYLE
from radar_camera_ssl.evaluation.summary import HEADLINES, best_baseline, format_figure

# The title has no room for more.
_NAMED_DRIVES = 6


def write_report(
    path: Path,
    metrics: Mapping[str, Any],
    curves: Curves,
    best: Sequence[ReportMoment] = (),
    worst: Sequence[ReportMoment] = (),
    card: str | None = None,
    comparison: Comparison | None = None,
    video: bool = False,
) -> None:
    """Write the report of what `evaluate_bags` found.

    metrics: what metrics.json holds. best, worst: moments, the most telling first. card: Markdown
    of the model. video: whether overlay.mp4 lies beside the report. The page loads nothing from
    anywhere, and its policy forbids the browser to; without its script only keys are missing.
    """
    sections = [
        figures_section(metrics, comparison),
        curves_section(curves),
        where_section(metrics, comparison),
        rig_section(metrics),
        moments_section(best, worst, video),
        latency_section(metrics, comparison),
        pairing_section(metrics),
        _baselines(metrics),
        _drives(metrics),
        _missing(metrics),
        recordings_section(metrics),
        model_section(metrics, card),
    ]
    shown = [part for part in sections if part is not None]
    title = 'Radar reflections in the image'
    bags = [bag['bag'] for bag in metrics['bags']]
    more = len(bags) - _NAMED_DRIVES
    drives = ', '.join(bags[:_NAMED_DRIVES]) + (f' and {more} more' if more > 0 else '')
    body = h(
        'body',
        h('header', h('h1', title), _subtitle(metrics, drives), _in_short(metrics, comparison)),
        h('nav', h('ul', *map(_link_to, shown)), class_='contents', aria_label='Contents'),
        h('main', *shown),
        h('footer', f'radar_camera_ssl {__version__}, metrics schema {metrics["schema"]}'),
        h('script', SCRIPT),
    )
    page = h('html', _head(f'{drives}: {title.lower()}'), body, lang='en')
    path.write_text(f'<!doctype html>\n{render(page)}\n', encoding='utf-8')


def _head(title: str) -> Element:
    digest = hashlib.sha256(SCRIPT.encode()).digest()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{base64.b64encode(digest).decode('ascii')}'"
    )
    return h(
        'head',
        h('meta', charset='utf-8'),
        h('meta', http_equiv='Content-Security-Policy', content=policy),
        h('meta', name='viewport', content='width=device-width, initial-scale=1'),
        h('meta', name='color-scheme', content='light dark'),
        h('link', rel='icon', href='data:,'),
        h('title', title),
        h('style', STYLE),
    )


def _link_to(part: Element) -> Element:
    return h('li', h('a', part[0].text, href=f'#{part.get("id")}'))


def _subtitle(metrics: Mapping[str, Any], drives: str) -> Element:
    model = metrics['model']
    line = h('p', h('strong', drives), h('br'), 'model ', class_='subtitle')
    if model.get('name'):
        add(line, h('strong', model['name']), ' ')
    add(line, h('code', model['sha256'][:12]), f', {model["radar"]}, on {model["provider"]}')
    return line


def _in_short(metrics: Mapping[str, Any], comparison: Comparison | None) -> Element:
    """What a reader in a hurry must know."""
    drives = len(metrics['bags'])
    items = h('ul')
    pairs, truth = metrics['pairs'], metrics['frames_with_truth']
    add(
        items,
        h(
            'li',
            f'{pairs} pairs of {drives} {"drive" if drives == 1 else "drives"}, '
            f'at most {metrics["slop_s"] * 1e3:g} ms apart; '
            f'{truth or "none"} with ground truth.',
        ),
        *map(_failed, metrics.get('failed_bags') or ()),
        _blind(metrics),
        _rig(metrics),
        _changes(comparison),
    )
    return h('div', items, class_='note')


def _failed(failed: Mapping[str, Any]) -> Element:
    return h(
        'li',
        *(h('strong', 'Failed: ', class_='bad'), h('code', failed['bag'])),
        f' is in no figure: {failed["error"]}',
    )


def _blind(metrics: Mapping[str, Any]) -> Element | None:
    """Of how many figures the best answer that ignores a sensor is beaten, and of which not."""
    standing = {key: said for key in HEADLINES if (said := against_blind(key, metrics))}
    if not standing:
        return None
    line = h('li', 'Better than the best blind baseline by more than the interval in ')
    beaten = sum(said == 'beaten' for said in standing.values())
    add(line, h('strong', f'{beaten} of {len(standing)}'), ' figures that have one')
    for said in ('within the interval', 'not reached'):
        keys = [key_name(key) for key in standing if standing[key] == said]
        if keys:
            add(line, f'; {said}: ', *_listed(keys))
    add(line, '.')
    return line


def _rig(metrics: Mapping[str, Any]) -> Element | None:
    known = [key for key in RIG_FIGURES if metrics.get(key) is not None]
    if not known:
        return None
    said = []
    for key in known:
        interval = metrics['confidence_95'].get(key)
        ends = ' to '.join(format_figure(key, end) for end in interval or ())
        shown = f' {format_figure(key, metrics[key])}' + (f' ({ends})' if ends else '')
        said.append(h('span', key_name(key), shown))
    return h('li', 'The rig by the heatmaps alone: ', *_listed(said), '.')


def _changes(comparison: Comparison | None) -> Element | None:
    if comparison is None:
        return None
    line = h('li', 'Against ', h('code', comparison.reference.name), ': ')
    counts = [
        h('strong', f'{len(changes)} {verdict.value}')
        for verdict in Verdict
        if (changes := comparison.having(verdict))
    ]
    add(line, *_listed(counts), '.')
    alike = comparison.known and not comparison.unlike
    add(line, ' ', h('span', comparison.likeness, class_=None if alike else 'bad'))
    return line


def _listed(elements: Iterable[Element]) -> list[Node]:
    nodes: list[Node] = []
    for element in elements:
        nodes += [', ', element]
    return nodes[1:]


def _baselines(metrics: Mapping[str, Any]) -> Element:
    keys = [key for key in HEADLINES if best_baseline(metrics['baselines'], key)]
    if not keys:
        return section('baselines', 'Baselines', h('p', 'Not scored: these need ground truth.'))
    columns = {'model': metrics, **metrics['baselines']}
    if metrics['oracle']:
        columns['oracle'] = metrics['oracle']
    head: list[Node] = ['Figure', *(name.replace('_', ' ') for name in columns)]
    rows: list[list[Node]] = [
        [key_name(key), *(format_figure(key, column.get(key)) for column in columns.values())]
        for key in keys
    ]
    said = 'Each baseline ignores the radar frame, or the image, or both.'
    shown = table('Model, blind baselines, oracle', head, rows, 'numbers')
    return section('baselines', 'Baselines', h('p', said), shown)


def _drives(metrics: Mapping[str, Any]) -> Element | None:
    bags = metrics['bags']
    if len(bags) < 2:
        return None
    keys = [key for key in HEADLINES if any(bag.get(key) is not None for bag in bags)]
    head: list[Node] = ['Drive', h('code', 'pairs'), *map(key_name, keys)]
    rows: list[list[Node]] = [
        [bag['bag'], str(bag['pairs']), *(format_figure(key, bag.get(key)) for key in keys)]
        for bag in bags
    ]
    shown = table('Every figure by drive', head, rows, 'numbers upright')
    return section('drives', 'Drive by drive', shown)


def _missing(metrics: Mapping[str, Any]) -> Element:
    items = [h('li', note) for note in metrics['notes']]
    reasons: dict[str, list[Element]] = {}
    for key, why in metrics['null_because'].items():
        reasons.setdefault(why, []).append(key_name(key))
    items += [h('li', *_listed(keys), f': {why}') for why, keys in reasons.items()]
    shown = h('ul', *items) if items else h('p', 'Nothing: every figure was measured.')
    return section('missing', 'What is missing, and why', shown)
