"""Configuration of a training: frozen dataclasses, read from and written to TOML.

An unknown key is an error that names the nearest known one; a value of the wrong type says which
type was expected. No defaults hide elsewhere: what is not in the file is in these classes.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from twofold.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NO_FILES = ("encoder", "none")
"""What `MultigranularConfig.augmentation` may say besides a file."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DataConfig:
    """What is read. Paths are relative to the configuration file.

    Attributes:
        train: files of any known format.
        dev: files on which the best epoch is chosen; the mean of their F1 counts.
        images: folder of pictures ("" for none).
        alt_text: TSV of picture descriptions ("" for none).
    """

    train: tuple[str, ...] = ()
    dev: tuple[str, ...] = ()
    images: str = ""
    alt_text: str = ""


@dataclass(frozen=True, slots=True)
class EvidentialConfig:
    """Options of the fusion ``evidential``.

    Attributes:
        pooling: ``monig``, ``prior_corrected``, ``discounted`` or ``log_linear``.
        weight: λₑ, of the evidence loss. regulariser: λ, of evidence for wrong predictions.
        blanks: chance that a picture is shown as a blank one in training, to claim no evidence there.
        strangers: chance that another post's picture is shown in training.
    """

    form: str = "revision"
    pooling: str = "prior_corrected"
    weight: float = 0.05
    regulariser: float = 0.01
    blanks: float = 0.15
    strangers: float = 0.0


DEFAULT_TAGGER = "default"
"""The model that ships with the package."""


@dataclass(frozen=True, slots=True)
class RelationsConfig:
    """Options of the task ``relations``.

    Attributes:
        markers: ``typed``, ``untyped`` or ``plain``, what is put round head and tail.
        tagger: predicts the types of arguments: ``default``, or a model folder; "" for none, and then the
            types are those of the data, which typed markers must not tell.
        imbalance: ``none``, ``weights`` or ``logit_adjustment``, for classes of unlike size.
        strength: τ of the latter two.
        orders: ``given``, the pairs as the data gives them, or ``both``, each also the other way round.
        symmetric: relations that hold both ways; the other way round all others are none.
    """

    markers: str = "typed"
    tagger: str = DEFAULT_TAGGER
    imbalance: str = "none"
    strength: float = 0.5
    orders: str = "given"
    symmetric: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BottleneckConfig:
    """Options of the fusion ``bottleneck``.

    Attributes:
        form: ``corrected``, or ``faithful`` to the released code.
        inner: H, width of the latents of the corrected form; the faithful ones are as wide as the words.
        alignment: ``jsd``, ``infonce``, or ``released`` (JSD that takes the same picture for another).
        reduction: of the KL, ``textbook`` (sum over H, mean over real elements) or ``released`` (mean).
        alignment_weight: β₁. text_weight: β₂, of KLᵗ. picture_weight: β₃, of KLᵛ.
    """

    form: str = "corrected"
    inner: int = 128
    alignment: str = "jsd"
    reduction: str = "textbook"
    alignment_weight: float = 0.1
    text_weight: float = 1e-3
    picture_weight: float = 1e-3


@dataclass(frozen=True, slots=True)
class MultigranularConfig:
    """Options of the fusion ``multigranular``.

    Attributes:
        form: ``corrected``, or ``faithful`` to the released code.
        inner: H, width of the layers of the corrected form; the faithful ones are as wide as the words.
        augmentation: word vectors whose nearest neighbours augment the words: ``encoder`` (the text
            encoder's own input embeddings), a file in a word2vec or GloVe format (its path is relative
            to the configuration file), or ``none``.
        augmentation_words: words of it that are read, the first and so the most frequent ones; 0 for all.
        augment: ``add`` or ``gate``, how the augmentation joins the words.
        auxiliary_weight: of the second task, where entities are whatever their type; 0 for none.
    """

    form: str = "corrected"
    inner: int = 64
    augmentation: str = "encoder"
    augmentation_words: int = 50_000
    augment: str = "add"
    auxiliary_weight: float = 0.5


@dataclass(frozen=True, slots=True)
class DirichletConfig:
    """Options of the fusion ``dirichlet``.

    Attributes:
        weight: of its loss beside the CRF's.
        regulariser: λ, of evidence for wrong outputs, once it has risen.
    """

    weight: float = 1.0
    regulariser: float = 1.0


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What is built.

    Attributes:
        name: the model's name, printed with each extraction.
        task: ``entities`` or ``relations``.
        text: ``minilm`` (embedded), a local folder, or a hub name.
        image: ``efficientnet-lite0`` (embedded).
        fusion: name in `twofold.models.build.FUSIONS`.
        adapters: ``none``, or ``lora``: low-rank adapters instead of all weights of the text encoder.
        adapter_rank: rank of these.
        sources: sources besides the text.
        max_crops: crops of a picture at most, for the source ``crops``.
        source_dropout: chance that a source of a post is left out in training.
        window_pieces: longest input of the text encoder, special pieces included.
        context_words: words of context either side of a window of a long post.
        weights: ``8bit`` or ``float32``, how the exported graphs keep theirs.
        evidential, bottleneck, multigranular, dirichlet: options of the fusions so called; the others do not
            look at them.
        relations: options of that task; taggers do not look at them.
    """

    name: str = "custom"
    task: str = "entities"
    text: str = "minilm"
    image: str = "efficientnet-lite0"
    fusion: str = "evidential"
    adapters: str = "none"
    adapter_rank: int = 8
    sources: tuple[str, ...] = ("picture", "alt_text")
    max_crops: int = 4
    source_dropout: float = 0.3
    window_pieces: int = 256
    context_words: int = 32
    weights: str = "8bit"
    evidential: EvidentialConfig = field(default_factory=EvidentialConfig)
    bottleneck: BottleneckConfig = field(default_factory=BottleneckConfig)
    multigranular: MultigranularConfig = field(default_factory=MultigranularConfig)
    dirichlet: DirichletConfig = field(default_factory=DirichletConfig)
    relations: RelationsConfig = field(default_factory=RelationsConfig)


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """How it is trained.

    Attributes:
        epochs: at most. patience: epochs without a better dev F1 before stopping; 0 for never.
        batch_size: posts a step.
        encoder_lr: peak learning rate of the text encoder; 0 freezes it.
        freeze_embeddings: keep the encoder's look-up table of word pieces as it was pretrained, so that
            names never seen in training stay in the same space as those seen.
        head_lr: of fusion and word states. crf_lr: of the CRF and the emission scale.
        warmup: part of all steps in which rates rise; then they fall linearly to 0.
        weight_decay: AdamW's, not on biases and norms.
        average: decay of the running average of weights that is evaluated and kept; 0 for none.
        clip: largest norm of the gradient.
        piece_dropout: chance that a word piece is hidden from the text encoder.
        seed: of everything random.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``mps``.
        precision: ``auto`` (bf16 where the hardware has it), ``float32`` or ``bfloat16``, for the
            text encoder in training.
        threads: of the CPU; 0 leaves it to PyTorch.
    """

    epochs: int = 5
    patience: int = 3
    batch_size: int = 16
    encoder_lr: float = 8e-5
    freeze_embeddings: bool = True
    head_lr: float = 5e-4
    crf_lr: float = 5e-3
    warmup: float = 0.1
    weight_decay: float = 0.01
    average: float = 0.998
    clip: float = 1.0
    piece_dropout: float = 0.1
    seed: int = 1
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Config:
    """A whole training: data, model, training."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)


def read_config(path: Path) -> Config:
    """Read a TOML file.

    Raises:
        ConfigError: no such file, not TOML, an unknown key, or a value of the wrong type.
    """
    return resolve(read_toml(Config, path), path.parent)


def read_toml(kind: type[T], path: Path) -> T:
    """Read a TOML file into any dataclass of strings, numbers, lists of them, tables and dataclasses.

    Raises:
        ConfigError: as `read_config`.
    """
    built: T = _build(kind, _read(path), str(path))
    return built


def build(kind: type[T], raw: Mapping[str, Any], where: str) -> T:
    """The same from plain data; ``where`` is named in errors."""
    built: T = _build(kind, raw, where)
    return built


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read it: {error.strerror}", where=str(path)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not TOML: {error}", where=str(path)) from error


def resolve(config: Config, base: Path) -> Config:
    """The same with paths of files made relative to the working folder instead of ``base``."""

    def at(name: str) -> str:
        return str(base / name) if name else ""

    data = config.data
    found = DataConfig(
        tuple(map(at, data.train)), tuple(map(at, data.dev)), at(data.images), at(data.alt_text)
    )
    options = config.model.multigranular
    if options.augmentation not in NO_FILES:
        options = dataclasses.replace(options, augmentation=at(options.augmentation))
    relations = config.model.relations
    if relations.tagger != DEFAULT_TAGGER:
        relations = dataclasses.replace(relations, tagger=at(relations.tagger))
    model = dataclasses.replace(config.model, multigranular=options, relations=relations)
    return dataclasses.replace(config, data=found, model=model)


def from_mapping(raw: Mapping[str, Any], where: str) -> Config:
    """Build from plain data, as `read_config` does from a file."""
    return build(Config, raw, where)


def to_toml(config: Config) -> str:
    """Write as TOML; `read_config` gives the same back."""
    return "\n".join(line for name, table in asdict(config).items() for line in _toml_table(name, table))


def _toml_table(name: str, table: Mapping[str, Any]) -> list[str]:
    plain = [f"{key} = {_toml_value(x)}" for key, x in table.items() if not isinstance(x, dict)]
    nested = [(f"{name}.{key}", x) for key, x in table.items() if isinstance(x, dict)]
    return [f"[{name}]", *plain, "", *(line for item in nested for line in _toml_table(*item))]


def _toml_value(value: Any) -> str:
    # JSON's strings, numbers, booleans and lists of strings are TOML's.
    plain = list(value) if isinstance(value, tuple) else value
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")


def _build(kind: Any, raw: Any, where: str) -> Any:
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{raw!r} came", where=where, expected="a table")
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
    if kind == tuple[str, ...]:
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list) and all(isinstance(x, str) for x in items):
            return tuple(items)
        raise ConfigError(f"{value!r} came", where=where, expected="a list of strings")
    if kind == tuple[int, ...]:
        if isinstance(value, list) and all(type(x) is int for x in value):
            return tuple(value)
        raise ConfigError(f"{value!r} came", where=where, expected="a list of whole numbers")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, typing.get_origin(kind) or kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(f"{value!r} came", where=where, expected=f"a value of type {kind.__name__}")
    return value
