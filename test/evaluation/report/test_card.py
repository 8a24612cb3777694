# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radar_camera_ssl.evaluation.report.card import card_element
from radar_camera_ssl.evaluation.report.markup import render
from radar_camera_ssl.resources import default_model_path

pytest.importorskip('markdown_it', reason='markdown-it-py is not installed')

PIECES = st.sampled_from(
    [
        *('# a', '## b', '### c', '###### d', '- item', '1. one', '> said', '---', '```', '    x'),
        *(
            '| a | b |',
            '|---|---|',
            '| 1 | `k_e_y` |',
            '',
            'text **bold** <b>raw</b> &amp; \x00\x07',
        ),
        *('[x](javascript:alert(1))', '![p](https://x.example/p.png)', '<script>x</script>'),
    ]
)


def headings(card: Element) -> list[int]:
    tags = (element.tag for element in card.iter())
    return [int(tag[1]) for tag in tags if len(tag) == 2 and tag[0] == 'h' and tag[1].isdigit()]


def text(card: Element) -> str:
    return ''.join(card.itertext())


@settings(deadline=None)
@given(st.lists(PIECES | st.text(max_size=20), max_size=12).map('\n'.join))
def test_whatever_the_card_says_it_is_shown_and_harmless(said: str) -> None:
    card = card_element(said)
    render(card)
    tags = {element.tag for element in card.iter()}
    assert not tags & {'script', 'b', 'img', 'iframe', 'object', 'style', 'link'}
    hrefs = [element.get('href', '') for element in card.iter('a')]
    assert not any(href.lower().startswith(('javascript:', 'vbscript:')) for href in hrefs)
    above = 2
    for level in headings(card):
        assert 3 <= level <= min(above + 1, 6)
        above = level


def test_tables_scroll_and_name_their_columns() -> None:
    card = card_element('| a | b |\n|---|---|\n| 1 | 2 |\n')
    (region,) = card.findall('div')
    assert region.get('role') == 'region'
    assert [cell.get('scope') for cell in region.iter('th')] == ['col', 'col']
    assert text(card).split() == ['a', 'b', '1', '2']


def test_headings_lie_below_the_section_in_their_order() -> None:
    assert headings(card_element('# a\n\n### b\n\n### c\n\n# d\n\n##### e\n')) == [3, 4, 4, 3, 4]


def test_raw_html_is_text_and_pictures_are_links() -> None:
    card = card_element('<img src="x"> & ![p](https://x.example/p.png)')
    assert '<img src="x"> & !p' in text(card)
    assert [link.get('href') for link in card.iter('a')] == ['https://x.example/p.png']


def test_keys_stay_whole_words() -> None:
    assert text(card_element('a `pointing_accuracy` b')).strip() == 'a pointing_accuracy b'


def test_the_shipped_card_is_shown_whole() -> None:
    said = default_model_path().with_suffix('.md').read_text(encoding='utf-8')
    card = card_element(said)
    assert len(list(card.iter('table'))) == said.count('\n|---')
    assert '**' not in text(card)
    assert '|' not in text(card)


def test_without_markdown_it_the_text_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'markdown_it', None)
    card = card_element('# <b>')
    assert (card.tag, card.text) == ('pre', '# <b>')
