"""The HTTP service: its paths and their handlers. `create_app` builds the application."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import anyio
import anyio.to_thread
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from twofold.errors import PictureError, TwofoldError
from twofold.pipeline.extractor import Extractor
from twofold.pipeline.inference_pipeline import InferencePipeline
from twofold.posts import Extraction, Image, Post, RefusedPicture
from twofold.preprocessing.picture_decoding import check_pixels
from twofold.server import openapi
from twofold.server.answers import Answers, Deadline, PostBatcher, unless_disconnected
from twofold.server.batcher import Batcher
from twofold.server.bodies import read_body
from twofold.server.budget import ByteBudget, Held
from twofold.server.errors import ApiError, busy, internal
from twofold.server.explanation import explanation_record, setup_record
from twofold.server.fetch import PictureFetcher
from twofold.server.files import add_files
from twofold.server.guard import Guard, Measure, response_of
from twofold.server.metrics import CONTENT_TYPE, Metrics
from twofold.server.posts_in import LINES, NDJSON, Item, Payload, Problem, ToFetch, is_form, read_payload
from twofold.server.query import ExtractQuery
from twofold.server.settings import Settings
from twofold.server.variants import Options, Variants
from twofold.version import __version__

_LOG = logging.getLogger("twofold.server")
_SMALL = 16 << 10
"""Bodies of up to this many bytes are parsed in the event loop: handing them to a thread takes longer."""
_WAITING_EXPLANATIONS = 8
"""Requests for an explanation that may wait."""
_PATHS = ("/v1/extract", "/v1/explain", "/v1/models", "/healthz", "/readyz", "/metrics", "/openapi.json", "/")


class Service:
    """State of the running service: the model, the queue, counters.

    Args:
        extractor: the loaded model.
        options: the options it was loaded with.
        settings: how the service runs.

    Attributes:
        ending: whether the service is shutting down, and takes no more requests.
    """

    def __init__(self, extractor: Extractor, options: Options, settings: Settings) -> None:
        self.extractor, self.settings = extractor, settings
        self.variants = Variants(extractor, options)
        self.budget = ByteBudget(settings.limits.held)
        self.ending = False
        self.metrics = Metrics(
            extractor.name,
            lambda: self.batcher.waiting,
            lambda: self.batcher.running,
            lambda: self.budget.held,
        )
        self.batcher: PostBatcher
        self.fetcher: PictureFetcher
        self.ready = False

    @contextlib.asynccontextmanager
    async def running(self, _: FastAPI) -> AsyncIterator[None]:
        """Take posts while the block runs; finish those taken at its end."""
        settings = self.settings
        self.batcher = Batcher(
            self._run,
            lambda post: len(post.text) + len(post.alt_text or ""),
            self.metrics,
            batch=settings.batch_posts,
            batch_total=200 * settings.batch_posts,
            wait=settings.batch_wait,
            queue=settings.limits.queue,
            runners=settings.runners,
        )
        self.fetcher = PictureFetcher(settings.limits.picture)
        self._explaining = anyio.CapacityLimiter(1)
        self.batcher.start()
        self.ready = True
        yield
        self.ready = False
        await self.batcher.close()

    def _run(self, model: InferencePipeline, posts: Sequence[Post]) -> list[Extraction]:
        return model.extract_group(posts, self.settings.batch_size)

    async def extract(self, request: Request, query: ExtractQuery) -> Response:
        """The answer to a request for extractions."""
        deadline = self._deadline(query)
        model = await self._model(query)
        with contextlib.ExitStack() as stack:
            held = stack.enter_context(self.budget.hold())
            payload = await self._payload(request, held)
            items = await self._fetched(request, payload.items, deadline, held)
            minimum = (
                query.min_confidence if query.min_confidence is not None else self.settings.min_confidence
            )
            answers = Answers(self.batcher, model, items, deadline, self.metrics, minimum)
            stack.callback(answers.cancel)
            if payload.lines or (not payload.single and _accepts_lines(request)):
                return _Lines(answers.stream(), stack.pop_all().close)
            text = await unless_disconnected(request, answers.one() if payload.single else answers.all())
            return Response(text, media_type="application/json")

    async def explain(
        self, request: Request, query: ExtractQuery, work: Callable[[InferencePipeline, Post], object]
    ) -> Response:
        """The answer to a request for an explanation of one post, which takes many forward passes.

        ``work`` computes it. One request runs at a time, and a few may wait.
        """
        deadline = self._deadline(query)
        model = await self._model(query)
        if self._explaining.statistics().tasks_waiting >= _WAITING_EXPLANATIONS:
            raise busy("other posts are being explained", 5)
        with self.budget.hold() as held:
            payload = await self._payload(request, held)
            if not payload.single:
                raise ApiError(422, "one_post", "the request has several posts", expected="one post")
            (item,) = await self._fetched(request, payload.items, deadline, held)
            if isinstance(item, Problem):
                raise item.error
            done = deadline.wait_for(self._run_alone(work, model, item))
            try:
                return JSONResponse(await unless_disconnected(request, done))
            except TwofoldError as error:  # such as a model that finds no entities
                raise ApiError(422, "bad_post", error.what, expected=error.expected) from error

    async def _run_alone(
        self, work: Callable[[InferencePipeline, Post], object], model: InferencePipeline, post: Post
    ) -> object:
        """Run ``work``; the next run begins when its thread ends, even if the client has disconnected."""
        borrower = object()
        await self._explaining.acquire_on_behalf_of(borrower)
        done = asyncio.ensure_future(anyio.to_thread.run_sync(work, model, post))
        done.add_done_callback(lambda _: self._explaining.release_on_behalf_of(borrower))
        return await asyncio.shield(done)

    def _deadline(self, query: ExtractQuery) -> Deadline:
        limit = self.settings.limits.seconds
        if self.ending:
            raise ApiError(503, "ending", "the service is shutting down", retry_after=5)
        return Deadline.after(min(query.timeout or limit, limit))

    async def _model(self, query: ExtractQuery) -> InferencePipeline:
        if not self.extractor.relations and (query.relations or query.max_relation_error is not None):
            raise ApiError(
                422,
                "bad_option",
                "the request asks for relations, and this service extracts none",
                where="the query string",
                expected="neither relations=true nor max_relation_error",
                do="start the service without --no-relations, with a model that extracts relations",
            )
        options = query.options(self.variants.default)
        if (cached := self.variants.cached(options)) is not None:
            return cached
        try:
            return await anyio.to_thread.run_sync(self.variants.get, options)
        except TwofoldError as error:  # without error.where, which would name a folder of this machine
            raise ApiError(
                422, "bad_option", error.what, where="the query string", expected=error.expected, do=error.do
            ) from error

    async def _payload(self, request: Request, held: Held) -> Payload:
        body = await read_body(request, self.settings.limits, held)
        limits, fetch = self.settings.limits, self.settings.fetch_pictures
        if len(body) <= _SMALL and not is_form(request.headers):
            return read_payload(request.headers, body, limits, fetch)
        return await anyio.to_thread.run_sync(read_payload, request.headers, body, limits, fetch)

    async def _fetched(
        self, request: Request, items: Sequence[Item], deadline: Deadline, held: Held
    ) -> list[Post | Problem]:
        """Posts with pictures from web addresses; a picture that cannot be fetched is unreadable."""
        found: list[Post | Problem] = [item.post if isinstance(item, ToFetch) else item for item in items]
        wanted = [(i, item) for i, item in enumerate(items) if isinstance(item, ToFetch)]
        if wanted:
            pictures = asyncio.gather(*(self._fetch(item.url, held) for _, item in wanted))
            images = await deadline.wait_for(unless_disconnected(request, pictures))
            for (i, item), image in zip(wanted, images, strict=True):
                found[i] = dataclasses.replace(item.post, image=image)
        return found

    async def _fetch(self, url: str, held: Held) -> Image:
        try:
            picture = await self.fetcher.fetch(url)
            held.add(len(picture))
            await anyio.to_thread.run_sync(check_pixels, picture, self.settings.limits.pixels)
        except PictureError as error:
            return RefusedPicture(Path("address"), error.what, error.do)
        return picture

    def models(self) -> dict[str, Any]:
        """What the model predicts, and which options it takes."""
        pipeline = self.extractor.pipeline
        conventions = pipeline.folder.config.conventions
        limits = self.settings.limits
        return {
            "models": [
                {
                    "name": self.extractor.name,
                    "types": list(self.extractor.types),
                    "relations": list(self.extractor.relations),
                    "symmetric_relations": sorted(pipeline.symmetric),
                    "modalities": list(pipeline.folder.config.modalities),
                    "fusion": pipeline.folder.config.fusion,
                    "conventions": conventions.to_json(),
                }
            ],
            "version": __version__,
            "limits": {
                "body_bytes": limits.body,
                "picture_bytes": limits.picture,
                "picture_pixels": limits.pixels,
                "posts": limits.posts,
                "characters": limits.characters,
                "queue": limits.queue,
                "seconds": limits.seconds,
                "picture_addresses": self.settings.fetch_pictures,
            },
        }


class _Lines(StreamingResponse):
    """A stream of lines; ``finish`` releases what the request holds, however the stream ends."""

    def __init__(self, lines: AsyncIterator[bytes], finish: Callable[[], None]) -> None:
        super().__init__(lines, media_type=NDJSON)
        self._finish = finish

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._finish()


def _accepts_lines(request: Request) -> bool:
    accepted = request.headers.get("accept", "").lower()
    return any(name in accepted for name in LINES)


def create_app(extractor: Extractor, settings: Settings, options: Options | None = None) -> FastAPI:
    """The service as an ASGI application.

    Args:
        extractor: the loaded model.
        settings: how the service runs.
        options: the options the model was loaded with; None for none.

    Returns:
        The application; its `Service` is ``app.state.service``.
    """
    service = Service(extractor, options or Options(), settings)
    app = FastAPI(
        title="Twofold",
        version=__version__,
        summary="Entities and relations from social-media posts with their pictures, each with a confidence.",
        docs_url=None,  # its scripts come from another host
        redoc_url=None,
        redirect_slashes=False,
        lifespan=service.running,
        responses=openapi.REFUSALS,
    )
    app.state.service = service
    _add_paths(app, service)
    _add_page(app, service)
    _add_errors(app, service)
    app.add_middleware(Measure, metrics=service.metrics, paths=_PATHS)
    app.add_middleware(Guard, hosts=settings.hosts, keys=settings.keys, public=("/", "/page/"))
    return app


def _add_paths(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/extract",
        summary="Extract entities and relations from one or many posts",
        responses=openapi.RESPONSES,
        response_class=Response,
        openapi_extra={"requestBody": openapi.REQUEST},
    )
    async def extract(request: Request, query: Annotated[ExtractQuery, Query()]) -> Response:
        """Results are those of `twofold extract` with the same options."""
        return await service.extract(request, query)

    @app.get("/v1/models", summary="The model, its types and relations, and the limits of the service")
    async def models() -> dict[str, Any]:
        return service.models()

    @app.get("/healthz", summary="Whether the process runs")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", summary="Whether the service takes requests")
    async def ready() -> dict[str, str]:
        if not service.ready or service.ending:
            raise ApiError(503, "not_ready", "the service takes no requests", retry_after=5)
        return {"status": "ready", "model": service.extractor.name}

    @app.get("/metrics", summary="Metrics for Prometheus", response_class=Response,
             responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}})  # fmt: skip
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    def description() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
            components = schema.setdefault("components", {})
            components.setdefault("schemas", {}).update(openapi.schemas())
            components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = description  # type: ignore[method-assign]


def _add_page(app: FastAPI, service: Service) -> None:
    """Add the demo page, and paths that only it requests: their answers may change with the page."""

    @app.get("/v1/page", include_in_schema=False)
    async def setup() -> dict[str, Any]:
        return await anyio.to_thread.run_sync(setup_record, service.extractor)

    @app.post("/v1/explain", include_in_schema=False)
    async def explain(request: Request, query: Annotated[ExtractQuery, Query()]) -> Response:
        return await service.explain(request, query, explanation_record)

    add_files(app, "index.html")


def _add_errors(app: FastAPI, service: Service) -> None:
    def answer(error: ApiError) -> Response:
        service.metrics.problems.labels(error.code).inc()
        return response_of(error)

    @app.exception_handler(ApiError)
    async def refused(_: Request, error: ApiError) -> Response:
        return answer(error)

    @app.exception_handler(RequestValidationError)
    async def bad_query(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][1:])
        if first["type"] == "extra_forbidden":
            what, expected = f"there is no option {name[:40]!r}", ", ".join(ExtractQuery.model_fields)
        else:
            what, expected = f"{name} is {str(first.get('input'))[:40]!r}", first["msg"]
        return answer(ApiError(422, "bad_option", what, where="the query string", expected=expected))

    @app.exception_handler(HTTPException)
    async def no_such_path(_: Request, error: HTTPException) -> Response:
        response = answer(ApiError(error.status_code, "http", str(error.detail)))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(ClientDisconnect)
    async def client_left(_: Request, error: ClientDisconnect) -> Response:
        return JSONResponse(None, 499)  # nobody reads it

    @app.exception_handler(Exception)
    async def defect(_: Request, error: Exception) -> Response:
        _LOG.error("a request failed", exc_info=error)
        return answer(internal())
