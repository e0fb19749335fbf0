"""Shared by both reports: the template environment and the files of this package."""

from __future__ import annotations

from functools import cache
from importlib import resources

import jinja2
from markupsafe import Markup

from twofold.posts import in_words
from twofold.report.escaping import safe_html, shorten
from twofold.report.number_format import keep_percent, short_number, whole_percent


@cache
def load_template(name: str) -> jinja2.Template:
    """A template of this package; it is compiled once."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(safe_html=safe_html, shorten=shorten, in_words=in_words)
    environment.filters.update(whole_percent=whole_percent, short_number=short_number)
    environment.filters.update(keep_percent=keep_percent)
    return environment.from_string(read_asset(name))


def read_asset(name: str) -> Markup:
    """A file of this package, inserted into the page unchanged."""
    return Markup(resources.files("twofold.report").joinpath(name).read_text(encoding="utf-8"))
