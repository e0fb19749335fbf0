"""Loading from the hub or from a folder saved by ``save_pretrained``: one kind of error, no log output, no
remote code.

Code that a repository carries is never run (``trust_remote_code`` stays off).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers.utils import logging as transformers_logging

from twofold.errors import ConfigError

_MAX_BYTES = 2**31


@contextmanager
def hub_errors(name: str, what: str, embedded: str) -> Iterator[None]:
    """Turn errors of `transformers` inside the block into a message that says what to do.

    Args:
        name: the requested model.
        what: the key of the configuration that names it.
        embedded: what works without a hub, for the message.

    Raises:
        ConfigError: the model cannot be loaded, because of its name, a file or the network.
    """
    transformers_logging.set_verbosity_error()  # its load report names heads that are not used
    transformers_logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, ImportError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{name!r} cannot be loaded: {reason}",
            where=what,
            expected=f"{embedded} (embedded), a folder as save_pretrained writes it, or a name on the hub",
            do="check the name and the network; without a network, load a local folder",
        ) from error


def check_size(module: nn.Module, name: str, what: str) -> None:
    """Check, before training, that an encoder can be exported.

    Raises:
        ConfigError: its graph would be larger than one ONNX file can be.
    """
    size = sum(p.numel() for p in module.parameters()) * 4
    if size >= _MAX_BYTES:
        raise ConfigError(
            f"{name!r} has {size / 1e9:.1f} GB of weights in full precision",
            where=what,
            expected="less than 2 GB, the limit of one ONNX file",
            do="use a smaller encoder",
        )


def fingerprint(weights: Mapping[str, Tensor], *facts: object) -> str:
    """A hash of weights and of everything else that determines the output."""
    digest = hashlib.sha256(repr(facts).encode())
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
