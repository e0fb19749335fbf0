"""From names to objects: the only place where a method is chosen by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from torch import nn

from twofold.config import LEVITATED, ModelConfig, MultigranularConfig
from twofold.encoders.adapters import add_lora, no_adapters
from twofold.encoders.image import ImageEncoder
from twofold.encoders.text import TextEncoder
from twofold.errors import ConfigError
from twofold.fusion import bottleneck, bottleneck_faithful, multigranular, multigranular_faithful, variational
from twofold.fusion.concat import Concat
from twofold.fusion.contract import Fusion
from twofold.fusion.dirichlet import Dirichlet, DirichletSettings
from twofold.fusion.evidential import Evidential, EvidentialSettings, PicturePerturbation
from twofold.fusion.evidential_direct import DirectSettings, EvidentialDirect
from twofold.fusion.nig import Discounted, LogLinear, MoNIG, Pooling, PriorCorrected
from twofold.fusion.text_only import TextOnly
from twofold.heads.class_losses import ClassLoss, LogitAdjusted, Weighted
from twofold.heads.classifier import SoftmaxClassifier
from twofold.heads.contract import Head
from twofold.heads.crf import CRF
from twofold.models.multimodal import MultimodalModel
from twofold.models.pair_states import PairFusion, PairStates
from twofold.models.plugins import find_part
from twofold.models.span_task import SpanTask
from twofold.models.word_states import CaseFeatures, PlainWords
from twofold.preprocessing.modalities import TEXTS, VISUAL

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FusionSpec:
    """What a fusion is built from.

    Attributes:
        config: options by name.
        labels: names of the outputs.
        width: D of the words.
        modality_widths: V of each modality besides the text, by name.
        slot_size: P, words in a slot: 1 for tags, 2 for relations.
    """

    config: ModelConfig
    labels: Sequence[str]
    width: int
    modality_widths: Mapping[str, int]
    slot_size: int


def _evidential(spec: FusionSpec) -> Fusion:
    options = spec.config.evidential
    form = choose(EVIDENTIAL_FORMS, options.form, "form")
    make_pooling = choose(POOLINGS, options.pooling or form.pooling, "pooling")
    pooling = make_pooling(spec.width * spec.slot_size, 1 + len(spec.modality_widths), form.detached)
    return form.make(spec, pooling)


def _revision(spec: FusionSpec, pooling: Pooling) -> Fusion:
    options = spec.config.evidential
    settings = EvidentialSettings(
        evidence_weight=options.loss_weight,
        regulariser_weight=options.regulariser_weight,
        pictures=PicturePerturbation(options.blank_pictures, options.mismatched_pictures),
    )
    return Evidential(spec.width, len(spec.labels), spec.modality_widths, pooling, spec.slot_size, settings)


def _direct(spec: FusionSpec, pooling: Pooling) -> Fusion:
    options = spec.config.evidential
    settings = DirectSettings(
        evidence_weight=options.loss_weight, regulariser_weight=options.regulariser_weight
    )
    return EvidentialDirect(
        spec.width, len(spec.labels), spec.modality_widths, pooling, spec.slot_size, settings
    )


class EvidentialForm(NamedTuple):
    """A form of the fusion ``evidential``.

    Attributes:
        make: builds it with a pooling.
        pooling: its default pooling.
        detached: whether its pooling is detached, see `Pooling`.
    """

    make: Callable[[FusionSpec, Pooling], Fusion]
    pooling: str
    detached: bool


def _dirichlet(spec: FusionSpec) -> Fusion:
    options = spec.config.dirichlet
    settings = DirichletSettings(loss_weight=options.loss_weight, kl_weight=options.kl_weight)
    return Dirichlet(spec.width, len(spec.labels), spec.modality_widths, spec.slot_size, settings)


def _bottleneck(spec: FusionSpec) -> Fusion:
    options = spec.config.bottleneck
    regularisers = bottleneck.Regularisers(
        choose(ALIGNMENTS, options.alignment, "alignment"),
        choose(KL_REDUCTIONS, options.kl_reduction, "kl_reduction"),
        options.alignment_weight,
        options.text_kl_weight,
        options.picture_kl_weight,
    )
    return choose(BOTTLENECK_FORMS, options.form, "form")(spec, regularisers)


def _multigranular(spec: FusionSpec) -> Fusion:
    options = spec.config.multigranular
    if options.hidden_size < 1 or options.hidden_size % multigranular.HEADS:
        raise ConfigError(
            f"hidden_size is {options.hidden_size}",
            where="[model.multigranular]",
            expected=f"a multiple of {multigranular.HEADS}, the number of attention heads",
        )
    widths = dict(spec.modality_widths)
    neighbour_width = widths.pop(multigranular.AUGMENTATION, 0)
    modes = choose(AUGMENTATION_MODES, options.form, "form")
    make_augmentation = choose(modes, options.augmentation_mode, "augmentation_mode")
    augment = make_augmentation(spec.width, neighbour_width) if neighbour_width else None
    make_task = AUXILIARY_TASKS.get(spec.config.task) if options.auxiliary_weight else None
    auxiliary = (
        multigranular.AuxiliaryTask(make_task(spec.width, spec.labels), options.auxiliary_weight)
        if make_task
        else None
    )
    sizes = multigranular.Sizes(spec.width, len(spec.labels), widths, spec.slot_size)
    return MULTIGRANULAR_FORMS[options.form](sizes, options, augment, auxiliary)


EVIDENTIAL_FORMS: dict[str, EvidentialForm] = {
    "revision": EvidentialForm(_revision, "prior_corrected", detached=True),
    "direct": EvidentialForm(_direct, "monig", detached=False),
}
POOLINGS: dict[str, Callable[[int, int, bool], Pooling]] = {
    "monig": lambda width, count, detached: MoNIG(detached),
    "prior_corrected": lambda width, count, detached: PriorCorrected(detached),
    "discounted": lambda width, count, detached: Discounted(detached),
    "log_linear": LogLinear,
}
ALIGNMENTS: dict[str, variational.Alignment] = {
    "jsd": variational.jsd,
    "infonce": variational.infonce,
    "rolled_jsd": variational.rolled_jsd,
}
KL_REDUCTIONS: dict[str, variational.Reduction] = {
    "sum_mean": variational.sum_mean_reduction,
    "mean": variational.mean_reduction,
}
ORIGINAL_SAMPLING: dict[str, variational.Reparameterise] = {
    "entities": variational.sample_in_training,
    "relations": bottleneck_faithful.sample_always,
}
"""When the original implementation adds noise, by task."""
BOTTLENECK_FORMS: dict[str, Callable[[FusionSpec, bottleneck.Regularisers], Fusion]] = {
    "corrected": lambda spec, regularisers: bottleneck.corrected(
        spec.width,
        len(spec.labels),
        spec.modality_widths,
        spec.slot_size,
        spec.config.bottleneck.hidden_size,
        regularisers,
    ),
    "faithful": lambda spec, regularisers: bottleneck_faithful.faithful(
        spec.width,
        len(spec.labels),
        spec.modality_widths,
        spec.slot_size,
        ORIGINAL_SAMPLING[spec.config.task],
        regularisers,
    ),
}
AUGMENTATION_MODES: dict[str, dict[str, Callable[[int, int], nn.Module]]] = {
    "corrected": {"add": multigranular.AddedNeighbours, "gate": multigranular.GatedNeighbours},
    "faithful": {
        "add": multigranular_faithful.OriginalAddedNeighbours,
        "gate": multigranular_faithful.OriginalGatedNeighbours,
    },
}
AUXILIARY_TASKS: dict[str, Callable[[int, Sequence[str]], nn.Module]] = {"entities": SpanTask}
"""The auxiliary task of `multigranular`, by task; relations have none."""
MULTIGRANULAR_FORMS: dict[
    str,
    Callable[
        [
            multigranular.Sizes,
            MultigranularConfig,
            nn.Module | None,
            multigranular.AuxiliaryTask | None,
        ],
        Fusion,
    ],
] = {
    "corrected": lambda sizes, options, augment, auxiliary: multigranular.corrected(
        sizes, options.hidden_size, augment, auxiliary
    ),
    "faithful": lambda sizes, options, augment, auxiliary: multigranular_faithful.faithful(
        sizes, augment, auxiliary
    ),
}
FUSIONS: dict[str, Callable[[FusionSpec], Fusion]] = {
    "bottleneck": _bottleneck,
    "concat": lambda spec: Concat(spec.width, len(spec.labels), spec.modality_widths, spec.slot_size),
    "dirichlet": _dirichlet,
    "evidential": _evidential,
    "multigranular": _multigranular,
    "text_only": lambda spec: TextOnly(spec.width, len(spec.labels), spec.slot_size),
}
IMPLIED_MODALITIES: dict[str, Callable[[ModelConfig], tuple[str, ...]]] = {
    "multigranular": lambda config: (
        () if config.multigranular.augmentation == "none" else (multigranular.AUGMENTATION,)
    )
}
"""Modalities that a fusion adds to those of the configuration."""
CLASS_LOSSES: dict[str, Callable[[Sequence[int], float], ClassLoss]] = {
    "none": lambda counts, strength: ClassLoss(),
    "weights": Weighted,
    "logit_adjustment": LogitAdjusted,
}


def _softmax(config: ModelConfig, labels: Sequence[str], counts: Sequence[int]) -> Head:
    make_loss = choose(CLASS_LOSSES, config.relations.imbalance, "imbalance")
    loss = make_loss(counts or [1] * len(labels), config.relations.imbalance_strength)
    return SoftmaxClassifier(labels, loss)


TASKS: dict[str, tuple[int, Callable[[ModelConfig, Sequence[str], Sequence[int]], Head]]] = {
    "entities": (1, lambda config, labels, counts: CRF(labels)),
    "relations": (2, _softmax),
}
"""Slot size (words in a slot) and head of each task."""


WORD_STATES: dict[str, Callable[[int, int], nn.Module]] = {
    "case_features": CaseFeatures,
    "plain": lambda width, conventions: PlainWords(),
}
ADAPTERS: dict[str, Callable[[TextEncoder, int], None]] = {"none": no_adapters, "lora": add_lora}


def choose(table: Mapping[str, T], name: str, what: str) -> T:
    """Look up a name.

    Raises:
        ConfigError: the name is not in the table.
    """
    if name not in table:
        raise ConfigError(f"got {name!r}", where=what, expected="one of " + ", ".join(table))
    return table[name]


def modalities_of(config: ModelConfig) -> tuple[str, ...]:
    """Modalities besides the text: those of the configuration, and those that the fusion adds."""
    implied = IMPLIED_MODALITIES[config.fusion](config) if config.fusion in IMPLIED_MODALITIES else ()
    return tuple(dict.fromkeys((*config.modalities, *implied)))


def modality_widths(text: TextEncoder, image: ImageEncoder | None) -> dict[str, int]:
    """V of every modality that the encoders can encode, by name."""
    return dict.fromkeys(TEXTS, text.width) | (dict.fromkeys(VISUAL, image.width) if image else {})


def build_model(
    config: ModelConfig,
    labels: Sequence[str],
    text: TextEncoder,
    image: ImageEncoder | None,
    counts: Sequence[int] = (),
    neighbours: int = 0,
    conventions: int = 0,
) -> MultimodalModel:
    """Build a model.

    Args:
        config: what to build.
        labels: BIO tags, or relation classes.
        text: text encoder.
        image: picture encoder, where a modality needs it.
        counts: number of training examples of each label, for heads that need it; () for equal numbers.
        neighbours: V of the words' augmentation, where ``neighbours`` is among the modalities.
        conventions: F features of a convention; 0 for a model without conventions.
    """
    choose(ADAPTERS, config.adapters, "adapters")(text, config.adapter_rank)
    widths = modality_widths(text, image)
    widths |= {multigranular.AUGMENTATION: neighbours} if neighbours else {}
    chosen = {name: choose(widths, name, "modality") for name in modalities_of(config)}
    slot_size, make_head = choose(TASKS, config.task, "task")
    spec = FusionSpec(config, labels, text.width, chosen, slot_size)
    fusion = find_part(FUSIONS, config.fusion, "twofold.fusions", "fusion")(spec)
    if config.task == "relations" and config.relations.markers == LEVITATED:
        fusion = PairFusion(PairStates(text.width, config.relations.layers), fusion)
    head = make_head(config, labels, counts)
    words = choose(WORD_STATES, config.words.form, "words.form")(text.width, conventions)
    return MultimodalModel(text, fusion, head, words, config.modality_dropout)
