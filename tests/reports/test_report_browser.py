"""The page in a real browser: quiet, readable at three widths in two themes, usable by keyboard and screen reader."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.reports.html import render
from tests.support.report_cases import amended, history, recorded

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt install chromium")
CONTRAST = (Path(__file__).parents[1] / "support/contrast.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with everything that a page can show."""
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(render(amended(recorded()), history(100)), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright here: pip install playwright")
    root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=root)
        yield started
        started.close()


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pictures are kept: ``KPI_SCREENSHOTS``, or a folder of this test run; it is printed."""
    chosen = os.environ.get("KPI_SCREENSHOTS")
    folder = Path(chosen) if chosen else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Seen:
    """An open page with all that it said, asked for and threw."""

    def __init__(self, browser: Browser, file: Path, width: int = 900, theme: Any = "light") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        self.page: Page = self.context.new_page()
        self.trouble: list[str] = []
        self.page.on("console", lambda message: self.trouble.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.trouble.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.on("request", self._asked)
        self._file = file.as_uri()
        self.page.goto(self._file)

    def _asked(self, request: Any) -> None:
        if request.url != self._file:
            self.trouble.append(f"request: {request.url[:200]}")

    def draw_all(self) -> None:
        """Every figure is drawn, as before printing."""
        self.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        self.page.wait_for_function("[...document.querySelectorAll('.chart')].every((c) => c.dataset.drawn)")


@pytest.fixture
def seen(browser: Browser, page_file: Path) -> Iterator[Seen]:
    opened = Seen(browser, page_file)
    yield opened
    opened.context.close()
    assert opened.trouble == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 900, 1600])
def test_it_is_quiet_and_readable(browser: Browser, page_file: Path, screenshots: Path, width: int, theme: str) -> None:
    opened = Seen(browser, page_file, width, theme)
    page = opened.page
    opened.draw_all()
    picture = screenshots / f"report-{theme}-{width}.png"
    page.screenshot(path=picture, full_page=True)
    print(f"screenshot: {picture}")  # noqa: T201 - so that a person finds it
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Nothing is cut off at the sides but what scrolls by itself.
    assert (
        page.evaluate(
            "[...document.querySelectorAll('main *, header *')].filter((e) => e.getClientRects().length"
            " && !e.closest('.scroll, .hidden, svg') && e.getBoundingClientRect().right > innerWidth + 1)"
            ".map((e) => e.outerHTML.slice(0, 120))"
        )
        == []
    )
    assert page.evaluate("[...document.querySelectorAll('.chart svg')].filter((s) => s.clientWidth < 250).length") == 0
    assert page.evaluate(CONTRAST) == []
    opened.context.close()
    assert opened.trouble == []


def test_the_reader_s_theme_wins(seen: Seen) -> None:
    page = seen.page
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("radio", name="Auto").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name="Dark").is_checked()
    assert page.evaluate(ground) != light
    assert page.evaluate(CONTRAST) == []


def order(page: Page, what: str) -> list[str]:
    return list(page.evaluate(f"[...document.querySelectorAll('.t:not([hidden])')].map((t) => t.dataset.{what})"))


def test_the_ledger_sorts_by_keyboard(seen: Seen) -> None:
    page = seen.page
    head = page.get_by_role("columnheader", name="KPI")
    page.get_by_role("button", name="KPI", exact=True).focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    upward = order(page, "kpi")
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    downward = order(page, "kpi")
    assert upward != downward
    # Targets of one KPI keep their order.
    assert list(dict.fromkeys(upward)) == list(dict.fromkeys(downward))[::-1]
    page.get_by_role("button", name="Against the bound").click()
    assert head.get_attribute("aria-sort") == "none"
    spare = [float(text) for text in order(page, "spare") if text]
    assert spare == sorted(spare)
    page.get_by_role("button", name="Verdict", exact=True).click()
    assert order(page, "state")[0] == "fail"


def test_the_ledger_is_filtered(seen: Seen) -> None:
    page = seen.page
    every = len(order(page, "kpi"))
    page.get_by_role("button", name="unavailable").click()
    assert len(order(page, "kpi")) == every - 1
    assert page.get_by_role("button", name="unavailable").get_attribute("aria-pressed") == "false"
    page.get_by_role("searchbox", name="Find").fill("LATENCY int8")
    assert set(order(page, "metric")) == {"latency.p50"}
    assert "of" in page.get_by_role("status").inner_text()
    page.get_by_role("searchbox", name="Find").fill("no such thing")
    assert page.get_by_text("No target fits this filter.").is_visible()
    page.get_by_role("searchbox", name="Find").fill("")
    page.get_by_label("Workload").select_option("stripes")
    assert len(order(page, "kpi")) == every - 1


def test_all_is_reached_by_keyboard_and_focus_is_seen(seen: Seen) -> None:
    page = seen.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.url.endswith("#ledger")
    page.goto(page.url.partition("#")[0])
    wanted = page.evaluate(
        "[...document.querySelectorAll('a, button, select, summary, input:not([type=radio]), input[type=radio]:checked,"
        " [tabindex]')].filter((e) => e.checkVisibility()).length"
    )
    reached = 0
    for _ in range(wanted):
        page.keyboard.press("Tab")
        reached += page.evaluate(
            "(() => { const e = document.activeElement, s = getComputedStyle(e), n = e.nextElementSibling;"
            " const ring = (x) => x && x.outlineStyle !== 'none' && parseFloat(x.outlineWidth) >= 2;"
            " return e !== document.body && (ring(s) || (n && ring(getComputedStyle(n)))) })()"
        )
    assert reached == wanted


def test_what_stands_behind_a_verdict_opens_on_demand(seen: Seen) -> None:
    page = seen.page
    button = page.locator(".more").first
    behind = page.locator(f"#{button.get_attribute('aria-controls')}")
    assert not behind.is_visible()
    button.focus()
    page.keyboard.press("Enter")
    assert behind.is_visible()
    assert button.get_attribute("aria-expanded") == "true"
    assert "SHA-256" in behind.inner_text()
    figure = page.locator("figure").first
    figure.get_by_text("Where they come from").click()
    assert "measurement" in figure.inner_text()
    figure.get_by_text("The numbers").click()
    assert figure.get_by_role("table").is_visible()


def test_a_screen_reader_finds_names_landmarks_and_numbers(seen: Seen) -> None:
    page = seen.page
    for landmark in ("banner", "main", "contentinfo", "navigation", "search"):
        assert page.get_by_role(landmark).count() == 1, landmark  # type: ignore[arg-type]
    assert page.get_by_role("heading", level=1).count() == 1
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h4')].map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1
    pictures = page.locator(".chart").all()
    assert len(pictures) >= 7
    for picture in pictures:
        name = picture.get_attribute("aria-label") or ""
        assert any(character.isdigit() for character in name), name
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, select, input, summary, a')]"
        ".filter((e) => !(e.textContent.trim() || (e.labels && e.labels.length) || e.ariaLabel))"
        ".map((e) => e.outerHTML)"
    )
    assert nameless == []
    assert (
        page.locator("table:not(:has(caption))").evaluate_all(
            "(all) => all.filter((t) => !t.closest('[aria-label]')).length"
        )
        == 0
    )


def test_a_choice_changes_the_figure(seen: Seen) -> None:
    page = seen.page
    seen.draw_all()
    for name in ("#w0 figure:has(select)", "#trend figure"):
        figure = page.locator(name).first
        before = figure.locator("svg").inner_html()
        select = figure.locator("select")
        other = select.locator("option").nth(1).get_attribute("value")
        select.select_option(other)
        page.wait_for_function(
            "([selector, before]) => document.querySelector(selector + ' svg').innerHTML !== before", arg=[name, before]
        )


def test_nothing_but_the_page_s_own_scripts_runs(browser: Browser, page_file: Path) -> None:
    opened = Seen(browser, page_file)
    opened.page.evaluate(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        " document.body.append(s); document.body.insertAdjacentHTML('beforeend',"
        ' \'<img src="http://127.0.0.1:9/x.png" onerror="window.ran = 2">\'); })()'
    )
    opened.page.wait_for_timeout(200)
    assert opened.page.evaluate("window.ran") is None
    assert any("Content Security Policy" in said for said in opened.trouble)
    opened.context.close()


def test_it_prints(seen: Seen) -> None:
    page = seen.page
    seen.draw_all()
    page.emulate_media(media="print", color_scheme="dark")
    assert not page.get_by_role("searchbox").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_without_scripts_the_numbers_are_there(browser: Browser, page_file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.get_by_text("Figures, sorting and filters need JavaScript").is_visible()
    assert page.get_by_role("row").count() > 5
    context.close()
