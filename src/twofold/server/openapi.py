"""The description of the service for programs (OpenAPI 3.1), from the schemas of posts and extractions."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from twofold.server.posts_in import FORM, JSON, NDJSON

Schema = dict[str, Any]

_PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEklEQVR4nGP4z8CAFWEXHbQSACj/P8Fu7N9hAAAAAElFTkSuQmCC"
)
_POST = {"id": 17, "text": "Nora Berg at the Brandenburg Gate, Berlin"}
_FOUND = {
    "id": 17,
    "text": "Nora Berg at the Brandenburg Gate, Berlin",
    "entities": [
        {
            "start": 35,
            "end": 41,
            "text": "Berlin",
            "type": "LOC",
            "confidence": 0.98,
            "uncertainty": {"aleatoric": 0.21, "epistemic": 0.1},
            "sources": {"text": {"share": 1.0, "aleatoric": 0.21, "epistemic": 0.1}},
        }
    ],
    "relations": [],
    "picture": {"status": "none", "reason": ""},
    "model": "default",
}
_REFUSED = {
    "id": 18,
    "error": {
        "code": "picture_path",
        "message": "image is 'photo.jpg', which is not a picture",
        "where": "posts[1]",
        "expected": "base64, or the name of a part of the form",
        "do": "send the bytes of the picture",
    },
}
_IMAGE = {
    "description": "The picture: base64, or in a form the name of a part. No path is opened. A web "
    "address is fetched only where the service allows it.",
    "anyOf": [
        {"type": "null"},
        {"type": "string", "pattern": "^data:image/[a-z]+;base64,([A-Za-z0-9+/]{4})*$"},
        {
            "type": "object",
            "required": ["base64"],
            "properties": {"base64": {"type": "string", "pattern": "^([A-Za-z0-9+/]{4})*$"}},
        },
    ],
    "examples": [{"base64": _PIXEL}],
}

COMPONENTS: Schema = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": {"type": "string", "description": "For programs; stays the same."},
                    "message": {"type": "string", "description": "What came."},
                    "where": {"type": "string", "description": "Where it is."},
                    "expected": {"type": "string", "description": "What was expected."},
                    "do": {"type": "string", "description": "What to do about it."},
                },
            }
        },
    },
    "Refused": {
        "description": "Takes the place of a post that could not be read.",
        "allOf": [{"$ref": "#/components/schemas/Error"}],
        "properties": {"id": {"type": ["string", "integer"]}},
    },
    "Posts": {
        "type": "object",
        "required": ["posts"],
        "properties": {
            "posts": {
                "description": "Each a Post. An invalid item has an error in its place in the results, "
                "and does not affect the others.",
                "type": "array",
                "items": {},
            }
        },
        "additionalProperties": False,
        "not": {"required": ["id"]},
    },
    "Results": {
        "type": "object",
        "required": ["results"],
        "properties": {
            "results": {
                "description": "One for each post, in order.",
                "type": "array",
                "items": {
                    "anyOf": [
                        {"$ref": "#/components/schemas/Extraction"},
                        {"$ref": "#/components/schemas/Refused"},
                    ]
                },
            }
        },
    },
    "Form": {
        "description": "One post in the fields id, text, alt_text and image (a file); or posts with JSON, "
        "and a file for each picture that a post names by its file name.",
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "text": {"type": "string"},
            "alt_text": {"type": "string"},
            "image": {"type": "string", "format": "binary"},
            "posts": {"type": "string", "contentMediaType": JSON},
        },
    },
}

REQUEST: Schema = {
    "required": True,
    "content": {
        JSON: {
            "schema": {
                "anyOf": [{"$ref": "#/components/schemas/Post"}, {"$ref": "#/components/schemas/Posts"}]
            },
            "examples": {
                "one post": {"value": _POST},
                "one post with a picture": {"value": _POST | {"image": {"base64": _PIXEL}}},
                "several posts": {"value": {"posts": [_POST, {"id": 18, "text": "Sunset in Paris"}]}},
            },
        },
        NDJSON: {
            "schema": {"type": "string", "description": "One post per line."},
            "examples": {
                "two posts": {
                    "value": "\n".join(json.dumps(post) for post in (_POST, {"id": 18, "text": "Paris"}))
                }
            },
        },
        FORM: {"schema": {"$ref": "#/components/schemas/Form"}},
    },
}


def _answer(text: str, **headers: str) -> Schema:
    described = {name.replace("_", "-"): {"schema": {"type": "string"}, "description": value}
                 for name, value in headers.items()}  # fmt: skip
    content = {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"description": text, "content": content} | ({"headers": described} if described else {})


_AGAIN = "Seconds after which to try again."
REFUSALS: dict[int | str, Schema] = {
    401: _answer("No valid API key."),
    403: _answer("The request comes from a page of another origin."),
    421: _answer("The Host header names another host."),
    429: _answer("Too many requests at one time.", Retry_After=_AGAIN),
    500: _answer("An internal error."),
    503: _answer("The service is shutting down.", Retry_After=_AGAIN),
}
"""Responses of every path."""
RESPONSES: dict[int | str, Schema] = {
    200: {
        "description": "An extraction for one post, results for several; a line for each post where the body "
        "was JSON Lines, or the request accepts JSON Lines.",
        "content": {
            JSON: {
                "schema": {
                    "anyOf": [
                        {"$ref": "#/components/schemas/Extraction"},
                        {"$ref": "#/components/schemas/Results"},
                    ]
                },
                "examples": {
                    "one post": {"value": _FOUND},
                    "several posts": {"value": {"results": [_FOUND, _REFUSED]}},
                },
            },
            NDJSON: {"schema": {"type": "string"}},
        },
    },
    400: _answer("The body is not JSON, or not a form."),
    408: _answer("The body did not arrive in time."),
    413: _answer("Larger than a limit allows: body, picture, text or number of posts."),
    415: _answer("The content type is not supported."),
    422: _answer("The body is not a post, or an option is not valid for this model."),
    504: _answer("No result in time.", Retry_After=_AGAIN),
}
"""Responses of the extraction."""


def schemas() -> Schema:
    """Components of the description, by name."""
    found = dict(COMPONENTS)
    for name in ("Post", "Extraction"):
        text = (files("twofold") / "schemas" / f"{name.lower()}.schema.json").read_text(encoding="utf-8")
        schema = json.loads(text.replace("#/$defs/", f"#/components/schemas/{name}_"))
        for part, value in schema.pop("$defs").items():
            found[f"{name}_{part}"] = value
        del schema["$schema"]
        found[name] = schema
    found["Post"]["properties"]["image"] = _IMAGE
    found["Post"]["description"] = (
        "Offsets count Unicode code points of text; start inclusive, end exclusive. Other keys are ignored."
    )
    return found
