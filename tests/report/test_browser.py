"""The report in a real browser: a figure, a table and a video open, and nothing complains.

RTC_REPORT names a finished report (default results/report.html); RTC_SCREENSHOTS a folder to
keep pictures in.
"""

import os
import shutil
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser]
ROOT = Path(__file__).parents[2]
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(scope="module")
def report() -> Path:
    path = Path(os.environ.get("RTC_REPORT", ROOT / "results/report.html"))
    if not path.exists():
        pytest.skip(f"no report at {path}; run make first")
    return path


@pytest.fixture(scope="module")
def browser(report):
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs chromium and chromium-driver (Debian's packages)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--window-size=1500,1000",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.implicitly_wait(5)
    driver.get(report.resolve().as_uri())
    yield driver
    driver.quit()


def shoot(browser, name: str) -> None:
    if folder := os.environ.get("RTC_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        browser.save_screenshot(str(Path(folder) / f"{name}.png"))


def click(browser, text: str) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    path = f"//*[self::a or self::button or self::li or self::span or self::td][normalize-space()='{text}']"
    element = WebDriverWait(browser, 10).until(
        lambda d: next((e for e in d.find_elements(By.XPATH, path) if e.is_displayed()), None)
    )
    browser.execute_script("arguments[0].click()", element)


def body(browser) -> str:
    return browser.find_element("tag name", "body").text


def test_the_first_page_answers(browser):
    shoot(browser, "opening")
    text = body(browser)
    assert "Real-Time Chunking on Kinetix" in text
    assert "What was run" in text
    assert "system message" not in text.lower()


def test_nothing_complains_in_the_console(browser):
    severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []
