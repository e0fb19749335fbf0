"""From names to objects: the one place where a method is chosen by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import nn

from twofold.config import ModelConfig
from twofold.encoders.adapters import add_lora, add_nothing
from twofold.encoders.image import ImageEncoder
from twofold.encoders.text import TextEncoder
from twofold.errors import ConfigError
from twofold.fusion import bottleneck, multigranular, variational
from twofold.fusion.concat import Concat
from twofold.fusion.contract import Fusion
from twofold.fusion.dirichlet import Dirichlet
from twofold.fusion.evidential import Evidential, Exchange
from twofold.fusion.evidential_direct import EvidentialDirect
from twofold.fusion.multigranular_faithful import ReleasedAdded, ReleasedGated, faithful
from twofold.fusion.nig import Discounted, LogLinear, MoNIG, Pooling, PriorCorrected
from twofold.fusion.text_only import TextOnly
from twofold.heads.class_balance import Adjusted, Balance, Weighted
from twofold.heads.classifier import Classes
from twofold.heads.contract import Head
from twofold.heads.crf import CRF
from twofold.models.multimodal import MultimodalModel
from twofold.models.span_task import SpanTask
from twofold.preprocessing.modalities import TEXTS, VISUAL

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fusion is built from.

    Attributes:
        config: options by name.
        labels: names of the outputs.
        width: D of the words.
        sources: V of each source besides the text, by name.
        places: P, words that make up a slot: 1 for tags, 2 for relations.
    """

    config: ModelConfig
    labels: Sequence[str]
    width: int
    sources: Mapping[str, int]
    places: int


def _evidential(plan: Plan) -> Fusion:
    options = plan.config.evidential
    make = choose(POOLINGS, options.pooling, "pooling")
    if options.form == "direct":
        return EvidentialDirect(
            plan.width,
            len(plan.labels),
            plan.sources,
            make(plan.width * plan.places, 1 + len(plan.sources), False),
            places=plan.places,
            evidence_weight=options.weight,
            regulariser_weight=options.regulariser,
        )
    return Evidential(
        plan.width,
        len(plan.labels),
        plan.sources,
        make(plan.width * plan.places, 1 + len(plan.sources), True),
        places=plan.places,
        evidence_weight=options.weight,
        regulariser_weight=options.regulariser,
        exchange=Exchange(options.blanks, options.strangers),
    )


def _dirichlet(plan: Plan) -> Fusion:
    options = plan.config.dirichlet
    return Dirichlet(
        plan.width,
        len(plan.labels),
        plan.sources,
        places=plan.places,
        weight=options.weight,
        divergence_weight=options.regulariser,
    )


def _bottleneck(plan: Plan) -> Fusion:
    options = plan.config.bottleneck
    rule = bottleneck.Regularisers(
        choose(ALIGNMENTS, options.alignment, "alignment"),
        choose(REDUCTIONS, options.reduction, "reduction"),
        (options.alignment_weight, options.text_weight, options.picture_weight),
    )
    return choose(BOTTLENECKS, options.form, "form")(plan, rule)


def _multigranular(plan: Plan) -> Fusion:
    options = plan.config.multigranular
    if options.inner < 1 or options.inner % multigranular.HEADS:
        raise ConfigError(
            f"inner is {options.inner}",
            where="[model.multigranular]",
            expected=f"a multiple of {multigranular.HEADS}, its heads",
        )
    seen = dict(plan.sources)
    vectors = seen.pop(multigranular.AUGMENTATION, 0)
    augment = choose(choose(AUGMENTS, options.form, "form"), options.augment, "augment")
    task = SPAN_TASKS.get(plan.config.task) if options.auxiliary_weight else None
    return MULTIGRANULARS[options.form](
        plan,
        seen,
        augment(plan.width, vectors) if vectors else None,
        multigranular.SecondTask(task(plan.width, plan.labels), options.auxiliary_weight) if task else None,
    )


POOLINGS: dict[str, Callable[[int, int, bool], Pooling]] = {
    "monig": lambda width, count, detach: MoNIG(detach),
    "prior_corrected": lambda width, count, detach: PriorCorrected(detach),
    "discounted": lambda width, count, detach: Discounted(detach),
    "log_linear": LogLinear,
}
ALIGNMENTS: dict[str, variational.Alignment] = {
    "jsd": variational.jsd,
    "infonce": variational.infonce,
    "released": variational.released_jsd,
}
REDUCTIONS: dict[str, variational.Reduction] = {
    "textbook": variational.textbook,
    "released": variational.released,
}
RELEASED_DRAWS: dict[str, variational.Draw] = {
    "entities": variational.noise_in_training,
    "relations": variational.noise_always,
}
"""Where the released code adds noise, by task."""
BOTTLENECKS: dict[str, Callable[[Plan, bottleneck.Regularisers], Fusion]] = {
    "corrected": lambda plan, rule: bottleneck.corrected(
        plan.width, len(plan.labels), plan.sources, plan.places, plan.config.bottleneck.inner, rule
    ),
    "faithful": lambda plan, rule: bottleneck.faithful(
        plan.width, len(plan.labels), plan.sources, plan.places, RELEASED_DRAWS[plan.config.task], rule
    ),
}
AUGMENTS: dict[str, dict[str, Callable[[int, int], nn.Module]]] = {
    "corrected": {"add": multigranular.Added, "gate": multigranular.Gated},
    "faithful": {"add": ReleasedAdded, "gate": ReleasedGated},
}
SPAN_TASKS: dict[str, Callable[[int, Sequence[str]], nn.Module]] = {"entities": SpanTask}
"""The second task of `multigranular`, by task; relations have no spans to find."""
MULTIGRANULARS: dict[
    str, Callable[[Plan, Mapping[str, int], nn.Module | None, multigranular.SecondTask | None], Fusion]
] = {
    "corrected": lambda plan, seen, augment, second: multigranular.corrected(
        plan.width, len(plan.labels), seen, plan.places, plan.config.multigranular.inner, augment, second
    ),
    "faithful": lambda plan, seen, augment, second: faithful(
        plan.width, len(plan.labels), seen, plan.places, augment, second
    ),
}
FUSIONS: dict[str, Callable[[Plan], Fusion]] = {
    "bottleneck": _bottleneck,
    "concat": lambda plan: Concat(plan.width, len(plan.labels), plan.sources, plan.places),
    "dirichlet": _dirichlet,
    "evidential": _evidential,
    "multigranular": _multigranular,
    "text_only": lambda plan: TextOnly(plan.width, len(plan.labels), plan.places),
}
BROUGHT: dict[str, Callable[[ModelConfig], tuple[str, ...]]] = {
    "multigranular": lambda config: (
        () if config.multigranular.augmentation == "none" else (multigranular.AUGMENTATION,)
    )
}
"""Sources that a fusion brings along unasked."""
BALANCES: dict[str, Callable[[Sequence[int], float], Balance]] = {
    "none": lambda counts, strength: Balance(),
    "weights": Weighted,
    "logit_adjustment": Adjusted,
}


def _classes(config: ModelConfig, labels: Sequence[str], counts: Sequence[int]) -> Head:
    balance = choose(BALANCES, config.relations.imbalance, "imbalance")
    return Classes(labels, balance(counts or [1] * len(labels), config.relations.strength))


TASKS: dict[str, tuple[int, Callable[[ModelConfig, Sequence[str], Sequence[int]], Head]]] = {
    "entities": (1, lambda config, labels, counts: CRF(labels)),
    "relations": (2, _classes),
}
"""Words that make up a slot, and the head, of each task."""


ADAPTERS: dict[str, Callable[[TextEncoder, int], None]] = {"none": add_nothing, "lora": add_lora}


def choose(table: Mapping[str, T], name: str, what: str) -> T:
    """Look a name up.

    Raises:
        ConfigError: the name is not in the table.
    """
    if name not in table:
        raise ConfigError(f"{name!r} came", where=what, expected="one of " + ", ".join(table))
    return table[name]


def sources_of(config: ModelConfig) -> tuple[str, ...]:
    """Sources besides the text: those asked for, and what the fusion brings along."""
    brought = BROUGHT[config.fusion](config) if config.fusion in BROUGHT else ()
    return tuple(dict.fromkeys((*config.sources, *brought)))


def source_widths(text: TextEncoder, image: ImageEncoder | None) -> dict[str, int]:
    """V of every source that the encoders can read, by name."""
    return dict.fromkeys(TEXTS, text.width) | (dict.fromkeys(VISUAL, image.width) if image else {})


def build_model(
    config: ModelConfig,
    labels: Sequence[str],
    text: TextEncoder,
    image: ImageEncoder | None,
    counts: Sequence[int] = (),
    neighbours: int = 0,
) -> MultimodalModel:
    """Put a model together.

    Args:
        config: what is built.
        labels: BIO tags, or relation classes.
        text: text encoder. image: picture encoder, where a source is read by it.
        counts: how often each label was seen in training, for heads that look at it; () for alike.
        neighbours: V of the words' augmentation, where ``neighbours`` is among the sources.
    """
    choose(ADAPTERS, config.adapters, "adapters")(text, config.adapter_rank)
    widths = source_widths(text, image)
    widths |= {multigranular.AUGMENTATION: neighbours} if neighbours else {}
    sources = {name: choose(widths, name, "source") for name in sources_of(config)}
    places, head = choose(TASKS, config.task, "task")
    plan = Plan(config, labels, text.width, sources, places)
    fusion = choose(FUSIONS, config.fusion, "fusion")(plan)
    return MultimodalModel(text, fusion, head(config, labels, counts), config.source_dropout)
