"""What identifies a run: model, input and options. It goes on where another stood if all are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twofold.errors import ConfigError

JobRecord = Mapping[str, Any]
"""Names and values, as JSON can hold them."""

DISCARD = "--restart"


def check_same(before: JobRecord, now: JobRecord, where: str) -> None:
    """Complain where an unfinished run was another one.

    Args:
        before: of the unfinished run. now: of this one.
        where: the output.

    Raises:
        ConfigError: they differ; it names the first difference.
    """
    for name in dict.fromkeys((*now, *before)):
        old, new = before.get(name), now.get(name)
        if old != new:
            raise ConfigError(
                f"an unfinished run is here with another {name}: {_shown(old)}, and now {_shown(new)}",
                where=where,
                expected="the same model, input and options, to go on where it stood",
                do=f"give the same again, another output, or {DISCARD} to discard what was done",
            )


def _shown(value: object) -> str:
    return f"{str(value)[:80]}" if value is not None else "none"
