"""`wdm serve` in a browser: a run that goes on moves by itself, and becomes its report when it ends."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.run import scenarios
from harness.run.plan import Plan, simulated
from tests.browser.conftest import Browser
from tests.running import conduct
from tests.terminal import until

SCENARIO = """
summary = "order dies once"
duration_s = 6
[workload]
name = "checkout"
rate_per_s = 60
[[fault]]
kind = "crash"
target = "order"
at_s = 2
for_s = 0.5
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs that were kept."""
    made = tmp_path_factory.mktemp("catalog")
    for seed in (1, 2):
        conduct(Plan(simulated(scenarios.load("store-crash")), "2pc", seed, runtime="sim"), made / "wdm-runs")
    return made


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """Served by a process of its own, as a person would."""
    command = [sys.executable, "-m", "wdm", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as served:
        assert served.stdout is not None
        try:
            yield served.stdout.readline().strip()
        finally:
            served.terminate()
    assert served.returncode == 0


def rows(browser: Browser) -> list[str]:
    found = browser.run("return [...document.querySelectorAll('#runs tbody tr')].map(each => each.textContent)")
    assert isinstance(found, list)
    return found


def test_runs_are_listed_filtered_opened_and_compared(browser: Browser, url: str) -> None:
    from selenium.webdriver.common.by import By

    browser.open(url)
    until(lambda: len(rows(browser)) == 2)
    box = browser.driver.find_element(By.ID, "filter")
    box.send_keys("2pc-1")
    assert len(rows(browser)) == 1
    box.clear()
    box.send_keys("no such thing")
    assert rows(browser) == []
    browser.driver.execute_script("arguments[0].value = ''; arguments[0].dispatchEvent(new Event('input'))", box)
    boxes = browser.driver.find_elements(By.CSS_SELECTOR, "#runs input")
    button = browser.driver.find_element(By.ID, "compare")
    assert not button.is_enabled()
    for each in boxes:
        each.click()
    button.click()
    until(lambda: "/compare" in browser.driver.current_url)
    assert "A: 2pc, store-crash" in str(browser.run("return document.querySelector('main').textContent"))
    browser.driver.back()
    until(lambda: len(rows(browser)) == 2)
    browser.driver.find_element(By.CSS_SELECTOR, "#runs a").click()
    until(lambda: browser.run("return document.querySelector('#again') !== null"))
    assert browser.errors() == []


def test_a_run_that_goes_on_moves_by_itself_and_becomes_its_report(browser: Browser, url: str, folder: Path) -> None:
    (folder / "short.toml").write_text(SCENARIO)
    browser.open(url)
    until(lambda: len(rows(browser)) >= 2)
    arguments = ["chaos", "short.toml", "--runtime", "local", "--protocol", "saga", "--seed", "4"]
    command = [sys.executable, "-m", "wdm", "-q", *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        checkouts = "return document.querySelector('#live dl dd:nth-of-type(2)')?.textContent || ''"
        first = until(lambda: (said := str(browser.run(checkouts))) and not said.startswith("0 ok") and said, 40)
        assert any("running" in row for row in rows(browser))
        assert until(lambda: (said := str(browser.run(checkouts))) != first and said, 10)
        browser.driver.find_element("css selector", "#live a").click()
        until(lambda: "This run is in progress" in browser.driver.page_source)
        assert run.wait(60) == 0
    until(lambda: browser.run("return document.querySelector('#again') !== null"), 20)
    assert "saga kept its claims" in browser.driver.page_source
    browser.driver.back()
    until(lambda: any("saga" in row and "holds" in row for row in rows(browser)))
    assert browser.errors() == []
