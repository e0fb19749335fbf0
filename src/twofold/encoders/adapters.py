"""Low-rank adapters: a pretrained encoder stays frozen, and low-rank products added to its weights are
trained.

LoRA (Hu et al., ICLR 2022): W x + (α/r) B A x with A (r, in), B (out, r), B = 0 at first, so that training
starts at the pretrained encoder; here α = 2r, on every linear layer of the encoder. Uses the `peft` package.
At export the products are merged into the weights: a model folder has no adapters.
"""

from __future__ import annotations

import importlib.util

from twofold.encoders.extended_embedding import ExtendedEmbedding
from twofold.encoders.text import TextEncoder
from twofold.errors import ConfigError, MissingExtraError


def no_adapters(encoder: TextEncoder, rank: int) -> None:
    """Leave the encoder unchanged: all of it is trained, or none (``encoder_lr`` 0)."""


def add_lora(encoder: TextEncoder, rank: int) -> None:
    """Freeze an encoder in place and add trainable products of a rank to its linear layers.

    Embeddings of tokens that were added to the tokenizer stay trainable: they are not pretrained.

    Raises:
        ConfigError: the rank is below 1.
        MissingExtraError: `peft` is not installed.
    """
    if rank < 1:
        raise ConfigError(f"adapter_rank is {rank}", where="[model]", expected="1 or more")
    if importlib.util.find_spec("peft") is None:
        raise MissingExtraError(
            "low-rank adapters need peft",
            expected="the adapters extra",
            do="run in a checkout of Twofold: pip install -e '.[train,adapters]', or set adapters = \"none\"",
        )
    from peft import LoraConfig, get_peft_model

    options = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    encoder.backbone = get_peft_model(encoder.backbone, options)
    embedding = encoder.word_embeddings
    if isinstance(embedding, ExtendedEmbedding):
        embedding.added.requires_grad_(True)


def merge_adapters(encoder: TextEncoder) -> None:
    """Merge the products into the weights; an encoder without adapters is unchanged."""
    merge = getattr(encoder.backbone, "merge_and_unload", None)
    if merge is not None:
        encoder.backbone = merge()
