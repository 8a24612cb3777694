# SPDX-License-Identifier: Apache-2.0
"""The report in a real browser: headless Chromium, where one is installed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from report_sample import Sample

from radar_camera_ssl.evaluation.summary import HEADLINES

playwright = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
if CHROMIUM is None:
    pytest.skip(
        'no Chromium to look at the report with (Debian: apt-get install chromium)',
        allow_module_level=True,
    )
QUIET = (
    *('--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'),
    *('--disable-component-update', '--disable-sync'),
)
DESKTOP, PHONE, PAPER = (1280, 900), (360, 740), (700, 1000)
# Every element with text of its own that can be seen, and the colours of both.
CONTRASTS = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((value) => value / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = channels(getComputedStyle(element).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
  };
  const found = [];
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes].filter((n) => n.nodeType === 3 && n.data.trim());
    if (!text.length || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const colour = element.closest('svg') ? style.fill : style.color;
    const [a, b] = [channels(colour), behind(element)].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([ratio, text[0].data]);
  }
  return found;
}"""


@pytest.fixture(scope='module')
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield launched
        launched.close()


@pytest.fixture(scope='module')
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every part, compared with another."""
    path = tmp_path_factory.mktemp('report') / 'report.html'
    Sample(compared=True).write(path)
    return path


@pytest.fixture
def opened(browser: Any, report: Path) -> Iterator[Callable[..., Any]]:
    """Open the report: `opened(size, **options of a Playwright context)`.

    What the browser says or asks for meanwhile must be nothing.
    """
    contexts, said = [], []

    def open_report(size: tuple[int, int] = DESKTOP, **options: Any) -> Any:
        context = browser.new_context(viewport={'width': size[0], 'height': size[1]}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on('console', lambda message: said.append(message.text))
        page.on('pageerror', lambda error: said.append(str(error)))
        page.on('request', lambda request: said.append(request.url[:99]))
        page.goto(report.as_uri())
        # The page itself and the pictures within it are no requests to anybody.
        inside = re.compile(rf'data:image/jpeg|{re.escape(report.as_uri())}')
        said[:] = [line for line in said if not inside.match(line)]
        return page

    yield open_report
    for context in contexts:
        context.close()
    assert said == []


@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('size', [DESKTOP, PHONE])
def test_everything_is_seen_and_nothing_sticks_out(
    opened: Callable[..., Any], size: tuple[int, int], scheme: str
) -> None:
    page = opened(size, color_scheme=scheme)
    assert page.evaluate('document.documentElement.scrollWidth') == size[0]
    for key in HEADLINES:
        row = page.locator('table.figures tbody tr').filter(has_text=re.compile(rf'{key}(?!_)'))
        value = row.locator('.value')
        assert value.count() == 1, key
        box = value.bounding_box()
        assert 0 <= box['x'] < box['x'] + box['width'] <= size[0], key
    assert page.evaluate('[...document.images].every((image) => image.naturalWidth === 640)')
    boxes = page.evaluate(
        "[...document.querySelectorAll('svg')].map((svg) => svg.getBoundingClientRect().toJSON())"
    )
    assert len(boxes) > 20
    assert all(box['width'] > 10 and box['height'] > 5 for box in boxes)
    plots = page.locator('svg.plot')
    assert plots.count() == 10
    for i in range(plots.count()):
        assert plots.nth(i).locator('text').count() > 6


def test_wide_tables_scroll_within_on_a_phone(opened: Callable[..., Any]) -> None:
    page = opened(PHONE)
    table = page.get_by_role('region', name='Every figure by drive')
    assert table.evaluate('box => box.scrollWidth > 1.2 * box.clientWidth')
    table.focus()
    page.keyboard.press('ArrowRight')
    for _ in range(400):  # scrolling is animated
        if table.evaluate('box => box.scrollLeft') > 0:
            break
        page.wait_for_timeout(25)
    else:
        pytest.fail('the table did not scroll')


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_every_text_stands_out_from_its_ground(opened: Callable[..., Any], scheme: str) -> None:
    contrasts = opened(color_scheme=scheme).evaluate(CONTRASTS)
    assert len(contrasts) > 200
    assert [found for found in contrasts if found[0] < 4.5] == []


def test_dark_is_dark_and_paper_is_white(opened: Callable[..., Any]) -> None:
    ground = 'getComputedStyle(document.documentElement).backgroundColor'
    page = opened(color_scheme='dark')
    assert page.evaluate(ground) == 'rgb(20, 24, 28)'
    page.emulate_media(media='print')
    assert page.evaluate(ground) == 'rgb(255, 255, 255)'


def shown_share(page: Any, moment: str) -> float:
    """Share of the window's height or width, whichever is more, that a picture takes."""
    box = page.locator(f'{moment} img').bounding_box()
    size = page.viewport_size
    return max(box['width'] / size['width'], box['height'] / size['height'])


@pytest.mark.parametrize('size', [DESKTOP, PHONE])
def test_a_picture_opens_large_and_closes_by_keys(
    opened: Callable[..., Any], size: tuple[int, int]
) -> None:
    page = opened(size)
    page.locator('#at-moment-3').focus()
    page.keyboard.press('Enter')
    assert shown_share(page, '#moment-3') > 0.8
    for said in ('drive 0, 4.5 s', 'score 0.30', 'agreement 0.93', '6 of 8 returns'):
        assert page.locator('#moment-3 figcaption').get_by_text(said).is_visible()
    page.keyboard.press('ArrowRight')
    assert shown_share(page, '#moment-4') > 0.8
    page.keyboard.press('ArrowLeft')
    page.keyboard.press('Escape')
    assert page.locator('.moment:target').count() == 0
    assert page.locator('#moment-3 nav').is_hidden()
    assert page.evaluate('document.activeElement.id') == 'at-moment-3'


def test_behind_an_open_picture_nothing_is_reached(opened: Callable[..., Any]) -> None:
    page = opened()
    page.locator('#at-moment-0').click()
    reached = set()
    for _ in range(6):
        page.keyboard.press('Tab')
        reached.add(page.evaluate("document.activeElement.closest('figure')?.id"))
    assert reached <= {'moment-0', None}  # None: the browser's own frame
    assert page.locator('#moment-0 .close').evaluate('link => link.checkVisibility()')


def test_without_script_the_links_do_it(opened: Callable[..., Any]) -> None:
    page = opened(java_script_enabled=False)
    page.locator('#at-moment-3').click()
    assert shown_share(page, '#moment-3') > 0.8
    page.locator('#moment-3').get_by_role('link', name='Next').click()
    assert shown_share(page, '#moment-4') > 0.8
    page.locator('#moment-4').get_by_role('link', name='Close').press('Enter')
    assert page.locator('#moment-4 nav').is_hidden()
    assert page.locator('#at-moment-4').is_visible()


def test_focus_is_seen(opened: Callable[..., Any]) -> None:
    page = opened()
    page.keyboard.press('Tab')
    outline = page.evaluate('getComputedStyle(document.activeElement).outline')
    assert '3px' in outline
    assert 'solid' in outline


def test_the_policy_forbids_to_load_anything(browser: Any, report: Path) -> None:
    (report.parent / 'there.png').write_bytes(b'')
    context = browser.new_context()
    page = context.new_page()
    page.goto(report.as_uri())
    violated = page.evaluate(
        """() => new Promise((resolve) => {
          addEventListener('securitypolicyviolation', (event) => resolve(event.violatedDirective));
          document.body.append(Object.assign(new Image(), {src: 'there.png'}));
        })"""
    )
    context.close()
    assert violated == 'img-src'


def test_paper_has_everything_and_cuts_nothing(opened: Callable[..., Any]) -> None:
    page = opened(PAPER)
    page.emulate_media(media='print')
    widest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('main *')]"
        '.map((element) => element.getBoundingClientRect().right))'
    )
    assert widest <= PAPER[0] + 1
    assert page.locator('nav.contents').is_hidden()
    moments = page.locator('.moment')
    assert moments.count() == 20
    for i in range(20):
        assert moments.nth(i).is_visible()
        assert moments.nth(i).evaluate('m => getComputedStyle(m).breakInside') == 'avoid'
    printed = page.pdf(format='A4')
    assert printed.startswith(b'%PDF')
    assert len(re.findall(rb'/Type\s*/Page\b', printed)) >= 5
