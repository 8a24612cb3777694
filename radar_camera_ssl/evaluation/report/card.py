# SPDX-License-Identifier: Apache-2.0
"""The model's card: Markdown by markdown-it, without raw HTML and without pictures to fetch."""

from __future__ import annotations

from xml.etree.ElementTree import Element, fromstring

from radar_camera_ssl.evaluation.report.markup import h, key_name, legible, scrolling

_HEADINGS = ('h1', 'h2', 'h3', 'h4', 'h5', 'h6')


def card_element(text: str, under: int = 2) -> Element:
    """Markdown as HTML whose headings follow a heading of level `under`, none left out.

    Where markdown-it is not installed (evaluation works without it), the text as it is.
    """
    try:
        from markdown_it import MarkdownIt
    except ModuleNotFoundError:
        return h('pre', text, class_='card')
    reader = MarkdownIt('commonmark', {'html': False, 'xhtmlOut': True})
    reader.enable('table').disable('image')
    card = fromstring(f'<div class="card">{reader.render(legible(text))}</div>')
    _renumber_headings(card, under)
    _complete_tables(card)
    _break_keys(card)
    return card


def _renumber_headings(card: Element, under: int) -> None:
    before = under
    used = sorted({element.tag for element in card.iter() if element.tag in _HEADINGS})
    for element in card.iter():
        if element.tag in used:
            before = min(under + 1 + used.index(element.tag), before + 1, 6)
            element.tag = f'h{before}'


def _complete_tables(card: Element) -> None:
    for header in card.iter('th'):
        header.set('scope', 'col')
    for parent in list(card.iter()):
        for i, child in enumerate(list(parent)):
            if child.tag == 'table':
                wide = scrolling(child, 'Table of the model card')
                wide.tail, child.tail = child.tail, None
                parent[i] = wide


def _break_keys(card: Element) -> None:
    for parent in list(card.iter()):
        for i, child in enumerate(list(parent)):
            if child.tag == 'code' and parent.tag != 'pre' and child.text:
                parent[i] = key_name(child.text)
                parent[i].tail = child.tail
