# SPDX-License-Identifier: Apache-2.0
"""HTML as a tree, so that no text of a bag or a model card can become markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, tostring

Node = Element | str | None

# Neither HTML nor XML can hold these. Half surrogates come from file names that are no UTF-8.
_FORBIDDEN = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]')


def h(tag: str, *children: Node, **attributes: str | float | bool | None) -> Element:
    """Element with children in order; None among them is left out.

    Attributes lose a trailing underscore (`class_`), and others become dashes (`aria_label`); one
    that is None or False is left out, True has no value.
    """
    element = Element(tag)
    for name, value in attributes.items():
        if value is not None and value is not False:
            key = name.rstrip('_').replace('_', '-')
            element.set(key, '' if value is True else f'{value}')
    add(element, *children)
    return element


def add(element: Element, *children: Node) -> None:
    """Append children to an element; None among them is left out."""
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif child is not None:
            _append_text(element, child)


def _append_text(element: Element, text: str) -> None:
    if len(element):
        element[-1].tail = (element[-1].tail or '') + text
    else:
        element.text = (element.text or '') + text


def legible(text: str) -> str:
    """Text without the characters that a page cannot hold."""
    return _FORBIDDEN.sub('\N{REPLACEMENT CHARACTER}', text)


def render(element: Element) -> str:
    """HTML of an element, escaped throughout."""
    text = tostring(element, encoding='unicode', method='html')
    # Before 3.11 Python closes it, which HTML forbids. In text its brackets would be escaped.
    return legible(text.replace('</wbr>', ''))


def key_name(key: str) -> Element:
    """Key of metrics.json; a long word, so let it break where people would."""
    parts = key.split('_')
    code = h('code', parts[0])
    for part in parts[1:]:
        add(code, '_', h('wbr'), part)
    return code


def scrolling(element: Element, name: str) -> Element:
    """Let what may be wider than the page scroll within it, by keyboard too."""
    return h('div', element, class_='wide', role='region', aria_label=name, tabindex='0')


def table(
    name: str, head: Sequence[Node], rows: Iterable[Sequence[Node]], class_: str | None = None
) -> Element:
    """Table with its name as the caption; the first cell of each row is its header."""
    body = h('tbody')
    for first, *rest in rows:
        body.append(h('tr', h('th', first, scope='row'), *(h('td', cell) for cell in rest)))
    header = h('tr', *(h('th', cell, scope='col') for cell in head))
    return scrolling(h('table', h('caption', name), h('thead', header), body, class_=class_), name)


def section(anchor: str, title: str, *children: Node) -> Element:
    """Section with its heading, to be linked to by its anchor."""
    return h('section', h('h2', title), *children, id=anchor)
