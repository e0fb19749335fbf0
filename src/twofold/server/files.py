"""The files of both pages: a folder of this package, and the style sheets that they share with reports."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

PAGE = Path(__file__).parent / "page"
SHARED_SHEETS = ("page.css", "marks.css")
"""Style sheets of the reports, which the pages use as they are."""
_FRESH = {"Cache-Control": "no-cache"}
"""Browsers must check for changes: a new version of Twofold has other files at the same address."""


class _Files(StaticFiles):
    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers.update(_FRESH)
        return response


def add_files(app: Starlette, index: str) -> None:
    """Serve a page at ``/`` and its files under ``/page/``; add other paths below ``/page/`` before.

    Args:
        app: serves the page. index: name of the page's file.
    """

    async def page(_: Request) -> Response:
        return FileResponse(PAGE / index, headers=_FRESH)

    async def sheet(request: Request) -> Response:
        path = resources.files("twofold.report").joinpath(request.url.path.rpartition("/")[2])
        return FileResponse(str(path), headers=_FRESH)

    app.add_route("/", page, include_in_schema=False)
    for name in SHARED_SHEETS:
        app.add_route(f"/page/{name}", sheet, include_in_schema=False)
    app.mount("/page", _Files(directory=PAGE), name="page")
