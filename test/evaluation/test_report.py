# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from radar_camera_ssl.evaluation.evaluate import evaluate_bags
from radar_camera_ssl.evaluation.summary import (
    HEADLINES,
    best_baseline,
    figures_table,
    format_figure,
)

VOID = {'meta', 'link', 'img', 'br', 'rect', 'polyline', 'wbr'}


class Balanced(HTMLParser):
    """Fails on a tag that is closed out of order; collects what the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.loads += [v for k, v in attrs if k in ('src', 'href') and v is not None]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def evaluated(
    block_drive: Callable[..., Path], tiny_model: Path, tmp_path: Path
) -> tuple[dict, str]:
    bags = [block_drive('<a>', seed=1, frames=30), block_drive('b', seed=2, frames=10)]
    metrics = evaluate_bags(bags, tiny_model, tmp_path / 'out')
    return metrics, (tmp_path / 'out' / 'report.html').read_text(encoding='utf-8')


def test_report_is_one_file_with_every_figure(evaluated: tuple[dict, str]) -> None:
    metrics, page = evaluated
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert all(link.startswith('data:') or link == 'overlay.mp4' for link in parser.loads)
    assert sum(link.startswith('data:image/jpeg') for link in parser.loads) == 6
    assert not re.search(r'https?://|<script|@import', page)
    assert page.count('<svg') == 2
    for key in HEADLINES:
        assert key in page
        assert format_figure(key, metrics[key]) in page
    assert '<a>' not in page
    assert '&lt;a&gt;' in page


def test_table_sets_the_model_beside_the_best_baseline(evaluated: tuple[dict, str]) -> None:
    metrics, _ = evaluated
    lines = figures_table(metrics).splitlines()
    assert len(lines) == 1 + len(HEADLINES)
    pointing = next(line for line in lines if line.startswith('pointing_accuracy '))
    best = best_baseline(metrics['baselines'], 'pointing_accuracy')
    assert best is not None
    assert best[0] in pointing


def test_best_is_smallest_where_smaller_is_better() -> None:
    figures: dict[str, dict[str, float | None]] = {
        'a': {'ece': 0.2, 'heatmap_ap': 0.2},
        'b': {'ece': 0.1, 'heatmap_ap': 0.1},
        'c': {'ece': None},
    }
    assert best_baseline(figures, 'ece') == ('b', 0.1)
    assert best_baseline(figures, 'heatmap_ap') == ('a', 0.2)
    assert best_baseline(figures, 'ciou') is None
    assert format_figure('ece', None) == '–'
