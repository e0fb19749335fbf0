"""The review queue over HTTP: the review page, posts of the queue, decisions, statistics.

A picture is sent as a small JPEG, never as the file itself, and is found by the number of its post: no path
of a request is ever opened.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from twofold.errors import DataError, InputError, PictureError
from twofold.posts import Entity
from twofold.preprocessing.images import read_thumbnail
from twofold.review.decisions import Decision, EntityReview, PostReview
from twofold.review.statistics import Rate, Statistics, ThresholdEstimate, statistics
from twofold.review.store import ReviewStore, StoredPost
from twofold.server.bodies import media_type, read_body
from twofold.server.budget import ByteBudget
from twofold.server.errors import ApiError
from twofold.server.files import add_files
from twofold.server.guard import Guard, response_of
from twofold.server.settings import Limits, Settings

BODY = 1 << 18
"""Maximum bytes of a request."""
DECISIONS = 1000
"""Maximum number of decisions in a request."""
_PIXELS = 1024


class ReviewService:
    """HTTP handlers of the review.

    Args:
        store: the review.

    Attributes:
        ending: whether the service is shutting down.
    """

    def __init__(self, store: ReviewStore) -> None:
        self.store, self.ending = store, False

    async def setup(self, _: Request) -> Response:
        """What the page must know before the first post."""

        def answer() -> dict[str, Any]:
            store = self.store
            return {
                "source": store.source.partition(",")[0],
                "posts": store.count,
                "types": store.types,
                "relation_types": store.relation_types,
                "reviewers": store.reviewers(),
            }

        return JSONResponse(await run_in_threadpool(answer))

    async def next(self, request: Request) -> Response:
        """The next post for a reviewer."""
        body = await _body(request)
        after = body.get("after", [])
        if not isinstance(after, list) or not all(type(number) is int for number in after[:DECISIONS]):
            raise ApiError(422, "bad_request", "after is not a list of numbers", expected="numbers of posts")

        def answer() -> dict[str, Any]:
            reviewer = _reviewer(body)
            return self._answer(self.store.next(reviewer, after[:DECISIONS]), reviewer)

        return JSONResponse(await run_in_threadpool(answer))

    async def decide(self, request: Request) -> Response:
        """Add decisions on a post."""
        body, number = await _body(request), request.path_params["number"]
        records = body.get("decisions")
        if not isinstance(records, list) or not 1 <= len(records) <= DECISIONS:
            raise ApiError(
                422, "bad_request", "decisions is not a list of them", expected=f"1 to {DECISIONS} decisions"
            )

        def answer() -> dict[str, Any]:
            reviewer = _reviewer(body)
            self.store.decide(number, reviewer, [Decision.parse(record) for record in records])
            return self._answer(number, reviewer)

        return JSONResponse(await run_in_threadpool(answer))

    async def undo(self, request: Request) -> Response:
        """Undo the last action of a reviewer."""
        body = await _body(request)

        def answer() -> dict[str, Any]:
            reviewer = _reviewer(body)
            return self._answer(self.store.undo(reviewer), reviewer)

        return JSONResponse(await run_in_threadpool(answer))

    async def read_statistics(self, _: Request) -> Response:
        """Statistics of the decisions so far."""

        def answer() -> dict[str, Any]:
            return statistics_record(statistics(self.store.confidences(), self.store.reviews()))

        return JSONResponse(await run_in_threadpool(answer))

    async def picture(self, request: Request) -> Response:
        """A thumbnail of the picture of a post."""
        number = request.path_params["number"]

        def answer() -> bytes:
            image = self.store.post(number).picture
            if image is None:
                raise ApiError(404, "no_picture", f"post {number} has no picture")
            try:
                thumbnail = read_thumbnail(image, _PIXELS)
            except PictureError as error:  # its message names a path of this machine
                raise ApiError(404, "no_picture", "the picture cannot be read") from error
            buffer = io.BytesIO()
            thumbnail.save(buffer, "JPEG", quality=82)
            return buffer.getvalue()

        content = await run_in_threadpool(answer)
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})

    def _answer(self, number: int | None, reviewer: str) -> dict[str, Any]:
        progress = self.store.progress(reviewer)
        record = {name: getattr(progress, name) for name in progress.__slots__}
        if number is None:
            return {"post": None, "progress": record}
        stored = self.store.post(number)
        return {"post": post_record(stored, self.store.review(number, reviewer)), "progress": record}


def create_review_app(store: ReviewStore, settings: Settings) -> Starlette:
    """The review as an ASGI application.

    Args:
        store: the review.
        settings: host names and keys.

    Returns:
        The application; its `ReviewService` is ``app.state.service``.
    """
    service = ReviewService(store)
    post = "/v1/review/posts/{number:int}"
    app = Starlette(
        routes=[
            Route("/v1/review", service.setup),
            Route("/v1/review/next", service.next, methods=["POST"]),
            Route("/v1/review/undo", service.undo, methods=["POST"]),
            Route("/v1/review/statistics", service.read_statistics),
            Route(post, service.decide, methods=["POST"]),
            Route(f"{post}/picture", service.picture),
        ],
        exception_handlers={
            ApiError: lambda _, error: response_of(error),
            InputError: _handler(422, "bad_request"),
            DataError: _handler(500, "review"),
        },
        middleware=[Middleware(Guard, hosts=settings.hosts, keys=settings.keys, public=("/", "/page/"))],
    )
    app.state.service = service
    add_files(app, "review.html")
    return app


def post_record(stored: StoredPost, review: PostReview) -> dict[str, Any]:
    """A post with a reviewer's decisions on it, as the page needs it."""
    entities = stored.record.get("entities") or []
    proposal, picture = stored.proposal, stored.record.get("picture") or {}
    unreadable = picture.get("status") == "unreadable"
    shown = stored.picture is not None and not unreadable
    return {
        "number": stored.number,
        "id": str(proposal.id),
        "text": proposal.text,
        "alt_text": stored.alt_text,
        "picture": f"/v1/review/posts/{stored.number}/picture" if shown else None,
        "picture_note": picture.get("reason") if unreadable else None,
        "status": review.status,
        "entities": [_entity(item, entities) for item in review.entities],
        "relations": [
            {
                "head": item.head,
                "tail": item.tail,
                "type": item.type,
                "confidence": item.confidence,
                "answer": item.answer,
            }
            for item in review.relations
        ],
    }


def statistics_record(found: Statistics) -> dict[str, Any]:
    """Statistics as JSON, null for an undefined rate."""
    return {
        "entities": [_estimate(row) for row in found.entities],
        "relations": [_estimate(row) for row in found.relations],
        "entity_error": _rate(found.entity_error),
        "relation_error": _rate(found.relation_error),
        "answers": found.answers,
        "missed": found.missed,
        "finished": found.finished,
        "agreement": {
            "posts": found.agreement.posts,
            "same": found.agreement.same,
            "f1": _number(found.agreement.f1),
        },
    }


def _estimate(row: ThresholdEstimate) -> dict[str, Any]:
    return row._asdict() | {"claimed": _number(row.claimed), "error": _rate(row.error)}


def _rate(rate: Rate) -> dict[str, float | None]:
    return {"value": _number(rate.value), "low": rate.low, "high": rate.high}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _entity(item: EntityReview, records: list[Mapping[str, Any]]) -> dict[str, Any]:
    predicted = item.predicted
    record = _span(item.entity) | {"answer": item.answer, "predicted": predicted and _span(predicted)}
    found = [r for r in records if predicted and (r["start"], r["end"]) == (predicted.start, predicted.end)]
    candidates = found[0].get("candidates") if found else None
    return record | {"confidence": predicted and predicted.confidence, "candidates": candidates}


def _span(entity: Entity) -> dict[str, Any]:
    return {"start": entity.start, "end": entity.end, "text": entity.text, "type": entity.type}


async def _body(request: Request) -> dict[str, Any]:
    if media_type(request.headers) != "application/json":
        raise ApiError(415, "content_type", "the body is not JSON", expected="Content-Type: application/json")
    body = await read_body(request, Limits(body=BODY), ByteBudget(BODY).hold())
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "bad_json", "the body is not JSON") from error
    if not isinstance(value, dict):
        raise ApiError(422, "bad_request", "the body is not an object", expected='{"reviewer": "…", …}')
    return value


def _reviewer(body: Mapping[str, Any]) -> str:
    name = body.get("reviewer")
    if not isinstance(name, str):
        raise ApiError(422, "reviewer", "there is no reviewer", expected="the name of the reviewer")
    return name.strip()


def _handler(status: int, code: str) -> Callable[[Request, Exception], Response]:
    def answer(_: Request, error: Exception) -> Response:
        assert isinstance(error, (InputError, DataError))
        return response_of(ApiError.of(error, status, code))

    return answer
