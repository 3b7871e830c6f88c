"""The report in a real browser, at the widths of a phone and of a desktop, in light and dark."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from freshet.report.page.rendering import rendered
from tests.browser import Browser, chromium, opened_browser
from tests.report_data import SECTIONS, empty_page, report_page

pytestmark = pytest.mark.browser

SIZES = [(390, 844), (1280, 900)]

OPEN_ALL = "document.querySelectorAll('details').forEach(one => { one.open = true; })"
OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"
SPILLED = """
[...document.querySelectorAll('body *')].filter(one => {
  if (one.closest('.scroll, nav, .skip, svg')) return false;
  const box = one.getBoundingClientRect();
  return box.width > 0 && (box.right > window.innerWidth + 0.5 || box.left < -0.5);
}).map(one => one.tagName + '.' + one.className)
"""
OVERLAPS = """
[...document.querySelectorAll('svg.chart')].flatMap(chart => {
  const texts = [...chart.querySelectorAll('text')].map(one => [one.textContent, one.getBoundingClientRect()]);
  return texts.flatMap(([text, a], place) => texts.slice(place + 1).filter(([other, b]) =>
    a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4
  ).map(([other]) => text + ' | ' + other));
})
"""
VISIBLE = """
[...document.querySelectorAll('main > section')].filter(one => {
  const box = one.getBoundingClientRect(), head = one.querySelector('h2').getBoundingClientRect();
  return box.height > 60 && box.width > 300 && head.height > 10 && getComputedStyle(one).visibility === 'visible';
}).map(one => one.id)
"""
COLOURS = """
(() => {
  const light = text => text.match(/[0-9.]+/g).slice(0, 3).map(Number).map(value => value / 255)
    .map(value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = one => {
    for (; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (!/, 0\\)$/.test(colour) && colour !== 'transparent') return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  return [...document.querySelectorAll('p, li, th, td, h1, h2, h3, summary, small, code, dt, dd, a, .badge, em')]
    .filter(one => one.getBoundingClientRect().width > 0)
    .map(one => {
      const a = light(getComputedStyle(one).color), b = light(behind(one));
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), one.tagName + '.' + one.className];
    }).reduce((least, one) => one[0] < least[0] ? one : least);
})()
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("report page")
    texts = {"full": rendered(report_page()), "empty": rendered(empty_page())}
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = chromium()
    if program is None:
        pytest.skip("no chromium on this machine (scripts/browser.sh installs Debian's)")
    with opened_browser(program, tmp_path_factory.mktemp("browser") / "profile") as opened:
        yield opened


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("name", ["full", "empty"])
def test_page_fits_its_width_and_shows_every_section(
    browser: Browser, pages: dict[str, Path], name: str, width: int, height: int
) -> None:
    browser.open(pages[name], width=width, height=height)
    browser.evaluate(OPEN_ALL)
    assert browser.evaluate("window.innerWidth") == width
    assert browser.evaluate(OVERFLOW) == 0
    assert browser.evaluate(SPILLED) == []
    assert browser.evaluate(VISIBLE) == SECTIONS
    assert browser.evaluate(OVERLAPS) == []
    assert browser.complaints() == []
    assert browser.requests() == [pages[name].as_uri()]


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_stands_out_from_what_is_behind_it(browser: Browser, pages: dict[str, Path], dark: bool) -> None:
    browser.open(pages["full"], width=1280, height=900, dark=dark)
    browser.evaluate(OPEN_ALL)
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(17, 23, 26)") is dark
    contrast, where = browser.evaluate(COLOURS)
    assert contrast >= 4.5, where  # WCAG 2.2, 1.4.3, level AA


def test_two_columns_stand_side_by_side_on_a_desktop_and_below_each_other_on_a_phone(
    browser: Browser, pages: dict[str, Path]
) -> None:
    tops = "[...document.querySelectorAll('#quality .pair > *')].map(one => one.getBoundingClientRect().top)"
    (phone, phone_height), (desktop, desktop_height) = SIZES
    browser.open(pages["full"], width=desktop, height=desktop_height)
    first, second = browser.evaluate(tops)
    assert first == second
    browser.open(pages["full"], width=phone, height=phone_height)
    first, second = browser.evaluate(tops)
    assert first < second
