"""Headless Chromium for the tests of the pages; without it they are skipped, and say what is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 860}
WAIT = 60_000
"""Milliseconds that a busy machine may take for a step."""
FINISHED_ANIMATIONS = """() => Promise.allSettled(document.getAnimations()
  .filter(one => Number.isFinite(one.effect.getComputedTiming().endTime)).map(one => one.finished))"""
"""Resolves once no transition and no finite animation is running."""


@dataclass
class Visit:
    """An open page and its errors.

    Attributes:
        page: Playwright's page.
        origin: of the service.
        wrong: errors of scripts and of the console, and requests to other hosts.
    """

    page: Any
    origin: str
    wrong: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        """The text that one element shows."""
        return str(self.page.locator(selector).inner_text())

    def settled(self, selector: str) -> Any:
        """An element, once it is visible."""
        found = self.page.locator(selector).first
        found.wait_for(timeout=WAIT)
        return found

    def axe(self) -> list[str]:
        """Serious findings of the accessibility audit of the page at rest, as "rule: element"."""
        axe = pytest.importorskip(
            "axe_playwright_python.sync_playwright", reason="needs axe-playwright-python"
        )
        self.page.evaluate(FINISHED_ANIMATIONS)
        found = axe.Axe().run(self.page).response["violations"]
        return [
            f"{finding['id']}: {node['html'][:160]}"
            for finding in found
            if finding["impact"] in ("serious", "critical")
            for node in finding["nodes"]
        ]

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser while the block runs."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(ARGUMENTS), timeout=2 * WAIT)
        yield browser
        browser.close()


@contextmanager
def visit(browser: Any, origin: str, *, path: str = "/", script: str = "", **options: Any) -> Iterator[Visit]:
    """Open a page in a new browser context; fails at the end of the block if the page had errors.

    Args:
        browser: of `chromium`.
        origin: of the service.
        path: of the page.
        script: runs before the scripts of the page.
        options: of the browser's context.
    """
    context = browser.new_context(**{"viewport": DESKTOP} | options)
    context.set_default_timeout(WAIT)
    context.add_init_script(script)
    page = context.new_page()
    found = Visit(page, origin)
    page.on("pageerror", lambda error: found.wrong.append(f"script: {error}"))
    page.on("console", lambda m: m.type in ("error", "warning") and found.wrong.append(f"console: {m.text}"))
    page.on("request", lambda request: _is_foreign(request.url, origin) and found.wrong.append(request.url))
    try:
        page.goto(origin + path)
        yield found
        assert found.wrong == []
    finally:
        context.close()


def _is_foreign(url: str, origin: str) -> bool:
    return not url.startswith((origin, "data:", "blob:"))
