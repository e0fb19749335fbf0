"""`twofold reproduce` with workers that export quickly: the graphs are not what tests of whole tables test.

python tests/quick_reproduce.py TABLE -o OUT ...
"""

from __future__ import annotations

import sys
from functools import partial

from twofold.cli.main import main
from twofold.experiments import runs

if __name__ == "__main__":
    if sys.argv[1] == "worker":
        from quick_export import quick_exports

        from twofold.experiments import worker

        with quick_exports():
            sys.exit(worker.main(sys.argv[2:]))
    runs.Options = partial(runs.Options, worker=(sys.executable, __file__, "worker"))
    sys.exit(main(["reproduce", *sys.argv[1:]]))
