"""Take the pictures of the report's page, with a Chromium of the system.

They show three learners with three seeds::

    lasem run digits/stl digits/hps digits/lasem-hps --seeds 0,1,2 --out runs
    lasem report runs --out report.html
    python docs/images/screenshots.py report.html
"""

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURES = {
    "report-comparison-desktop-light": (1280, 1300, "light", "scrollTo(0, 0)"),
    "report-comparison-phone-light": (390, 1300, "light", "scrollTo(0, 0)"),
    "report-run-desktop-dark": (1280, 1600, "dark", "document.getElementById('one-run').scrollIntoView()"),
    "report-run-phone-dark": (390, 1300, "dark", "document.getElementById('one-run').scrollIntoView()"),
}
"""Width, height, theme, and where the page is scrolled to, by name of the picture."""


def main() -> None:
    """Write every picture into the folder of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    page = parser.parse_args().page.resolve().as_uri()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"))
        for name, (width, height, theme, scroll) in PICTURES.items():
            tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
            tab.goto(page)
            tab.wait_for_selector("html[data-ready]", state="attached")
            tab.evaluate(scroll)
            tab.wait_for_timeout(500)
            tab.screenshot(path=Path(__file__).with_name(f"{name}.png"))


if __name__ == "__main__":
    main()
