# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from report_sample import Sample, sample_metrics

from radar_camera_ssl.evaluation.drive_figures import Curves
from radar_camera_ssl.evaluation.evaluate import evaluate_bags
from radar_camera_ssl.evaluation.summary import HEADLINES, format_figure

VOID = {'meta', 'link', 'img', 'br', 'wbr'}
NASTY = '<a href="https://x.example">&amp; "x" \x07\udc80'


class Page(HTMLParser):
    """What a page is made of; fails on a tag that is closed out of order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.headings: list[int] = []
        self.images_without_text = 0
        self.text = ''
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        found = dict(attrs)
        self.loads += [found['src'] or ''] if 'src' in found else []
        self.links += [found['href'] or ''] if tag == 'a' else []
        self.ids += [found['id'] or ''] if 'id' in found else []
        self.headings += [int(tag[1])] if re.fullmatch('h[1-6]', tag) else []
        hidden = found.get('aria-hidden') == 'true'
        told = found.get('alt') or found.get('aria-label')
        self.images_without_text += tag in ('img', 'svg') and not told and not hidden

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {'style', 'script'} & set(self.open):
            self.text += data


@pytest.mark.parametrize('compared', [False, True])
def test_every_part_is_there_and_nothing_is_loaded(tmp_path: Path, compared: bool) -> None:
    sample = Sample(compared=compared)
    page = Page(sample.write(tmp_path / 'report.html'))
    assert all(source.startswith('data:image/jpeg;base64,') for source in page.loads)
    assert len(page.loads) == 20
    for key in HEADLINES:
        assert key in page.text
        assert format_figure(key, sample.metrics[key]) in page.text
    for said in (
        'broken is in no figure: metadata.yaml is missing',
        'the car stood',
        '2023-11-14 22:13:20.123 UTC',
        sample.metrics['bags'][1]['fingerprint']['sha256'],
        '6 of 8 returns on their source',
        'One mounting only.',
        '0.31°',
        '0.12° to 0.50°',
        'evaluated up to where the recording breaks off',
        'no_partner',
        'they speak of these drives',
        'windows: 18 aligned, 17 misaligned',
    ):
        assert said in page.text, said
    assert ('before/metrics.json' in page.text) == compared


def test_headings_follow_one_another_and_links_lead_somewhere(tmp_path: Path) -> None:
    page = Page(Sample().write(tmp_path / 'report.html'))
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    for above, below in pairwise(page.headings):
        assert below <= above + 1
    assert len(set(page.ids)) == len(page.ids)
    anchors = {link[1:] for link in page.links if link.startswith('#')}
    assert anchors <= set(page.ids)
    assert {link for link in page.links if not link.startswith('#')} == {
        'overlay.mp4',
        'https://example.org/data',
    }
    assert page.images_without_text == 0


def test_no_text_becomes_markup(tmp_path: Path) -> None:
    metrics = sample_metrics()
    metrics['bags'][0]['bag'] = metrics['notes'][0] = metrics['model']['provider'] = NASTY
    metrics['null_because']['time_offset_ms'] = metrics['failed_bags'][0]['error'] = NASTY
    metrics['bags'][1]['fingerprint']['topics'] = {NASTY: {'type': NASTY, 'messages': 1}}
    metrics['dropped']['pairs'] = {NASTY: 3}
    page = Page(Sample(metrics, card=None).write(tmp_path / 'report.html'))
    assert page.text.count('<a href="https://x.example">&amp; "x" \N{REPLACEMENT CHARACTER}') > 7
    assert all(link.startswith('#') or link == 'overlay.mp4' for link in page.links)


def test_with_nothing_measured_it_says_so(tmp_path: Path) -> None:
    metrics = sample_metrics(bags=1)
    for key in (*HEADLINES, 'yaw_error_deg'):
        metrics[key] = metrics['confidence_95'][key] = None
        metrics['null_because'][key] = 'no pair could be used'
        for row in metrics['baselines'].values():
            row[key] = None
    for key in ('by_range', 'by_azimuth', 'failed_bags'):
        del metrics[key]
    metrics |= {'oracle': None, 'pairs': 0, 'frames_with_truth': 0}
    metrics['gap_ms'] = {'median': None, 'p95': None}
    metrics['latency_ms'] = {'decode': {'median': None, 'p99': None}}
    metrics['dropped'] = {'radar': {}}
    del metrics['bags'][0]['timeline']
    metrics['bags'][0]['fingerprint'] |= {'start_ns': None, 'duration_s': 0.0, 'topics': {}}
    sample = Sample(metrics, Curves(), [], [], None, False)
    page = Page(sample.write(tmp_path / 'report.html'))
    assert page.text.count('not measured') >= len(HEADLINES)
    for said in (
        'no pair could be used',
        'Nothing was dropped',
        'No card (.md) lies beside the model file',
        'no message',
        'Not measured: this needs ground truth',
        'Not scored: these need ground truth',
    ):
        assert said in page.text
    assert page.loads == []


def test_the_report_of_an_evaluation_is_written(
    block_drive: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> None:
    bags = [block_drive('<a>', seed=1, frames=30), block_drive('b', seed=2, frames=10)]
    metrics = evaluate_bags(bags, tiny_model, tmp_path / 'out', overlay=False)
    page = Page((tmp_path / 'out' / 'report.html').read_text(encoding='utf-8'))
    assert '<a>' in page.text
    assert format_figure('heatmap_ap', metrics['heatmap_ap']) in page.text
    assert metrics['model']['name'] == tiny_model.name
    assert metrics['bags'][0]['fingerprint']['sha256'] in page.text
