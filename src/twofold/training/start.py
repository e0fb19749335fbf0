"""Entry point of training: checks that the train extra is installed before it imports any of it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from twofold.config import Config, read_config
from twofold.errors import MissingExtraError

_NEEDED = ("torch", "transformers", "onnx", "onnxscript", "matplotlib")


def train(
    config: Config | Path | str,
    out: Path | str,
    *,
    fresh: bool = False,
    log: Callable[[str], None] | None = None,
) -> Path:
    """Train a model and write its folder; an interrupted training continues.

    Args:
        config: settings, or a TOML file with them.
        out: model folder to write.
        fresh: start from scratch even where a training was interrupted.
        log: called with lines of progress; None prints them to stderr.

    Returns:
        The model folder; `load` opens it.

    Raises:
        MissingExtraError: the train extra, or a package with weights of an encoder, is not installed.
        ConfigError: no training or dev file, or an unknown name or value.
        DataError: a file cannot be read, or another training is unfinished or running in ``out``.
        ModelError: ``out`` holds something that is not a model.
    """
    require_train_extra()
    from twofold.training.run import train as run

    settings = config if isinstance(config, Config) else read_config(Path(config))
    return run(settings, Path(out), log or partial(print, file=sys.stderr), fresh=fresh)


def require_train_extra() -> None:
    """Check that the packages of the train extra are installed.

    Raises:
        MissingExtraError: a package is missing.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"training needs {', '.join(missing)}",
            expected="the train extra",
            do="run in a checkout of Twofold: pip install -e '.[train]' (CONTRIBUTING.md explains how to get "
            "PyTorch for the CPU only, and the encoders' weights)",
        )
