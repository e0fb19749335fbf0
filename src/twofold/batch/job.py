"""What identifies a run: model, input and options. An unfinished run is resumed only if all are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twofold.errors import ConfigError

JobRecord = Mapping[str, Any]
"""Names and values that JSON can represent."""

DISCARD = "--restart"


def check_same(before: JobRecord, now: JobRecord, where: str) -> None:
    """Check that an unfinished run had the same model, input and options.

    Args:
        before: record of the unfinished run. now: record of this run.
        where: the output.

    Raises:
        ConfigError: they differ; the message names the first difference.
    """
    for name in dict.fromkeys((*now, *before)):
        old, new = before.get(name), now.get(name)
        if old != new:
            raise ConfigError(
                f"the unfinished run has a different {name}: {_shown(old)}, now {_shown(new)}",
                where=where,
                expected="the same model, input and options, to resume it",
                do=f"give the same ones, another output, or {DISCARD} to discard what was done",
            )


def _shown(value: object) -> str:
    return f"{str(value)[:80]}" if value is not None else "none"
