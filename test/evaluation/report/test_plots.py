# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
import re
from xml.etree.ElementTree import Element

from hypothesis import given, settings
from hypothesis import strategies as st

from radar_camera_ssl.evaluation.report.plots import Axis, Plot, axis_over, share_axis

values = st.lists(st.floats(-1e6, 1e6), max_size=20)


@settings(deadline=None)
@given(values, st.floats(1e-3, 1e3))
def test_an_axis_holds_all_values_between_whole_ticks(known: list[float], least: float) -> None:
    axis = axis_over('x', known, least)
    tolerance = 1e-6 * axis.step
    assert axis.low <= min(known, default=0.0) + tolerance
    assert axis.high >= max(known, default=0.0) - tolerance
    assert axis.high - axis.low >= least - tolerance
    mantissa = axis.step / 10 ** math.floor(math.log10(axis.step) + 1e-9)
    assert min(abs(mantissa - whole) for whole in (1, 2, 5)) < 1e-6
    ticks = axis.ticks()
    assert 3 <= len(ticks) <= 8
    assert (ticks[0], ticks[-1]) == (axis.low, axis.high)


def drawn(plot: Plot) -> Element:
    (svg,) = plot.figure('how to read', 'what it says').findall('svg')
    return svg


def points(svg: Element) -> list[tuple[float, float]]:
    (line,) = svg.findall('polyline')
    pairs = (pair.split(',') for pair in line.get('points', '').split())
    return [(float(u), float(v)) for u, v in pairs]


def test_a_line_goes_from_corner_to_corner() -> None:
    plot = Plot('title', share_axis('x'), share_axis('y'))
    plot.line('model', [0.0, 1.0], [0.0, 1.0], 'model')
    (left, bottom), (right, top) = points(drawn(plot))
    assert left < right
    assert bottom > top  # SVG counts rows downwards


def test_a_long_line_is_thinned_but_ends_where_it_ends() -> None:
    x = [i / 99_999 for i in range(100_000)]
    plot = Plot('title', share_axis('x'), share_axis('y'))
    plot.line('model', x, [v**2 for v in x], 'model')
    thinned = points(drawn(plot))
    assert 200 < len(thinned) < 1000
    whole = Plot('title', share_axis('x'), share_axis('y'))
    whole.line('model', [0.0, 1.0], [0.0, 1.0], 'model')
    assert (thinned[0], thinned[-1]) == tuple(points(drawn(whole)))


def test_what_is_not_known_is_not_drawn() -> None:
    plot = Plot('title', share_axis('x'), share_axis('y'))
    plot.dots([0.0, 0.5, 1.0], [0.2, None, 0.4])
    plot.steps('model', [(0.0, 0.5), (0.5, 1.0)], [0.3, None], 'model')
    paths = [path for path in drawn(plot).findall('path') if path.get('class') != 'grid']
    dots, level = paths
    assert len(re.findall('M', dots.get('d', ''))) == 2
    assert level.findtext('title') == 'model: 0.3, 0 to 0.5 x'


def test_a_value_outside_is_put_on_the_edge() -> None:
    axis = Axis('x', 0, 5, 2.0)
    assert [axis.place(value) for value in (-1.0, 0.0, 5.0, 99.0)] == [0.0, 0.0, 0.5, 1.0]


def test_a_plot_says_what_it_shows_in_words() -> None:
    svg = drawn(Plot('Title', share_axis('recall'), axis_over('error in degrees', [-2.0, 2.0])))
    assert svg.get('role') == 'img'
    assert svg.get('aria-label') == 'Title. what it says'
    texts = [text.text for text in svg.findall('text')]
    assert {'recall', 'error in degrees', '0.6', '\N{MINUS SIGN}2'} <= set(texts)
