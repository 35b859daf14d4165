"""The report in a real browser: a figure, a table and a video open, and nothing complains.

Clicked through twice: a small report made here, and that of a finished run, if there is one
(RTC_REPORT names it, default results/report.html). RTC_SCREENSHOTS names a folder to keep
pictures in.
"""

import os
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser]
PATIENCE = 60
ENTRIES = "nav table tbody tr"


@pytest.fixture(scope="module", params=["small_report", "finished_report"])
def page(request, driver):
    """The report's first page, opened; its name is in `page.report`."""
    path = request.getfixturevalue(request.param)
    driver.report = request.param.removesuffix("_report")
    driver.get_log("browser")
    driver.get(path.resolve().as_uri())
    return driver


def test_the_first_page_answers(page):
    text = wait(page, lambda: body(page))
    shoot(page, "opening")
    assert "Real-Time Chunking on Kinetix" in text
    assert "What was run" in text
    assert "system message" not in text.lower()
    if page.report == "finished":
        # Snakemake centres the page, which puts the top of a long one out of reach.
        top = "return document.querySelector('.prose h1').getBoundingClientRect().y"
        assert page.execute_script(top) >= 0


def test_a_figure_opens(page):
    row = first_entry(page, "Figures")
    links(row)[0].click()
    image = wait(page, lambda: shown(page, "#app img[src^='data:image/svg']:not(nav *)"))
    loaded = "return arguments[0].complete && arguments[0].naturalWidth > 100"
    wait(page, lambda: page.execute_script(loaded, image))
    shoot(page, "figure")


def test_every_entry_is_labelled_and_tells_how_to_read_it(page):
    for category in categories(page):
        row = first_entry(page, category)
        label = row.text.strip()
        assert label
        assert not label.startswith("results/")
        links(row)[-1].click()
        text = wait(page, lambda: "DESCRIPTION" in body(page).upper() and body(page))
        assert len(text.upper().split("DESCRIPTION")[1].split("SIZE")[0].strip()) > 20
        shoot(page, f"caption_{category.lower()}")


def test_a_table_opens(page):
    row = first_entry(page, "Tables", "paired differences")
    links(row)[0].click()
    frame = wait(page, lambda: shown(page, "iframe"))
    page.switch_to.frame(frame)
    try:
        rows = wait(page, lambda: page.find_elements("css selector", "tr"))
        assert len(rows) > 1
        assert "method" in body(page).lower()
    finally:
        page.switch_to.default_content()
    shoot(page, "table")


def test_a_video_opens_and_plays(page):
    row = first_entry(page, "Videos")
    shoot(page, "videos")
    for old in page.folder.iterdir():
        old.unlink()
    links(row)[0].click()
    video = wait(page, lambda: next(page.folder.glob("*.mp4"), None))
    report, start = page.current_window_handle, page.current_url
    page.switch_to.new_window("tab")
    page.get(video.as_uri())
    state = "const v = document.querySelector('video'); return v && [v.duration, v.videoWidth]"
    wait(page, lambda: all(page.execute_script(state) or [0]))
    shoot(page, "video")
    page.close()
    page.switch_to.window(report)
    assert page.current_url.split("#")[0] == start.split("#")[0]


def test_the_search_finds_a_level(page):
    level = first_entry(page, "Videos").text.split()[0]
    home(page)
    box = wait(page, lambda: shown(page, "input[placeholder='Search...']"))
    box.send_keys(level + "\n")
    found = wait(page, lambda: page.find_elements("css selector", ENTRIES))
    assert any(level in row.text for row in found)


def test_nothing_complains_in_the_console(page):
    severe = [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"]
    assert severe == []


def wait(page, condition):
    """What `condition` returns once it is true."""
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE} s; the page says:\n{body(page)}"
        time.sleep(0.1)
    return result


def shown(page, selector: str):
    """The first visible element that the selector names, or None."""
    found = page.find_elements("css selector", selector)
    return next((element for element in found if element.is_displayed()), None)


def body(page) -> str:
    return page.find_element("tag name", "body").text


def links(row):
    """Of a row of results: the eye, which opens it, and the i, which tells about it."""
    return row.find_elements("css selector", "a[type=button]")


def home(page) -> None:
    """The menu, wherever one is."""
    wait(page, lambda: shown(page, "nav ol a")).click()
    wait(page, lambda: menu(page, "About"))


def menu(page, name: str):
    """A line of the menu, or None."""
    lines = page.find_elements("css selector", "nav ul li a")
    return next((line for line in lines if line.text.strip() == name), None)


def categories(page) -> list[str]:
    """Names of the categories in the menu."""
    if not menu(page, "About"):
        home(page)
    names = [line.text.strip() for line in page.find_elements("css selector", "nav ul li a")]
    return [name for name in names if name not in ("Workflow", "Statistics", "About")]


def first_entry(page, category: str, label: str = ""):
    """The first row of a category, in its first subcategory, whose text has `label`."""
    home(page)
    wait(page, lambda: menu(page, category)).click()
    wait(page, lambda: not menu(page, "About"))
    lines = "nav ul li a"
    wait(page, lambda: page.find_elements("css selector", f"{ENTRIES}, {lines}"))
    if not page.find_elements("css selector", ENTRIES):
        page.find_elements("css selector", lines)[0].click()

    def found():
        rows = page.find_elements("css selector", ENTRIES)
        return next((row for row in rows if label in row.text), None)

    return wait(page, found)


def shoot(page, name: str) -> None:
    if folder := os.environ.get("RTC_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.save_screenshot(str(Path(folder) / f"{page.report}_{name}.png"))
