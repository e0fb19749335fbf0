"""Options of a request as query parameters: those of ``twofold extract``, and a time limit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from twofold.calibration.conformal import COVERAGES
from twofold.server.variants import Options

Fraction = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


class ExtractQuery(BaseModel):
    """Options of a request; an absent one is as the service was started."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_confidence: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        None, description="Leave out entities and relations with a lower confidence."
    )
    max_error: Fraction | None = Field(
        None, description="Mark uncertain entities and relations for review, so that of the others at most "
        "this fraction is wrong.",
    )  # fmt: skip
    max_relation_error: Fraction | None = Field(
        None, description="The same for relations, if it is another fraction."
    )
    coverage: Annotated[float, Field(ge=COVERAGES[0], le=COVERAGES[-1], allow_inf_nan=False)] | None = Field(
        None, description="List possible types that cover the true one at this rate."
    )
    mentions: Literal["none", "name"] | None = Field(None, description="Whether a mention is an entity.")
    hashtags: Literal["none", "name", "mark"] | None = Field(
        None, description="Whether a hashtag that names something is an entity."
    )
    convention: str | None = Field(
        None, max_length=200, description="Corpus whose annotation guidelines are followed."
    )
    relations: bool | None = Field(None, description="False to extract entities only.")
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, description="Seconds until the result must be there; the service has its own limit as well."
    )

    def options(self, default: Options) -> Options:
        """Options of the model; absent ones are those of the service."""
        return Options(
            max_error=_or(self.max_error, default.max_error),
            max_relation_error=_or(self.max_relation_error, default.max_relation_error),
            coverage=_or(self.coverage, default.coverage),
            convention=self.convention or default.convention,
            mentions=self.mentions or default.mentions,
            hashtags=self.hashtags or default.hashtags,
            relations=default.relations if self.relations is None else self.relations,
        )


def _or(given: float | None, default: float | None) -> float | None:
    return default if given is None else given
