"""The program ``twofold``, and ``python -m twofold`` where its script is not on the path."""

from __future__ import annotations

import sys


def entry() -> None:
    """Run the command line; an interrupt during its import exits without a traceback."""
    try:
        from twofold.cli import main
    except KeyboardInterrupt:
        sys.exit(130)
    main.entry()


if __name__ == "__main__":
    entry()
