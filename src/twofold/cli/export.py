"""``twofold export``: writes results or labelled posts in the formats of other tools."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twofold.cli.model_options import add_column_options, add_picture_options, column_names, named_file
from twofold.console.conversion import show_conversion
from twofold.corpora import MAX_CHARACTERS, open_corpus
from twofold.corpora.convert import Conversion, convert
from twofold.corpora.label_studio import LOCAL_FILES
from twofold.corpora.results import holds_results, result_files
from twofold.errors import ConfigError
from twofold.exports.annotated import Annotated, annotated_gold, annotated_results
from twofold.files import Outputs
from twofold.posts import Post, Rejected

FORMATS = ("conll", "spacy", "label-studio", "brat")


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "export",
        help="export results to Label Studio, brat, spaCy or CoNLL",
        description="Write results of `twofold extract`, or labelled posts in any format that Twofold reads, "
        "in the format of another tool. No model is run.",
        epilog="Exit codes: 0 all posts were written; 1 some were not; 2 none was.",
    )
    parser.add_argument(
        "source",
        metavar="IN",
        type=Path,
        help="results of `twofold extract` (a file in any of its formats, or the folder of `-o`), or "
        "labelled posts",
    )
    parser.add_argument(
        "target",
        metavar="OUT",
        type=named_file,
        help="file to write; for brat, a new folder; not - (standard output)",
    )
    parser.add_argument("--to", required=True, choices=FORMATS, help="format of OUT")
    parser.add_argument(
        "--min-confidence",
        type=float,
        metavar="FRACTION",
        help="leave out entities and relations with a lower confidence, and relations of left-out entities",
    )
    posts = parser.add_argument_group("posts of the results")
    posts.add_argument(
        "--posts",
        type=Path,
        metavar="FILE",
        help="file from which the results were extracted, for pictures, alt texts and tokens",
    )
    add_column_options(posts)
    add_picture_options(posts)
    _add_label_studio(parser.add_argument_group("Label Studio"))
    spacy = parser.add_argument_group("spaCy")
    spacy.add_argument(
        "--language", metavar="CODE", default="en", help="language of the spaCy tokenizer (default: en)"
    )


def _add_label_studio(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--config",
        type=named_file,
        metavar="XML",
        help="file for the labelling configuration (default: OUT with the suffix .xml)",
    )
    group.add_argument(
        "--picture-address",
        metavar="ADDRESS",
        default=LOCAL_FILES,
        help="prefix of the path of each picture (default: %(default)s, Label Studio's local storage)",
    )
    group.add_argument(
        "--embed-pictures",
        action="store_true",
        help="embed the pictures in the tasks, instead of their paths",
    )
    group.add_argument(
        "--more-types",
        metavar="TYPE,...",
        default="",
        help="more entity types to choose from, besides those in IN",
    )
    group.add_argument(
        "--more-relations",
        metavar="TYPE,...",
        default="",
        help="more types of relations to choose from, besides those in IN",
    )
    group.add_argument(
        "--javascript-offsets",
        action="store_true",
        help="count offsets in UTF-16 code units, as old versions of Label Studio do",
    )


def run(args: argparse.Namespace) -> int:
    """Write OUT; returns the exit code."""
    if args.min_confidence is not None and not 0 <= args.min_confidence <= 1:
        raise ConfigError(f"--min-confidence is {args.min_confidence}", expected="a fraction from 0 to 1")
    items = _with_confidence(_items(args), args.min_confidence)
    inputs = [*result_files(args.source), *filter(None, (args.posts, args.alt_text_file))]
    result = _WRITERS[args.to](args, items, inputs)
    show_conversion(result, args.target, args.to)
    return result.exit_code


def _items(args: argparse.Namespace) -> Iterator[Annotated | Rejected]:
    if not holds_results(args.source):
        if args.posts is not None:
            raise ConfigError(
                "--posts was given, but IN has no results of `twofold extract`",
                where=str(args.source),
                expected="results, or labelled posts without --posts",
            )
        return annotated_gold(_opened(args, args.source, MAX_CHARACTERS))
    posts = None if args.posts is None else _opened(args, args.posts, None)
    if posts is None and (args.images or args.alt_text_file):
        raise ConfigError(
            "--images and --alt-text-file need --posts",
            expected="the file from which the results were extracted",
        )
    return annotated_results(args.source, posts)


def _opened(args: argparse.Namespace, path: Path, longest: int | None) -> Iterator[Post | Rejected]:
    return open_corpus(
        path,
        images=args.images,
        alt_text=args.alt_text_file,
        allow_outside=args.allow_outside,
        max_characters=longest,
        columns=column_names(args),
    )


def _with_confidence(
    items: Iterator[Annotated | Rejected], minimum: float | None
) -> Iterator[Annotated | Rejected]:
    for item in items:
        if minimum is None or isinstance(item, Rejected):
            yield item
        else:
            yield item.with_confidence(minimum)


def _conll(
    args: argparse.Namespace, items: Iterator[Annotated | Rejected], inputs: list[Path]
) -> Conversion:  # fmt: skip
    posts = (item if isinstance(item, Rejected) else item.post for item in items)
    return convert(posts, args.target, "conll", inputs)


def _spacy(
    args: argparse.Namespace, items: Iterator[Annotated | Rejected], inputs: list[Path]
) -> Conversion:  # fmt: skip
    from twofold.exports.spacy_docs import write_spacy

    with Outputs(inputs) as outputs:
        output = outputs.open(args.target)
        result = write_spacy(items, output, args.language)
        outputs.finish(output, keep=result.written > 0)
    return result


def _label_studio(
    args: argparse.Namespace, items: Iterator[Annotated | Rejected], inputs: list[Path]
) -> Conversion:  # fmt: skip
    from twofold.exports.label_studio import LabelStudioOptions, write_label_studio

    options = LabelStudioOptions(
        folder=args.images or (args.posts or args.source).parent,
        address=args.picture_address,
        embed=args.embed_pictures,
        utf16=args.javascript_offsets,
        types=_names(args.more_types),
        relations=_names(args.more_relations),
    )
    with Outputs(inputs) as outputs:
        tasks, config = (
            outputs.open(args.target),
            outputs.open(args.config or args.target.with_suffix(".xml")),
        )
        result = write_label_studio(items, tasks, config, options)
        for output in (tasks, config):
            outputs.finish(output, keep=result.written > 0)
    return result


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _brat(
    args: argparse.Namespace, items: Iterator[Annotated | Rejected], inputs: list[Path]
) -> Conversion:  # fmt: skip
    from twofold.exports.brat import write_brat

    return write_brat(items, args.target)


_WRITERS = {"conll": _conll, "spacy": _spacy, "label-studio": _label_studio, "brat": _brat}
