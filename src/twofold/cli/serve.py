"""``twofold serve``: serves a model over HTTP."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

from twofold.cli.extract import add_confidence_options, check_fractions
from twofold.cli.model_options import add_model_options, load_model
from twofold.cli.network_options import KEY, access, add_network_options, address_of, check_extra
from twofold.console.risk import risk_line
from twofold.console.streams import say
from twofold.errors import ConfigError
from twofold.server.settings import MB, Limits, Settings

if TYPE_CHECKING:
    from twofold.server.variants import Options

_DEFAULT = Settings()


def add_parser(subparsers: Any) -> None:
    """Add the command and its options."""
    parser = subparsers.add_parser(
        "serve",
        help="serve a model over HTTP",
        description="Serve a model over HTTP: POST /v1/extract, and a web page at /. Results are the same as "
        "those of `twofold extract`. Its options are parameters of a request; those given here are the "
        "defaults. Only this machine can reach the service, unless --host is given.",
        epilog=f"API keys: one per line in --api-key-file, or one in the environment variable {KEY}. "
        "Exit codes: 0 stopped by SIGTERM or Ctrl-C, after accepted requests were answered; 2 not started.",
    )
    group = parser.add_argument_group("network")
    add_network_options(group, port=8000)
    group.add_argument(
        "--fetch-pictures",
        action="store_true",
        help="fetch pictures from web addresses in posts, if the addresses are public (default: refuse them)",
    )
    _add_limits(parser.add_argument_group("limits"))
    add_confidence_options(parser.add_argument_group("confidence"))
    add_model_options(parser, no_relations="serve entities only, which is faster")
    parser.set_defaults(max_characters=_DEFAULT.limits.characters)


def _add_limits(group: argparse._ArgumentGroup) -> None:
    limits = _DEFAULT.limits
    for name, default, text in (
        ("body-mb", limits.body // MB, "largest request, in megabytes"),
        ("picture-mb", limits.picture // MB, "largest picture file, in megabytes"),
        ("pixels-m", limits.pixels // 1_000_000, "largest picture, in million pixels"),
        ("posts", limits.posts, "largest number of posts per request"),
        (
            "queue",
            limits.queue,
            "largest number of posts waiting for the model; more are refused with status 429",
        ),
        ("memory-mb", limits.held // MB, "memory for all requests together, in megabytes"),
    ):
        group.add_argument(
            f"--max-{name}", type=int, default=default, metavar="N", help=f"{text} (default: {default})"
        )
    group.add_argument(
        "--timeout",
        type=float,
        default=limits.seconds,
        metavar="SECONDS",
        help="seconds from a request to its result; a request may set a shorter time (default: %(default)g)",
    )
    group.add_argument(
        "--batch-wait",
        type=float,
        default=_DEFAULT.batch_wait * 1000,
        metavar="MS",
        help="milliseconds that a post waits for others to share a batch; right after a batch, up to a "
        "twentieth of that batch's time longer (default: %(default)g)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal arrives; the exit code is as the epilog says."""
    check_extra()
    check_fractions(args)
    settings, options = _settings(args), _options(args)
    from twofold.server.run import open_socket

    listening = open_socket(args.host, args.port)
    with listening:
        _serve_on(listening, args, settings, options)
    return 0


def _serve_on(
    listening: socket.socket, args: argparse.Namespace, settings: Settings, options: Options
) -> None:
    from twofold.server.app import create_app
    from twofold.server.run import serve
    from twofold.server.warm import warm_up

    extractor = load_model(args.model, args, args.max_error, args.max_relation_error, args.coverage)
    for risk, what in ((extractor.entity_risk, "entities"), (extractor.relation_risk, "relations")):
        if risk is not None:
            say(risk_line(risk, what, between_entities=what == "relations"))
    warm_up(extractor)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="twofold: %(message)s")
    app = create_app(extractor, settings, options)
    say(f"serving {extractor.name} at {address_of(listening)}")
    serve(app, listening, settings.limits)


def _settings(args: argparse.Namespace) -> Settings:
    hosts, keys = access(args)
    return Settings(
        limits=_limits(args),
        batch_size=args.batch_size,
        batch_wait=args.batch_wait / 1000,
        runners=min(2, args.threads or os.cpu_count() or 1),
        keys=keys,
        hosts=hosts,
        fetch_pictures=args.fetch_pictures,
        min_confidence=args.min_confidence,
    )


def _limits(args: argparse.Namespace) -> Limits:
    names = ("body_mb", "picture_mb", "pixels_m", "posts", "queue", "memory_mb")
    for option, value in [(f"max_{name}", getattr(args, f"max_{name}")) for name in names] + [
        ("max_characters", args.max_characters),
        ("timeout", args.timeout),
        ("batch_size", args.batch_size),
    ]:
        if not value > 0:
            raise ConfigError(f"--{option.replace('_', '-')} is {value}", expected="a number above 0")
    if not 0 <= args.batch_wait <= 1000:
        raise ConfigError(f"--batch-wait is {args.batch_wait}", expected="milliseconds from 0 to 1000")
    if args.max_posts > args.max_queue:
        raise ConfigError(
            f"--max-posts is {args.max_posts}", expected=f"at most --max-queue, which is {args.max_queue}"
        )
    if args.max_body_mb > args.max_memory_mb:
        raise ConfigError(
            f"--max-body-mb is {args.max_body_mb}",
            expected=f"at most --max-memory-mb, which is {args.max_memory_mb}",
        )
    return Limits(
        body=args.max_body_mb * MB,
        held=args.max_memory_mb * MB,
        picture=args.max_picture_mb * MB,
        pixels=args.max_pixels_m * 1_000_000,
        posts=args.max_posts,
        characters=args.max_characters,
        queue=args.max_queue,
        seconds=args.timeout,
    )


def _options(args: argparse.Namespace) -> Options:
    from twofold.server.variants import Options

    return Options(
        max_error=args.max_error,
        max_relation_error=args.max_relation_error,
        coverage=args.coverage,
        convention=args.convention,
        mentions=args.mentions,
        hashtags=args.hashtags,
        relations=not args.no_relations,
    )
