"""Loading from the hub or from a folder saved as the hub saves: one kind of error, no chatter, no code.

Code that a repository carries is never run (``trust_remote_code`` stays off).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers.utils import logging as transformers_logging

from twofold.errors import ConfigError


@contextmanager
def hub_errors(name: str, what: str, embedded: str) -> Iterator[None]:
    """Tell what goes wrong inside in a message that can be acted on.

    Args:
        name: what was asked for.
        what: the key of the configuration it was asked for by.
        embedded: what works without a hub.

    Raises:
        ConfigError: for everything that `transformers` raises where a name, a file or a network is amiss.
    """
    transformers_logging.set_verbosity_error()  # its load report tells of heads we have no use for
    transformers_logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, ImportError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{name!r} cannot be loaded: {reason}",
            where=what,
            expected=f"{embedded} (embedded), a folder as save_pretrained writes it, or a name on the hub",
            do="check the name and the network; a machine without one can load a folder",
        ) from error


def fingerprint(weights: Mapping[str, Tensor], *facts: object) -> str:
    """A hash of weights and of whatever else decides what comes out."""
    digest = hashlib.sha256(repr(facts).encode())
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
