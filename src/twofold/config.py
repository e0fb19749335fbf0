"""Configuration of a training: frozen dataclasses, read from and written to TOML.

Each field is explained in the ``Attributes`` section of its class; ``twofold train --help`` prints these
texts. A file may build on another one (``extends = "default.toml"``): tables are merged, values of the
extending file win, and paths are relative to the file that names them. A key that was renamed is read under
its old name for one version, with a notice (`RENAMED_KEYS`).

An unknown key is an error that names the nearest known one; a value of the wrong type says which type was
expected. A missing key has the default of these classes. Constants of a method that are not settings (hidden
sizes of evidential fusion, dropout rates of the fusions, initial scales) are in `twofold.fusion` and
`twofold.models`, next to the code that uses them.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import sys
import typing
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from twofold.errors import ConfigError
from twofold.reading import not_utf8, read_text, real_path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")

DEFAULT_TAGGER = "default"
"""The model that ships with the package."""
TAGGERS_ENCODER = "tagger"
"""Value of `ModelConfig.text_encoder` for a relation model: the exported text encoder of its tagger."""
LEVITATED = "levitated"
"""Value of `RelationsConfig.markers`: levitated markers, which are not inserted into the text."""
BUILT_IN_AUGMENTATIONS = ("encoder", "none")
"""Values of `MultigranularConfig.augmentation` that are not the path of a file."""


@dataclass(frozen=True, slots=True)
class CorpusConfig:
    """A corpus with its own annotation convention: a table ``[[data.corpora]]``.

    Attributes:
        name: name of its annotation convention, which is an input of the model; "" for none.
        train: files to train on.
        dev: files on which the best epoch is chosen.
        types: new names of entity types; "" drops the entities of a type.
        annotated_types: entity types that the corpus annotates; entities of the other types are unknown in
            it, not absent. Empty for all.
        partial: further files to train on, in which only some entities are annotated, such as the arguments
            of relations in a file without other entities; the tags of all other words are unknown.
        merge_mentions: whether to drop entities that are a lone "@" before the entity of the name.
        mentions: how mentioned users are annotated: none (as no entity), or name (without the "@").
        hashtags: how hashtags that name an entity are annotated: none (as no entity), name (without the "#")
            or mark (with it).
        unmask: whether masked users and links of the training files ("@USER12", "URL7") are replaced by
            plausible ones.
    """

    name: str = ""
    train: tuple[str, ...] = ()
    dev: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    annotated_types: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()
    merge_mentions: bool = False
    mentions: str = "name"
    hashtags: str = "name"
    unmask: bool = False


@dataclass(frozen=True, slots=True)
class DataConfig:
    """The files of a training.

    Attributes:
        train: files to train on, in any format that Twofold reads.
        dev: files on which the best epoch is chosen (by their mean F1) and confidences are calibrated.
        images: folder of the pictures; "" for the folder of the data file.
        alt_text: TSV file of picture descriptions; "" for none.
        allow_outside: whether pictures may lie outside ``images`` (without it, outside the data file's
            folder); only for data that you trust.
        held_out: files whose texts are excluded from training, such as test sets of the corpora.
        unlabelled: files of unlabelled posts, on which a tagger is trained to predict what teachers predict
            (distillation).
        teachers: trained taggers with the same entity types, whose mean prediction on the unlabelled posts is
            the target: default (the shipped model) or model folders.
        corpora: corpora with their own annotation conventions, in addition to those files.
    """

    train: tuple[str, ...] = ()
    dev: tuple[str, ...] = ()
    images: str = ""
    alt_text: str = ""
    allow_outside: bool = False
    held_out: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    teachers: tuple[str, ...] = ()
    corpora: tuple[CorpusConfig, ...] = ()

    @property
    def all_train(self) -> tuple[str, ...]:
        """Training files of all corpora."""
        return (*self.train, *(file for corpus in self.corpora for file in (*corpus.train, *corpus.partial)))

    @property
    def all_dev(self) -> tuple[str, ...]:
        """Dev files of all corpora."""
        return (*self.dev, *(file for corpus in self.corpora for file in corpus.dev))

    def corpus_of(self, file: str) -> CorpusConfig:
        """The corpus that lists a file; one with the defaults if none does."""
        named = (c for c in self.corpora if file in (*c.train, *c.partial, *c.dev))
        return next(named, CorpusConfig())


@dataclass(frozen=True, slots=True)
class EvidentialConfig:
    """Options of the fusion ``evidential`` (system A).

    Attributes:
        form: revision (each modality revises the prediction of the text), or direct (each modality predicts
            on its own, and all four parameters are learned from its states).
        pooling: rule that pools the distributions of the modalities into one: monig, prior_corrected,
            discounted or log_linear; "" for the default of the form (revision: prior_corrected, direct:
            monig).
        loss_weight: weight of the evidence loss, which is added to the loss of the head, at least 0.
        regulariser_weight: weight, within the evidence loss, of the penalty on evidence for wrong
            predictions, at least 0.
        blank_pictures: probability, 0 to 1, that a picture is replaced by one of a single colour in training,
            so that the model learns to give it no evidence. Form revision only.
        mismatched_pictures: probability, 0 to 1, that a picture is replaced by that of another post of the
            batch in training. The sum with blank_pictures must not exceed 1. Form revision only.
    """

    form: str = "revision"
    pooling: str = ""
    loss_weight: float = 0.05
    regulariser_weight: float = 0.01
    blank_pictures: float = 0.15
    mismatched_pictures: float = 0.0


@dataclass(frozen=True, slots=True)
class RelationsConfig:
    """Options of the task ``relations``.

    Attributes:
        markers: levitated (all pairs of a post are encoded in one pass, by layers above the text encoder), or
            marker tokens around head and tail, in a separate copy of the text for each pair: typed (they name
            the entity type), untyped or plain.
        layers: number of layers for levitated markers, at least 1.
        tagger: model that predicts the entity types of the arguments: default (the shipped model) or a model
            folder; "" takes the types from the data, which is not allowed for typed markers.
        imbalance: treatment of imbalanced classes: none, weights (a weighted loss) or logit_adjustment.
        imbalance_strength: strength of weights or logit_adjustment, 0 (none) to 1 (classes count equally).
        argument_order: order of head and tail in the training pairs: given (as in the data), or both (each
            pair also with head and tail swapped).
        symmetric: relations that also hold with head and tail swapped; swapped pairs of all other relations
            are labelled None.
    """

    markers: str = "typed"
    layers: int = 2
    tagger: str = DEFAULT_TAGGER
    imbalance: str = "none"
    imbalance_strength: float = 0.5
    argument_order: str = "given"
    symmetric: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BottleneckConfig:
    """Options of the fusion ``bottleneck`` (system C).

    Attributes:
        form: corrected, or faithful to the original implementation.
        hidden_size: size of the latent vectors of the corrected form; those of the faithful form have the
            size of the word states.
        alignment: estimator of the mutual information of text and picture: jsd, infonce, or rolled_jsd (as in
            the original implementation, where a negative may be the same picture).
        kl_reduction: reduction of the KL divergence to a scalar: sum_mean (sum over the hidden size, mean
            over real elements), or mean (over everything, padding included, as in the original
            implementation).
        alignment_weight: weight of the alignment in the loss, at least 0.
        text_kl_weight: weight of the KL divergence of the text latents, at least 0.
        picture_kl_weight: weight of the KL divergence of the picture latents, at least 0.
    """

    form: str = "corrected"
    hidden_size: int = 128
    alignment: str = "jsd"
    kl_reduction: str = "sum_mean"
    alignment_weight: float = 0.1
    text_kl_weight: float = 1e-3
    picture_kl_weight: float = 1e-3


@dataclass(frozen=True, slots=True)
class MultigranularConfig:
    """Options of the fusion ``multigranular`` (system B).

    Attributes:
        form: corrected, or faithful to the original implementation.
        hidden_size: size of the layers of the corrected form, a multiple of 4; those of the faithful form
            have the size of the word states.
        augmentation: word vectors whose nearest neighbours augment the words: encoder (input embeddings of
            the text encoder), a file in word2vec or GloVe format, or none.
        augmentation_words: number of word vectors to read, those of the most frequent words; 0 for all.
        augmentation_mode: how the augmentation is combined with the word states: add or gate.
        auxiliary_weight: weight of the auxiliary loss (entity spans without types), at least 0; 0 for none.
    """

    form: str = "corrected"
    hidden_size: int = 64
    augmentation: str = "encoder"
    augmentation_words: int = 50_000
    augmentation_mode: str = "add"
    auxiliary_weight: float = 0.5


@dataclass(frozen=True, slots=True)
class DirichletConfig:
    """Options of the fusion ``dirichlet`` (a baseline).

    Attributes:
        loss_weight: weight of the evidential loss, which is added to the loss of the head, at least 0.
        kl_weight: weight, within the evidential loss, of the KL divergence that penalises evidence for wrong
            outputs, after its warm-up, at least 0.
    """

    loss_weight: float = 1.0
    kl_weight: float = 1.0


@dataclass(frozen=True, slots=True)
class WordsConfig:
    """Word states.

    Attributes:
        form: case_features (the encoder's states, combined with the case of a word and of its neighbours), or
            plain (the encoder's states).
        mentions: how mentioned users are annotated by default, in a model trained on several annotation
            conventions: none (as no entity), or name (without the "@").
        hashtags: how hashtags that name an entity are annotated by default, in such a model: none (as no
            entity), name (without the "#") or mark (with it).
        convention: corpus whose annotation convention is the default, instead of mentions and hashtags; ""
            for these two alone.
    """

    form: str = "case_features"
    mentions: str = "name"
    hashtags: str = "name"
    convention: str = ""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The model to build.

    Attributes:
        name: name of the model, printed with each extraction.
        task: entities or relations.
        text_encoder: minilm (embedded), a local folder, or the name of a model on the hub; for relations also
            tagger (the frozen encoder of the tagger, which then runs once for entities and relations).
        image_encoder: efficientnet-lite0 (embedded), a local folder, or the name of a model on the hub.
        fusion: how text and other modalities are combined: evidential, multigranular, bottleneck, concat,
            dirichlet or text_only.
        adapters: none, or lora (low-rank adapters are trained instead of all weights of the text encoder).
        adapter_rank: rank of the low-rank adapters, at least 1.
        modalities: modalities besides the text: picture, whole, crops, alt_text, objects, ocr.
        max_crops: maximum number of crops per picture, for the modality crops.
        modality_dropout: probability, 0 to 1, that a modality of a post is left out in training, so that the
            model learns every subset of modalities.
        window_pieces: maximum input length of the text encoder in word pieces, including special tokens.
        context_words: words of context on either side of a window of a long post.
        weights: precision of the exported graphs: 8bit (weights in 8 bits; text encoder, fusion and a
            convolutional picture encoder also compute in 8 bits, unless F1 on dev falls by 0.2 or more),
            8bit_weights (weights alone) or float32.
        joint: settings (a TOML file) of a relation model that is trained jointly with this tagger, on the
            same text encoder; "" for none. Only its data, model settings and initial weights are used.
        words: options of the word states.
        evidential: options of the fusion evidential.
        bottleneck: options of the fusion bottleneck.
        multigranular: options of the fusion multigranular.
        dirichlet: options of the fusion dirichlet.
        relations: options of the task relations.
    """

    name: str = "custom"
    task: str = "entities"
    text_encoder: str = "minilm"
    image_encoder: str = "efficientnet-lite0"
    fusion: str = "evidential"
    adapters: str = "none"
    adapter_rank: int = 8
    modalities: tuple[str, ...] = ("picture", "alt_text")
    max_crops: int = 4
    modality_dropout: float = 0.3
    window_pieces: int = 256
    context_words: int = 32
    weights: str = "8bit"
    joint: str = ""
    words: WordsConfig = field(default_factory=WordsConfig)
    evidential: EvidentialConfig = field(default_factory=EvidentialConfig)
    bottleneck: BottleneckConfig = field(default_factory=BottleneckConfig)
    multigranular: MultigranularConfig = field(default_factory=MultigranularConfig)
    dirichlet: DirichletConfig = field(default_factory=DirichletConfig)
    relations: RelationsConfig = field(default_factory=RelationsConfig)


@dataclass(frozen=True, slots=True)
class AugmentationConfig:
    """Augmentation of a tagger's training posts, drawn again in every epoch.

    Attributes:
        links: probability, 0 to 1, that the links of a post are removed, or one is added where it has none.
        lower_case: probability that a post is written in lower case.
        upper_case: probability that a post is written in upper case.
        title_case: probability that every word of a post is capitalised. The three sum to at most 1.
        typos: probability, 0 to 1, that a post gets typos.
        elongation: probability, 0 to 1, that a word or two are elongated ("sooo").
        no_punctuation: probability, 0 to 1, that a post loses its punctuation.
        repetition: probability, 0 to 1, that an entity is repeated several times in a row.
    """

    links: float = 0.0
    lower_case: float = 0.0
    upper_case: float = 0.0
    title_case: float = 0.0
    typos: float = 0.0
    elongation: float = 0.0
    no_punctuation: float = 0.0
    repetition: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How the model is trained.

    Attributes:
        epochs: maximum number of epochs.
        patience: epochs without a better dev F1 before training stops; 0 for no early stopping.
        batch_size: windows of posts per training step.
        encoder_lr: peak learning rate of the text encoder, or of its adapters; 0 freezes the encoder.
        freeze_embeddings: keep the pretrained word-piece embeddings fixed, so that names unseen in training
            stay in the same space as those seen.
        head_lr: peak learning rate of the fusion and the word features.
        crf_lr: peak learning rate of the CRF and of the emission scale.
        warmup_ratio: share of all steps, 0 to 1, in which learning rates rise; they then fall linearly to 0.
        weight_decay: weight decay of AdamW; biases and normalisation layers have none.
        ema_decay: decay, 0 to 1, of the exponential moving average of the weights, which is evaluated and
            saved; 0 for no average.
        max_grad_norm: maximum gradient norm; larger gradients are clipped.
        token_masking: probability, 0 to 1, that a word piece is replaced by the mask token in training.
        augmentation: augmentation of the training posts.
        initial_weights: weights of an earlier training (``weights.safetensors`` beside its model folder) to
            start from; those with the same name and shape are loaded. "" for none.
        initial_weights_share: share, 0 to 1, of the initial weights in the exported ones, an average of
            initial and trained weights (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"); in
            joint training for the tagger alone.
        seed: seed of all random numbers.
        device: auto (a GPU where there is one), cpu, cuda or mps.
        precision: precision of the text encoder in training: auto (bfloat16 where the hardware supports it),
            float32 or bfloat16.
        threads: CPU threads; 0 for the default of PyTorch.
    """

    epochs: int = 5
    patience: int = 3
    batch_size: int = 16
    encoder_lr: float = 8e-5
    freeze_embeddings: bool = True
    head_lr: float = 5e-4
    crf_lr: float = 5e-3
    warmup_ratio: float = 0.1
    weight_decay: float = 0.01
    ema_decay: float = 0.998
    max_grad_norm: float = 1.0
    token_masking: float = 0.1
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    initial_weights: str = ""
    initial_weights_share: float = 0.0
    seed: int = 1
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration of a training.

    Attributes:
        data: the files.
        model: the model to build.
        training: how it is trained.
    """

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


# --- names of the previous version ---------------------------------------------------------------------

RENAMED_KEYS: Mapping[str, str] = {
    "model.text": "model.text_encoder",
    "model.image": "model.image_encoder",
    "model.sources": "model.modalities",
    "model.source_dropout": "model.modality_dropout",
    "model.evidential.weight": "model.evidential.loss_weight",
    "model.evidential.regulariser": "model.evidential.regulariser_weight",
    "model.evidential.blanks": "model.evidential.blank_pictures",
    "model.evidential.strangers": "model.evidential.mismatched_pictures",
    "model.bottleneck.inner": "model.bottleneck.hidden_size",
    "model.bottleneck.reduction": "model.bottleneck.kl_reduction",
    "model.bottleneck.text_weight": "model.bottleneck.text_kl_weight",
    "model.bottleneck.picture_weight": "model.bottleneck.picture_kl_weight",
    "model.multigranular.inner": "model.multigranular.hidden_size",
    "model.multigranular.augment": "model.multigranular.augmentation_mode",
    "model.dirichlet.weight": "model.dirichlet.loss_weight",
    "model.dirichlet.regulariser": "model.dirichlet.kl_weight",
    "model.relations.strength": "model.relations.imbalance_strength",
    "model.relations.orders": "model.relations.argument_order",
    "training.warmup": "training.warmup_ratio",
    "training.average": "training.ema_decay",
    "training.clip": "training.max_grad_norm",
    "training.piece_dropout": "training.token_masking",
}
"""Keys by their name in version 0.1, which is accepted for one more version."""
RENAMED_VALUES: Mapping[str, Mapping[str, str]] = {
    "model.bottleneck.alignment": {"released": "rolled_jsd"},
    "model.bottleneck.kl_reduction": {"textbook": "sum_mean", "released": "mean"},
}
"""Values by their name in version 0.1, by (new) key."""


def with_current_names(raw: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The same settings with each renamed key and value under its current name; prints a notice for each.

    Args:
        raw: tables as in a file: ``model``, ``training``, ….
        where: the file, named in notices and errors.

    Raises:
        ConfigError: a key is there under both names.
    """
    return _renamed(raw, "", where)


def _renamed(table: Mapping[str, Any], prefix: str, where: str) -> dict[str, Any]:
    current: dict[str, Any] = {}
    for key, value in table.items():
        path = f"{prefix}{key}"
        new = RENAMED_KEYS.get(path, path)
        name = new.rpartition(".")[2]
        if name != key:
            _notice(where, f"key {path!r} is now {new!r}")
        if name in current or (name != key and name in table):
            raise ConfigError(
                f"{key!r} and {name!r} are the same key",
                where=where,
                expected="one of them",
                do=f"use {name!r}",
            )
        inner = _renamed(value, f"{path}.", where) if isinstance(value, Mapping) else value
        current[name] = _current_value(new, inner, where)
    return current


def _current_value(path: str, value: Any, where: str) -> Any:
    new = RENAMED_VALUES.get(path, {}).get(value) if isinstance(value, str) else None
    if new is None:
        return value
    _notice(where, f"value {value!r} of {path!r} is now {new!r}")
    return new


def _notice(where: str, what: str) -> None:
    print(f"twofold: {where}: {what}; the old name is accepted for one more version", file=sys.stderr)


# --- reading -------------------------------------------------------------------------------------------


def read_config(path: Path) -> Config:
    """Read a TOML file and the files it extends.

    Raises:
        ConfigError: no such file, not TOML, an unknown key, a value of the wrong type, or files that extend
            each other in a circle.
    """
    return from_mapping(_with_base(path, ()), str(path))


def _with_base(path: Path, extending: tuple[Path, ...]) -> dict[str, Any]:
    """Tables of a file over those of the file that it extends; paths relative to the working folder.

    Args:
        path: the file.
        extending: the files that extend this one, directly or through others, outermost first.
    """
    if any(real_path(path) == real_path(other) for other in extending):
        raise ConfigError(
            f"it extends itself: {' extends '.join(map(str, (*extending, path)))}",
            where=str(path),
            expected="a file that does not extend this one in turn",
            do="remove one of the extends keys",
        )
    raw = with_current_names(_read(path), str(path))
    base = raw.pop("extends", "")
    own = _with_paths(raw, path.parent)
    if not isinstance(base, str):
        raise ConfigError(f"got {base!r}", where=f"{path}: extends", expected="the path of a TOML file")
    return merged(_with_base(path.parent / base, (*extending, path)), own) if base else own


def merged(settings: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with ``overrides`` over them; tables are merged key by key, lists are replaced."""
    both = dict(settings)
    for key, value in overrides.items():
        inner = both.get(key)
        both[key] = (
            merged(inner, value) if isinstance(value, Mapping) and isinstance(inner, Mapping) else value
        )
    return both


def read_toml(kind: type[T], path: Path) -> T:
    """Read a TOML file into any dataclass of strings, numbers, lists of them, tables and dataclasses.

    Raises:
        ConfigError: as `read_config`.
    """
    built: T = _build(kind, _read(path), str(path))
    return built


def build(kind: type[T], raw: Mapping[str, Any], where: str) -> T:
    """Build a dataclass from plain data as `read_toml` does; ``where`` is named in errors."""
    built: T = _build(kind, raw, where)
    return built


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path))
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}",
            where=str(path),
            expected="a settings file (TOML)",
            do="check the path",
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(_not_toml(error), where=str(path)[:200], expected="a settings file") from error


def _not_toml(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not TOML, which is UTF-8: {not_utf8(error)}"
    if isinstance(error, tomllib.TOMLDecodeError):
        return f"not TOML: {error}"
    return "nested too deeply" if isinstance(error, RecursionError) else "a name or a number is too long"


_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_PATHS: Mapping[str, tuple[str, ...]] = {
    "data.train": (),
    "data.dev": (),
    "data.corpora.train": (),
    "data.corpora.dev": (),
    "data.corpora.partial": (),
    "data.held_out": (),
    "data.unlabelled": (),
    "data.teachers": (DEFAULT_TAGGER,),
    "data.images": (),
    "data.alt_text": (),
    "model.joint": (),
    "model.multigranular.augmentation": BUILT_IN_AUGMENTATIONS,
    "model.relations.tagger": (DEFAULT_TAGGER,),
    "training.initial_weights": (),
}
"""Keys that hold paths, with their values that are not paths; "" is not a path either."""


def _with_paths(raw: Mapping[str, Any], folder: Path, prefix: str = "") -> dict[str, Any]:
    """The same tables with the paths in them relative to the working folder instead of ``folder``."""

    def located(name: Any, names: Iterable[str]) -> Any:
        return str(folder / name) if isinstance(name, str) and name and name not in names else name

    found: dict[str, Any] = {}
    for key, value in raw.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found[key] = _with_paths(value, folder, f"{path}.")
        elif _are_tables(value):
            found[key] = [_with_paths(table, folder, f"{path}.") for table in value]
        elif path in _PATHS and isinstance(value, list):
            found[key] = [located(name, _PATHS[path]) for name in value]
        else:
            found[key] = located(value, _PATHS[path]) if path in _PATHS else value
    return found


def from_mapping(raw: Mapping[str, Any], where: str) -> Config:
    """Build from plain data, as `read_config` does from a file; paths stay as they are."""
    return build(Config, with_current_names(raw, where), where)


def to_toml(config: Config) -> str:
    """Write the whole configuration as TOML, defaults included; `read_config` reads the same back."""
    return "\n".join(line for name, table in asdict(config).items() for line in _toml_table(name, table))


def _are_tables(value: Any) -> bool:
    """Whether it is an array of tables."""
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(x, Mapping) for x in value)


def _toml_table(name: str, table: Mapping[str, Any], header: str = "[{}]") -> list[str]:
    lines = [header.format(name)]
    nested: list[str] = []
    for key, x in table.items():
        if isinstance(x, dict):
            nested += _toml_table(f"{name}.{key}", x)
        elif _are_tables(x):
            nested += [line for each in x for line in _toml_table(f"{name}.{key}", each, "[[{}]]")]
        else:
            lines.append(f"{key if _BARE_KEY.fullmatch(key) else _toml_value(key)} = {_toml_value(x)}")
    return [*lines, "", *nested]


def _toml_value(value: Any) -> str:
    # JSON's strings, numbers, booleans and lists of strings are TOML's.
    plain = list(value) if isinstance(value, tuple) else value
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")


def _build(kind: Any, raw: Any, where: str) -> Any:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"got {raw!r}", where=where, expected="a table")
    types = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in types:
            raise ConfigError(f"unknown key {key!r}", where=where, expected=_nearest(key, list(types)))
        place = f"{where} [{key}]" if dataclasses.is_dataclass(types[key]) else f"{where}: {key}"
        values[key] = (
            _build(types[key], value, place)
            if dataclasses.is_dataclass(types[key])
            else _cast(types[key], value, place)
        )
    return kind(**values)


def _nearest(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, 1)
    return f"{near[0]!r}, perhaps" if near else "one of " + ", ".join(known)


def _cast(kind: Any, value: Any, where: str) -> Any:
    if kind == tuple[CorpusConfig, ...]:
        if isinstance(value, (list, tuple)):
            return tuple(_build(CorpusConfig, x, f"{where}[{i}]") for i, x in enumerate(value))
        raise ConfigError(f"got {value!r}", where=where, expected="tables [[data.corpora]]")
    if kind == Mapping[str, str]:
        if isinstance(value, Mapping) and all(isinstance(x, str) for x in value.values()):
            return dict(value)
        raise ConfigError(f"got {value!r}", where=where, expected="a table of strings")
    if kind == tuple[str, ...]:
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list) and all(isinstance(x, str) for x in items):
            return tuple(items)
        raise ConfigError(f"got {value!r}", where=where, expected="a list of strings")
    if kind == tuple[int, ...]:
        if isinstance(value, list) and all(type(x) is int for x in value):
            return tuple(value)
        raise ConfigError(f"got {value!r}", where=where, expected="a list of whole numbers")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, typing.get_origin(kind) or kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(f"got {value!r}", where=where, expected=f"a value of type {kind.__name__}")
    return value
