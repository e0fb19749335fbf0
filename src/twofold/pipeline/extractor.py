"""The Python interface: load a model, extract from posts.

extractor = twofold.load()
for extraction in extractor.extract([{"id": 1, "text": "Sunset in Paris", "image": "p.jpg"}]):
    ...
"""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from twofold.calibration.risk_control import RiskControl
from twofold.conventions import Convention
from twofold.corpora.column_names import ColumnNames
from twofold.corpora.post_stream import PostLike, with_rejected
from twofold.deprecation import renamed_arguments
from twofold.errors import ConfigError, ModelError
from twofold.frames.rows import RowReader
from twofold.inference.devices import check_device
from twofold.model_folder.combine import combine as combine_folders
from twofold.model_folder.folder import ModelFolder, open_folder
from twofold.pipeline.inference_pipeline import InferencePipeline
from twofold.pipeline.tables import batches_of_results, check_keep, check_on_error, frame_with_results
from twofold.posts import MAX_CHARACTERS, Extraction, Rejected

if TYPE_CHECKING:
    import pyarrow

Frame = TypeVar("Frame")

_LOG = logging.getLogger("twofold")


def default_folder() -> Path:
    """The folder of the model that ships with the package."""
    return Path(__file__).parents[1] / "models_data" / "default"


@renamed_arguments(relations="relation_model", sets="coverage")
def load(
    folder: Path | str | None = None,
    *,
    relation_model: Path | str | Literal[False] | None = None,
    threads: int | None = None,
    cache: Path | str | None = None,
    max_error: float | None = None,
    max_relation_error: float | None = None,
    coverage: float | None = None,
    max_characters: int | None = MAX_CHARACTERS,
    convention: str | None = None,
    mentions: str | None = None,
    hashtags: str | None = None,
    device: str = "cpu",
) -> Extractor:
    """Load a model.

    Args:
        folder: a model folder; None for the model that ships with the package. A relation model alone
            predicts no entities: it extracts relations between the entities that posts provide.
        relation_model: folder of a relation model to use with it; None for the one that the folder may
            hold, False to extract no relations.
        threads: threads that run batches; None for as many as there are cores.
        cache: folder that keeps features of pictures between runs; None for no cache.
        max_error: highest error rate among the entities kept, and among the relations kept, as far as the
            model's calibration can guarantee it; the others are marked for review. None to mark none.
            Where it cannot be guaranteed for relations, all of them are marked.
        max_relation_error: highest error rate among the relations kept, where it is not ``max_error``.
        coverage: rate at which the set of types given with each entity and relation (its ``candidates``)
            must cover the true one; None for no sets.
        max_characters: longest post, in characters of text, alternative text and labels of regions; a longer
            one is an error, or is rejected (memory grows with the longest post). None for no limit.
        convention: name of a corpus of the model's training, whose annotation convention is followed; None
            for the default of the model folder.
        mentions: whether a mentioned user is an entity, ``none`` or ``name`` (without its "@"); None for the
            rule of the convention.
        hashtags: whether a hashtag that names something is an entity, ``none``, ``name`` (without its "#")
            or ``mark`` (with it); None likewise.
        device: ``cpu`` or ``cuda`` (a GPU, with the package onnxruntime-gpu). Whether it can be used is known
            when the first post is read. Scores on a GPU differ in their last digits.

    Raises:
        ModelError: a folder is missing, incomplete, from a newer or older version, was altered, is for
            another task, or is not calibrated for these options.
        ConfigError: threads or max_characters is not a number above 0, or the error rate cannot be
            guaranteed, or the model does not know the convention, or there is no such device.
    """
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}", expected="a number above 0")
    if max_characters is not None and max_characters < 1:
        raise ConfigError(f"max_characters is {max_characters}", expected="a number above 0")
    computes = check_device(device)
    if folder is None and not default_folder().is_dir():
        raise ModelError(
            "this installation of Twofold has no default model",
            where=str(default_folder()),
            do="install the released package, or give a model folder (`twofold train` writes one)",
        )
    folder, cache = _absolute(folder), _absolute(cache)  # graphs are opened after this
    model = open_folder(folder or default_folder())
    relation_folder = model.relations if relation_model is None else None
    if relation_model:
        relation_model = Path(relation_model).absolute()
        relation_folder = open_folder(relation_model)
    options: dict[str, Any] = {
        "threads": threads,
        "cache": cache,
        "max_error": max_error,
        "max_relation_error": max_relation_error,
        "coverage": coverage,
        "max_characters": max_characters,
        "device": computes,
    }
    chosen = model.config.conventions.choose(convention, mentions, hashtags)
    pipeline = InferencePipeline(model, relation_folder, **options, convention=chosen)
    if multiprocessing.parent_process() is None:  # child processes leave it to the parent
        _warn_of_slow_graphs(pipeline)
    return Extractor(pipeline, {"folder": folder, "relation_model": relation_model} | options)


def _warn_of_slow_graphs(pipeline: InferencePipeline) -> None:
    if paths := list(map(str, pipeline.graphs_partly_on_cpu())):
        _LOG.warning(
            "%s: 8-bit matrix products, for which ONNX Runtime has no GPU kernel: they run on the CPU, with "
            'copies to it and back; for a GPU, train a model with weights = "float32" or "8bit_weights"',
            ", ".join(paths),
        )


def _absolute(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path).absolute()


@renamed_arguments(relations="relation_model")
def combine(tagger: Path | str | None, relation_model: Path | str, out: Path | str) -> ModelFolder:
    """Combine a tagger and a relation model in one folder, which `load` then loads as one model.

    Args:
        tagger: folder of a tagger; None for the model that ships with the package.
        relation_model: folder of a relation model.
        out: the folder to write.

    Raises:
        ModelError: a folder is not a model of its task, or ``out`` holds something other than a model.
    """
    tagger_folder = Path(tagger) if tagger is not None else default_folder()
    return combine_folders(tagger_folder, Path(relation_model), Path(out))


class Extractor:
    """A loaded model; `load` creates one.

    It can be sent to other processes and machines: it is pickled as the folder and the options it was loaded
    with, and the model is loaded again on arrival, from the same folder (the model that ships with the
    package: from the package there). A fork of the process opens the graphs again, too; since ONNX Runtime
    waits for threads at exit that a fork does not have, such a process must end with ``os._exit``, as those
    of ``multiprocessing`` do.

    Attributes:
        pipeline: encodings, decoding and gold pairs, for research; not a stable interface.
    """

    def __init__(self, pipeline: InferencePipeline, arguments: Mapping[str, Any] | None = None) -> None:
        self.pipeline = pipeline
        self._arguments = arguments

    def __reduce__(self) -> tuple[Callable[..., Extractor], tuple[object, ...]]:
        if self._arguments is None:
            raise TypeError("only an Extractor that twofold.load made can be pickled")
        convention = self.pipeline.convention if self.types else None
        return _load_again, (self._arguments, convention, self.name, _identity(self.pipeline))

    @property
    def name(self) -> str:
        """Name of the model; names of both models where they are in separate folders."""
        return self.pipeline.name

    @property
    def device(self) -> str:
        """Device that the model runs on: ``cpu`` or ``cuda``."""
        return self.pipeline.device

    @property
    def types(self) -> tuple[str, ...]:
        """Entity types the model predicts; none for a relation model alone."""
        return self.pipeline.types

    @property
    def relations(self) -> tuple[str, ...]:
        """Relations the model predicts, without "None"; none for a tagger alone."""
        return self.pipeline.relations

    @property
    def entity_risk(self) -> RiskControl | None:
        """The control of the entities' error rate; None where no ``max_error`` was given."""
        return self.pipeline.entity_risk

    @property
    def relation_risk(self) -> RiskControl | None:
        """The control of the relations' error rate; None where no error rate was given for them."""
        return self.pipeline.relation_risk

    @overload
    def extract(
        self, posts: Iterable[PostLike], *, batch_size: int = 32, on_error: Literal["raise"] = "raise"
    ) -> Iterator[Extraction]: ...

    @overload
    def extract(
        self, posts: Iterable[PostLike | Rejected], *, batch_size: int = 32, on_error: Literal["reject"]
    ) -> Iterator[Extraction | Rejected]: ...

    def extract(
        self,
        posts: Iterable[PostLike] | Iterable[PostLike | Rejected],
        *,
        batch_size: int = 32,
        on_error: Literal["raise", "reject"] = "raise",
    ) -> Iterator[Extraction] | Iterator[Extraction | Rejected]:
        """Extract entities and relations from posts, one extraction for each post, in order.

        Memory does not grow with the number of posts. Where a picture cannot be read, the extraction says
        so and uses the text alone.

        Args:
            posts: any iterable, consumed lazily.
            batch_size: windows of text in a batch.
            on_error: what to do with an item that is not a post: "raise" an InputError, or "reject" it, which
                yields a `Rejected` with the reason in its place and continues. With "reject", items that a
                reader rejected are passed on, too.

        Raises:
            InputError: ``posts`` is a single post, or (while iterating) an item is not a post.
            ConfigError: batch_size is not a number above 0, or on_error is neither of the two.
        """
        if check_on_error(on_error):
            return self.pipeline.extract(posts, batch_size=batch_size)  # type: ignore[arg-type]
        return self._with_rejected(posts, batch_size)

    def map_batches(
        self,
        batches: Iterable[pyarrow.RecordBatch],
        *,
        columns: Mapping[str, str | int] | None = None,
        keep: Sequence[str] = (),
        images: Path | str | None = None,
        allow_outside: bool = False,
        batch_size: int = 32,
        on_error: Literal["raise", "reject"] = "reject",
    ) -> Iterator[pyarrow.RecordBatch]:
        """Extract from Arrow record batches: one row out for each row in, in the same batches.

        The output has the columns of `extraction_schema`, with the type of the ids of the input, then those
        of ``keep``. A row that is not a post does not end a long run: it is output with the reason in the
        column ``error``, which is null in all other rows.

        Args:
            batches: any iterable of record batches or tables with the columns of posts: ``id`` (without it,
                rows are numbered from 0), ``text`` or ``tokens``, ``image`` (a path, bytes, or a struct of
                both), ``alt_text``, ``regions``; others are not read.
            columns: column of each field whose column has another name: ``{"text": "full_text"}``. Entities
                and relations, which a relation model alone needs, are read only from columns named here:
                ``{"entities": "entities"}``, in the form of a line of JSON Lines.
            keep: further columns to carry along.
            images: folder of the pictures; paths are relative to it. None for the working folder.
            allow_outside: whether pictures outside that folder are opened, too; only for data you trust.
            batch_size: windows of text in a batch of the model.
            on_error: "raise" for an InputError where a row is not a post.

        Raises:
            MissingExtraError: pyarrow is not installed (the extra ``scale``).
            ConfigError: ``keep`` is not a list; or a column is missing (while iterating).
            DataError: there is no folder ``images``.
            InputError: there is no column of texts (while iterating).
        """
        strict = check_on_error(on_error)
        check_keep(keep)
        reader = self._row_reader(columns, images, allow_outside)
        extract = partial(self._with_rejected, batch_size=batch_size)
        return batches_of_results(extract, batches, reader, keep, strict)

    def extract_frame(
        self,
        frame: Frame,
        *,
        columns: Mapping[str, str | int] | None = None,
        images: Path | str | None = None,
        allow_outside: bool = False,
        prefix: str = "",
        batch_size: int = 32,
        on_error: Literal["raise", "reject"] = "raise",
    ) -> Frame:
        """Extract from a data frame: the same frame with the columns of the results after its own.

        These are ``entities``, ``relations``, ``picture``, ``model`` and ``truncated``, see
        `extraction_schema`: lists and structs in Arrow and Polars, lists and dicts in pandas.

        Args:
            frame: a DataFrame of pandas or Polars or an Arrow table, with columns as in `map_batches`; for
                other tables that can be read as Arrow, the result is an Arrow table.
            columns: as in `map_batches`, and so are images, allow_outside and batch_size.
            prefix: put before the names of the new columns.
            on_error: "raise" an InputError where a row is not a post, or "reject" it: then there is a column
                ``error`` with the reason, which is null in the other rows.

        Raises:
            InputError: ``frame`` is not a table, or lacks a column of posts, or a row is not a post.
            ConfigError: a new column has the name of an old one, or ``columns`` names none.
            DataError: there is no folder ``images``.
            MissingExtraError: pyarrow is not installed (the extra ``scale``); pandas does not need it.
        """
        strict = check_on_error(on_error)
        reader = self._row_reader(columns, images, allow_outside)
        extract = partial(self._with_rejected, batch_size=batch_size)
        return frame_with_results(extract, frame, reader, strict, prefix)

    def _row_reader(
        self, columns: Mapping[str, str | int] | None, images: Path | str | None, allow_outside: bool
    ) -> RowReader:
        """The reader of a table; columns of pandas may have numbers as names.

        Raises:
            ConfigError: ``columns`` has an unknown field, or names no entities for a relation model alone.
            DataError: there is no folder ``images``.
        """
        names = ColumnNames({field: str(name) for field, name in (columns or {}).items()})
        if not self.types and not {"entities", "relations"} & names.renamed.keys():
            raise ConfigError(
                "a relation model alone finds no entities, and columns names no column of them",
                expected='columns={"entities": "…"}',
                do="name the column that holds the entities of each post, or load a tagger too",
            )
        return RowReader(names, Path(images or ""), allow_outside)

    def _with_rejected(
        self, posts: Iterable[PostLike | Rejected], batch_size: int
    ) -> Iterator[Extraction | Rejected]:
        pipeline = self.pipeline
        return with_rejected(
            posts,
            batch_size,
            lambda group: pipeline.extract_group(group, batch_size),
            pipeline.max_characters,
            pipeline.map_groups,
        )


def _identity(pipeline: InferencePipeline) -> str:
    """Hash of the files of a model: equal where all files are."""
    folders = [pipeline.folder, *([pipeline.relation_folder] if pipeline.relations else [])]
    hashes = [sorted(folder.hashes.items()) for folder in folders]
    return hashlib.sha256(repr(hashes).encode()).hexdigest()


def _load_again(
    arguments: Mapping[str, Any], convention: Convention | None, name: str, identity: str
) -> Extractor:
    """Load a pickled extractor.

    Raises:
        ModelError: as in `load`, or the folder holds another model than where it was pickled.
    """
    extractor = load(**arguments)
    if _identity(extractor.pipeline) != identity:
        raise ModelError(
            "is not the model that was sent to this process",
            where=str(extractor.pipeline.folder.path),
            expected=f"the files of the model {name!r} as they were where it was loaded",
            do="copy the model folder to every machine, and load the model again after it has changed",
        )
    if convention is not None:
        extractor.pipeline.convention = convention
    return extractor
