"""The pages, and a card, in a real browser, narrow and wide, light and dark: `make page`. Screenshots in PAGE_SHOTS."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from scorer.objectstore import ObjectStore
from scorer.output.gates.verdict import Verdict
from scorer.run.observers import Account
from scorer.run.report.content import content
from scorer.run.report.journal import write
from scorer.run.report.observer import html
from scorer.run.report.series import series_page
from scorer.training.card.build import build, card_files, section
from scorer.training.card.classes import class_card_files
from tests.run.report import made
from tests.run.report.test_page import HOSTILE
from tests.run.report.test_series import nights
from tests.training.test_card import finished
from tests.training.test_class_card import card as class_card

SHOTS = Path(os.environ.get("PAGE_SHOTS", "page-shots"))
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
PAGES = ("published", "warned", "refused", "failed", "stopped", "series", "card", "class-card")
WIDTHS = (390, 1400)

DRAWN = """() => [...document.querySelectorAll('svg[role=img]')].map(svg => {
  const frame = svg.getBoundingClientRect();
  const marks = [...svg.querySelectorAll('path, rect')].map(mark => mark.getBoundingClientRect());
  return {name: svg.getAttribute('aria-labelledby') || svg.getAttribute('aria-label'),
          width: frame.width, height: frame.height, marks: marks.length,
          seen: marks.filter(box => box.width > 0.3 && box.height > 0.3).length};
})"""
WIDER = """() => [...document.querySelectorAll('body *')].filter(element => {
  const box = element.getBoundingClientRect();
  return box.right > innerWidth + 1 && !element.closest('.scroll') && !element.closest('.skip');
}).map(element => element.tagName + '.' + element.getAttribute('class') + ' ' + element.textContent.slice(0, 40))"""
CUT = """() => [...document.querySelectorAll('.flow li')].filter(item => item.scrollHeight > item.clientHeight + 1)
  .map(item => item.textContent)"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file for each kind of page."""
    folder = tmp_path_factory.mktemp("pages")
    place = made.place(folder / "market")
    first, second = place.market.nights[1:]
    made.account(place, first)
    for name, account in _accounts(place, second):
        (folder / f"{name}.html").write_text(html(content(account, made.samples(), 6)), encoding="utf-8")
    state = str(folder / "state")
    for entry in nights(30):
        write(entry, state, ObjectStore())
    series = series_page(state, "s3://market/predictions", 30, None, ObjectStore())
    (folder / "series.html").write_text(series, encoding="utf-8")
    one = build(finished(further=(section(finished()),)))
    (folder / "card.html").write_bytes(card_files(one)["card.html"])
    (folder / "class-card.html").write_bytes(class_card_files(class_card())["card.html"])
    return folder


def _accounts(place: made.Place, night: str) -> Iterator[tuple[str, Account]]:
    """One after the other: the last one changes the listings."""
    yield "refused", made.refused(place, night)
    yield "warned", _warned(place, night)
    yield "failed", made.failed(place, night, "There is no bundle at s3://models/prices.\nNothing was scored.")
    yield "stopped", made.failed(place, night, "The store did not answer: 503 SlowDown.", 75)
    yield "published", made.account(place, night, moved=1.05, hostile=HOSTILE)


def _warned(place: made.Place, night: str) -> Account:
    account = made.account(place, night, moved=1.4)
    assert account.manifest is not None
    verdicts = (
        Verdict(gate="rows", status="pass", measured=1.02, limit=1.5, reason="58 rows, 57 in ds=2026-11-23."),
        Verdict(
            gate="score_shift",
            status="overridden",
            measured=0.41,
            limit=0.25,
            by="ana",
            why="prices rose",
            reason="predictions: PSI 0.410 against ds=2026-11-23 (limit 0.25).",
        ),
        Verdict(gate="degraded", status="warn", measured=0.2, limit=0.1, reason="20 % of the rows are degraded."),
    )
    account.manifest = account.manifest.model_copy(update={"verdicts": verdicts})
    return account


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    assert CHROMIUM, "No Chromium was found. Install Debian's package chromium, or name one by CHROMIUM=/path."
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=[(width, scheme) for width in WIDTHS for scheme in ("light", "dark")], ids=str)
def look(request: pytest.FixtureRequest, browser: Browser) -> Iterator[tuple[Page, list[str], str]]:
    """A tab of some width and scheme, what went wrong in it, and its name."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, wrong = context.new_page(), list[str]()
    page.on("console", lambda message: wrong.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None)
    yield page, wrong, f"{width}-{scheme}"
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_drawn_whole_reads_well_and_says_nothing_to_the_console(
    folder: Path, look: tuple[Page, list[str], str], name: str
) -> None:
    page, wrong, how = look
    page.goto(f"file://{folder}/{name}.html")
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}-{how}.png", full_page=True)
    page.evaluate("document.querySelectorAll('details').forEach(element => { element.open = true })")
    assert wrong == []
    assert page.evaluate(WIDER) == []
    assert page.evaluate(CUT) == []
    for drawing in page.evaluate(DRAWN):
        assert drawing["width"] > 60, drawing
        assert drawing["height"] > 20, drawing
        assert drawing["seen"] > 0, drawing
    assert 0 not in page.evaluate("[...document.images].map(picture => picture.naturalWidth)")
    assert _grave(page) == []


def _grave(page: Page) -> list[Any]:
    """What axe-core calls serious or critical: rule and the first places."""
    found = [one for one in Axe().run(page).response["violations"] if one["impact"] in ("serious", "critical")]
    return [(one["id"], [(node["html"][:200], node["failureSummary"]) for node in one["nodes"][:3]]) for one in found]


def test_the_keyboard_reaches_the_account_at_once_and_every_table(folder: Path, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"file://{folder}/published.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('aria-label')"))
    assert {"Scores in figures", "Features against the training", "Where the time went"} <= reached
    page.close()


def test_a_hostile_listing_id_is_shown_as_text(folder: Path, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"file://{folder}/published.html")
    shown = page.get_by_text("</script><img src=x onerror=alert(1)>[U+202E]gpj.exe").first
    assert shown.is_visible()
    assert page.locator("img[src=x]").count() == 0
    page.close()
