"""What identifies a run: model, input and options. A run is resumed only if all are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twofold.errors import ConfigError

JobRecord = Mapping[str, Any]
"""Names and values that JSON can represent."""

DISCARD = "--restart"


def check_same(before: JobRecord, now: JobRecord, where: str) -> None:
    """Check that an earlier run, finished or not, had the same model, input and options.

    Args:
        before: record of the earlier run. now: record of this run, the likeliest causes of others first.
        where: the output.

    Raises:
        ConfigError: they differ; the message names the first difference.
    """
    shared = (name for name in now if name in before)  # another version may have other options
    for name in dict.fromkeys((*shared, *now, *before)):
        old, new = before.get(name), now.get(name)
        if old != new:
            raise ConfigError(
                f"the earlier run had a different {name}: {_shown(old)}, now {_shown(new)}",
                where=where,
                expected="the same model, input and options",
                do=f"give the same ones, another output, or {DISCARD} to discard what was done",
            )


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "given" if value else "not given"
    return str(value)[:80] if value is not None else "none"
