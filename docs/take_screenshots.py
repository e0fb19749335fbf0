"""Take the pictures of the report and of the service's page, docs/report.png and docs/page.png.

    python docs/take_screenshots.py

Needs Chromium, the Noto fonts (emoji included), Playwright and the extra serve. Both show the shipped model
on the posts of examples/.
"""

from __future__ import annotations

import io
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, ViewportSize, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
TWOFOLD = [sys.executable, "-m", "twofold"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
REPORT_SIZE: ViewportSize = {"width": 1280, "height": 1530}
PAGE_SIZE: ViewportSize = {"width": 1180, "height": 1170}
"""In CSS pixels, one device pixel each."""
TIMEOUT = 60.0
"""Seconds until the service must be ready."""


def main() -> None:
    """Take both pictures."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise SystemExit(f"no browser found; install one of {', '.join(BROWSERS)}")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        _take_report(browser)
        with _service() as address:
            _take_page(browser, address)
        browser.close()


def _take_report(browser: Browser) -> None:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.html"
        posts = ROOT / "examples" / "posts.jsonl"
        subprocess.run(
            [*TWOFOLD, "extract", posts, "-o", f"{folder}/out.jsonl", "--report", report], check=False
        )
        page = browser.new_page(viewport=REPORT_SIZE)
        page.goto(report.as_uri())
        _save(page.screenshot(), DOCS / "report.png")


def _take_page(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport=PAGE_SIZE)
    page.goto(address)
    page.locator("#examples button").first.click()
    page.locator("#marked mark").first.wait_for()
    page.get_by_text("10 % wrong").first.click()
    page.locator("#marked mark").first.click()
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(3000)  # the explanation takes some seconds
    _save(page.screenshot(), DOCS / "page.png")


def _save(screenshot: bytes, path: Path) -> None:
    """Save with 256 colours, a third of the size."""
    picture = Image.open(io.BytesIO(screenshot)).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


@contextmanager
def _service() -> Iterator[str]:
    """A service on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    service = subprocess.Popen([*TWOFOLD, "serve", "--port", str(port)])
    try:
        _wait_until_ready(f"{address}readyz")
        yield address
    finally:
        service.terminate()
        service.wait()


def _wait_until_ready(address: str) -> None:
    end = time.monotonic() + TIMEOUT
    while True:
        try:
            urllib.request.urlopen(address).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    main()
