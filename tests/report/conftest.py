"""A report to look at: a finished run's, and a small one that is made here in seconds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1500,1000",
)
# As the rules under workflow/rules mark their results: category, labels, caption.
SNAKEFILE = """
report: "opening.rst"

ENTRIES = {
    "figure.svg": ("Figures", None, {"figure": "1 solve rate"}),
    "table.html": ("Tables", None, {"table": "paired differences"}),
    "push.mp4": ("Videos", "push", {"level": "push", "kind": "naive and realtime"}),
    "pull.mp4": ("Videos", "pull", {"level": "pull", "kind": "naive and realtime"}),
}

rule all:
    input:
        expand("results/{name}", name=ENTRIES),

for name, (category, subcategory, labels) in ENTRIES.items():

    rule:
        input:
            f"made/{name}",
        output:
            report(
                f"results/{name}",
                caption="caption.rst",
                category=category,
                subcategory=subcategory,
                labels=labels,
            ),
        shell:
            "cp {input} {output}"
"""
OPENING = """
Real-Time Chunking on Kinetix
=============================

.. list-table:: What was run
   :header-rows: 0

   * - Levels
     - push, pull
"""
FIGURE = """<svg xmlns="http://www.w3.org/2000/svg" width="400" height="300" viewBox="0 0 400 300">
<rect width="400" height="300" fill="white"/><path d="M40 40 L360 260" stroke="black"/></svg>"""
TABLE = """<!doctype html><meta charset="utf-8"><title>Paired differences</title>
<table><tr><th>method</th><th>difference</th></tr><tr><td>realtime</td><td>+0.2</td></tr></table>"""


@pytest.fixture(scope="session")
def small_report(tmp_path_factory) -> Path:
    """A report with a figure, a table and two videos, made by Snakemake as a run's is."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "Snakefile").write_text(SNAKEFILE)
    (folder / "opening.rst").write_text(OPENING)
    (folder / "caption.rst").write_text("How to read **{{ snakemake.output[0] }}**.")
    made = folder / "made"
    made.mkdir()
    (made / "figure.svg").write_text(FIGURE)
    (made / "table.html").write_text(TABLE)
    frames = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), np.uint8)
    for name in ("push", "pull"):
        with imageio.get_writer(made / f"{name}.mp4", fps=10, macro_block_size=1) as writer:
            for frame in frames:
                writer.append_data(frame)
    for extra in ([], ["--report", "report.html"]):
        command = [sys.executable, "-m", "snakemake", "--cores", "1", *extra]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
    return folder / "report.html"


@pytest.fixture(scope="session")
def finished_report() -> Path:
    """The report of a run: results/report.html, or what RTC_REPORT names."""
    path = Path(os.environ.get("RTC_REPORT", ROOT / "results/report.html"))
    if not path.exists():
        pytest.skip(f"no report of a run at {path}; make writes one")
    return path


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    """Headless Chromium with its console kept; what is downloaded lies in `driver.folder`."""
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs chromium and chromium-driver (Debian's packages)")
    from selenium import webdriver

    folder = tmp_path_factory.mktemp("downloads")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.folder = folder
    yield driver
    driver.quit()
