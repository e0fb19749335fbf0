"""Error responses of the service: a status, a code for programs, and a message for people."""

from __future__ import annotations

import math
from typing import Any

from twofold.errors import TwofoldError


class ApiError(Exception):
    """An error response.

    Args:
        status: HTTP status.
        code: a word for programs, which does not change.
        what: what came; this and the next three are as in `TwofoldError`.
        retry_after: seconds after which to try again; None where the same request would fail again.
    """

    def __init__(
        self,
        status: int,
        code: str,
        what: str,
        *,
        where: str = "",
        expected: str = "",
        do: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(what)
        self.status, self.code = status, code
        self.parts = {"message": what, "where": where, "expected": expected, "do": do}
        self.retry_after = retry_after

    @classmethod
    def of(cls, error: TwofoldError, status: int, code: str) -> ApiError:
        """The response to an error in the input."""
        return cls(status, code, error.what, where=error.where, expected=error.expected, do=error.do)

    def record(self) -> dict[str, Any]:
        """The error as JSON, without empty parts."""
        return {"code": self.code} | {name: part for name, part in self.parts.items() if part}

    def headers(self) -> dict[str, str]:
        """Headers of the response."""
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}
        if self.retry_after is not None:
            headers["Retry-After"] = str(min(60, max(1, math.ceil(self.retry_after))))
        return headers


def busy(what: str, retry_after: float) -> ApiError:
    """The response to too many requests at one time."""
    return ApiError(
        429, "busy", what, do="try again after the seconds of the Retry-After header", retry_after=retry_after
    )


def too_late(seconds: float) -> ApiError:
    """The response where the result did not come in time."""
    return ApiError(
        504,
        "deadline",
        f"there was no result after {seconds:g} seconds",
        do="send fewer posts at one time, or try again later",
        retry_after=5,
    )


def internal() -> ApiError:
    """The response to an internal error; the log has its traceback."""
    return ApiError(500, "internal", "the service failed on this post", do="see the log of the service")
