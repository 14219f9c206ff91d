"""The page of a run in a browser: from the disk, without a network, with a pointer and with the keyboard."""

from pathlib import Path

import pytest

from harness.checkers import Verdict
from harness.report import pages, runs
from harness.report.finish import Finished
from harness.run import scenarios
from harness.run.plan import Plan, simulated
from harness.run.scenarios import Scenario
from harness.workload.orders import Orders
from tests.browser.conftest import SIZES, Browser
from tests.running import conduct

SECTIONS = ["verdict", "wrong", "time", "spread", "course", "claims", "again"]


def run(protocol: str, scenario: str, seed: int, folder: Path) -> Finished:
    plan = Plan(simulated(scenarios.load(scenario)), protocol, seed, runtime="sim")
    return conduct(plan, folder)


@pytest.fixture(scope="session")
def violated(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The control under kills in the simulator: the first seed by which an order loses money."""
    folder = tmp_path_factory.mktemp("violated")
    for seed in range(1, 40):
        finished = run("unprotected", "kill-one-at-a-time", seed, folder)
        names = {each.name for result in finished.judgement.results for each in result.violated}
        if "charged-but-unpaid" in names:
            return finished
    pytest.fail("the control lost no money in 39 seeds")


@pytest.fixture(scope="session")
def page(violated: Finished) -> str:
    return violated.folder.page.as_uri()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_it_opens_from_disk_whole_and_requests_nothing_else(browser: Browser, page: str, size: str, theme: str) -> None:
    browser.open(page, size, theme)
    assert browser.run("return [...document.querySelectorAll('section')].map(each => each.id)") == SECTIONS
    assert browser.errors() == []
    assert [address for address in browser.requests() if not address.startswith("data:")] == [page]
    wide, seen = browser.run("return [document.documentElement.scrollWidth, innerWidth]")  # type: ignore[misc]
    assert wide <= seen, "the page is wider than the screen"
    paper = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, str(paper).strip("rgb()").split(","))) > 380) is (theme == "light")


@pytest.mark.parametrize("size", list(SIZES))
def test_letters_in_pictures_are_as_large_on_a_phone_as_on_a_desk(browser: Browser, page: str, size: str) -> None:
    browser.open(page, size)
    heights = browser.run(
        "return [...document.querySelectorAll('svg.chart text')].map(each => each.getBoundingClientRect().height).filter(Boolean)"
    )
    assert isinstance(heights, list)
    assert len(heights) > 50
    assert min(heights) >= 11


def test_a_reader_can_say_which_order_lost_money_and_when(browser: Browser, page: str, violated: Finished) -> None:
    browser.open(page)
    history = violated.history
    lost = next(
        each for result in violated.judgement.results for each in result.violated if each.name == "charged-but-unpaid"
    )
    order = next(key for key in lost.keys if key.startswith("order ")).removeprefix("order ")
    attempt = next(each for each in lost.evidence if each.op == "checkout" and each.args[0] == order)
    at_s = f"{(attempt.invoked_ns - history.start_ns) / 1e9:.2f} s"
    lede = str(browser.run("return document.querySelector('.lede').textContent"))
    assert order[:8] in lede
    assert "is not paid" in lede
    assert at_s in lede
    text = str(browser.run("return document.querySelector('#wrong').textContent"))
    assert "lost money" in text
    assert "its client sent a checkout" in text
    pictures = browser.run("return document.querySelectorAll('#wrong svg.sequence').length")
    assert isinstance(pictures, int)
    assert pictures >= 1


def test_pointing_shows_and_leaving_hides(browser: Browser, page: str) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    browser.open(page)
    chart = browser.driver.find_element(By.CSS_SELECTOR, ".wide svg.timeline")
    browser.run("arguments[0].scrollIntoView({block: 'center'})", chart)
    hit = chart.find_elements(By.CSS_SELECTOR, ".hit")[2]
    ActionChains(browser.driver).move_to_element(hit).perform()
    output = chart.find_element(By.XPATH, "ancestor::figure").find_element(By.TAG_NAME, "output")
    assert output.text == hit.get_attribute("data-say")
    assert "acknowledged" in output.text
    ActionChains(browser.driver).move_to_element(browser.driver.find_element(By.TAG_NAME, "h1")).perform()
    assert output.text == ""


def test_the_keyboard_reaches_every_picture_and_walks_through_it(browser: Browser, page: str) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.open(page)
    charts = [each for each in browser.driver.find_elements(By.CSS_SELECTOR, "svg.chart") if each.is_displayed()]
    assert charts
    assert all(each.get_attribute("tabindex") == "0" for each in charts)
    chart = browser.driver.find_element(By.CSS_SELECTOR, "svg.sequence")
    browser.run("arguments[0].focus()", chart)
    output = chart.find_element(By.XPATH, "ancestor::figure").find_element(By.TAG_NAME, "output")
    says = [each.get_attribute("data-say") for each in chart.find_elements(By.CSS_SELECTOR, ".hit")]
    assert output.text == says[0]
    browser.driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert output.text == says[1]
    browser.driver.switch_to.active_element.send_keys(Keys.END)
    assert output.text == says[-1]
    browser.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert output.text == ""
    # From the top of the page the first stop is a way around everything before the report.
    browser.open(page)
    browser.driver.switch_to.active_element.send_keys(Keys.TAB)
    assert browser.driver.switch_to.active_element.text == "To the report"


def test_pictures_say_what_they_are_and_have_their_data_behind(browser: Browser, page: str) -> None:
    browser.open(page)
    unnamed = browser.run(
        """return [...document.querySelectorAll('svg.chart')].filter(each => {
             const named = each.getAttribute('aria-labelledby').split(' ').map(id => document.getElementById(id)?.textContent);
             return each.getAttribute('role') !== 'img' || named.length !== 2 || !named.every(Boolean);
           }).length"""
    )
    assert unnamed == 0
    twice = browser.run(
        "const ids = [...document.querySelectorAll('[id]')].map(e => e.id); return ids.length - new Set(ids).size"
    )
    assert twice == 0
    rows = browser.run(
        "return [...document.querySelectorAll('figure')].map(each => each.querySelectorAll('details tbody tr').length)"
    )
    assert isinstance(rows, list)
    assert min(rows) >= 1
    assert browser.run("return document.documentElement.lang && document.title.length > 5")


def test_a_compensation_is_drawn_in_the_report_of_a_saga(browser: Browser, tmp_path: Path) -> None:
    """A third of the users has no money: what was reserved for them goes back."""
    workload = Orders(users=9, items=9, orders=60, poor=0.34, clients=4, rate_per_s=20)
    poor = Scenario(name="poor", summary="-", workload_name="orders", workload=workload, duration_s=3)
    finished = conduct(Plan(poor, "saga", 3, runtime="sim"), tmp_path)
    assert finished.judgement.verdict == Verdict.HOLDS, finished.judgement.reasons
    browser.open(finished.folder.page.as_uri())
    drawn = str(browser.run("return document.querySelector('#course').textContent"))
    assert "A checkout that succeeded" in drawn
    assert "A checkout that was rejected and undone" in drawn
    words = browser.run(
        "return [...document.querySelectorAll('#course .sequence .words')].map(each => each.textContent)"
    )
    assert isinstance(words, list)
    assert any("compensate" in each for each in words)
    assert any("compensated" in each for each in words)
    assert browser.errors() == []


def test_what_comes_from_a_shop_is_never_markup(browser: Browser, violated: Finished, tmp_path: Path) -> None:
    """A shop may answer whatever it likes: it is shown, and not obeyed."""
    import msgspec

    bad = "<img src=x onerror=document.title='owned'></script><script>document.title='owned'</script>"
    history = violated.history
    changed = [
        msgspec.structs.replace(each, value=bad) if each.op == "checkout" and each.outcome == "fail" else each
        for each in history.operations
    ]
    header = msgspec.structs.replace(history.header, scenario=bad, config={**history.header.config, "command": bad})
    from harness.checkers.verdict import examine
    from harness.history import History

    whole = History(header, changed, history.events)
    page = tmp_path / "bad.html"
    page.write_text(pages.of_run(runs.Run("bad", whole, examine(whole))))
    browser.open(page.as_uri())
    assert browser.run("return document.title") != "owned"
    assert browser.run("return document.querySelectorAll('img').length") == 0
    assert "onerror" in str(browser.run("return document.querySelector('#again').textContent"))


def test_a_script_or_a_style_that_is_not_ours_has_no_effect(browser: Browser, page: str, tmp_path: Path) -> None:
    """Even one that got into the page as markup: the page's policy names ours by their hashes."""
    from urllib.parse import unquote, urlsplit

    ours = Path(unquote(urlsplit(page).path)).read_text("utf-8")
    theirs = "<script>document.title='owned'</script><style>h1{display:none}</style><svg onload=\"document.title='owned'\"></svg>"
    changed = tmp_path / "changed.html"
    changed.write_text(ours.replace("<main", f"{theirs}<main", 1))
    browser.open(changed.as_uri())
    assert browser.run("return document.title") != "owned"
    assert browser.run("return getComputedStyle(document.querySelector('h1')).display") != "none"
    assert sum("Content Security Policy" in error for error in browser.errors()) >= 3
    # Ours are in force: the page has its font, and its charts can be walked through.
    browser.open(page)
    assert browser.errors() == []
    assert browser.run("return getComputedStyle(document.body).marginTop") != "8px"
